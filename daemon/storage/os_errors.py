"""Hints for the operator: advice by errno for a folder that the system does not let us use."""

from __future__ import annotations

import errno
import os

from erasecore.errors import NO_ROOM


def hint_for(error: OSError) -> str:
    """Return advice for the operator, by the errno of ``error``.

    The text is the end of a sentence whose subject is a folder, e.g. "has no room left; ...".
    """
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"cannot be written by user {os.getuid()}; give it the rights (chown or chmod)."
    if error.errno == errno.EROFS:
        return "is on a read-only filesystem; mount it writable."
    if error.errno in NO_ROOM:
        return "has no room left; free some space or raise the quota."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "is not a folder, or one above it is not; choose another path."
    return f"cannot be used ({os.strerror(error.errno or 0)}); mend it or choose another path."


NAME_ERRNOS = (errno.ENAMETOOLONG, errno.EILSEQ)
"""Errnos of a name that a filesystem does not take; the sender of the film can change it."""


_FILM_HINTS: tuple[tuple[tuple[int, ...], str], ...] = (
    (NAME_ERRNOS, "has a name that is not taken there ({why}); rename the film."),
    ((errno.EINVAL,), "is not accepted there ({why}); it may be its name: rename the film."),
    (
        (errno.EACCES, errno.EPERM),
        "may not be used by user {user}; give it the rights (chown or chmod).",
    ),
    (
        (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP),
        "cannot be used ({why}); move away what is there.",
    ),
    (NO_ROOM, "has no room for it ({why}); free some space or raise the quota."),
    (
        (errno.EFBIG,),
        "is too large for its filesystem or a limit; split the film, or raise the limit.",
    ),
)
"""Advice by errnos; the first that fits counts."""


def film_hint_for(error: OSError) -> str:
    """Return advice about one file of one film, by the errno of ``error``.

    The text is the end of a sentence whose subject is a path. The folders themselves work.
    """
    hint = "cannot be used ({why}); see what the system's log says of that disk."
    fitting = (text for errnos, text in _FILM_HINTS if error.errno in errnos)
    why = error.strerror or os.strerror(error.errno or 0)
    return next(fitting, hint).format(why=why, user=os.getuid())
