"""Releases are written whole, read verified, and refused by name."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from attacks import open_as_a_server
from corpus.attack import ATTACKS, BUILD, Attack, Target, make_sound
from corpus.tools import map_vocabulary, reseal_bundle

import bundle
from bundle import errors
from bundle.files import read_json
from bundle.schema import FeatureSchema
from bundle.store import publish, read_bundle, read_current, read_index, read_pair
from bundle.writing import staged_directory, to_json, write_atomically

HERE = Path(__file__).parent
SPEC = (Path(bundle.__file__).parent / "SPEC.md").read_text()


@pytest.fixture(scope="session")
def sound(tmp_path_factory) -> Target:
    return make_sound(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def target(sound, tmp_path) -> Target:
    releases = tmp_path / "releases"
    shutil.copytree(sound.releases, releases)
    return Target.below(releases)


def test_a_sound_release_opens(target):
    open_as_a_server(target.releases)
    pair, index = read_pair(target.releases, read_current(target.releases))
    assert pair.segments.dim == index.item_vectors_NM.shape[1]
    assert len(index.item_ids_N) == index.manifest.items == 40


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.rule}-{attack.name}")
def test_each_malformation_is_refused_by_its_own_error(target, attack: Attack):
    attack.apply(target)
    with pytest.raises(errors.BundleError) as refusal:
        open_as_a_server(target.releases)
    assert type(refusal.value) is attack.error
    for part in (refusal.value.file, refusal.value.expected, refusal.value.remedy):
        assert part, "an error names the file, the expectation and the remedy"
        assert part in str(refusal.value)
    assert str(target.releases) in str(refusal.value), "which release, where there are several"


def test_every_rule_of_the_specification_is_broken_by_a_test():
    rules = set(re.findall(r"^\| ([A-Z]\d+) \|", SPEC, re.MULTILINE))
    covered = {attack.rule for attack in ATTACKS}
    text = "".join(path.read_text() for path in HERE.parent.rglob("test_*.py"))
    covered |= set(re.findall(r"SPEC rule ([A-Z]\d+)", text))
    assert rules == covered


def test_the_specification_names_the_error_that_each_attack_meets():
    refused_as = dict(re.findall(r"^\| ([A-Z]\d+) \|.*\| (\w+)[^|]*\|$", SPEC, re.MULTILINE))
    for attack in ATTACKS:
        assert refused_as[attack.rule] == attack.error.__name__, attack.name


def test_a_directory_appears_only_when_it_is_complete(tmp_path):
    """SPEC rule W1."""
    final = tmp_path / "run"
    with staged_directory(final) as directory:
        assert directory.name.startswith(".staging-")
        (directory / "file").write_bytes(b"content")
        assert not final.exists()
    assert (final / "file").read_bytes() == b"content"


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    """SPEC rule W2."""

    def fail() -> None:
        with staged_directory(tmp_path / "run") as directory:
            (directory / "file").write_bytes(b"half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_write_leaves_no_directory_under_the_final_name(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from bundle.writing import *\n"
        "with staged_directory(Path(sys.argv[1]) / 'run') as directory:\n"
        "    (directory / 'file').write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name[:9] for path in tmp_path.iterdir()] == [".staging-"]


def test_a_published_directory_is_never_overwritten(target):
    """SPEC rule W3."""
    before = read_bundle(target.bundle).sha256
    with pytest.raises(errors.AlreadyReleasedError), staged_directory(target.bundle):
        pass
    assert read_bundle(target.bundle).sha256 == before


def test_a_broken_pair_is_not_published_and_the_old_one_stays(target):
    """SPEC rule W4."""
    before = (target.releases / "CURRENT").read_bytes()
    (target.index / "items.faiss").write_bytes(b"")
    with pytest.raises(errors.TruncatedFileError):
        publish(target.releases, "tiny", BUILD)
    assert (target.releases / "CURRENT").read_bytes() == before


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "CURRENT"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_equal_content_has_equal_identity(target):
    before = read_bundle(target.bundle).sha256
    reseal_bundle(target)
    (target.bundle / "MODEL_CARD.md").write_text("# Changed\n")
    reseal_bundle(target)
    assert read_bundle(target.bundle).sha256 != before


def test_a_sound_vocabulary_is_parsed_once_and_may_hold_any_text(tmp_path, monkeypatch):
    path = tmp_path / "features.json"
    odd = {"odd": ["NaN", "Infinity"], "plain": ["a", "b"]}
    field = {"type": "numeric", "name": "age", "mean": 0.0, "std": 1.0}
    schema = FeatureSchema(vocabularies=odd, user=[field], item=[field])
    path.write_bytes(to_json(schema))
    assert read_json(path, FeatureSchema)[0] == schema
    path.write_bytes(to_json(schema).replace(b"NaN", b"nan").replace(b"Infinity", b"end"))
    monkeypatch.setattr("bundle.files.json", None)  # a second parser
    assert read_json(path, FeatureSchema)[0].vocabularies["odd"][0] == "nan"


def test_arrays_are_mapped_not_read(target):
    pair = read_bundle(target.bundle)
    index = read_index(target.index, pair)
    assert type(index.item_vectors_NM).__name__ == "memmap"


def test_a_vocabulary_in_a_file_of_its_own_is_the_same(target):
    before = read_bundle(target.bundle).schema
    map_vocabulary(target, "item_id")
    after = read_bundle(target.bundle).schema
    assert after == before
    recent = {"recent_items": [["i0000003", "?"], None]}
    rows_BL = after.encode_user(recent, 2).arrays["recent_items"]
    assert rows_BL.tolist() == before.encode_user(recent, 2).arrays["recent_items"].tolist()
    assert rows_BL.any()
