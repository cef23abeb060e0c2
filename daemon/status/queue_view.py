"""Queue of one daemon as others see it: order, reasons, estimated ends. Imports little."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class FilmStanding(StrEnum):
    """Position of a film on its way."""

    AT_WORK = "at-work"  # a worker is at it
    WAITING = "waiting"  # it begins in this order
    DELAYED = "delayed"  # it waits for its next try, and has no place in the order until then
    HELD = "held"  # it stays where it is until somebody acts


@dataclass(frozen=True, slots=True)
class QueuedFilm:
    """One film of the queue."""

    film: str  # path below the inbox, printable
    standing: FilmStanding
    reason: str = ""  # why it waits
    job_id: str = ""  # "": it is in the inbox
    size_bytes: int = 0
    preferred: bool = False  # a person has put it first
    ends_at: float | None = None  # estimated end, seconds since 1970; None: not known


@dataclass(frozen=True, slots=True)
class QueueView:
    """The first films of a queue, and totals of all of them."""

    films: tuple[QueuedFilm, ...] = ()  # in their order, at most ``MAX_QUEUED``
    count: int = 0  # all films, those that are not listed included
    arriving: int = 0  # films that are still being copied into the inbox; not counted above
    ends_at: float | None = None  # estimated end of the films at work and of those that wait
    measured_films: int = 0  # finished films that the estimates are made from

    def without_names(self, hidden: str) -> QueueView:
        """Return the view with ``hidden`` for names of films, and without texts that have one."""
        films = (replace(film, film=hidden, reason="") for film in self.films)
        return replace(self, films=tuple(films))


NO_QUEUE = QueueView()
MAX_QUEUED = 100
"""Films that a queue lists; the others are counted. Guess."""
