"""What uvicorn's supervisor does not notice by itself: a worker that dies during its health check.

The supervisor asks each worker over a pipe, waits `timeout_worker_healthcheck` for the answer,
and does nothing else meanwhile: no other worker is replaced, no SIGTERM is heard. It also holds the
worker's end of that pipe open, so the death of a worker that was just asked looks like silence.
Without that end the pipe breaks, and the worker is replaced at once.
"""

from __future__ import annotations

from uvicorn.supervisors import multiprocess


class Worker(multiprocess.Process):
    """A worker process whose death is heard."""

    def start(self) -> None:
        """Start it; its end of the pipe is its own from then on."""
        super().start()
        self.child_conn.close()


def hear_of_deaths() -> None:
    """Make the supervisor of this process start such workers."""
    multiprocess.Process = Worker  # type: ignore[misc]  # it has no other way to be told
