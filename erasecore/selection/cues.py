"""Cue times of a subtitle file (.srt) beside a film: the times at which text may appear.

The file is untrusted. Its text is never parsed: only lines with times are passed to the library,
so that a hostile file costs no more than reading it.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from pysubs2 import SSAFile

from erasecore.errors import BadSubtitleFile
from erasecore.selection.time_filter import Ranges, merge_ranges
from erasecore.settings import TimeRange
from erasecore.system.safe_open import blames_host, read_plain

MAX_CUE_FILE_BYTES = 4_000_000  # largest file that is read; a guess
MAX_CUES = 50_000  # largest number of cues in a file; a guess
TOLERANCE_SECONDS = 1.0
"""Largest difference between a cue's times and those of the burned-in line; a guess."""

_ARROW = "-->"  # stands between the two times of a cue
_MAX_TIMES_LINE = 200  # longest line with times, characters, SRT positions included; a guess
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, and the Python codec that reads a text with them."""


@dataclass(frozen=True, slots=True)
class Cues:
    """Times of a subtitle file.

    Attributes:
        ranges: times at which text may appear, with the tolerance, seconds of the player's clock.
        count: number of cues that were read.
        skipped: number of cues whose times could not be read.
    """

    ranges: Ranges
    count: int
    skipped: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for the film's report."""
        if not self.skipped:
            return ()
        cues = "1 cue" if self.skipped == 1 else f"{self.skipped} cues"
        return (f"{cues} of the .srt could not be read and was passed over",)


def read_cues(path: Path, film: Path) -> Cues:
    """Read the cue times of the subtitle file at ``path``, widened by ``TOLERANCE_SECONDS``.

    Overlapping times are merged. Cues whose times cannot be read, or that do not end after their
    start, are skipped and counted.

    Raises:
        BadSubtitleFile: the file cannot be read, is too large, has too many cues or none that can
            be used; the error names ``film``, the film beside it.
        OSError: its disk or share is away, which is a problem of this host.
    """
    lines = [line for line in _decode(_read(path, film)).splitlines() if _ARROW in line]
    if not lines:
        raise BadSubtitleFile(film, "holds no times (lines such as 00:01:02,300 --> 00:01:04,000)")
    if len(lines) > MAX_CUES:
        raise BadSubtitleFile(film, f"holds more than {MAX_CUES} cues")
    readable = [line for line in lines if len(line) <= _MAX_TIMES_LINE]
    parsed = SSAFile.from_string("\n".join(readable), format_="srt", keep_html_tags=True)
    spans = [TimeRange(cue.start / 1000, cue.end / 1000) for cue in parsed if cue.end > cue.start]
    if not spans:
        raise BadSubtitleFile(film, "holds no cue whose times can be read")
    ranges = merge_ranges(spans, before=TOLERANCE_SECONDS, after=TOLERANCE_SECONDS)
    return Cues(ranges, len(spans), len(lines) - len(spans))


def _read(path: Path, film: Path) -> bytes:
    """Return the file's content.

    Raises:
        BadSubtitleFile: the file is too large or cannot be read.
        OSError: its disk or share is away, which is a problem of this host.
    """
    try:
        content = read_plain(path, MAX_CUE_FILE_BYTES + 1)
    except OSError as error:
        if blames_host(error):
            raise
        raise BadSubtitleFile(film, f"cannot be read ({error.strerror})") from error
    if len(content) > MAX_CUE_FILE_BYTES:
        raise BadSubtitleFile(film, f"is larger than {MAX_CUE_FILE_BYTES} bytes")
    return content


def _decode(content: bytes) -> str:
    """Decode a text by its byte order mark, else as UTF-8, else as Windows-1252.

    Times are ASCII in all of these, so a wrong encoding does no harm.
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
