"""Which weights serve whom and when: a pure function of records, user and clock."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from service.weights.changes import Change, set_weights
from service.weights.embedded import EmbeddedStore
from service.weights.record import Schedule, Variant, WeightsRecord
from service.weights.scenarios import in_force, unfit
from service.weights.slots import SLOTS
from service.weights.variants import split

OWN = {"exposure": 1.0, "click": 1.0, "conversion": 1.0}
BOLD = {"exposure": 0.0, "click": 1.0, "conversion": 0.0}
SALE = {"exposure": 0.0, "click": 0.0, "conversion": 1.0}
OTHER_STAGES = {"view": 1.0, "buy": 2.0}
NOON = datetime(2026, 12, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
USERS = [f"u{number:05d}" for number in range(20_000)]


@pytest.fixture
def snapshot(reader):
    return reader.app.state.parts.holder.snapshot


@pytest.fixture
def served(snapshot):
    """A function that says which weights serve a user under a record."""

    def ask(record, user_id="u1", now=NOON):
        return in_force({record.scenario: record}, snapshot, record.scenario, user_id, now)

    return ask


def record(**content):
    signed = {"author": "ana", "reason": "try it", "time": NOON}
    return WeightsRecord(scenario="feed", version=3, **signed, **{"weights": OWN, **content})


def everyone(weights):
    return {"bold": Variant(weights=weights, slots=((0, SLOTS),))}


def plan(weights, begin, until):
    return Schedule.model_validate({"weights": weights, "from": begin, "until": until})


def test_shares_are_exact_within_sampling_error(snapshot, tmp_path):
    """Binomial: within 4 standard deviations of 20,000 draws."""
    store, change = EmbeddedStore(tmp_path / "weights.sqlite3"), Change("feed", "ana", "try it")
    set_weights(store, change, OWN)
    shares = {"a": 0.5, "b": 0.05, "c": 0.0123}
    for name, share in shares.items():
        split(store, change, name, share, BOLD)
    records = store.current()
    found = [in_force(records, snapshot, "feed", user, NOON).variant for user in USERS]
    for name, share in shares.items():
        deviation = math.sqrt(len(USERS) * share * (1 - share))
        assert abs(found.count(name) - len(USERS) * share) < 4 * deviation


def test_a_user_stays_in_a_variant_across_restarts_and_changes_of_other_variants(
    snapshot, tmp_path
):
    def served_by_a_new_store():
        records = EmbeddedStore(tmp_path / "weights.sqlite3").current()
        return [in_force(records, snapshot, "feed", user, NOON).variant for user in USERS[:2000]]

    store, change = EmbeddedStore(tmp_path / "weights.sqlite3"), Change("feed", "ana", "try it")
    set_weights(store, change, OWN)
    split(store, change, "a", 0.3, BOLD)
    first = served_by_a_new_store()
    assert served_by_a_new_store() == first
    split(store, change, "b", 0.3, BOLD)
    second = served_by_a_new_store()
    assert {(a, b) for a, b in zip(first, second, strict=True) if a != b} == {(None, "b")}
    split(store, change, "a", 0.4)
    third = served_by_a_new_store()
    assert {(b, c) for b, c in zip(second, third, strict=True) if b != c} == {(None, "a")}


def test_a_variants_users_are_served_its_weights(served):
    found = served(record(variants=everyone(BOLD)))
    assert (found.variant, found.weights.as_dict(), found.version) == ("bold", BOLD, 3)


@pytest.mark.parametrize("user_id", [None, "", ["u1"], {"id": "u1"}, 1.5])
def test_who_sends_no_user_id_is_in_no_variant(served, user_id):
    found = served(record(variants=everyone(BOLD)), user_id)
    assert (found.variant, found.weights.as_dict()) == (None, OWN)


def test_a_number_and_its_text_are_the_same_user(served):
    half = record(variants={"bold": Variant(weights=BOLD, slots=((0, SLOTS // 2),))})
    found = [served(half, user_id).variant for user_id in range(50)]
    assert found == [served(half, str(user_id)).variant for user_id in range(50)]
    assert set(found) == {None, "bold"}


@pytest.mark.parametrize(
    ("now", "weights"),
    [
        (NOON - timedelta(microseconds=1), OWN),
        (NOON, SALE),
        (NOON + HOUR - timedelta(microseconds=1), SALE),
        (NOON + HOUR, OWN),
    ],
)
def test_a_schedule_is_in_force_from_its_beginning_until_its_end(served, now, weights):
    found = served(record(schedule=plan(SALE, NOON, NOON + HOUR)), now=now)
    assert (found.weights.as_dict(), found.scheduled) == (weights, weights == SALE)


def test_a_schedule_without_an_end_stays_in_force(served):
    found = served(record(schedule=plan(SALE, NOON, None)), now=NOON + 10_000 * HOUR)
    assert (found.weights.as_dict(), found.scheduled) == (SALE, True)


def test_variants_keep_their_weights_while_a_schedule_is_in_force(served):
    both = record(variants=everyone(BOLD), schedule=plan(SALE, NOON, NOON + HOUR))
    assert (served(both).weights.as_dict(), served(both).scheduled) == (BOLD, False)
    assert (served(both, None).weights.as_dict(), served(both, None).scheduled) == (SALE, True)


def test_weights_that_do_not_fit_the_bundle_are_passed_over(served, snapshot):
    """As after publishing a bundle with another cascade."""
    unfit_variant = record(variants=everyone(OTHER_STAGES), schedule=plan(SALE, NOON, None))
    assert (served(unfit_variant).variant, served(unfit_variant).scheduled) == (None, True)
    unfit_schedule = record(schedule=plan(OTHER_STAGES, NOON, None))
    assert (served(unfit_schedule).scheduled, served(unfit_schedule).version) == (False, 3)
    none_fits = record(weights=OTHER_STAGES)
    assert (served(none_fits).version, served(none_fits).record) == (0, None)
    for broken in (unfit_variant, unfit_schedule, none_fits):
        assert unfit({"feed": broken}, snapshot) == ["feed"]
    assert unfit({"feed": record(variants=everyone(BOLD))}, snapshot) == []


def test_a_record_without_variants_and_schedule_has_the_json_it_always_had():
    old = (
        '{"scenario":"feed","version":3,"weights":{"exposure":1.0,"click":1.0,"conversion":1.0},'
        '"author":"ana","reason":"try it","time":"2026-12-24T12:00:00Z"}'
    )
    assert record().model_dump_json() == old
    assert WeightsRecord.model_validate_json(old) == record()


def test_a_record_with_variants_and_a_schedule_survives_its_json():
    full = record(variants=everyone(BOLD), schedule=plan(SALE, NOON, None))
    assert WeightsRecord.model_validate_json(full.model_dump_json()) == full
    assert '"schedule":{"weights":' in full.model_dump_json()
    assert '"from":"2026-12-24T12:00:00Z","until":null}' in full.model_dump_json()


@pytest.mark.parametrize(
    "variants",
    [
        {"a": {"weights": OWN, "slots": [[0, 10]]}, "b": {"weights": OWN, "slots": [[9, 12]]}},
        {"a": {"weights": OWN, "slots": [[10, 0]]}},
        {"a": {"weights": OWN, "slots": [[0, 10_001]]}},
        {"A b": {"weights": OWN, "slots": [[0, 10]]}},
    ],
)
def test_a_record_whose_variants_contradict_each_other_is_none(variants):
    with pytest.raises(ValueError, match="variants"):
        record(variants=variants)
