"""What is wrong with a log, where, and what to do about it.

Decisions: one error type, because a caller either shows it or stops; its parts stay readable as
attributes so that tools can use them. Rows are counted from 0, as polars and pandas count them.
"""

from __future__ import annotations


class LogError(Exception):
    """A log that cannot be read as it stands.

    ``file`` is a path or a file name inside the log, ``column`` a column or a field of log.yaml,
    ``row`` the first offending row (from 0); the last two may be None.
    """

    def __init__(
        self, file: str, column: str | None, row: int | None, problem: str, remedy: str
    ) -> None:
        self.file = file
        self.column = column
        self.row = row
        self.problem = problem
        self.remedy = remedy
        where = [file]
        if column is not None:
            where.append(f"column '{column}'")
        if row is not None:
            where.append(f"row {row}")
        super().__init__(f"{', '.join(where)}: {problem}. {remedy}.")
