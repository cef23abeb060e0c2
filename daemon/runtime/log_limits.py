"""Size limit of job and worker logs: the middle is cut out, the beginning and the end stay.

Workers, libraries and FFmpeg write into these logs by themselves, without any limit; a film that
makes one of them complain about every frame must not fill the disk. They all append (``O_APPEND``),
so a log can be cut at any time: the next line goes to the new end.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 4 << 20  # a log above this size is cut; guess
HEAD_BYTES = 512 << 10  # bytes of the beginning that are kept, at most; guess
TAIL_BYTES = 1 << 20  # bytes of the end that are kept; guess

_MARK = re.compile(rb"\n?\[(\d+) bytes of this log are left out here\]\n")
_MARK_ROOM = 100  # bytes; the mark is shorter than this, whatever its number


def shorten(log: Path) -> None:
    """Cut the middle out of ``log`` if it is larger than ``MAX_BYTES``; a mark takes its place.

    Works in place, since other processes hold the file open. A crash in the middle of this leaves
    a part of the end twice, at most; lines that are written at that very moment may be lost.

    Raises:
        OSError: the log cannot be read or written, or is a symbolic link. A missing log is fine.
    """
    try:
        if log.stat().st_size <= MAX_BYTES:
            return
        handle = os.open(log, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # published, or its job is gone
        return
    try:
        _cut_middle(handle)
    finally:
        os.close(handle)


def shorten_if_we_may(log: Path) -> None:
    """Call ``shorten``, ignoring ``OSError``: the job meets the same error, and reports it."""
    with suppress(OSError):
        shorten(log)


def _cut_middle(handle: int) -> None:
    """Write the mark and the last ``TAIL_BYTES`` behind the head, then truncate the file.

    Head and tail are cut at line ends where there are any. The mark adds up the bytes that this
    call and earlier ones have left out.
    """
    head = os.pread(handle, HEAD_BYTES + _MARK_ROOM, 0)
    mark = _MARK.search(head)
    if mark:  # the log was cut before: keep the same head
        head_end, left_out, middle_start = mark.start(), int(mark[1]), mark.end()
    else:
        newline = head.rfind(b"\n", 0, HEAD_BYTES)
        head_end = middle_start = newline + 1 or HEAD_BYTES
        left_out = 0
    tail_start = os.fstat(handle).st_size - TAIL_BYTES
    tail = os.pread(handle, 2 * TAIL_BYTES, tail_start)  # more, for what was just appended
    line_start = tail.find(b"\n") + 1
    left_out += tail_start + line_start - middle_start
    rest = b"\n[%d bytes of this log are left out here]\n" % left_out + tail[line_start:]
    end = head_end
    while rest:
        written = os.pwrite(handle, rest, end)
        rest, end = rest[written:], end + written
    os.ftruncate(handle, end)
