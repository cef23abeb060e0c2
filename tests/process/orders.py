"""What a sick share is told: which calls fail, and how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Orders:
    """Which calls fail, and how."""

    error: str  # its name, such as ESTALE; empty: they succeed
    calls: tuple[str, ...] = ()  # names of our methods; none: all of them
    below: str = "/"  # only of things whose paths begin like that
    share: float = 1.0  # of these calls, at random
    seconds: float = 0.0  # how long the answer is kept back
    late: float = 0.0  # of those that fail so many have done what they were asked for all the same
