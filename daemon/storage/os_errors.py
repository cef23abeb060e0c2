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
