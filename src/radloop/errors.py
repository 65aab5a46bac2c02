"""Errors for the reader: what happened, to which file, and what to do about it.

Every error that a user can cause derives from `RadloopError`; the command line prints its text
without a traceback and ends with its `exit_code` (1 the work failed, 2 the call or the input is
wrong). Messages carry file *names*, never patient identifiers read from inside a file.
"""

from __future__ import annotations


class RadloopError(Exception):
    """What happened (`what`), in one sentence, and what the reader can do (`remedy`)."""

    exit_code = 1

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".strip())
        self.what = what
        self.remedy = remedy


class InputError(RadloopError):
    """The call or its input is wrong: an empty folder, an unknown name, contradicting options."""

    exit_code = 2


class CaseTableError(InputError):
    """A case table that cannot be used: a missing file, a doubled case, a patient in two splits."""


class ModelError(InputError):
    """A model folder that cannot be used: missing or altered weights, made by a newer version."""


class MissingDownloadError(RadloopError):
    """Pre-trained weights could not be fetched and no `--weights FILE` was given."""


class WriteError(RadloopError):
    """A result could not be written (disk full, no permission); nothing half-written is left."""
