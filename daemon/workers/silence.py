"""Time since the last message of a worker, to detect a stall (hang)."""

from __future__ import annotations

DEAF_SECONDS = 2.0
"""Gap between two reads, in seconds, from which on the daemon itself was held up. A guess: the loop
reads at least once a second."""


class SilenceWatch:
    """Measures how long a worker has sent nothing, by the daemon's monotonic clock."""

    def __init__(self) -> None:
        self._heard_at = self._listened_at = 0.0

    def start(self, now: float) -> None:
        """Start at zero for a new worker."""
        self._heard_at = self._listened_at = now

    def heard(self, now: float) -> None:
        """Note that a message came, or that one cannot have come before ``now``."""
        self._heard_at = now

    def listen(self, now: float) -> None:
        """Note that the pipe is read now; a long gap since the last read is not counted.

        What held the daemon up (a suspended machine, a dead mount) may have held the worker up.
        """
        gap_seconds, self._listened_at = now - self._listened_at, now
        if gap_seconds > DEAF_SECONDS:
            self._heard_at = min(now, self._heard_at + gap_seconds)

    def seconds(self, now: float) -> float:
        """Return the length of the current silence in seconds."""
        return now - self._heard_at
