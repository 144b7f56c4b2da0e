"""The swap experiment in small: the real service passes it, and a mixed answer would be noticed."""

import json
from pathlib import Path

import pytest
from support.release import add_exact_index, make_release

from loadtests.reliability.__main__ import main
from loadtests.reliability.load import Answer
from loadtests.reliability.pairs import find_pairs
from loadtests.reliability.swaps import Seen


@pytest.fixture
def releases(tmp_path):
    """Two runs of different towers and items."""
    for seed, run_id in enumerate(("red", "blue")):
        root = tmp_path / "runs"
        made = make_release(root, run_id=run_id, items=120, item_prefix=run_id, seed=seed)
        add_exact_index(made)
    return root / "releases"


def test_swaps_under_load_lose_no_request_and_mix_no_two_pairs(releases, tmp_path, capsys):
    flags = ["--swaps", "5", "--pause", "0.1", "--share", "0.3", "--k", "20", "--calm", "0.5"]
    places = ["--releases", str(releases), "--work", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["swaps", *flags, *places]) == 0
    assert "MISSED" not in capsys.readouterr().out
    figures = json.loads((tmp_path / "out" / "swaps.json").read_text())["figures"]
    assert figures["swaps"] == 5
    assert figures["least_answers_of_a_pair"] > 0
    assert figures["failed_requests"] == figures["answers_of_no_pair"] == 0


def test_one_pair_alone_is_not_swapped(releases, tmp_path, capsys):
    (blue,) = Path(releases).glob("blue")
    blue.rename(tmp_path / "blue")
    flags = ["--releases", str(releases), "--work", str(tmp_path)]
    assert main(["swaps", *flags]) == 2
    assert "expected two pairs at least, found 1" in capsys.readouterr().err


def test_every_pair_of_a_folder_is_found_and_the_first_one_left_published(releases):
    assert [pair.name for pair in find_pairs(releases)] == ["blue/b1", "red/b1"]
    assert json.loads((releases / "CURRENT").read_text())["run_id"] == "blue"


def answer(status=200, **changed):
    columns = {"item_ids": ["a"], "scores": [1.0], "objective_scores": {"click": [1.0]}}
    body = {"run_id": "red", "build_id": "b1", **columns, **changed}
    return Answer(0, status, json.dumps(body).encode(), due=0.0, seconds=0.01)


@pytest.mark.parametrize(
    ("got", "failed", "of_no_pair"),
    [
        (answer(), 0, 0),
        (answer(item_ids=["b"]), 0, 1),
        (answer(scores=[1.5]), 0, 1),
        (answer(run_id="blue"), 0, 1),
        (answer(status=503), 1, 0),
        (answer(status=0), 1, 0),
    ],
)
def test_an_answer_is_right_only_if_it_is_that_of_the_pair_it_names(got, failed, of_no_pair):
    other = (["b"], [2.0], {"click": [2.0]})
    seen = Seen({"red/b1": [(["a"], [1.0], {"click": [1.0]})], "blue/b1": [other]})
    for one in (answer(), got):
        seen.add(one)
    figures = seen.figures()
    assert (figures["failed_requests"], figures["answers_of_no_pair"]) == (failed, of_no_pair)
