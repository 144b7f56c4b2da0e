"""What can stop a run, by whose move it is next.

`BadInputError` and below: the user's. A command says it in one line and ends with exit code 2.
`DefectError` and below: ours. The run stops rather than release what it cannot vouch for.
"""

from __future__ import annotations


class BadInputError(Exception):
    """Something that the user gave cannot be used; the text says what, and what to do."""


class ConfigError(BadInputError):
    """A configuration that cannot be used; the text names the field and what was expected."""


class CheckpointError(BadInputError):
    """A checkpoint file that is not this run's."""


class DivergedError(BadInputError):
    """Training left the finite numbers."""


class BusyError(BadInputError):
    """Another process works on this very run."""


class DefectError(Exception):
    """A result that fails its own proof."""


class CertificateError(DefectError):
    """A later stage changed an earlier one."""


class ExportError(DefectError):
    """An exported tower that does not compute what the trained one does."""
