"""Folders of an instance for requests of people: made, moved to another instance, removed.

``asked/`` takes the requests; the operators' group may write there. ``requests/`` has the records
of those that were read, with their answers; only the daemon writes there.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import structlog

from daemon.jobs.instances import ASKED_FOLDER, REQUESTS_FOLDER
from daemon.storage.failpoints import failpoint
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.system.atomic_files import sync_folder

log = structlog.get_logger(__name__)

ASKED_MODE = 0o2770
"""Permissions of ``asked/``: owner and group read and write, new files belong to the group."""
PLAIN_MODE = 0o777
"""Permission bits without set-user-id, set-group-id and sticky."""


def make_request_folders(instance: Path) -> None:
    """Make both folders in a new instance folder.

    Both belong to the group of ``work/``, the operators' group. A work folder with the
    set-group-id bit gives group and bit to what is made in it, which a service that may not set the
    bit (systemd's ``RestrictSUIDSGID=``) relies on. The instance folder itself then loses the bit:
    results are made in it, and belong to the service's group.
    """
    (instance / REQUESTS_FOLDER).mkdir()
    asked = instance / ASKED_FOLDER
    mask = os.umask(0o007)  # chmod may be denied; a moment of this does no harm to other threads
    try:
        asked.mkdir()
    finally:
        os.umask(mask)
    group = instance.parent.stat().st_gid
    try:
        if asked.stat().st_gid != group:
            os.chown(asked, -1, group)
        if stat.S_IMODE(asked.stat().st_mode) != ASKED_MODE:
            asked.chmod(ASKED_MODE)
    except OSError as error:  # a filesystem without modes, or a group that is not ours
        log.debug("requests.not_opened", folder=str(asked), reason=str(error))
    if (mode := stat.S_IMODE(instance.stat().st_mode)) & stat.S_ISGID:
        instance.chmod(mode & PLAIN_MODE)


def has_open_requests(instance: Path) -> bool:
    """Return True if an instance has a request that is not read, or not answered yet."""
    if _files(instance / ASKED_FOLDER):
        return True
    return any(map(_is_open, (instance / REQUESTS_FOLDER).glob("*.json")))


def _is_open(record: Path) -> bool:
    try:
        raw = read_json(record)
    except (OSError, BadJson):
        return False
    return isinstance(raw, dict) and raw.get("answer") is None


def move_requests(abandoned: Path, instance: Path) -> None:
    """Move the requests of an abandoned instance, with their records, to ``instance``.

    Raises:
        OSError: one of them cannot be moved; the call may be repeated.
    """
    for folder in (REQUESTS_FOLDER, ASKED_FOLDER):
        names = _files(abandoned / folder)
        for name in names:
            with suppress(FileNotFoundError):  # another daemon has taken it over
                os.rename(abandoned / folder / name, instance / folder / name)
            failpoint("takeover.after_request")
        if names:
            sync_folder(instance / folder)


def remove_request_folders(instance: Path) -> None:
    """Remove both folders with the answers in them; what somebody else has put there stays."""
    for record in (instance / REQUESTS_FOLDER).glob("*"):
        record.unlink(missing_ok=True)
    for part in (instance / ASKED_FOLDER).glob(".*"):
        with suppress(OSError):
            part.unlink()
    for folder in (ASKED_FOLDER, REQUESTS_FOLDER):
        with suppress(OSError):
            (instance / folder).rmdir()


def _files(folder: Path) -> list[str]:
    """Return the names of the visible files of a folder, sorted; none if it is not there.

    Folders are left out: a request is none, and somebody else's cannot be moved.
    """
    try:
        with os.scandir(folder) as entries:
            files = [one.name for one in entries if one.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(name for name in files if not name.startswith("."))
