"""When a store is asked, and when it is let be."""

from service.features.breaker import FAILURES, PAUSE_S, CircuitBreaker


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def opened(clock):
    breaker = CircuitBreaker(clock)
    for _ in range(FAILURES):
        assert breaker.allows()
        breaker.note(answered=False)
    return breaker


def test_a_store_that_fails_now_and_then_is_always_asked():
    breaker = CircuitBreaker(Clock())
    for _ in range(5):
        for _ in range(FAILURES - 1):
            breaker.note(answered=False)
        breaker.note(answered=True)
        assert breaker.allows()


def test_after_failures_in_a_row_nobody_asks_until_the_pause_is_over():
    clock = Clock()
    breaker = opened(clock)
    assert not breaker.allows()
    clock.now += PAUSE_S * 0.99
    assert not breaker.allows()
    clock.now += PAUSE_S * 0.02
    assert breaker.allows()


def test_after_the_pause_one_asks_for_all():
    clock = Clock()
    breaker = opened(clock)
    clock.now += PAUSE_S
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.note(answered=False)
    assert not breaker.allows()
    clock.now += PAUSE_S
    assert breaker.allows()


def test_one_answer_and_all_ask_again():
    clock = Clock()
    breaker = opened(clock)
    clock.now += PAUSE_S
    assert breaker.allows()
    assert breaker.note(answered=True)
    assert [breaker.allows() for _ in range(3)] == [True] * 3


def test_who_asks_and_never_hears_does_not_keep_the_others_from_asking():
    clock = Clock()
    breaker = opened(clock)
    for _ in range(3):
        clock.now += PAUSE_S
        assert breaker.allows()


def test_opening_and_closing_are_told_once():
    clock = Clock()
    breaker = CircuitBreaker(clock)
    told = [breaker.note(answered=False) for _ in range(FAILURES + 2)]
    assert told == [False] * (FAILURES - 1) + [True, False, False]
    assert [breaker.note(answered=True) for _ in range(2)] == [True, False]
