"""Thread that speaks for the main loop while that hangs at a folder which does not answer.

The loop asks the folders before it touches them, but a share may go in between. Then systemd would
kill a daemon that only waits, and start it again and again. The thread keeps the watchdog alive
and says what is wrong, as long as a folder is silent. If all folders answer the loop hangs for
another reason, and the watchdog does its work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Thread

from daemon.folders.bounded_calls import ANSWER_SECONDS, BoundedCalls, silence_sentence

USUAL_INTERVAL_SECONDS = 15.0
"""Time between two looks at the main loop where systemd has no watchdog, in seconds; a guess."""


class HangWatch:
    """Looks after the main loop from another thread.

    Args:
        folders: paths of the folders by role.
        interval_seconds: time between two looks, and of one turn until it may hang; 0: the usual.
        tell: called in the thread, while the loop hangs, with a text about the silent folders.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        interval_seconds: float,
        tell: Callable[[str], None],
    ) -> None:
        self._folders = dict(folders)
        self._interval_seconds = interval_seconds or USUAL_INTERVAL_SECONDS
        self._tell = tell
        self._turn_began_at: float | None = None  # monotonic seconds; None: between two turns
        self._ended = Event()

    def start(self) -> None:
        """Start the thread; it does not keep the process from ending."""
        Thread(target=self._run, name="hang watch", daemon=True).start()

    def stop(self) -> None:
        """End the thread with its next look."""
        self._ended.set()

    def turn_begins(self) -> None:
        """Note that the loop begins a turn."""
        self._turn_began_at = time.monotonic()

    def turn_ends(self) -> None:
        """Note that the loop has ended its turn."""
        self._turn_began_at = None

    def _run(self) -> None:
        calls = BoundedCalls()
        seconds = min(ANSWER_SECONDS, self._interval_seconds)
        while not self._ended.wait(self._interval_seconds):
            if self._hangs() and (silent := calls.silent(self._folders, seconds)) and self._hangs():
                self._tell(silence_sentence(silent, self._folders))

    def _hangs(self) -> bool:
        """Return True if the present turn has lasted too long."""
        began_at = self._turn_began_at
        return began_at is not None and time.monotonic() - began_at > self._interval_seconds
