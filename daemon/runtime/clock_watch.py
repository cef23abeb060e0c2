"""Jumps of the system clock: it was set by hand or by NTP, or the machine was suspended."""

from __future__ import annotations

MIN_JUMP_SECONDS = 1.0
"""Least difference between the two clocks that counts as a jump, in seconds; NTP's slewing between
two turns is far below. A guess."""


class ClockWatch:
    """Compares the system clock with the monotonic one, from call to call."""

    def __init__(self) -> None:
        self._offset: float | None = None  # system clock minus monotonic clock, seconds

    def jump_seconds(self, *, now: float, wall: float) -> float:
        """Return how far the system clock was set forward since the last call; 0.0 if it was not.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.

        Returns:
            Seconds; negative if the clock was set back.
        """
        before, self._offset = self._offset, wall - now
        jump = 0.0 if before is None else self._offset - before
        return jump if abs(jump) >= MIN_JUMP_SECONDS else 0.0
