"""Experiments that harm a running service and hold what it still does against thresholds.

Decisions
- One file per experiment: its options, what it does, what it measured and what must be reached.
  Each starts the service as an operator would, as processes, and imports none of it.
- What was released is read by the contract, `bundle`. Only the experiment that kills csmf-index
  imports it: a command that is forked, not started, is killed while it works.
- An experiment that is given no releases makes its own, those of the tests, untrained.
- The verdict is that of the load test: a figure, a bound, met or missed; and its exit codes.

    python -m loadtests.reliability swaps --out DIR
"""
