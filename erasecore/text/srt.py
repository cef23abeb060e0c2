"""The erased text as a subtitle file: which readings can be believed, cues, SRT. No pixels here.

Lines that come and go together are one cue, top to bottom. Lines that share only a part of their
time are cues of their own, which overlap as the lines did: each text is there once, at its own
times, and players show overlapping cues one above the other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from erasecore.model.events import Reading
from erasecore.reports import EventReport
from erasecore.text.ocr import is_upright

UNREADABLE = "[unreadable]"
"""Stands in a cue for a line in a script that the recogniser does not know."""

_TOGETHER_SECONDS = 0.2  # lines of one cue come and go within it
_SAME_SECONDS = 0.1  # a text that comes again so soon never went
_LEAST_SCORE = 0.75
_LEAST_COVERED = 0.75
_FOREIGN_SCORE, _FOREIGN_COVERED = 0.95, 0.9  # in films whose script is mostly unknown
_TELLING_LINES, _TELLING_SHARE = 2, 0.1  # with a letter of one language only; one may be a slip
_ROUNDING = 1e-5  # of a second


@dataclass(frozen=True, slots=True)
class Cue:
    """One entry of a subtitle file."""

    start_seconds: float
    stop_seconds: float
    lines: tuple[str, ...]


def legible(readings: Sequence[Reading]) -> tuple[bool, ...]:
    """Which of a film's readings are words, and not what an unknown script was taken for.

    A line of an unknown script may look like Latin letters ("Bce" for the Russian word), so where
    most lines of a film cannot be read, the others must be beyond doubt.
    """
    found = [_is_legible(one, _LEAST_SCORE, _LEAST_COVERED) for one in readings]
    if 2 * sum(found) <= len(found):
        found = [_is_legible(one, _FOREIGN_SCORE, _FOREIGN_COVERED) for one in readings]
    if _are_vietnamese(readings):
        latin = [any("LATIN" in unicodedata.name(c, "") for c in one.text) for one in readings]
        found = [yes and not maimed for yes, maimed in zip(found, latin, strict=True)]
    return tuple(found)


def _are_vietnamese(readings: Sequence[Reading]) -> bool:
    """Whether lines have letters that only Vietnamese has, alone or side by side.

    Those with two marks, which are in most of its words, the recogniser leaves out.
    """
    lines = [set(one.text.lower()) for one in readings]
    telling = sum(
        bool(line & set("ơư") or ("đ" in line and line & set("âêôàèìòùãõ"))) for line in lines
    )
    return telling >= _TELLING_LINES and telling >= _TELLING_SHARE * len(readings)


def _is_legible(reading: Reading, least_score: float, least_covered: float) -> bool:
    if reading.score < least_score or reading.covered < least_covered:
        return False
    letters = [letter for letter in reading.text if letter.isalpha()]
    greek = [letter for letter in letters if "GREEK" in unicodedata.name(letter, "")]
    # The recogniser knows Greek from formulas only, without accents.
    return 3 * len(greek) <= len(letters)


def cues_of(events: Iterable[EventReport], *, shift_seconds: float = 0.0) -> tuple[Cue, ...]:
    """The cues for ``events``, by start.

    Args:
        events: lines of text with their times.
        shift_seconds: how long after the zero of players' clocks the film's first frame is shown.
    """
    groups: list[list[EventReport]] = []
    for event in sorted(events, key=lambda e: (e.start_seconds, e.box_xyxy[1], e.box_xyxy[0])):
        mates = (group for group in groups if _together(group[0], event))
        group = next(mates, None)
        if group is None:
            groups.append([event])
        else:
            group.append(event)
    cues = [_cue(group, shift_seconds) for group in groups]
    return _joined(sorted(cues, key=lambda cue: (cue.start_seconds, cue.stop_seconds)))


def _together(one: EventReport, other: EventReport) -> bool:
    return (
        abs(one.start_seconds - other.start_seconds) <= _TOGETHER_SECONDS
        and abs(one.stop_seconds - other.stop_seconds) <= _TOGETHER_SECONDS
    )


def _cue(group: list[EventReport], shift_seconds: float) -> Cue:
    readable = any(event.text for event in group)
    lines = (" ".join(event.text or UNREADABLE for event in row) for row in _rows(group))
    return Cue(
        min(event.start_seconds for event in group) + shift_seconds,
        max(event.stop_seconds for event in group) + shift_seconds,
        tuple(lines) if readable else (UNREADABLE,),
    )


def _rows(group: list[EventReport]) -> list[list[EventReport]]:
    """The lines in the order of reading: rows from the top, upright columns from the right."""
    columns = [event for event in group if is_upright(event.box_xyxy)]
    rows = [[event] for event in sorted(columns, key=lambda e: -e.box_xyxy[2])]
    for event in sorted((e for e in group if e not in columns), key=lambda e: e.box_xyxy[1]):
        if rows and not is_upright(rows[-1][0].box_xyxy) and _side_by_side(rows[-1][-1], event):
            rows[-1] = sorted([*rows[-1], event], key=lambda e: e.box_xyxy[0])
        else:
            rows.append([event])
    return rows


def _side_by_side(one: EventReport, other: EventReport) -> bool:
    """Whether both stand in the same row."""
    top, bottom = (other.box_xyxy[side] for side in (1, 3))
    shared = min(one.box_xyxy[3], bottom) - max(one.box_xyxy[1], top)
    return 2 * shared > min(one.box_xyxy[3] - one.box_xyxy[1], bottom - top)


def _joined(cues: list[Cue]) -> tuple[Cue, ...]:
    """The cues, with those that only go on where another stopped made one with it."""
    joined: list[Cue] = []
    last: dict[tuple[str, ...], int] = {}
    for cue in cues:
        place = last.get(cue.lines)
        goes_on = (
            place is not None
            and cue.lines != (UNREADABLE,)
            and cue.start_seconds - joined[place].stop_seconds <= _SAME_SECONDS
        )
        if place is not None and goes_on:
            stop = max(joined[place].stop_seconds, cue.stop_seconds)
            joined[place] = replace(joined[place], stop_seconds=stop)
        else:
            last[cue.lines] = len(joined)
            joined.append(cue)
    return tuple(joined)


def srt_of(cues: Iterable[Cue]) -> str:
    """The cues as an SRT file: numbered from 1, an empty line after each."""
    blocks = []
    for number, cue in enumerate(cues, start=1):
        times = f"{_stamp(cue.start_seconds)} --> {_stamp(cue.stop_seconds)}"
        blocks.append("\n".join([str(number), times, *map(_tame, cue.lines)]) + "\n")
    return "\n".join(blocks)


def _tame(line: str) -> str:
    """``line`` as one line that is not empty and cannot be taken for a line with times."""
    printable = (c for c in line if unicodedata.category(c) not in ("Cc", "Cs") or c.isspace())
    tame = " ".join("".join(printable).split())
    while "-->" in tame:
        tame = tame.replace("-->", "->")
    return tame or UNREADABLE


def _stamp(seconds: float) -> str:
    """A time as SRT has it; rounded down, so that a cue never shows on the frame after its last."""
    milliseconds = max(0, int((seconds + _ROUNDING) * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"
