"""Every error a user can meet, each saying what is wrong, where, and what to do.

SfedgeError                exit code 1
├── UsageError             exit code 2: the command or call was written wrongly
│   ├── ConfigError        a setting is out of range or contradicts another
│   └── UnknownNameError   a name that is not in its registry
├── SourceError            a video, camera or folder cannot be read
├── OutputError            a result cannot be written
├── DetectorError          a detector network is missing or does not run
├── BundleError            a model bundle is damaged, foreign or incomplete
├── EngineError            an inference engine is missing or does not run
├── DataError              a dataset or table has wrong content
└── MissingExtraError      an optional package is not installed
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NoReturn


class SfedgeError(Exception):
    """Base of all errors that are reported to the user in one line.

    Args:
        what: what is wrong, a clause without a full stop.
        where: the file, setting or device it was met at, or "".
        fix: a sentence on what to do, or "".
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        head = f"{where}: {what}" if where else what
        super().__init__(f"{head.rstrip('.')}.{' ' + fix if fix else ''}")


class UsageError(SfedgeError):
    """The command or call itself is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is out of range or contradicts another."""


class UnknownNameError(UsageError):
    """A name that is not in its registry."""


class SourceError(SfedgeError):
    """A video, camera or folder cannot be read."""


class OutputError(SfedgeError):
    """A result cannot be written."""


class DetectorError(SfedgeError):
    """A detector network is missing or does not run."""


class BundleError(SfedgeError):
    """A model bundle is damaged, foreign or incomplete."""


class EngineError(SfedgeError):
    """An inference engine is missing or does not run."""


class DataError(SfedgeError):
    """A dataset or table has wrong content."""


class MissingExtraError(SfedgeError):
    """An optional package is not installed."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, where: str = "") -> NoReturn:
    """Raise UnknownNameError for `name`, suggesting the nearest known one."""
    names = sorted(known)
    near = nearest_name(name, names)
    hint = f"Did you mean {near!r}? " if near else ""
    raise UnknownNameError(
        f"no {kind} is called {name!r}", where=where, fix=f"{hint}Known: {', '.join(names)}."
    )


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most resembles; None where none is similar."""
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return near[0] if near else None
