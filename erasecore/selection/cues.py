"""When text may appear, by a subtitle file that came with the film. Only its times are used.

The file is anybody's. Its text is never parsed: the lines with times alone go to the library, so a
hostile file costs no more than reading it.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from pysubs2 import SSAFile

from erasecore.errors import BadSubtitleFile
from erasecore.selection.time_filter import Ranges, joined
from erasecore.settings import TimeRange
from erasecore.system.safe_open import blames_host, read_plain

MAX_CUE_FILE_BYTES = 4_000_000
MAX_CUES = 50_000
TOLERANCE_SECONDS = 1.0
"""How much earlier or later than its cue a burned-in line may show."""

_ARROW = "-->"
_LONGEST_TIMES = 200  # characters of a line with times, positions included
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Cues:
    """The times of a subtitle file.

    Attributes:
        ranges: when text may appear, the tolerance included.
        count: how many cues could be read.
        skipped: how many could not.
    """

    ranges: Ranges
    count: int
    skipped: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the film's report is to say of the file."""
        if not self.skipped:
            return ()
        what = "1 cue" if self.skipped == 1 else f"{self.skipped} cues"
        return (f"{what} of the .srt beside the film could not be read and was passed over",)


def read_cues(path: Path, film: Path) -> Cues:
    """The times in the subtitle file at ``path``, which came with ``film``.

    Raises:
        BadSubtitleFile: it cannot be used; the sentence is about ``film``.
    """
    lines = [line for line in _decoded(_read(path, film)).splitlines() if _ARROW in line]
    if not lines:
        raise BadSubtitleFile(film, "holds no times (lines such as 00:01:02,300 --> 00:01:04,000)")
    if len(lines) > MAX_CUES:
        raise BadSubtitleFile(film, f"holds more than {MAX_CUES} cues")
    readable = [line for line in lines if len(line) <= _LONGEST_TIMES]
    parsed = SSAFile.from_string("\n".join(readable), format_="srt", keep_html_tags=True)
    spans = [TimeRange(cue.start / 1000, cue.end / 1000) for cue in parsed if cue.end > cue.start]
    if not spans:
        raise BadSubtitleFile(film, "holds no cue whose times can be read")
    ranges = joined(spans, before=TOLERANCE_SECONDS, after=TOLERANCE_SECONDS)
    return Cues(ranges, len(spans), len(lines) - len(spans))


def _read(path: Path, film: Path) -> bytes:
    """The file's bytes."""
    try:
        content = read_plain(path, MAX_CUE_FILE_BYTES + 1)
    except OSError as error:
        if blames_host(error):
            raise
        raise BadSubtitleFile(film, f"cannot be read ({error.strerror})") from error
    if len(content) > MAX_CUE_FILE_BYTES:
        raise BadSubtitleFile(film, f"is larger than {MAX_CUE_FILE_BYTES} bytes")
    return content


def _decoded(content: bytes) -> str:
    """The text, by its byte order mark, else UTF-8, else the Windows code page of the west.

    The times are ASCII in all of them, so a wrong guess does no harm.
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
