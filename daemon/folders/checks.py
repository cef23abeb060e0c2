"""Start-up checks of the folders, and the free space of their filesystems."""

from __future__ import annotations

import errno
import grp
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from daemon.config.locations import FolderSettings, film_folders
from daemon.storage.moves import remove_tree
from daemon.storage.names import TRIAL_PREFIX, TRIAL_SECONDS, TRIAL_SUFFIX
from daemon.storage.os_errors import hint_for
from erasecore.errors import AWAY, NO_ROOM, ConfigError, FolderError
from erasecore.system.atomic_files import sync_folder
from erasecore.system.no_clobber import rename_no_clobber

ROLES = ("inbox", "work", "done", "failed", "originals", "state")
"""Keys of the section ``folders`` that name a folder."""


def paths_of(folders: FolderSettings) -> dict[str, Path]:
    """Return the path of each folder by its role."""
    return {role: getattr(folders, role) for role in ROLES}


def prove(folders: FolderSettings, *, token: str, create: bool = True) -> None:
    """Check all folders by doing in them what the daemon will do; raise if one is unusable.

    The state folder only has its place checked, since no film needs it: see ``state_folder``.

    Checked: no folder lies in another, the group exists, each folder passes ``prove_folder``, a
    rename from inbox to work succeeds, work and done have free space.

    Args:
        folders: the folders.
        token: unique text for the names of the trial files.
        create: create missing folders, with their parents; else they are not checked.

    Raises:
        ConfigError: the configuration must be changed; the text names the key.
        FolderError: a disk or share is full or does not answer; it can be waited for.
    """
    refuse_overlap(folders)
    _check_group(folders.group)
    paths = film_folders(folders)
    if not create:
        paths = {role: path for role, path in paths.items() if path.is_dir()}
    for role, path in paths.items():
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(f"folders.{role}", path, error) from error
        sweep_trials(path)
        prove_folder(role, path, token=token)
    if "inbox" in paths and "work" in paths:
        prove_claim(folders, token=token)
    for role in ("work", "done"):
        path = getattr(folders, role)
        if role in paths and free_bytes(path) < folders.min_free_mb << 20:
            raise FolderError(
                path,
                f"folders.{role} has less than folders.min_free_mb = {folders.min_free_mb} MB "
                "free; free some space or lower that key.",
            )


def sweep_trials(folder: Path) -> None:
    """Remove the trial files that proofs cut off by a crash have left in ``folder``.

    Those younger than ``TRIAL_SECONDS`` stay: another daemon on the same share may be at its proof.
    """
    for trial in folder.glob(f"{TRIAL_PREFIX}*{TRIAL_SUFFIX}"):
        with suppress(OSError):  # its daemon has removed it just now, or it must not be removed
            if time.time() - trial.lstat().st_mtime > TRIAL_SECONDS:
                is_folder = trial.is_dir() and not trial.is_symlink()
                remove_tree(trial) if is_folder else trial.unlink()


def prove_folder(role: str, path: Path, *, token: str) -> None:
    """Do in one folder what claiming and publishing do; raise if any of it fails.

    A file is created, written, synced and renamed without overwriting, by the function that
    publishing uses; into a sub-folder, too. Another file of that name must be refused. All is
    removed again.

    Args:
        role: key of the folder in the section ``folders``, for the text.
        path: the folder, which exists.
        token: unique text for the names of the trial files; no two proofs with the same token may
            run at the same time, but leftovers of a crash are removed.

    Raises:
        ConfigError: the folder's permissions or its filesystem do not allow it.
        FolderError: the disk or share is full or does not answer; it can be waited for.
    """
    trial, inner = path / f".prove-{token}.tmp", path / f".prove-{token}-inner.tmp"
    try:
        with suppress(FileNotFoundError):
            trial.unlink()
        remove_tree(inner)
        try:
            _publish_trial(trial, inner)
        finally:
            with suppress(OSError):
                trial.unlink(missing_ok=True)
                remove_tree(inner)
    except OSError as error:
        raise _unusable(f"folders.{role}", path, error) from error


