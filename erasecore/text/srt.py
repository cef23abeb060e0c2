"""Subtitle file (SRT) of the erased text: legible readings, cues, formatting. No pixels here.

Lines with the same times are one cue, top to bottom. Lines that share only a part of their time are
separate cues that overlap as the lines did: each text stands in the file once, at its own times,
and players show overlapping cues one above the other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from erasecore.model.events import Reading
from erasecore.reports import EventReport
from erasecore.text.ocr import is_upright

UNREADABLE = "[unreadable]"
"""Placeholder in a cue for a line in a script that the recognizer does not know."""

_TOGETHER_SECONDS = 0.2  # largest difference of the times of lines of one cue; decision 16
_SAME_SECONDS = 0.1  # largest gap between two cues with the same text that are joined; a guess
_LEAST_SCORE = 0.75  # least mean confidence of a legible reading, 0 to 1; a guess
_LEAST_COVERED = 0.75  # least recognized share of a legible line's width, 0 to 1; decision 17
_FOREIGN_SCORE = 0.95  # the same in films with mostly unknown script; a guess
_FOREIGN_COVERED = 0.9  # the same in films with mostly unknown script; a guess
_VIETNAMESE_LINES = 2  # least number of lines with Vietnamese letters; one may be an OCR error
_VIETNAMESE_SHARE = 0.1  # least share of lines with Vietnamese letters; a guess
_ROUNDING_SECONDS = 1e-5  # added before times are cut to milliseconds, against float errors


@dataclass(frozen=True, slots=True)
class Cue:
    """One entry of a subtitle file."""

    start_seconds: float  # on the clock that players show
    stop_seconds: float
    lines: tuple[str, ...]  # top to bottom


def legible(readings: Sequence[Reading]) -> tuple[bool, ...]:
    """Return for each of a film's readings True if it is text in a script that can be read.

    A line of an unknown script may look like Latin letters ("Bce" for the Russian word), so in a
    film of which at most half the lines are legible, stricter thresholds apply. Of a Vietnamese
    film no line with Latin letters is legible.
    """
    is_legible = [_is_legible(r, _LEAST_SCORE, _LEAST_COVERED) for r in readings]
    if 2 * sum(is_legible) <= len(is_legible):
        is_legible = [_is_legible(r, _FOREIGN_SCORE, _FOREIGN_COVERED) for r in readings]
    if _is_vietnamese(readings):
        is_latin = [any("LATIN" in unicodedata.name(c, "") for c in r.text) for r in readings]
        is_legible = [ok and not latin for ok, latin in zip(is_legible, is_latin, strict=True)]
    return tuple(is_legible)


def _is_vietnamese(readings: Sequence[Reading]) -> bool:
    """Return True if enough lines have letters, or pairs of letters, that only Vietnamese has.

    The recognizer leaves out letters with two diacritics, which are in most Vietnamese words.
    """
    lines = [set(reading.text.lower()) for reading in readings]
    count = sum(
        bool(line & set("ơư") or ("đ" in line and line & set("âêôàèìòùãõ"))) for line in lines
    )
    return count >= _VIETNAMESE_LINES and count >= _VIETNAMESE_SHARE * len(readings)


def _is_legible(reading: Reading, least_score: float, least_covered: float) -> bool:
    """Return True if a reading is sure, covers its line and is at most one third Greek."""
    if reading.score < least_score or reading.covered < least_covered:
        return False
    letters = [letter for letter in reading.text if letter.isalpha()]
    greek = [letter for letter in letters if "GREEK" in unicodedata.name(letter, "")]
    # The recognizer knows Greek letters from formulas only, without accents.
    return 3 * len(greek) <= len(letters)


def cues_of(events: Iterable[EventReport], *, shift_seconds: float = 0.0) -> tuple[Cue, ...]:
    """Return the cues for ``events``, by start.

    Args:
        events: lines of text with their times, seconds from the film's first frame.
        shift_seconds: time of the film's first frame on the clock that players show.
    """
    groups: list[list[EventReport]] = []
    for event in sorted(events, key=lambda e: (e.start_seconds, e.box_xyxy[1], e.box_xyxy[0])):
        group = next((group for group in groups if _same_times(group[0], event)), None)
        if group is None:
            groups.append([event])
        else:
            group.append(event)
    cues = [_cue(group, shift_seconds) for group in groups]
    return _merge_continued(sorted(cues, key=lambda cue: (cue.start_seconds, cue.stop_seconds)))


def _same_times(first: EventReport, second: EventReport) -> bool:
    return (
        abs(first.start_seconds - second.start_seconds) <= _TOGETHER_SECONDS
        and abs(first.stop_seconds - second.stop_seconds) <= _TOGETHER_SECONDS
    )


def _cue(group: list[EventReport], shift_seconds: float) -> Cue:
    """Return the cue of lines with the same times; ``UNREADABLE`` once if none is legible."""
    readable = any(event.text for event in group)
    lines = (" ".join(event.text or UNREADABLE for event in row) for row in _rows(group))
    return Cue(
        min(event.start_seconds for event in group) + shift_seconds,
        max(event.stop_seconds for event in group) + shift_seconds,
        tuple(lines) if readable else (UNREADABLE,),
    )


def _rows(group: list[EventReport]) -> list[list[EventReport]]:
    """Return the lines in reading order, by row: upright columns from the right, then the rows."""
    columns = [event for event in group if is_upright(event.box_xyxy)]
    rows = [[event] for event in sorted(columns, key=lambda e: -e.box_xyxy[2])]
    for event in sorted((e for e in group if e not in columns), key=lambda e: e.box_xyxy[1]):
        if rows and not is_upright(rows[-1][0].box_xyxy) and _side_by_side(rows[-1][-1], event):
            rows[-1] = sorted([*rows[-1], event], key=lambda e: e.box_xyxy[0])
        else:
            rows.append([event])
    return rows


def _side_by_side(first: EventReport, second: EventReport) -> bool:
    """Return True if more than half the height of one line lies in the rows of the other."""
    top, bottom = (second.box_xyxy[side] for side in (1, 3))
    shared = min(first.box_xyxy[3], bottom) - max(first.box_xyxy[1], top)
    return 2 * shared > min(first.box_xyxy[3] - first.box_xyxy[1], bottom - top)


def _merge_continued(cues: list[Cue]) -> tuple[Cue, ...]:
    """Join each cue with an earlier one of the same lines that ends where it starts."""
    merged: list[Cue] = []
    last_with_lines: dict[tuple[str, ...], int] = {}  # indices of ``merged``
    for cue in cues:
        number = last_with_lines.get(cue.lines)
        continues = (
            number is not None
            and cue.lines != (UNREADABLE,)
            and cue.start_seconds - merged[number].stop_seconds <= _SAME_SECONDS
        )
        if number is not None and continues:
            stop = max(merged[number].stop_seconds, cue.stop_seconds)
            merged[number] = replace(merged[number], stop_seconds=stop)
        else:
            last_with_lines[cue.lines] = len(merged)
            merged.append(cue)
    return tuple(merged)


def srt_of(cues: Iterable[Cue]) -> str:
    """Format the cues as SRT: numbered from 1, separated by empty lines."""
    blocks = []
    for number, cue in enumerate(cues, start=1):
        times = f"{_srt_time(cue.start_seconds)} --> {_srt_time(cue.stop_seconds)}"
        blocks.append("\n".join([str(number), times, *map(_sanitize, cue.lines)]) + "\n")
    return "\n".join(blocks)


def _sanitize(line: str) -> str:
    """Return ``line`` without control characters and line breaks, not empty and without "-->"."""
    printable = (c for c in line if unicodedata.category(c) not in ("Cc", "Cs") or c.isspace())
    sanitized = " ".join("".join(printable).split())
    while "-->" in sanitized:
        sanitized = sanitized.replace("-->", "->")
    return sanitized or UNREADABLE


def _srt_time(seconds: float) -> str:
    """Return a time as ``HH:MM:SS,mmm``, rounded down so that no cue shows a frame too long."""
    milliseconds = max(0, int((seconds + _ROUNDING_SECONDS) * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"
