"""Detection of lost or exchanged mounts below the folders.

If a share is not mounted, its mount point is an empty folder of the local disk: the films seem to
be gone, and results would be written to the wrong disk. Therefore the mount of each folder is
recorded, in memory and over restarts in the state folder, and verified.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import structlog

from daemon.config.locations import FolderSettings
from daemon.folders.checks import mount_of, mounts, paths_of
from daemon.storage.os_errors import hint_for
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.errors import AWAY, FolderGone
from erasecore.system.atomic_files import status_if_there, write_whole

log = structlog.get_logger(__name__)

MARK = ".subtitle-eraser"
"""Name of an empty file in work/. If it is missing, the share is mounted but another disk is
behind it, e.g. because a server exports the folder without having mounted its own disk."""
MOUNTS_FILE = "folders.json"
"""Name of the file in the state folder that maps each folder's path to its mount."""


@dataclass(frozen=True, slots=True)
class _RecordedMount:
    """The mount that a folder was on when it was checked."""

    path: Path
    role: str
    mount: str  # mount point and filesystem type, as ``str(Mount)``
    device: int  # st_dev; changes when the same share is mounted again


class MountGuard:
    """Record of each folder's mount, kept over restarts, and its verification."""

    def __init__(self, folders: FolderSettings) -> None:
        """Compare the folders, except state, with the record of the last run.

        Raises:
            FolderGone: a folder is on another mount than then, or does not answer.
        """
        self._record_file = folders.state / MOUNTS_FILE
        self._paths = {role: path for role, path in paths_of(folders).items() if role != "state"}
        self._saved_mounts = self._load()
        self._recorded: tuple[_RecordedMount, ...] = ()
        self.saved = True  # False: the record on disk is out of date, see ``save``
        for role, path in self._paths.items():
            self._verify_folder(role, path)

    def record(self) -> None:
        """Record the mounts as they are now, and put the mark into work/.

        Call it only once the folders have been checked (``prove``).

        Raises:
            OSError: a folder cannot be reached.
        """
        table = mounts()
        self._recorded = tuple(
            _RecordedMount(path, role, str(mount_of(path, table)), path.stat().st_dev)
            for role, path in self._paths.items()
        )
        (self._paths["work"] / MARK).touch()
        mounts_by_path = {str(folder.path): folder.mount for folder in self._recorded}
        if mounts_by_path != self._saved_mounts:
            self._saved_mounts = mounts_by_path
            self.save()

    def save(self) -> None:
        """Write the record for the next start; ``saved`` is False if the state folder refuses.

        Until it is saved, the next start compares the mounts with older ones, or with none.
        """
        try:
            write_whole(self._record_file, json.dumps(self._saved_mounts, indent=2).encode())
        except OSError:
            log.debug("mounts.not_saved", exc_info=True)
            self.saved = False
        else:
            self.saved = True

    def verify(self) -> bool:
        """Return True if no folder was mounted again since ``record``.

        Returns:
            False if one was, and it is the same share; its mount is recorded anew then.

        Raises:
            FolderGone: a folder is missing, or is not the one that was recorded.
        """
        try:
            same = all(folder.path.stat().st_dev == folder.device for folder in self._recorded)
        except OSError:
            same = False
        if same:
            return True
        for folder in self._recorded:
            self._verify_folder(folder.role, folder.path)
        try:
            self.record()
        except OSError as error:
            path = Path(error.filename or self._paths["work"])
            raise FolderGone(path, hint_for(error)) from error
        return False

    def _verify_folder(self, role: str, path: Path) -> None:
        """Raise FolderGone if a folder is not on its saved mount, or work/ lacks its mark."""
        saved_mount = self._saved_mounts.get(str(path))
        if saved_mount is None:
            return
        if saved_mount != str(mount_of(path, mounts())):
            raise self._moved_mount(role, path, saved_mount)
        try:
            path.stat()
        except OSError as error:
            # A folder that is merely missing is created by ``prove``, but only at start-up.
            if self._recorded or error.errno in AWAY:
                raise FolderGone(path, f"folders.{role} {hint_for(error)}") from error
            return
        if role == "work" and self._lacks_mark(path):
            raise FolderGone(
                path,
                f"folders.{role} has lost its mark {MARK}: another disk may lie there now. Mount "
                f"the right one; if it is a new one, remove {self._record_file} and restart.",
            )

    def _lacks_mark(self, work: Path) -> bool:
        """Return True if the file ``MARK`` is not in ``work``."""
        try:
            return status_if_there(work / MARK) is None
        except OSError as error:
            raise FolderGone(work, f"folders.work {hint_for(error)}") from error

    def _moved_mount(self, role: str, path: Path, saved_mount: str) -> FolderGone:
        """Return the error for a folder that is on another mount than ``saved_mount``."""
        return FolderGone(
            path,
            f"folders.{role} lay on {saved_mount} and does not now; mount it, it goes on by "
            f"itself. If it was moved, remove {self._record_file} and restart.",
        )

    def _load(self) -> dict[str, str]:
        """Return the saved mounts by path; empty at the first start or if the file is damaged."""
        try:
            raw = read_json(self._record_file)
        except (OSError, BadJson):
            return {}
        return raw if isinstance(raw, dict) else {}
