"""Detection of lost or exchanged mounts below the folders.

If a share is not mounted, its mount point is an empty folder of the local disk: the films seem to
be gone, and results would be written to the wrong disk. Therefore the filesystem of each folder is
recorded, in memory and over restarts in the state folder, and verified (``filesystem_id``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from daemon.config.locations import FolderSettings, film_folders
from daemon.config.parsing import read_record
from daemon.folders.filesystem_id import FilesystemId, filesystem_id
from daemon.folders.mount_table import filesystem_of, mounts
from daemon.storage.os_errors import hint_for
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.errors import AWAY, FolderGone
from erasecore.system.atomic_files import status_if_there, write_whole

log = structlog.get_logger(__name__)

MARK = ".subtitle-eraser"
"""Name of an empty file in work/. If it is missing, the share is mounted but another disk is
behind it, e.g. because a server exports the folder without having mounted its own disk."""
RECORD_FILE = "filesystems.json"
"""Name of the file in the state folder that maps each folder's path to its ``FilesystemId``."""
OLD_RECORD_FILE = "folders.json"
"""The same before version 0.2: mount points and types, as text. Its types are compared once."""


@dataclass(frozen=True, slots=True)
class _RecordedFolder:
    """The filesystem that a folder was on when it was checked."""

    path: Path
    role: str
    filesystem: FilesystemId
    device: int  # st_dev; changes when the same share is mounted again


class MountGuard:
    """Record of each folder's filesystem, kept over restarts, and its verification."""

    def __init__(self, folders: FolderSettings) -> None:
        """Compare the folders, except state, with the record of the last run.

        Raises:
            FolderGone: a folder is on another filesystem than then, or does not answer.
        """
        self._record_file = folders.state / RECORD_FILE
        self._old_record_file = folders.state / OLD_RECORD_FILE
        self._paths = film_folders(folders)
        self._saved = self._load()
        self._saved_types = {} if self._saved else self._load_types()
        self._recorded: tuple[_RecordedFolder, ...] = ()
        self.saved = True  # False: the record on disk is out of date, see ``save``
        for role, path in self._paths.items():
            self._verify_folder(role, path)

    def record(self) -> None:
        """Record the filesystems as they are now, and put the mark into work/.

        Call it only once the folders have been checked (``prove``).

        Raises:
            OSError: a folder cannot be reached.
        """
        table = mounts()
        self._recorded = tuple(
            _RecordedFolder(path, role, filesystem_id(path, table), path.stat().st_dev)
            for role, path in self._paths.items()
        )
        (self._paths["work"] / MARK).touch()
        if not table:
            log.warning("filesystems.unknown", reason="/proc/self/mountinfo cannot be read")
            return
        by_path = {str(folder.path): folder.filesystem for folder in self._recorded}
        if by_path != self._saved:
            self._saved = by_path
            self.save()

    def save(self) -> None:
        """Write the record for the next start; ``saved`` is False if the state folder refuses.

        Until it is saved, the next start compares the folders with older ones, or with none.
        """
        content = {path: asdict(one) for path, one in self._saved.items()}
        try:
            write_whole(self._record_file, json.dumps(content, indent=2).encode())
        except OSError:
            log.debug("filesystems.not_saved", exc_info=True)
            self.saved = False
        else:
            self.saved = True
            with suppress(OSError):  # an older release that is put back begins anew
                self._old_record_file.unlink(missing_ok=True)

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
        """Raise FolderGone if a folder is not on its saved filesystem, or work/ lacks its mark."""
        saved, saved_type = self._saved.get(str(path)), self._saved_types.get(str(path))
        if saved is None and saved_type is None:
            return
        if saved is not None and not saved.is_same(filesystem_id(path, mounts())):
            raise self._elsewhere(role, path, f"in {saved}")
        if saved is None and saved_type != (filesystem_of(path, mounts()) or saved_type):
            raise self._elsewhere(role, path, f"on a filesystem of type {saved_type}")
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

    def _elsewhere(self, role: str, path: Path, saved: str) -> FolderGone:
        """Return the error for a folder that is not where it was ``saved``."""
        return FolderGone(
            path,
            f"folders.{role} lay {saved} and does not now; mount it, it goes on by itself. If it "
            f"was moved, remove {self._record_file} and restart.",
        )

    def _load(self) -> dict[str, FilesystemId]:
        """Return the saved record by path; empty at the first start or if the file is damaged."""
        try:
            raw = read_json(self._record_file)
            if not isinstance(raw, dict):
                return {}
            return {
                path: read_record(FilesystemId, one, error=BadJson, lenient=True)
                for path, one in raw.items()
                if isinstance(one, Mapping)
            }
        except (OSError, BadJson):
            return {}

    def _load_types(self) -> dict[str, str]:
        """Return the filesystem types by path that a release before 0.2 has saved."""
        try:
            raw = read_json(self._old_record_file)
        except (OSError, BadJson):
            return {}
        saved = raw.items() if isinstance(raw, dict) else ()
        return {path: str(text).rpartition(" (")[2].removesuffix(")") for path, text in saved}
