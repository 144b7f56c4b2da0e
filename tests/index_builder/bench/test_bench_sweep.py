"""The sweep finds the least effort that holds in every direction, or says that none does."""

import pytest

from index_builder.bench.sweep import STEP, Recall, least_effort


def rising(effort, direction):
    """Recall 0.95 at effort 100, later in each further direction."""
    return min(1.0, 0.95 * effort / (100 + 10 * direction))


@pytest.mark.parametrize("start", [1, 8, 140, 900])
def test_the_least_effort_is_found_from_below_and_from_above(start):
    found = least_effort(Recall(rising, directions=5), 0.95, most=1000, start=start)
    assert found.reached
    assert 140 <= found.effort <= 140 * STEP


def test_what_holds_in_the_hard_directions_only_grows_until_it_holds_in_all():
    def late(effort, direction):
        # Easy at first, so that it is not among the known hard ones, and the last to arrive.
        return min(0.5 if direction else 0.4, 0.1) if effort < 8 else effort / (50 + 30 * direction)

    recall = Recall(late, directions=5)
    recall.hardest = [0, 1, 2]
    found = least_effort(recall, 0.95, most=1000)
    assert found.reached
    assert late(found.effort, 4) >= 0.95


def test_a_recall_that_no_effort_reaches_is_answered_with_the_largest_effort():
    found = least_effort(Recall(lambda effort, _: 0.9 * effort / 64, directions=3), 0.95, most=64)
    assert (found.reached, found.effort, found.worst) == (False, 64, 0.9)


def test_what_arrives_thirty_times_later_takes_a_few_doublings_more():
    asked = []

    def late(effort, direction):
        asked.append(effort)
        return min(1.0, effort / (3000 if direction == 4 and effort > 1 else 100))

    found = least_effort(Recall(late, directions=5), 0.95, most=100_000, start=1)
    assert found.reached
    assert 2850 <= found.effort <= 2850 * STEP
    assert len(asked) < 100


def test_efforts_between_are_not_tried_where_even_the_largest_misses():
    asked = set()

    def coarse(effort, _):
        asked.add(effort)
        return min(0.94, effort / 10)

    recall = Recall(coarse, directions=3)
    for target in (0.95, 0.98):
        found = least_effort(recall, target, most=4000, start=500)
        assert (found.reached, found.effort) == (False, 4000)
    assert asked == {500, 1000, 2000, 4000}


def test_no_recall_is_measured_twice():
    asked = []

    def noted(effort, direction):
        asked.append((effort, direction))
        return rising(effort, direction)

    recall = Recall(noted, directions=5)
    for target in (0.9, 0.95, 0.98):
        least_effort(recall, target, most=1000)
    assert len(asked) == len(set(asked))


def test_spread_and_worst_are_those_of_all_directions():
    found = least_effort(Recall(rising, directions=5), 0.95, most=1000)
    recalls = [rising(found.effort, direction) for direction in range(5)]
    assert (found.worst, found.spread) == (min(recalls), max(recalls) - min(recalls))
