"""How effort goes down under pressure, and comes back."""

import logging

import pytest

from service.load.effort import DOWN_S, SHARES, UP_S, EffortSteps


class Worker:
    """Steps on a clock that only moves when told; the admission looks every tenth of a second."""

    def __init__(self):
        self.now = 100.0
        self.steps = EffortSteps(0.8, lambda: self.now)

    def spend(self, seconds, pressed):
        for _ in range(round(10 * seconds)):
            self.now += 0.1
            self.steps.note(pressed)
            self.steps.recover()
        return self.steps.effort.share


@pytest.fixture
def worker():
    return Worker()


def test_effort_goes_down_a_step_at_a_time_to_the_last(worker):
    seen = {worker.spend(0.1, pressed=True) for _ in range(100)}
    assert seen == set(SHARES)
    assert worker.spend(1, pressed=True) == SHARES[-1]


def test_a_moment_of_pressure_changes_nothing(worker):
    for _ in range(10):
        assert worker.spend(DOWN_S / 2, pressed=True) == 1
        worker.spend(0.1, pressed=False)


def test_effort_comes_back_a_step_at_a_time_after_quiet_seconds(worker):
    worker.spend(10, pressed=True)
    assert worker.spend(UP_S - 0.2, pressed=False) == SHARES[-1]
    assert worker.spend(0.4, pressed=False) == SHARES[-2]
    assert worker.spend(len(SHARES) * UP_S, pressed=False) == 1


def test_effort_comes_back_when_nobody_asks_any_more(worker):
    worker.spend(10, pressed=True)
    for _ in SHARES:
        worker.now += UP_S + 0.1
        worker.steps.recover()
    assert worker.steps.effort.share == 1


def test_each_step_is_logged_and_none_twice(worker, caplog):
    with caplog.at_level(logging.WARNING):
        worker.spend(10, pressed=True)
        worker.spend(30, pressed=False)
    said = [record.getMessage() for record in caplog.records]
    down = [f"under pressure: searches visit {share:g} of their cells" for share in SHARES[1:]]
    up = [f"quiet again: searches visit {share:g} of their cells" for share in SHARES[-2::-1]]
    assert said == down + up


def test_the_floor_of_recall_goes_with_every_step(worker):
    worker.spend(10, pressed=True)
    assert worker.steps.effort.floor == 0.8
