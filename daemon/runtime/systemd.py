"""What systemd is told: ready, what we are at, still alive, reloading, leaving."""

from __future__ import annotations

import time

from sdnotify import SystemdNotifier

from daemon.storage.names import shown

SOCKET_TIMEOUT_SECONDS = 0.2
"""For so long we wait for a listener that does not read what it was told before."""


class Notifier:
    """Speaks to systemd where it listens, to nobody elsewhere.

    The watchdog is fed by whoever has just made real progress, never by a timer of its own: a
    loop that hangs is meant to be noticed.
    """

    def __init__(self, socket: str, watchdog_seconds: float | None) -> None:
        # Without an address the library would leave an open socket behind.
        self._systemd = _connected() if socket else None
        self._watchdog_every = (watchdog_seconds or 0) / 4
        self._watchdog_at = float("-inf")
        self._status = ""

    def _send(self, *lines: str) -> bool:
        """Say it, if anybody listens; False if it could not be said."""
        if self._systemd is None:
            return True
        try:
            self._systemd.notify("\n".join(lines))
        except OSError:  # nothing of ours depends on it
            return False
        return True

    def ready(self) -> None:
        """We are at work."""
        self._send("READY=1")

    def status(self, sentence: str) -> None:
        """What we are at, for ``systemctl status``; told when it changes."""
        # The library sends Latin-1; what else names hold is shown escaped.
        line = shown(sentence).encode("ascii", "backslashreplace").decode("ascii")
        if sentence != self._status and self._send(f"STATUS={line}"):
            self._status = sentence

    def alive(self, *, now: float) -> None:
        """We have just made progress."""
        if self._watchdog_every and now - self._watchdog_at >= self._watchdog_every:
            self._watchdog_at = now
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """We are reading the configuration anew; ``ready`` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """We are leaving."""
        self._send("STOPPING=1")

    def extend(self, seconds: float) -> None:
        """Leaving takes this much longer; do not lose patience."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def close(self) -> None:
        """Give the socket back."""
        if self._systemd is not None:
            self._systemd.socket.close()
        self._systemd = None


def _connected() -> SystemdNotifier | None:
    """A line to systemd; none if nobody listens where it should."""
    try:
        systemd = SystemdNotifier(debug=True)
    except OSError:
        return None
    systemd.socket.settimeout(SOCKET_TIMEOUT_SECONDS)
    return systemd
