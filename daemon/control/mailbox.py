"""Folder ``asked/`` of an instance: requests that people have put there, read with distrust.

Whoever may write there may also put links, FIFOs, folders, huge files and nonsense there. Each is
refused and removed; what cannot be removed is named once and passed over from then on.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from daemon.control.requests import MAX_REQUEST_BYTES, REQUEST_ID, BadRequest, Message, decode
from daemon.jobs.instances import ASKED_FOLDER
from erasecore.errors import printable
from erasecore.system.atomic_files import sync_folder
from erasecore.system.safe_open import blames_host, open_plain, read_regular

log = structlog.get_logger(__name__)

REQUEST_ENDING = ".json"
"""Ending of a request's file; its name without it is the request's id."""
MAX_PER_LOOK = 32
"""Requests that are read at a time; the others wait for the next look. Guess."""
MAX_ENTRIES = 1000
"""Entries of the folder that are looked at; further ones are removed unread. Guess."""
PART_SECONDS = 60.0
"""Age from which a hidden file, a request that is being written, counts as a leftover. Guess."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that was found; ``refusal`` or ``message`` is set."""

    request_id: str
    by: str  # owner of the file, as this host names it, with the host that the asker names
    message: Message | None = None
    refusal: str = ""  # sentence: why it cannot be read


class Mailbox:
    """Reader of the requests in ``asked/``."""

    def __init__(self, instance: Path) -> None:
        self.folder = instance / ASKED_FOLDER
        self._passed_over: set[str] = set()  # names that could not be removed

    def arrivals(self, *, wall: float) -> Iterator[Arrival]:
        """Yield at most ``MAX_PER_LOOK`` requests, the oldest first; remove what is none.

        Args:
            wall: seconds since 1970.

        Raises:
            OSError: the folder cannot be read.
        """
        names = sorted(self._names(wall))
        for name in names[:MAX_PER_LOOK]:
            arrival = self._read(name)
            if arrival is not None:
                yield arrival

    def _names(self, wall: float) -> Iterator[str]:
        """Yield the names that a request can have; remove or pass over all others."""
        try:
            with os.scandir(self.folder) as entries:
                for number, entry in enumerate(entries):
                    if entry.name in self._passed_over:
                        continue
                    if entry.name.startswith("."):
                        self._remove_old_part(entry.name, wall)
                    elif not _is_request_name(entry.name):
                        self._refuse(entry.name, "it has no name of a request")
                    elif number >= MAX_ENTRIES:
                        self._refuse(entry.name, "there are too many requests")
                    else:
                        yield entry.name
        except FileNotFoundError:
            return  # somebody has removed the folder: nothing is asked

    def _read(self, name: str) -> Arrival | None:
        """Return the request in one file; None if it is gone, or cannot be read just now."""
        request_id, by = name.removesuffix(REQUEST_ENDING), "somebody"
        try:
            handle = open_plain(self.folder / name)
            by = owner_name(os.fstat(handle).st_uid)
            message = decode(read_regular(handle, MAX_REQUEST_BYTES + 1))
        except BadRequest as error:
            return Arrival(request_id, by, refusal=printable(str(error)))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EAGAIN):
                return None
            if blames_host(error):
                raise
            return Arrival(request_id, by, refusal=_refusal_of(error))
        host = f" on {message.host}" if message.host else ""
        return Arrival(request_id, by + host, message)

    def remove(self, request_id: str) -> None:
        """Remove a request durably.

        Raises:
            OSError: it is there, and the host does not work.
        """
        self._remove(request_id + REQUEST_ENDING)
        with suppress(FileNotFoundError):
            sync_folder(self.folder)

    def _remove(self, name: str) -> None:
        path = self.folder / name
        try:
            path.unlink(missing_ok=True)
        except IsADirectoryError:
            try:
                path.rmdir()
            except OSError:  # it has files of somebody else in it
                self._passed_over.add(name)

    def _refuse(self, name: str, reason: str) -> None:
        """Remove what is no request; the log tells of it, since nobody waits for an answer."""
        log.warning("request.refused", file=printable(str(self.folder / name)), sentence=reason)
        self._remove(name)

    def _remove_old_part(self, name: str, wall: float) -> None:
        path = self.folder / name
        try:
            status = path.lstat()
        except FileNotFoundError:
            return
        if wall - status.st_mtime > PART_SECONDS or not stat.S_ISREG(status.st_mode):
            self._remove(name)


def _is_request_name(name: str) -> bool:
    stem = name.removesuffix(REQUEST_ENDING)
    return stem != name and REQUEST_ID.fullmatch(stem) is not None


def _refusal_of(error: OSError) -> str:
    """Return why a file cannot be read, as a sentence for the asker."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return "the daemon may not read it (chmod a+r)"
    if error.errno in (errno.ELOOP, errno.EMLINK):
        return "it is a link"
    return "it is no regular file that can be read"


def owner_name(uid: int) -> str:
    """Return the name of a user of this host, or "user N" if there is none of that number."""
    try:
        return printable(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return f"user {uid}"
