"""Keys, the file that keeps their hashes, and the command that edits it."""

import json
import stat
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

from service.access.keys import KeysError, add_key, digest_of, read_keys, revoke
from service.access.ring import KeyRing
from service.operators import keys as command


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


def test_the_file_keeps_the_hash_of_a_key_and_only_its_owner_reads_it(file):
    key = add_key(file, "ranker", "retrieve")
    assert key not in file.read_text()
    assert read_keys(file)[0].sha256 == digest_of(key)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    revoke(file, "ranker")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_each_role_may_do_what_those_before_it_may(file):
    for role in ("retrieve", "operate", "admin"):
        add_key(file, role, role)
    may = {key.name: [role for role in ("retrieve", "operate", "admin") if key.may(role)]
           for key in read_keys(file)}  # fmt: skip
    assert may == {
        "retrieve": ["retrieve"],
        "operate": ["retrieve", "operate"],
        "admin": ["retrieve", "operate", "admin"],
    }


def test_edits_at_once_lose_nothing(file):
    names = [f"key{number}" for number in range(20)]
    adding = [threading.Thread(target=add_key, args=(file, name, "retrieve")) for name in names]
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join()
    assert sorted(key.name for key in read_keys(file)) == sorted(names)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "Invalid JSON"),
        ('{"format": "csmf-keys", "format_version": 1}', "keys: Field required"),
        ('{"format": "csmf-index", "format_version": 1, "keys": []}', "format: Input"),
        ('{"format": "csmf-keys", "format_version": 2, "keys": []}', "format_version: Input"),
        ('{"format": "csmf-keys", "format_version": 1, "keys": [{"name": "a"}]}', "keys.0.role"),
        ('{"format": "csmf-keys", "format_version": 1, "keys": [], "more": 1}', "more: Extra"),
    ],
)
def test_a_file_that_is_none_of_keys_is_refused_by_what_is_wrong(file, content, says):
    file.write_text(content)
    with pytest.raises(KeysError, match=r"keys\.json: ") as refused:
        KeyRing(file)
    assert says in str(refused.value)


def test_a_hash_that_somebody_swapped_for_the_key_is_refused_without_showing_it(file):
    key = add_key(file, "ranker", "retrieve")
    document = json.loads(file.read_text())
    document["keys"][0]["sha256"] = key
    file.write_text(json.dumps(document))
    with pytest.raises(KeysError, match=r"keys\.0\.sha256") as refused:
        read_keys(file)
    assert key not in str(refused.value)


def test_a_ring_follows_its_file_and_keeps_its_keys_where_the_file_is_damaged(file, monkeypatch):
    monkeypatch.setattr("service.access.ring.LOOK_S", 0.0)
    old = add_key(file, "old", "retrieve")
    ring = KeyRing(file)
    assert ring.find(old).name == "old"
    new = add_key(file, "new", "operate")
    assert ring.find(new).name == "new"
    whole = file.read_bytes()
    for damage in (lambda: file.write_text("{"), file.unlink):
        damage()
        assert ring.find(old).name == "old"
    file.write_bytes(whole)
    revoke(file, "old")
    assert ring.find(old) is None
    assert ring.find(new).name == "new"


def test_a_file_that_cannot_be_read_is_tried_again_and_complained_of_once(
    file, monkeypatch, caplog
):
    monkeypatch.setattr("service.access.ring.LOOK_S", 0.0)
    old = add_key(file, "old", "retrieve")
    ring = KeyRing(file)
    revoke(file, "old")
    with monkeypatch.context() as unreadable:  # to root no mode is
        unreadable.setattr(Path, "read_bytes", Mock(side_effect=PermissionError(13, "denied")))
        assert [ring.find(old).name for _ in range(3)] == ["old"] * 3
    assert caplog.text.count("the keys stay as they are") == 1
    assert ring.find(old) is None


def test_a_file_that_went_and_came_back_as_it_was_is_no_trouble_any_more(file, monkeypatch):
    monkeypatch.setattr("service.access.ring.LOOK_S", 0.0)
    key, told = add_key(file, "ana", "retrieve"), []
    ring = KeyRing(file, told.append)
    seen = [(), ring._seen, ring._seen]  # as of a mount that is away for a moment
    monkeypatch.setattr("service.access.ring._signature", lambda _: seen.pop(0))
    with monkeypatch.context() as away:
        away.setattr(Path, "read_bytes", Mock(side_effect=FileNotFoundError(2, "gone")))
        assert ring.find(key).name == "ana"
    assert ring.find(key).name == "ana"
    assert told == [True, False]


@pytest.mark.parametrize("token", ["", "x", "\ud800", "csmf_" + "A" * 43])
def test_what_is_no_key_finds_none(file, token):
    add_key(file, "ranker", "retrieve")
    assert KeyRing(file).find(token) is None


def test_the_life_of_a_key_as_its_maker_sees_it(file, capsys):
    assert command.main(["new", "ranker", "--role", "retrieve", "--file", str(file)]) == 0
    shown = capsys.readouterr()
    key = shown.out.strip()
    assert KeyRing(file).find(key).name == "ranker"
    assert key not in shown.err
    assert command.main(["list", "--file", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "role", "created", "(UTC)"]
    assert lines[1].split()[:2] == ["ranker", "retrieve"]
    assert command.main(["revoke", "ranker", "--file", str(file)]) == 0
    assert KeyRing(file).find(key) is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["list"], "No such file or directory; make one with: csmf-keys new"),
        (["revoke", "ranker"], "No such file or directory"),
        (["new", "two words", "--role", "admin"], "name: expected letters, digits"),
    ],
)
def test_a_command_that_makes_no_sense_is_one_line_and_exit_code_2(file, words, says, capsys):
    assert command.main([*words, "--file", str(file)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert says in error
    assert error.count("\n") == 1


def test_a_name_is_given_once_and_only_a_key_that_is_there_is_revoked(file):
    add_key(file, "ranker", "retrieve")
    with pytest.raises(KeysError, match="revoke it first"):
        add_key(file, "ranker", "admin")
    with pytest.raises(KeysError, match="no key 'other'; there are: ranker"):
        revoke(file, "other")
    with pytest.raises(KeysError, match="cannot be written"):
        add_key(file / "nowhere" / "keys.json", "x", "admin")
