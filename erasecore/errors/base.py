"""Base classes of all errors, their remedies, and the names of files in their texts."""

from __future__ import annotations

import errno
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers for a full disk or an exhausted quota."""
AWAY = (
    *(errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENODEV),
    *(errno.ENXIO, errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH, errno.EREMOTEIO),
    *(errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ENOLINK, errno.ECOMM),
    *(errno.EPIPE, errno.ESHUTDOWN, errno.EPROTO, errno.EROFS),
)
"""Error numbers for a failing disk or an unreachable share; the film itself is not at fault."""


class Remedy(StrEnum):
    """Person or action that can correct an error."""

    RETRY = "retry"  # nobody: try again later
    FIX_INPUT = "fix-input"  # the sender of the file
    FIX_HOST = "fix-host"  # the operator: disk, weights, GPU, permissions
    FIX_CODE = "fix-code"  # the developers


class EraseError(Exception):
    """Base of all our errors; ``str(error)`` is a sentence for the person who can correct it."""

    remedy: ClassVar[Remedy] = Remedy.FIX_CODE

    def __reduce__(self) -> tuple[object, ...]:
        """Return the parts for pickle and copy: ``__init__`` takes others than ``args``."""
        return _without_init, (type(self), self.args), self.__dict__ or None


def _without_init(kind: type[EraseError], args: tuple[object, ...]) -> EraseError:
    """Return an error with these ``args``; ``__init__``, which makes the text, is not called."""
    return kind.__new__(kind, *args)


class InputError(EraseError):
    """The film, or a file beside it, cannot be used; the sender must send a better one.

    Args:
        path: the file.
        sentence: the problem and the next step; the file's name is put before it.
    """

    remedy = Remedy.FIX_INPUT
    may_be_unfinished: ClassVar[bool] = False  # True: a film still being copied fails like this too

    def __init__(self, path: Path, sentence: str) -> None:
        self.path = path
        self.sentence = sentence
        super().__init__(f"{printable(path.name)}: {sentence}")


def printable(text: str) -> str:
    r"""Return ``text`` on one line with unprintable characters escaped, for logs and terminals.

    Control characters become e.g. ``\n`` or ``\x1b``, and bytes that are not UTF-8 (surrogate
    escapes, PEP 383) become ``\xff``: the name of a file cannot forge a log line.
    """
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that stand for no byte, e.g. from a foreign JSON file
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class HostError(EraseError):
    """This machine has a problem; the queue pauses until the operator has corrected it."""

    remedy = Remedy.FIX_HOST
