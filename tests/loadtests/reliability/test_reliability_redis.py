"""Every fault of Redis in small: the real service passes, and what would be wrong is noticed."""

import json

import pytest
from support.release import add_exact_index, make_release

from bundle.store import publish
from loadtests.reliability.__main__ import main
from loadtests.reliability.load import Answer
from loadtests.reliability.redis_faults import Trial, judged


@pytest.mark.slow
def test_requests_are_answered_with_the_last_known_weights_whatever_redis_does(tmp_path, capsys):
    release = make_release(tmp_path / "one")
    add_exact_index(release)
    publish(release.releases, release.run_id, "b1")
    flags = ["--hold", "0.5", "--rate", "20", "--poll", "0.5"]
    places = ["--releases", str(release.releases), "--work", str(tmp_path), "--out", str(tmp_path)]
    assert main(["redis", *flags, *places]) == 0
    assert "MISSED" not in capsys.readouterr().out
    figures = json.loads((tmp_path / "redis.json").read_text())["figures"]
    assert figures["faults"] == 7
    assert figures["requests"] > 20


def answered(due, status=200, version=3):
    return Answer(0, status, json.dumps({"weights_version": version}).encode(), due, seconds=0.01)


@pytest.mark.parametrize(
    ("answer", "failed", "lost", "other"),
    [
        (answered(due=1.5), 0, 0, 0),
        (answered(due=1.5, version=2), 0, 0, 1),
        (answered(due=2.5, version=4), 0, 0, 0),
        (answered(due=1.5, status=503), 1, 0, 0),
        (answered(due=1.5, status=0), 1, 0, 0),
        (answered(due=5.0, status=0), 0, 1, 0),
    ],
    ids=["right", "other", "after the fault", "refused", "unanswered", "with its worker"],
)
def test_an_answer_must_be_there_and_bring_the_weights_of_before_the_fault(
    answer, failed, lost, other
):
    trial = Trial(None, None, 0, late={"killed": 1}, calm=[(1.0, 2.0, 3)], killed=5.0)
    figures = judged([answered(due=1.2), answer], trial)
    assert figures["failed_requests"] == failed
    assert figures["requests_lost_with_a_worker"] == lost
    assert figures["answers_with_other_weights"] == other
