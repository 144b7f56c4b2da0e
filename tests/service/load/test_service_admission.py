"""What a worker takes on, on a simulated worker with a clock of its own."""

import math
import random
from collections import deque
from itertools import count

import pytest

from service.load.admission import TURN, WINDOW, Admission

REFUSING = 0.02  # what a refusal takes of a worker, in answers
LONGEST = 128


class Worker:
    """Answers take 1 on average; requests come at random, whatever the worker does."""

    def __init__(self, seed=0, deadline=math.inf, patience=math.inf):
        self.now, self._random = 0.0, random.Random(seed)
        self._deadline, self._patience = deadline, patience
        self.windows = []
        self.admission = Admission(LONGEST, self.windows.append, lambda: self.now)
        self._queue, self._computed = deque(), None  # (when, turn) of the one at hand
        self.answers = []  # (when, waited and computed)
        self.refused = 0

    def offer(self, load, until):
        """Requests at `load` times the capacity, until then."""
        due = self.now
        while due < until:
            due += self._random.expovariate(load)
            while self._computed and self._computed[0] <= due:
                self._answer()
            self.now = due
            if self.admission.refusal(self._deadline):
                self.refused += 1
                self.pause(REFUSING)
            else:
                self._queue.append(self.admission.enter(self._deadline, self._giving_up(due)))
                self._compute()

    def _giving_up(self, due):
        return lambda: self.now - due > self._patience

    def pause(self, seconds):
        """What is computed is done so much later."""
        at, turn = self._computed
        self._computed = at + seconds, turn

    def _answer(self):
        self.now, turn = self._computed
        self._computed = None
        self.admission.leave(turn)
        self.answers.append((self.now, self.now - turn.entered))
        self._compute()

    def _compute(self):
        while self._queue and not self._computed:
            turn = self._queue.popleft()
            if self.admission.drops(turn):
                self.admission.leave(turn)
            else:
                self._computed = self.now + self._random.lognormvariate(-0.045, 0.3), turn

    def figures(self, since):
        """Answers per capacity, and the 99th percentile of their time."""
        times = sorted(spent for at, spent in self.answers if at > since)
        rate = len(times) / (self.now - since)
        return rate, times[int(0.99 * len(times))]


def loaded(load, until=6000):
    worker = Worker()
    worker.offer(load, until)
    return worker


def test_at_five_times_the_capacity_answers_are_as_many_and_nearly_as_fast():
    _, unloaded = loaded(0.1).figures(since=0)
    goodput, overloaded = loaded(5).figures(since=500)
    assert goodput >= 0.9
    assert overloaded <= 2 * unloaded


@pytest.mark.parametrize("load", [1.2, 1.5, 2, 3])
def test_at_any_overload_the_queue_is_short_and_the_worker_busy(load):
    goodput, p99 = loaded(load).figures(since=1500)
    assert goodput >= 0.94
    assert p99 < 12


def test_below_its_capacity_a_worker_refuses_nobody():
    worker = loaded(0.9, until=3000)
    assert worker.refused == 0
    assert worker.admission.limit == LONGEST


def test_after_an_overload_a_worker_takes_on_again_all_that_it_is_set_to():
    worker = loaded(5, until=1000)
    assert worker.admission.limit <= 4
    worker.offer(0.5, until=1000 + 3 * WINDOW * LONGEST)
    assert worker.admission.limit == LONGEST


def test_what_a_pause_left_in_the_queue_is_answered():
    worker = loaded(0.7, until=500)
    worker.pause(75)
    worker.offer(0.7, until=1500)
    assert worker.refused == 0
    assert not worker.admission.counts


def test_callers_who_ask_one_after_the_other_may_keep_a_queue():
    now = count()
    admission = Admission(LONGEST, clock=lambda: next(now))
    waiting = deque(admission.enter() for _ in range(16))
    for _ in range(20 * WINDOW):
        assert not admission.drops(waiting[0])
        admission.leave(waiting.popleft())
        assert admission.refusal() is None
        waiting.append(admission.enter())


def test_the_first_long_queue_of_an_overload_is_dropped_not_answered_late():
    worker = loaded(5, until=300)
    assert worker.admission.counts["dropped"] > LONGEST / 2
    late = [spent for _, spent in worker.answers if spent > LONGEST / 4]
    assert len(late) <= 2 * WINDOW


def test_pressure_is_reported_under_overload_and_not_below():
    assert any(loaded(5, until=300).windows)
    assert not any(loaded(0.8, until=3000).windows)


