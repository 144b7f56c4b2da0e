"""A small HTTP service with the API that the load test drives, and faults on demand.

The real service has no switch for being late or wrong; a load test must be shown to notice both.
FAULTS: "late" new weights are served after a second, "wrong" an item comes twice, "failing" every
tenth answer is a 503, at once, while the others take a moment.
"""

import asyncio
import itertools
import os
import time

from fastapi import FastAPI
from fastapi.responses import JSONResponse

FAULTS = os.environ["FAULTS"].split()
DELAY_S = 1.0 if "late" in FAULTS else 0.0
STAGES = ("exposure", "click", "conversion")

app = FastAPI()
versions = {"default": [(0.0, 0)]}  # per scenario: since when, which version
requests = itertools.count(1)


@app.get("/readyz")
def ready():
    return {"status": "ready"}


@app.get("/scenarios")
def scenarios():
    weights = dict.fromkeys(STAGES, 1.0)
    known = [{"scenario": name, "weights": weights} for name in versions]
    return {"stages": STAGES, "scenarios": known}


@app.put("/scenarios/{name}/weights")
async def set_weights(name: str, change: dict):
    assert set(change) == {"weights", "author", "reason"}
    known = versions.setdefault(name, [])
    since = time.monotonic() + (DELAY_S if known else 0)
    known.append((since, len(known) + 1))
    return {"current": {"scenario": name, "version": len(known)}, "previous": None}


@app.post("/retrieve")
async def retrieve(query: dict):
    if "failing" in FAULTS:
        if next(requests) % 10 == 0:
            return JSONResponse({"error": "out of order"}, status_code=503)
        await asyncio.sleep(0.05)
    excluded = set(query.get("exclude", ()))
    ids = [f"i{n}" for n in range(query["k"] + len(excluded)) if f"i{n}" not in excluded]
    ids = ids[: query["k"]]
    if "wrong" in FAULTS:
        ids[-1] = ids[0]
    scores = [float(-rank) for rank in range(len(ids))]
    answer = {"item_ids": ids, "scores": scores, "scenario": query["scenario"]}
    answer["weights_version"] = None if "weights" in query else served(query["scenario"])
    if query.get("objective_scores"):
        answer["objective_scores"] = dict.fromkeys(STAGES, scores)
    return answer


def served(scenario: str) -> int:
    now = time.monotonic()
    return max(version for since, version in versions[scenario] if since <= now)
