"""What a ranking stage asks of `/retrieve`, and what makes an answer right.

Decisions
- User records are real ones: the golden set of the published index, or a JSON-lines file. Three
  kinds of user are made of them: warm (a record as it is), warm in another context (the identity
  of one record, the rest of another) and cold (an id nobody has seen, half of the features known).
- Shares are constants with a reason beside them; a seed makes a run's queries repeatable.
- An answer is checked, not only its status: ids and scores in equal number, at most k, distinct,
  best first, nothing excluded, one column of scores per objective when asked for.

    records = read_records(Path("releases"))
    mix = QueryMix(records, scenarios=("default",), stages=("exposure", "click"), seed=1)
    query = mix.next(just_seen=())
    problem = find_fault(query, answer)  # None when right
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

Record = dict[str, object]

# Early pages ask for little; a full re-rank asks for 500, which costs the service the most.
K_SHARES = {50: 0.35, 100: 0.30, 200: 0.20, 500: 0.15}
# The default scenario is the busiest, the others share the rest evenly.
DEFAULT_SCENARIO, DEFAULT_SCENARIO_SHARE = "default", 0.6
COLD_SHARE, OTHER_CONTEXT_SHARE = 0.2, 0.2
EXCLUDE_SHARE, MOST_EXCLUDED = 0.3, 50  # a feed leaves out what it has just shown
OBJECTIVE_SCORES_SHARE = 0.1  # rankers that use the scores of each objective as features
OVERRIDE_SHARE = 0.05  # an analyst who tries weights of their own


class RecordsError(ValueError):
    """User records that cannot be read: where, what is wrong, what to pass instead."""


def read_records(source: Path) -> list[Record]:
    """User records of a JSON-lines file, or of the index that a releases directory publishes."""
    golden = _published_golden_set(source) if source.is_dir() else None
    try:
        text = (golden or source).read_text(encoding="utf-8")
        if golden:
            records = [case["user"] for case in json.loads(text)["cases"]]
        else:
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordsError(
            f"{golden or source}: expected user records, one JSON object a line: {error}"
        ) from error
    if not records or not all(isinstance(record, dict) and record for record in records):
        raise RecordsError(f"{golden or source}: expected at least one non-empty JSON object")
    return records


def _published_golden_set(releases: Path) -> Path:
    try:
        current = json.loads((releases / "CURRENT").read_text(encoding="utf-8"))
        return Path(releases, current["run_id"], "index", current["build_id"], "golden.json")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordsError(
            f"{releases}: expected a releases directory with a published index (CURRENT): {error}; "
            "publish one with csmf-index --publish, or pass a JSON-lines file of user records"
        ) from error


class QueryMix:
    """An endless, repeatable stream of requests."""

    def __init__(
        self, records: Sequence[Record], scenarios: Sequence[str], stages: Sequence[str], seed: int
    ) -> None:
        self._records, self._scenarios, self._stages = records, scenarios, stages
        self._random = random.Random(seed)
        self._seed, self._cold_users = seed, 0

    def next(self, just_seen: Sequence[str]) -> dict[str, object]:
        """The next request; `just_seen` are the ids of the previous answer, best first."""
        draw = self._random
        query: dict[str, object] = {
            "scenario": self._scenario(),
            "user": self._user(),
            "k": draw.choices(list(K_SHARES), weights=list(K_SHARES.values()))[0],
        }
        if just_seen and draw.random() < EXCLUDE_SHARE:
            query["exclude"] = list(just_seen[: draw.randint(1, MOST_EXCLUDED)])
        if draw.random() < OBJECTIVE_SCORES_SHARE:
            query["objective_scores"] = True
        if draw.random() < OVERRIDE_SHARE:
            query["weights"] = self.weights()
        return query

    def weights(self) -> dict[str, float]:
        """Weights an operator might choose: each from 0 to 2, the first never 0."""
        values = {stage: round(self._random.uniform(0, 2), 2) for stage in self._stages}
        return {**values, self._stages[0]: max(0.1, values[self._stages[0]])}

    def _scenario(self) -> str:
        others = [name for name in self._scenarios if name != DEFAULT_SCENARIO]
        if not others or self._random.random() < DEFAULT_SCENARIO_SHARE:
            return DEFAULT_SCENARIO
        return self._random.choice(others)

    def _user(self) -> Record:
        draw, record = self._random, self._random.choice(self._records)
        kind = draw.random()
        if kind < COLD_SHARE:
            self._cold_users += 1
            known = {name: value for name, value in record.items() if draw.random() < 0.5}
            return {**known, "user_id": f"cold-{self._seed}-{self._cold_users}"}
        if kind < COLD_SHARE + OTHER_CONTEXT_SHARE:
            return {**draw.choice(self._records), "user_id": record.get("user_id", "")}
        return record


def find_fault(query: Mapping[str, object], answer: Mapping[str, object]) -> str | None:
    """What is wrong with an answer, in one sentence; None when it is right."""
    return next(_faults(query, answer), None)


def _faults(query: Mapping[str, object], answer: Mapping[str, object]) -> Iterator[str]:
    ids, scores = answer.get("item_ids"), answer.get("scores")
    if not isinstance(ids, list) or not isinstance(scores, list):
        yield f"no columns item_ids and scores, only {sorted(answer)}"
        return
    if not 0 < len(ids) <= int(str(query["k"])) or len(ids) != len(scores):
        yield f"asked for {query['k']} items, got {len(ids)} ids and {len(scores)} scores"
    if answer.get("scenario") != query["scenario"]:
        yield f"served by the weights of {answer.get('scenario')}, not of {query['scenario']}"
    if len(set(ids)) != len(ids):
        yield "the same item twice"
    if any(better < worse for better, worse in pairwise(scores)):
        yield "scores are not best first"
    excluded = query.get("exclude")
    if isinstance(excluded, list) and not set(excluded).isdisjoint(ids):
        yield "an excluded item was returned"
    if query.get("objective_scores"):
        yield from _faults_of_objective_scores(answer.get("objective_scores"), len(ids))


def _faults_of_objective_scores(columns: object, items: int) -> Iterator[str]:
    if not isinstance(columns, dict) or not columns:
        yield "objective_scores were asked for and are missing"
        return
    for stage, column in columns.items():
        if len(column) != items:
            yield f"objective_scores of {stage}: {len(column)} for {items} items"
