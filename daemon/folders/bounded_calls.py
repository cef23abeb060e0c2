"""Calls on folders that may hang: a thread makes each, and is waited for a limited time.

A share whose server is gone blocks whoever touches it, e.g. a hard NFS mount in uninterruptible
sleep (state D). Nothing can end such a call. So the main loop, which must answer signals and the
watchdog, has another thread make it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TypeVar

from erasecore.errors import FolderSilent

ANSWER_SECONDS = 5.0
"""Longest wait for the answer of a folder, in seconds. A guess: a disk that has to spin up first
takes about as long, and is then told for a moment to be silent."""
LONG_ANSWER_SECONDS = 20.0
"""Longest wait for the proof of a folder, a dozen calls, in seconds; below the watchdog's interval,
120 s in our unit. A guess."""

Answer = TypeVar("Answer")


class _Call:
    """One call in a thread that does not keep the process from ending."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self._error: Exception | None = None
        self.ended = Event()
        try:
            Thread(target=self._run, name="folder", daemon=True).start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "no thread can be made") from error

    def _run(self) -> None:
        try:
            self._action()
        except Exception as error:  # noqa: BLE001 - raised again in the thread that asked
            self._error = error
        self.ended.set()

    def raise_error(self) -> None:
        """Raise the error with which the call has ended, if any."""
        if self._error is not None:
            raise self._error


class BoundedCalls:
    """Makes calls on folders, and remembers those that have not returned yet.

    As long as one hangs, no other of its name is begun: a dead share costs one thread for each
    name. Not for use by several threads.
    """

    def __init__(self) -> None:
        self._pending: dict[str, _Call] = {}

    def run(
        self,
        name: str,
        action: Callable[[], Answer],
        *,
        place: Path,
        seconds: float = ANSWER_SECONDS,
    ) -> Answer:
        """Return the result of ``action``; its exceptions are raised here.

        Args:
            name: distinguishes this kind of call from others.
            action: the call. If it hangs and returns later, its result is lost.
            place: folder for the error's text.
            seconds: longest wait.

        Raises:
            FolderSilent: the call hangs, or the one before of the same name still does.
            OSError: no thread can be made.
        """
        results: list[Answer] = []
        if self._hangs(name):
            raise FolderSilent(place)
        call = self._pending[name] = _Call(lambda: results.append(action()))
        if not call.ended.wait(seconds):
            raise FolderSilent(place)
        del self._pending[name]
        call.raise_error()
        return results[0]

    def silent(self, folders: Mapping[str, Path], seconds: float = ANSWER_SECONDS) -> list[str]:
        """Return the keys of the folders that do not answer in time; an error is an answer, too.

        Only the first look at a folder that hangs takes time.
        """
        asked, silent = {}, []
        for key, path in folders.items():
            if self._hangs(_question(key)):
                silent.append(key)
            else:
                asked[key] = self._pending[_question(key)] = _Call(partial(_ask, path))
        until = monotonic() + seconds
        for key, call in asked.items():
            if call.ended.wait(max(0.0, until - monotonic())):
                del self._pending[_question(key)]
            else:
                silent.append(key)
        return silent

    def _hangs(self, name: str) -> bool:
        """Return True if a call of this name has not returned yet."""
        call = self._pending.get(name)
        return call is not None and not call.ended.is_set()


def silence_sentence(roles: Iterable[str], folders: Mapping[str, Path]) -> str:
    """Return the text for the operator about folders that do not answer."""
    return " ".join(f"folders.{role}: {FolderSilent(folders[role])}" for role in roles)


def _question(key: str) -> str:
    """Return the name of the question whether a folder answers."""
    return f"does {key} answer"


def _ask(path: Path) -> None:
    """Ask the server of a folder for the free space, which no client remembers."""
    with suppress(OSError):
        os.statvfs(path)
        path.stat()
