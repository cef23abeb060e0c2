"""Plans: what detection found in a film, as a value that a person may change; standard library.

``erasecore.planning`` makes a plan and turns it back into a detection; ``daemon.plans`` writes and
reads it as YAML. Times are seconds on the clock that players show; boxes are luma pixels of the
picture as it is seen, left, top, right, bottom.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PLAN_SCHEMA = 1
"""Version of the keys of a plan file."""
ERASED_BECAUSE = "subtitle"
"""Reason given for a line that is erased because detection took it for a subtitle."""
KEPT_BY_PLAN = "the plan keeps it"
"""Reason given for a line that detection would erase, and the plan keeps."""


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object of a plan: text that is erased or stays."""

    erase: bool
    start: float  # seconds
    stop: float  # seconds; the film's end if it lasts that long
    box: tuple[float, ...]  # whole pixels, unless somebody writes others
    id: int = 0  # its number on the contact sheet; 0: added by hand
    kind: str = "text"
    why: str = ""  # why it is erased or kept
    text: str = ""  # as read from one picture of the film; empty: not read
    invent: float = 0.0  # expected share of its pixels that no frame of its shot shows, 0 to 1
    subtitle: bool = False  # detection's verdict: erased without a plan
    # All numbers of its event, as JSON; used while it is not edited. ``None``: added by hand.
    exact: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FilmIdentity:
    """The film that a plan is for; its content decides, not its name."""

    bytes: int
    sha256: str
    width: int  # of the picture as it is seen, luma px
    height: int
    frames: int
    seconds: float  # when the last frame ends
    name: str = ""


@dataclass(frozen=True, slots=True)
class DetectionFacts:
    """Everything else that detection found: no object, but needed for erasing."""

    everywhere: bool = True  # False: text was searched at some times only
    warnings: tuple[str, ...] = ()
    measured: dict[str, Any] = field(
        default_factory=dict
    )  # the detection without its text, as JSON


@dataclass(frozen=True, slots=True)
class Expectation:
    """Rough forecast of erasing a film as planned; see ``erasecore.planning.forecast``."""

    seconds: float = 0.0  # on this machine, in the state that it was in
    bytes: int = 0  # of the result
    invent: float = 0.0  # share of all pixels to be erased that no frame shows, 0 to 1
    hardest: float = 0.0  # seconds; middle of the object with most to invent


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """A plan for one film; its fields are the keys of the YAML file."""

    film: FilmIdentity
    objects: tuple[PlannedObject, ...] = ()
    schema: int = PLAN_SCHEMA
    approved: bool = False
    expected: Expectation = field(default_factory=Expectation)
    detection: DetectionFacts = field(default_factory=DetectionFacts)


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Options of one job besides its settings."""

    plan: FilmPlan | None = None  # for this film; takes the place of detection
    ending: str = ""  # of the result's name, a key of ``RESULT_ENDINGS``; empty: the film's own


def seconds_rounded(seconds: float) -> float:
    """Return a time as a plan shows it: whole milliseconds, which tell all frames apart."""
    return round(seconds, 3)
