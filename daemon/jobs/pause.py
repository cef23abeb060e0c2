"""Pause of the queue as a value: who asked, and until when. Imports little, for ``status``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of one daemon: it begins no film until the pause ends."""

    by: str  # person who asked, printable
    since: float  # seconds since 1970
    until: float | None = None  # seconds since 1970; None: until somebody resumes
    request_id: str = ""  # of the request, which is carried out once

    def sentence(self) -> str:
        """Return who paused until when, and what ends it, e.g. for the status."""
        until = f" until {clock_text(self.until)}" if self.until is not None else ""
        return f"paused by {self.by}{until}; `subtitle-eraser resume` lets it go on"


def clock_text(wall: float) -> str:
    """Return a time as weekday, hour and minute of this host, e.g. "Tue 06:00"."""
    return f"{datetime.fromtimestamp(wall):%a %H:%M}"