class Clock:
    """One that stands still unless told."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def answering(clock, seconds):
    """An admission that has seen answers of so many seconds."""
    admission = Admission(LONGEST, clock=clock)
    for _ in range(100):
        turn = admission.enter()
        clock.now += seconds
        admission.leave(turn)
    return admission


def test_the_time_of_an_answer_is_measured_without_the_wait(clock):
    admission = answering(clock, 0.01)
    turns = [admission.enter() for _ in range(5)]
    for turn in turns:
        clock.now += 0.01
        admission.leave(turn)
    assert admission.service_s == pytest.approx(0.01)


def test_a_request_that_could_not_be_answered_before_its_deadline_is_refused_at_once(clock):
    admission = answering(clock, 0.01)
    for _ in range(3):
        admission.enter()
    assert admission.expected_s == pytest.approx(0.04)
    assert admission.refusal(0.039) == "deadline"
    assert admission.refusal(0.041) is None


def test_the_time_that_a_request_lay_unseen_counts_against_its_deadline(clock):
    admission = answering(clock, 0.01)
    admission.lag_s = 0.03
    assert admission.expected_s == pytest.approx(0.04)
    assert admission.enter(0.1).deadline == pytest.approx(clock.now + 0.07)


def test_a_request_that_waited_too_long_is_dropped_before_it_is_computed(clock):
    admission = answering(clock, 0.01)
    admission.enter()
    turn = admission.enter(0.03)
    clock.now += 0.015
    assert not admission.drops(turn)
    clock.now += 0.01
    assert admission.drops(turn)


def unhurried(refuse):
    """What a worker that is half busy says of its windows, while somebody else is refused."""
    worker = Worker()
    worker.offer(0.5, 2 * WINDOW)
    for _ in range(20):
        worker.offer(0.5, worker.now + WINDOW)
        refuse(worker.admission)
    return worker.windows


def test_who_cannot_wait_for_others_costs_nobody_else_recall():
    def hurried(admission):
        admission.in_flight += 1
        assert admission.refusal(1e-6) == "deadline"
        admission.in_flight -= 1

    assert not any(unhurried(hurried))


def test_who_gives_up_costs_nobody_else_recall():
    def gone(admission):
        turn = admission.enter(gone=lambda: True)
        assert admission.drops(turn)
        admission.leave(turn)

    assert not any(unhurried(gone))


@pytest.mark.parametrize("deadline", [1.5, 2.5, 8.0])  # of an answer's mean time
def test_callers_who_cannot_wait_are_pressure_where_a_worker_keeps_few_of_their_deadlines(deadline):
    worker = Worker(deadline=deadline)
    worker.offer(4, 40 * WINDOW)
    assert worker.admission.counts["deadline"] > 0
    assert all(worker.windows[5:])


def test_clients_that_give_up_leave_a_worker_that_answers_those_who_still_wait():
    patience = 30.0
    worker = Worker(patience=patience)
    worker.offer(2, 40 * WINDOW)
    begun = 10 * WINDOW
    in_time = [at for at, spent in worker.answers if at > begun and spent < patience]
    assert len(in_time) > 0.85 * 30 * WINDOW


def test_what_nobody_waits_for_any_more_is_dropped(clock):
    admission = answering(clock, 0.01)
    turn = admission.enter(gone=lambda: True)
    assert admission.drops(turn)
    admission.leave(turn)
    assert admission.counts == {"gone": 1}
    assert admission.service_s == pytest.approx(0.01)


def test_a_worker_with_nothing_else_to_do_answers_whatever_the_deadline(clock):
    admission = answering(clock, 0.01)
    assert admission.refusal(0.001) is None
    assert not admission.drops(admission.enter(0.001))


def test_a_request_that_waits_for_another_service_keeps_no_place(clock):
    admission = Admission(2, clock=clock)
    admission.limit = 1
    with admission.elsewhere():
        admission.enter()
        assert admission.refusal() is None
        admission.enter()
        assert admission.refusal() == "full"
    assert admission.here == 2


def test_waiting_for_another_service_is_no_part_of_what_an_answer_takes(clock):
    admission = answering(clock, 0.001)
    turn = admission.enter()
    token = TURN.set(turn)
    with admission.elsewhere():
        clock.now += 0.5
    TURN.reset(token)
    clock.now += 0.001
    admission.leave(turn)
    assert admission.service_s == pytest.approx(0.001)


def test_what_the_loop_has_and_the_gate_has_not_seen_takes_a_place():
    admission = Admission(2)
    admission.coming += 2
    assert admission.turns_away("/score")
    admission.came()
    assert not admission.turns_away("/score")
    assert dict(admission.unparsed) == {"/score": 1}


def test_without_a_deadline_a_request_may_wait_for_ever(clock):
    assert Admission(2, clock=clock).enter().deadline == math.inf
