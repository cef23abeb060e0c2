"""What the product's subtitle file says, held against what was burned in.

characters  of a case's true texts; a line break or a run of spaces is one space, case counts
errors      edit distance between each true text and what the cues at its time say, joined; a cue
            at a time without a subtitle counts whole
guessed     events in scripts that the recogniser does not know whose cues do not say so
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cases import Case, TrueEvent
from bench.media import open_film
from erasecore.text.srt import UNREADABLE

KNOWN_SCRIPTS = ("LATIN", "CJK", "HIRAGANA", "KATAKANA")
_CUE = re.compile(r"\d+\n(\S+) --> (\S+)\n((?:.+\n)+)")


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """How one case was read."""

    case: str
    known_script: bool  # whether the recogniser is meant to read it
    events: int
    characters: int
    errors: int
    guessed: int
    notes: tuple[str, ...] = ()  # what was read wrongly, and how

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return self.case

    @property
    def error_rate(self) -> float:
        """Character errors per true character."""
        return self.errors / max(1, self.characters)


@dataclass(frozen=True, slots=True)
class ReadCue:
    """One entry of the product's subtitle file."""

    start_seconds: float
    stop_seconds: float
    text: str


def srt_path(result: Path) -> Path:
    """Where the product leaves the text that it has erased from ``result``."""
    return result.with_name(result.name + ".srt")


def read_result(case: Case, result: Path) -> ReadingRow:
    """The row of a case whose film the product has made ``result`` of."""
    srt = srt_path(result)
    cues = parse_srt(srt.read_text(encoding="utf-8")) if srt.exists() else []
    return compare(case, cues, float(open_film(case.hardsub).rate))


def parse_srt(text: str) -> list[ReadCue]:
    """The cues of an SRT file."""
    return [
        ReadCue(_seconds(start), _seconds(stop), plain(words))
        for start, stop, words in _CUE.findall(text)
    ]


def compare(case: Case, cues: Sequence[ReadCue], rate: float) -> ReadingRow:
    """A case's row from the cues of its result, at ``rate`` frames a second."""
    truths = {event: plain(event.text.replace("\\N", " ")) for event in case.events}
    said: dict[TrueEvent | None, list[str]] = {event: [] for event in (*truths, None)}
    for cue in cues:
        said[_owner(cue, case.events, rate)].append(cue.text)
    known = all(map(is_known, truths.values()))
    errors, guessed, notes = sum(map(len, said[None])), 0, [f"false: {t}" for t in said[None]]
    for event, truth in truths.items():
        read = " ".join(said[event])
        if known and (wrong := distance(truth, read)):
            errors += wrong
            notes.append(f"{truth} -> {read}")
        elif not known and read.replace(UNREADABLE, "").strip():
            guessed += 1
            notes.append(f"{truth} -> {read}")
    characters = sum(map(len, truths.values()))
    return ReadingRow(case.name, known, len(truths), characters, errors, guessed, tuple(notes))


def is_known(text: str) -> bool:
    """Whether every letter of ``text`` belongs to a script that the recogniser is meant to read."""
    letters = (unicodedata.name(c, "") for c in text if c.isalpha())
    return all(name.startswith(KNOWN_SCRIPTS) for name in letters)


def plain(text: str) -> str:
    """``text`` on one line, each run of spaces one space."""
    return " ".join(text.split())


def distance(truth: str, read: str) -> int:
    """The fewest characters to be put in, left out or replaced to make one text the other."""
    before = list(range(len(read) + 1))
    for row, wanted in enumerate(truth, start=1):
        now = [row]
        for column, found in enumerate(read, start=1):
            replaced = before[column - 1] + (wanted != found)
            now.append(min(before[column] + 1, now[-1] + 1, replaced))
        before = now
    return before[-1]


def _owner(cue: ReadCue, events: Sequence[TrueEvent], rate: float) -> TrueEvent | None:
    """The event whose time is most like the cue's; none where they share nothing."""

    def likeness(event: TrueEvent) -> float:
        start, stop = event.start / rate, event.stop / rate
        shared = min(stop, cue.stop_seconds) - max(start, cue.start_seconds)
        return shared / (max(stop, cue.stop_seconds) - min(start, cue.start_seconds))

    best = max(events, key=likeness)
    return best if likeness(best) > 0 else None


def _seconds(stamp: str) -> float:
    hours, minutes, rest = stamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))
