"""Are the folders still the ones that were proved, or has a share gone from under them?

Where a share is not mounted its mount point is an empty folder of the local disk: films would seem
to be gone, and results would land where nobody looks. So it is remembered where each folder lies.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import structlog

from daemon.config.locations import FolderSettings
from daemon.folders.checks import mount_of, mounts, paths_of
from daemon.storage.atomic import status_if_there, write_whole
from daemon.storage.os_errors import hint_for
from erasecore.errors import AWAY, FolderGone

log = structlog.get_logger(__name__)

MARK = ".subtitle-eraser"
"""A file in work/, ours alone: a server may export an empty folder in place of its disk."""
MOUNTS_FILE = "folders.json"
"""In the state folder: by path the mount that each folder lay on when it was first used."""


@dataclass(frozen=True, slots=True)
class _RecordedMount:
    """Where a folder lies."""

    path: Path
    role: str
    mount: str  # the mount's point and type of filesystem
    device: int  # st_dev; another one after the same share is mounted anew


class MountGuard:
    """Where the folders lie, remembered over restarts."""

    def __init__(self, folders: FolderSettings) -> None:
        """Look at where the folders lie now.

        Raises:
            FolderGone: one of them lies on another mount than at the last start.
        """
        self._record = folders.state / MOUNTS_FILE
        self._paths = {role: path for role, path in paths_of(folders).items() if role != "state"}
        self._known = self._load()
        self._mount_guard: tuple[_RecordedMount, ...] = ()
        for role, path in self._paths.items():
            self._check_known(role, path)

    def record(self) -> None:
        """Remember the folders as they are: they have been proved.

        Raises:
            OSError: a folder cannot be reached.
        """
        table = mounts()
        self._mount_guard = tuple(
            _RecordedMount(path, role, str(mount_of(path, table)), path.stat().st_dev)
            for role, path in self._paths.items()
        )
        (self._paths["work"] / MARK).touch()
        known = {str(one.path): one.mount for one in self._mount_guard}
        if known != self._known:
            write_whole(self._record, json.dumps(known, indent=2).encode())
            self._known = known

    def verify(self) -> bool:
        """Whether all is as it was; False if a share was mounted anew, and is the same one.

        Raises:
            FolderGone: a folder is not there, or is not the one that was proved.
        """
        try:
            same = all(one.path.stat().st_dev == one.device for one in self._mount_guard)
        except OSError:
            same = False
        if same:
            return True
        for one in self._mount_guard:
            self._check_known(one.role, one.path)
        try:
            self.record()
        except OSError as error:
            place = Path(error.filename or self._paths["work"])
            raise FolderGone(place, hint_for(error)) from error
        return False

    def _check_known(self, role: str, path: Path) -> None:
        known = self._known.get(str(path))
        if known is None:
            return
        if known != str(mount_of(path, mounts())):
            raise self._gone(role, path, known)
        try:
            path.stat()
        except OSError as error:
            if self._mount_guard or error.errno in AWAY:  # while we run nobody makes it anew
                raise FolderGone(path, f"folders.{role} {hint_for(error)}") from error
            return
        if role == "work" and self._lacks_mark(path):
            raise FolderGone(
                path,
                f"folders.{role} has lost its mark {MARK}: another disk may lie there now. Mount "
                f"the right one; if it is a new one, remove {self._record} and restart.",
            )

    def _lacks_mark(self, work: Path) -> bool:
        try:
            return status_if_there(work / MARK) is None
        except OSError as error:
            raise FolderGone(work, f"folders.work {hint_for(error)}") from error

    def _gone(self, role: str, path: Path, known: str) -> FolderGone:
        return FolderGone(
            path,
            f"folders.{role} lay on {known} and does not now; mount it, it goes on by itself. "
            f"If it was moved, remove {self._record} and restart.",
        )

    def _load(self) -> dict[str, str]:
        try:
            raw = json.loads(self._record.read_bytes())
        except (OSError, ValueError):
            return {}
        return raw if isinstance(raw, dict) else {}