def _publish_trial(trial: Path, inner: Path) -> None:
    """Write the file ``trial``, move it into the new folder ``inner`` and back, remove both."""
    _write_trial(trial)
    inner.mkdir()
    moved = inner / trial.name
    rename_no_clobber(trial, moved)
    sync_folder(inner)
    _write_trial(trial)
    try:
        rename_no_clobber(moved, trial)
    except FileExistsError:
        trial.unlink()
    else:
        raise OSError(errno.ENOTSUP, "a rename overwrites files there", str(trial))
    rename_no_clobber(moved, trial)
    inner.rmdir()
    sync_folder(trial.parent)
    trial.unlink()


def _write_trial(trial: Path) -> None:
    """Create a file with a few bytes, synced."""
    with trial.open("xb") as file:
        file.write(b"subtitle-eraser tries this folder out")
        file.flush()
        os.fsync(file.fileno())


def refuse_overlap(folders: FolderSettings) -> None:
    """Raise if a path is relative, or one folder is the same as or inside another.

    Raises:
        ConfigError: the text names the keys.
    """
    resolved = {role: path.resolve() for role, path in paths_of(folders).items()}
    for role, path in resolved.items():
        if not paths_of(folders)[role].is_absolute():
            raise ConfigError(f"folders.{role}: {paths_of(folders)[role]} must begin with '/'.")
        for other_role, other in resolved.items():
            if other_role != role and path.is_relative_to(other):
                raise ConfigError(
                    f"folders.{role}: {path} lies in folders.{other_role} ({other}); "
                    "give each its own folder, side by side."
                )


def _check_group(group: str) -> None:
    """Raise ConfigError unless this process may change a file's group to ``group``."""
    if not group:
        return
    try:
        group_id = grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            f"folders.group: there is no group {group}; make it or name another."
        ) from None
    if os.geteuid() != 0 and group_id not in (os.getegid(), *os.getgroups()):
        raise ConfigError(
            f"folders.group: user {os.geteuid()} is not in the group {group}; "
            f"usermod -aG {group} adds it, then restart."
        )


def prove_claim(folders: FolderSettings, *, token: str) -> None:
    """Rename a file from the inbox into work, as a claim does: both need the same filesystem.

    Raises:
        ConfigError: they lie on two filesystems, or one of them does not allow it.
        FolderError: the disk or share is full or does not answer; it can be waited for.
    """
    trial, claimed = folders.inbox / f".prove-{token}.tmp", folders.work / f".prove-{token}.tmp"
    try:
        trial.touch()
        trial.rename(claimed)
        claimed.unlink()
    except OSError as error:
        with suppress(OSError):
            trial.unlink()
        if error.errno != errno.EXDEV:
            raise _unusable("folders.work", folders.work, error) from error
        raise ConfigError(
            f"folders.work: {folders.work} lies on another filesystem than folders.inbox "
            f"({folders.inbox}); put both on the same one, since a film is taken by a rename."
        ) from error


def _unusable(key: str, path: Path, error: OSError) -> ConfigError | FolderError:
    """Return the error for a folder that failed a check.

    FolderError, which is waited for, if the disk is full or the share away; else ConfigError. A
    read-only filesystem is a matter of configuration.
    """
    if error.errno in (*AWAY, *NO_ROOM) and error.errno != errno.EROFS:
        return FolderError(path, f"{key} {hint_for(error)}")
    return ConfigError(f"{key}: {path} {hint_for(error)}")


def free_bytes(path: Path) -> int:
    """Return the bytes that an unprivileged user may still write on the filesystem of ``path``.

    Raises:
        FolderError: the folder cannot be reached.
    """
    return _disk_usage(path)[1]


def total_bytes(path: Path) -> int:
    """Return the size in bytes of the filesystem of ``path``, used space included.

    Raises:
        FolderError: the folder cannot be reached.
    """
    return _disk_usage(path)[0]


def _disk_usage(path: Path) -> tuple[int, int]:
    """Return total and free bytes of the filesystem of ``path``.

    Raises:
        FolderError: the folder cannot be reached.
    """
    try:
        usage = shutil.disk_usage(path)
    except OSError as error:
        raise FolderError(path, hint_for(error)) from error
    return usage.total, usage.free
