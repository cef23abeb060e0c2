"""Status file that everybody on this host may read, e.g. /run/subtitle-eraser/status.json.

The daemon's folders are closed to other users; this file is not. ``status`` falls back to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from daemon.config.parsing import as_json
from daemon.jobs.instances import STATUS_FILE, Liveness
from daemon.status.snapshot import (
    DaemonView,
    Moment,
    Snapshot,
    is_running,
    read_snapshot,
    view_of,
)
from erasecore.system.atomic_files import write_whole

RUN_FOLDER = Path("/run")
"""Parent of the runtime folders of services (file-hierarchy(7))."""
SERVICE = "subtitle-eraser"
"""Usual name of the service, and of its runtime folder."""
PUBLIC_MODE = 0o644
"""Permissions of the file."""


def write_public(file: Path, snapshot: Snapshot) -> None:
    """Write ``snapshot`` into a file that everybody may read, atomically.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(file, as_json(snapshot).encode(), durable=False, mode=PUBLIC_MODE)


def public_file(configured: str, runtime_folder: Path | None) -> Path | None:
    """Return the file that a daemon writes; ``None`` if it has no place for one.

    Args:
        configured: ``status.file`` of the configuration; empty: in the runtime folder.
        runtime_folder: ``$RUNTIME_DIRECTORY``, which systemd sets.
    """
    if configured:
        return Path(configured)
    return runtime_folder / STATUS_FILE if runtime_folder else None


def public_files(
    configured: str, runtime_folder: Path | None, config: Path | None
) -> Iterator[Path]:
    """Yield the files in which a daemon may have left its public status, the likeliest first.

    Args:
        configured: ``status.file``; empty: not set, or the configuration cannot be read.
        runtime_folder: ``$RUNTIME_DIRECTORY``, usually not set for other users.
        config: the configuration file; the service of /etc/NAME/config.yaml is NAME.
    """
    named = public_file(configured, runtime_folder)
    if named is not None:
        yield named
    elif config is not None and config.parent.parent == Path("/etc"):
        yield RUN_FOLDER / config.parent.name / STATUS_FILE
    else:
        yield RUN_FOLDER / SERVICE / STATUS_FILE


def read_public(file: Path, *, now: Moment) -> DaemonView | None:
    """Return the daemon that wrote ``file``; ``None`` if there is no valid snapshot."""
    snapshot = read_snapshot(file)
    if snapshot is None:
        return None
    standing = Liveness.ALIVE if is_running(snapshot) else Liveness.DEAD
    return view_of(snapshot.instance, standing, snapshot, None, now=now)
