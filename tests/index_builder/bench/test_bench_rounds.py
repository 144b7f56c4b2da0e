"""Times are taken in turns, and compared within rounds."""

import numpy as np

from index_builder.bench.rounds import FEWEST, Entry, alternate, ratio
from index_builder.progress import Progress

QUERIES = np.zeros((40, 4), np.float32)


class Timed:
    """Answers as a worker's process does, with times that the test chose."""

    def __init__(self, name, seconds, asked):
        self.name, self.seconds, self.asked = name, seconds, asked

    def time(self, variant, queries_QM, k, efforts_Q, clock):
        self.asked.append((self.name, len(queries_QM)))
        return np.full(len(queries_QM), self.seconds)


def entries(*seconds):
    asked = []
    efforts = np.ones(len(QUERIES), int)
    return asked, [Entry(Timed(s, s, asked), "v", 10, efforts) for s in seconds]


def test_every_round_asks_every_entry_once_and_not_always_in_the_same_order():
    asked, some = entries(0.001, 0.002, 0.003)
    seconds_RE = alternate(some, QUERIES, 8, Progress("time", "blocks", 27))
    rounds = [tuple(name for name, _ in asked[3 + 3 * n : 6 + 3 * n]) for n in range(8)]
    assert {tuple(sorted(each)) for each in rounds} == {(0.001, 0.002, 0.003)}
    assert len(set(rounds)) > 1
    np.testing.assert_allclose(seconds_RE, [[0.001, 0.002, 0.003]] * 8)


def test_a_slow_entry_is_asked_fewer_queries_but_each_direction_once():
    asked, some = entries(0.0001, 10.0)
    alternate(some, QUERIES, 1, Progress("time", "blocks", 4))
    assert dict(asked[2:]) == {0.0001: len(QUERIES), 10.0: FEWEST}


def test_a_ratio_is_that_within_rounds_whatever_slowed_a_round():
    seconds_RE = np.array([[1.0, 2.0], [10.0, 20.0], [1.0, 2.0]])
    assert ratio(seconds_RE, 1, 0) == 2
