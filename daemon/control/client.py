"""The asking side: writes a request into a daemon's folder, and waits for its answer.

It needs no connection to the daemon, only rights on ``work/``: another host may have it mounted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ulid import ULID

from daemon.control.film_search import jobs_elsewhere
from daemon.control.journal import RECORD_ENDING, Answer, read_request_record
from daemon.control.mailbox import REQUEST_ENDING
from daemon.control.requests import Message, Request, encode
from daemon.jobs.instances import (
    ASKED_FOLDER,
    REQUESTS_FOLDER,
    InstanceId,
    Liveness,
    NoInstanceId,
    list_instances,
    owner_of,
)
from erasecore.errors import FolderError
from erasecore.system.atomic_files import write_whole

ANSWER_SECONDS = 15.0
"""Longest wait for an answer, in seconds: a daemon looks every second, or at once. Guess."""
POLL_SECONDS = 0.1
"""Time between two looks for the answer, in seconds; a guess."""
REQUEST_MODE = 0o644
"""Permissions of a request: the daemon must read it; its folder is closed to others."""


@dataclass(frozen=True, slots=True)
class DaemonFolder:
    """Instance folder of a daemon that can be asked."""

    path: Path
    host: str  # host name or ``claims.instance`` of the daemon; "": unknown
    liveness: Liveness

    @property
    def runs(self) -> bool:
        """True unless the daemon is known to have ended."""
        return self.liveness is not Liveness.DEAD


def daemon_folders(work: Path, me: InstanceId, name: str = "") -> list[DaemonFolder]:
    """Return the daemons of a work folder that can be asked: those that run, else those that ended.

    Those of this host come first.

    Args:
        work: the work folder.
        me: this process.
        name: host, ``claims.instance`` or folder name of the daemon that is meant; empty: any.

    Raises:
        FolderError: there is none; the text says what to do.
    """
    try:
        found = [_folder_of(path, liveness) for path, liveness in list_instances(work, me)]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FolderError(
            work, f"cannot be searched for a daemon: {reason}; see docs/operations.md, Steering."
        ) from error
    meant = [one for one in found if name in ("", one.host, one.path.name)]
    running = sorted((one for one in meant if one.runs), key=lambda one: one.liveness.value)
    if not (running or meant):
        who = f"a daemon {name}" if name else "a daemon"
        raise FolderError(work, f"has no folder of {who}; start one: subtitle-eraser run.")
    return running or meant


def _folder_of(path: Path, liveness: Liveness) -> DaemonFolder:
    try:
        return DaemonFolder(path, owner_of(path).host, liveness)
    except NoInstanceId:
        return DaemonFolder(path, "", liveness)


def holder_of(film: str, folders: list[DaemonFolder], work: Path) -> DaemonFolder:
    """Return the daemon that has a film at work, else the first one.

    Args:
        film: path below the inbox, or job id.
        folders: daemons that can be asked.
        work: the work folder.
    """
    by_path = {one.path: one for one in folders}
    for path, job in jobs_elsewhere(work, work):
        if film in (job.name, job.job_id) and path in by_path:
            return by_path[path]
    return folders[0]


def send(folder: DaemonFolder, request: Request) -> str:
    """Write a request into a daemon's folder; return the request's id.

    Raises:
        FolderError: this user may not write there, or the daemon has just ended.
    """
    request_id = str(ULID()).lower()
    asked = folder.path / ASKED_FOLDER
    content = encode(Message(request, os.uname().nodename))
    try:
        write_whole(asked / f"{request_id}{REQUEST_ENDING}", content, mode=REQUEST_MODE)
    except OSError as error:
        raise FolderError(
            asked,
            f"takes no request ({(error.strerror or str(error)).lower()}); see docs/operations.md, "
            "Steering.",
        ) from error
    return request_id


def await_answer(work: Path, request_id: str, seconds: float = ANSWER_SECONDS) -> Answer | None:
    """Return the answer to a request; None if there is none after ``seconds``.

    The request may have been taken over by another daemon, so all of them are looked at.
    """
    deadline = time.monotonic() + seconds
    while True:
        for file in _records(work, request_id):
            record = read_request_record(file)
            if record is not None and record.answer is not None:
                return record.answer
        if time.monotonic() >= deadline:
            return None
        time.sleep(POLL_SECONDS)


def _records(work: Path, request_id: str) -> Iterator[Path]:
    with suppress(OSError):
        for instance in work.iterdir():
            if not instance.name.startswith("."):
                yield instance / REQUESTS_FOLDER / f"{request_id}{RECORD_ENDING}"
