"""Requests that schemathesis makes from the OpenAPI document, and what is wrong with their answers.

Decisions
- Half of them follow the document, half break it. Most of what it makes up is refused at once, so
  some requests get weights, a user or a scenario that are right.
- No answer may be a 5xx, or have a status, a content type, a header or a body that the document
  lacks. (A 503 that the document names is one too: nothing is asked here that would be too much.)
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import hypothesis
import requests
import schemathesis
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks as conformance

CHECKS = [
    schemathesis.checks.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
QUIET = {"deadline": None, "database": None, "suppress_health_check": list(hypothesis.HealthCheck)}
SHOWN = 10  # failures, in words
LONGEST_S = 30.0  # for an answer; none within it ends the experiment
RIGHT: dict[str, Any] = {
    "weights": {"exposure": 1.0, "click": 1.8, "conversion": 1.2},
    "user": {"user_id": "u00001"},
    "users": [{"user_id": "u00001"}, {}],
    "scenario": "default",
    "k": 5,
    "filter": [],
}


def hold(port: int, key: str, count: int, seed: int, memory: Callable[[], int]) -> dict[str, float]:
    """So many requests made from the document; the figures. `memory` is the service's, in bytes."""
    url = f"http://127.0.0.1:{port}"
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    judge = Judge(url, key, random.Random(seed))
    _ask(judge, operations, count // 4)
    before = memory()
    _ask(judge, operations, count)
    after = memory()
    failed = judge.failed
    for words, number in failed.most_common(SHOWN):
        print(f"{number} times {words}", file=sys.stderr)
    statuses = {f"answers_{status}": n for status, n in sorted(judge.statuses.items())}
    return {
        "operations": len(operations),
        "cases": judge.asked.total(),
        "failed_cases": failed.total(),
        "memory_growth_by_cases": round(after / before - 1, 4),
        **statuses,
    }


def _ask(judge: Judge, operations: Sequence[Any], count: int) -> None:
    """Until so many were asked: of some operations there are few cases that differ."""
    while (left := count - judge.asked.total()) > 0:
        for operation, mode in product(operations, MODES):
            judge.ask(operation, mode, -(-left // (len(operations) * len(MODES))))


class Judge:
    """Sends cases and counts what is wrong with their answers."""

    def __init__(self, url: str, key: str, chance: random.Random) -> None:
        self._url, self._chance = url, chance
        self._session = requests.Session()
        self._session.headers["authorization"] = f"Bearer {key}"
        self.asked, self.failed, self.statuses = Counter[str](), Counter[str](), Counter[int]()

    def ask(self, operation: Any, mode: Any, count: int) -> None:  # noqa: ANN401  schemathesis's own
        """So many cases of an operation, or fewer if there are no more that differ."""

        @hypothesis.seed(self._chance.randrange(2**32))
        @hypothesis.settings(max_examples=count, phases=[hypothesis.Phase.generate], **QUIET)
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def each(case: Any) -> None:  # noqa: ANN401  schemathesis's own
            self._hold(operation.label, case)

        try:
            each()
        except (hypothesis.errors.Unsatisfiable, schemathesis.errors.SchemathesisError):
            return  # this operation takes nothing that could be wrong

    def _hold(self, label: str, case: Any) -> None:  # noqa: ANN401  schemathesis's own
        self._set_right(case)
        response = case.call(base_url=self._url, session=self._session, timeout=LONGEST_S)
        self.asked[label] += 1
        self.statuses[response.status_code] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                self.failed[f"{label}: {response.status_code}: {failure!s:.300}"] += 1

    def _set_right(self, case: Any) -> None:  # noqa: ANN401  schemathesis's own
        """Something of it, sometimes."""
        if isinstance(case.body, dict):
            for name in RIGHT.keys() & case.body.keys():
                if self._chance.random() < 0.6:
                    case.body[name] = RIGHT[name]
        if "name" in (case.path_parameters or {}) and self._chance.random() < 0.6:
            case.path_parameters["name"] = self._chance.choice(["default", "feed"])
