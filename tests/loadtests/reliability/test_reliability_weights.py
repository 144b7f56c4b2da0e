"""The weights experiment in small: the real service passes it, and a crooked history is noticed."""

import json

import pytest
from support.release import add_exact_index, make_release

from bundle.store import publish
from loadtests.reliability import weights
from loadtests.reliability.__main__ import main

WON, LOST = 200, 409


def test_a_burst_a_split_a_restart_and_a_schedule_end_as_they_must(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(weights, "KNOWN_S", 0.2)
    monkeypatch.setattr(weights, "SCHEDULE_S", 0.7)
    release = make_release(tmp_path / "one")
    add_exact_index(release)
    publish(release.releases, release.run_id, "b1")
    flags = ["--updates", "60", "--authors", "8", "--users", "300", "--workers", "1"]
    places = ["--releases", str(release.releases), "--work", str(tmp_path), "--out", str(tmp_path)]
    assert main(["weights", *flags, *places]) == 0
    assert "MISSED" not in capsys.readouterr().out
    figures = json.loads((tmp_path / "weights.json").read_text())["figures"]
    assert figures["updates_won"] + figures["updates_refused"] == 60
    assert figures["updates_refused"] > 0
    assert figures["users_moved_by_growth"] > 0


@pytest.mark.parametrize(
    ("outcomes", "history", "wrong", "neither"),
    [
        ([(1, WON, "a"), (1, LOST, "b"), (2, WON, "b")], {2: "a", 3: "b"}, 0, 0),
        ([(1, WON, "a"), (1, WON, "b")], {2: "a", 3: "b"}, 2, 0),
        ([(1, WON, "a")], {2: "b"}, 1, 0),
        ([(1, WON, "a")], {}, 1, 0),
        ([(1, WON, "a"), (1, LOST, "b")], {2: "a", 3: "b"}, 1, 0),
        ([(1, WON, "a"), (2, WON, "b")], {2: "a", 4: "b"}, 2, 0),
        ([(1, 500, "a")], {}, 0, 1),
    ],
    ids=["linear", "two winners", "stolen", "lost", "unanswered", "gap", "fault"],
)
def test_every_version_must_be_its_one_winners(outcomes, history, wrong, neither):
    figures = weights.judged_burst(outcomes, history, before=1)
    assert figures["versions_without_their_winner"] == wrong
    assert figures["updates_neither_won_nor_refused"] == neither
