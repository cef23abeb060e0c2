"""Notifications to systemd (the sd_notify protocol): ready, status, watchdog, reload, stop."""

from __future__ import annotations

import time

from sdnotify import SystemdNotifier

from erasecore.errors import printable

SOCKET_TIMEOUT_SECONDS = 0.2
"""Longest wait of one send while the listener's queue is full. Guess."""
WATCHDOG_DIVISOR = 4
"""Keep-alives per watchdog timeout; sd_watchdog_enabled(3) recommends two or more."""


class Notifier:
    """Client of systemd's notification socket; does nothing if there is no socket.

    The watchdog keep-alive (``alive``) is called by code that has just made real progress, never by
    a timer, so that systemd notices a loop that hangs.
    """

    def __init__(self, socket: str, watchdog_seconds: float | None) -> None:
        # Without $NOTIFY_SOCKET the library would leave an open socket behind.
        self._systemd = _connect() if socket else None
        # Between two keep-alives; 0 without a watchdog.
        self.watchdog_interval_seconds = (watchdog_seconds or 0) / WATCHDOG_DIVISOR
        self._watchdog_sent_at = float("-inf")
        self._status = ""

    def _send(self, *lines: str) -> bool:
        """Send ``lines`` as one message; return False if the send failed, True without a socket."""
        if self._systemd is None:
            return True
        try:
            self._systemd.notify("\n".join(lines))
        except OSError:  # the daemon works without its notifications
            return False
        return True

    def ready(self) -> None:
        """Report the end of the start or of a reload (READY=1)."""
        self._send("READY=1")

    def status(self, sentence: str) -> None:
        """Set the status line that ``systemctl status`` shows; sent only when it has changed."""
        # The library encodes as Latin-1; all that is not ASCII is sent escaped.
        line = printable(sentence).encode("ascii", "backslashreplace").decode("ascii")
        if sentence != self._status and self._send(f"STATUS={line}"):
            self._status = sentence

    def alive(self, *, now: float) -> None:
        """Send the watchdog keep-alive (WATCHDOG=1), at most four times per watchdog timeout.

        Args:
            now: monotonic clock, seconds.
        """
        interval = self.watchdog_interval_seconds
        if interval and now - self._watchdog_sent_at >= interval:
            self._watchdog_sent_at = now
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Report that the configuration is being reloaded; ``ready`` reports the end of it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Report that the daemon shuts down (STOPPING=1)."""
        self._send("STOPPING=1")

    def extend(self, seconds: float) -> None:
        """Ask systemd to extend its stop timeout by ``seconds`` from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def close(self) -> None:
        """Close the socket; later calls send nothing."""
        if self._systemd is not None:
            self._systemd.socket.close()
        self._systemd = None


def _connect() -> SystemdNotifier | None:
    """Return a notifier connected to $NOTIFY_SOCKET; ``None`` if nobody listens there."""
    try:
        systemd = SystemdNotifier(debug=True)
    except OSError:
        return None
    systemd.socket.settimeout(SOCKET_TIMEOUT_SECONDS)
    return systemd
