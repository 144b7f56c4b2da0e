"""Whatever is stored of a user, a vector is made of it, and only what is wrong is left out."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bundle.store import read_current
from service.features.layout import LookUp
from service.retrieval.users import RawUser, embed
from service.snapshots.snapshot import open_snapshot

DEEPEST = b"[" * 1000 + b"]" * 1000  # that the parser reads
USER = {"user_id": "u00003"}
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
digits = st.integers(1, 5000).map(lambda length: b"9" * length)
nested = st.integers(1, 3000).map(lambda depth: b"[" * depth + b"]" * depth)
stored = st.none() | st.binary() | values.map(lambda value: json.dumps(value).encode())
stored |= digits | nested


@pytest.fixture(scope="module")
def snapshot(release):
    return open_snapshot(release.releases, read_current(release.releases))


@example(hour=DEEPEST, age=DEEPEST, recent_items=DEEPEST, seen=[])
@settings(max_examples=300, deadline=None)
@given(hour=stored, age=stored, recent_items=stored, seen=st.lists(st.binary(max_size=9)))
def test_nothing_that_can_be_stored_harms_a_request(snapshot, hour, age, recent_items, seen):
    kept = {"hour": hour, "age": age, "recent_items": recent_items}
    look_up = LookUp.of(USER, snapshot.user_features, seen=10)
    known = look_up.answered(iter([[kept[name] for name in look_up.features], seen]), longest=5)
    (user,) = embed(snapshot, [RawUser(USER, known.values)])
    assert np.isfinite(user.vector_1M).all()
    assert known.seen is not None
    assert len(known.seen) == sum(len(item_id) <= 5 for item_id in seen)
    assert len(snapshot.index.rows_of(known.seen)) == 0
    left_out = dict.fromkeys(user.unreadable)
    (same,) = embed(snapshot, [RawUser({**USER, **known.values, **left_out})])
    np.testing.assert_array_equal(user.vector_1M, same.vector_1M)
    if any(text is not None for text in kept.values()):
        assert known.origin == "stored"
