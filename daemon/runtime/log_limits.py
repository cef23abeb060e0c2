"""Logs that others write into, kept to a size: what is left is their beginning and their end.

Workers, libraries and programs print into a job's log themselves, without us; a film that makes one
of them complain of every frame must not fill the disk. They append, so that a log may be made
shorter at any time: what they print next goes to its new end.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 4 << 20
HEAD_BYTES = 512 << 10
TAIL_BYTES = 1 << 20

_MARK = re.compile(rb"\n?\[(\d+) bytes of this log are left out here\]\n")
_MARK_ROOM = 100


def shorten(log: Path) -> None:
    """Leave out the middle of ``log`` if it is larger than it may be, and say so in its place.

    A crash in the middle of this leaves a part of the end there twice, at most; lines that are
    printed at that very moment may be lost.
    """
    try:
        if log.stat().st_size <= MAX_BYTES:
            return
        handle = os.open(log, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # published, or its job is gone
        return
    try:
        _shorten(handle)
    finally:
        os.close(handle)


def shorten_if_we_may(log: Path) -> None:
    """The same; what hinders it hinders the work as well, which speaks of it."""
    with suppress(OSError):
        shorten(log)


def _shorten(handle: int) -> None:
    """Write the mark and the tail behind the head, then cut off what is left of the rest."""
    head = os.pread(handle, HEAD_BYTES + _MARK_ROOM, 0)
    mark = _MARK.search(head)
    if mark:  # not the first time: the head is what it was
        keep, left_out, resume = mark.start(), int(mark[1]), mark.end()
    else:
        newline = head.rfind(b"\n", 0, HEAD_BYTES)
        keep = resume = newline + 1 or HEAD_BYTES
        left_out = 0
    begin = os.fstat(handle).st_size - TAIL_BYTES
    tail = os.pread(handle, 2 * TAIL_BYTES, begin)
    whole_line = tail.find(b"\n") + 1
    left_out += begin + whole_line - resume
    said = b"\n[%d bytes of this log are left out here]\n" % left_out + tail[whole_line:]
    end = keep
    while said:
        written = os.pwrite(handle, said, end)
        said, end = said[written:], end + written
    os.ftruncate(handle, end)
