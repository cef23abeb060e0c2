"""What a daemon tells systemd, heard on a real socket."""

from __future__ import annotations

import select
import socket
from pathlib import Path
from threading import Event, Lock, Thread


class Systemd:
    """The socket on which systemd listens; what is said is taken in at once, as systemd does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._heard: list[str] = []
        self._lock, self._closed = Lock(), Event()
        self._listener = Thread(target=self._listen)
        self._listener.start()

    def heard(self, beginning: str) -> list[str]:
        """What has been said up to now that begins like that."""
        with self._lock:
            self._take_in()
            return [line for line in self._heard if line.startswith(beginning)]

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._listener.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._closed.is_set():
            select.select([self._socket], [], [], 0.1)
            with self._lock:
                self._take_in()

    def _take_in(self) -> None:
        while True:
            try:
                self._heard += self._socket.recv(65536).decode("latin-1").split("\n")
            except BlockingIOError:
                return
