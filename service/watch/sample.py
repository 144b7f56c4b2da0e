"""One list that was served, kept for a closer look."""

from __future__ import annotations

from dataclasses import dataclass

from service.retrieval.retriever import Query, Retrieved
from service.snapshots.snapshot import Snapshot


@dataclass(frozen=True)
class Sample:
    """What was asked, of which snapshot, and what was found."""

    snapshot: Snapshot
    scenario: str
    whose: str  # weights: own, schedule, request or variant:<name>
    query: Query
    found: Retrieved
