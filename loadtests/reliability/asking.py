"""One question at a time to a running service, for experiments that read the answers."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

from loadtests.reliability.running import RunningService, ServiceError

GIVE_UP_S = 120.0  # a list of all items takes its time


def ask(service: RunningService, **body: object) -> dict[str, Any]:
    """The answer of /retrieve. Raises ServiceError for anything but a 200."""
    url = f"http://127.0.0.1:{service.port}/retrieve"
    request = urllib.request.Request(url, json.dumps(body).encode())
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=GIVE_UP_S) as response:  # noqa: S310  our own service
            answer: dict[str, Any] = json.load(response)
    except OSError as error:
        raise ServiceError(f"/retrieve did not answer {str(body)[:200]}: {error}") from error
    return answer


def metric(service: RunningService, name: str) -> float | None:
    """What /metrics says of a metric, named with its labels; None while it has none."""
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None
