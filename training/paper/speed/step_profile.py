"""Where the time of a step goes, by kind of work.

Decisions: torch's own profiler, its operations put into four kinds; what is none of them is the
rest: batches cut by numpy, small operations, Python, and the profiler itself. So shares compare
phases with each other; they are no stopwatch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from torch.profiler import ProfilerActivity, profile

KINDS: Mapping[str, str] = {  # prefixes of names of operations
    "products": "mm addmm bmm",
    "tables": "embedding index",
    "logits": "_log_softmax nll_loss masked_fill leaky_relu sub neg copy_ cat",
    "Adam": "_fused_adam",
}


def shares(work: Callable[[], object]) -> dict[str, float]:
    """The share of each kind in the time that `work` takes, and of the rest."""
    began = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        work()
        seconds = time.perf_counter() - began
    found = dict.fromkeys(KINDS, 0.0)
    for operation in profiled.key_averages():
        for kind, names in KINDS.items():
            if operation.key.removeprefix("aten::").startswith(tuple(names.split())):
                found[kind] += operation.self_cpu_time_total / 1e6 / seconds
    return {**found, "rest": 1 - sum(found.values())}
