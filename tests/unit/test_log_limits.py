"""A log that is kept to a size tells how it began, how it ended, and how much is left out."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from daemon.runtime.log_limits import HEAD_BYTES, MAX_BYTES, TAIL_BYTES, shorten

LINE = "line {:09}\n"
MARK = re.compile(r"\n\[(\d+) bytes of this log are left out here\]\n")


def lines(start: int, size_bytes: int) -> bytes:
    """So many bytes of numbered lines, the last one whole."""
    count = -(-size_bytes // len(LINE.format(0)))
    return "".join(map(LINE.format, range(start, start + count))).encode()


def test_what_is_small_is_left_alone(tmp_path: Path) -> None:
    """A log that is as large as it may be stays as it is; one that is gone is no error."""
    log = tmp_path / "log"
    content = lines(0, MAX_BYTES)[:MAX_BYTES]
    log.write_bytes(content)
    shorten(log)
    assert log.read_bytes() == content
    shorten(tmp_path / "gone")


def test_beginning_and_end_are_kept(tmp_path: Path) -> None:
    """Whole lines of both, time after time, and the sum of all that was left out between them."""
    log = tmp_path / "log"
    written = b""
    with log.open("ab", buffering=0) as writer:
        for _ in range(4):
            more = lines(len(written) // len(LINE.format(0)), MAX_BYTES)
            writer.write(more)  # a handle that was opened long ago appends after each cut
            written += more
            shorten(log)
            content = log.read_bytes()
            (mark,) = MARK.finditer(content.decode())
            head, tail = content[: mark.start()], content[mark.end() :]
            assert written.startswith(head)
            assert written.endswith(tail)
            assert head.endswith(b"\n")
            assert tail.startswith(b"line ")
            assert HEAD_BYTES - 20 < len(head) <= HEAD_BYTES
            assert TAIL_BYTES - 20 < len(tail) <= TAIL_BYTES
            assert len(head) + int(mark[1]) + len(tail) == len(written)


@pytest.mark.parametrize("filling", [b"x", b"\r\xff"], ids=["one line", "a progress bar"])
def test_without_lines(tmp_path: Path, filling: bytes) -> None:
    """What is printed without any end of a line is cut as well, as often as it grows."""
    log = tmp_path / "log"
    log.write_bytes(b"")
    for _ in range(3):
        with log.open("ab") as writer:
            writer.write(filling * (MAX_BYTES + 1))
        shorten(log)
        assert log.stat().st_size < HEAD_BYTES + TAIL_BYTES + 100
    assert log.read_bytes().count(b"are left out here") == 1


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nothing but the log itself is made shorter, whoever can write into work/."""
    other = tmp_path / "other"
    other.write_bytes(bytes(2 * MAX_BYTES))
    (tmp_path / "log").symlink_to(other)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        shorten(tmp_path / "log")
    assert other.stat().st_size == 2 * MAX_BYTES
