"""Of the configuration: where everything lies, what is a film there, and whose is what.

Light, for whoever only asks: the other sections, and all that they need, are in ``daemon.config``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from daemon.config.parsing import read_record, read_yaml
from erasecore.errors import ConfigError

SECTIONS = (
    *("folders", "inbox", "worker", "retry", "claims", "schedule", "models", "log", "erase"),
)
"""What the configuration consists of: the fields of ``daemon.config.Config``."""


class WatchMode(StrEnum):
    """How the inbox is watched."""

    AUTO = "auto"  # events on local filesystems, polling on network ones
    EVENTS = "events"
    POLLING = "polling"


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """Where everything lies."""

    inbox: Path = Path("/srv/subtitle-eraser/inbox")
    work: Path = Path("/srv/subtitle-eraser/work")
    done: Path = Path("/srv/subtitle-eraser/done")
    failed: Path = Path("/srv/subtitle-eraser/failed")
    originals: Path = Path("/srv/subtitle-eraser/originals")
    state: Path = Path("/var/lib/subtitle-eraser")
    keep_originals: bool = True
    min_free_mb: int = 500
    free_factor: float = 3.0
    mode: str = ""
    group: str = ""
    portable_names: bool = False

    @property
    def mode_bits(self) -> int | None:
        """The permissions of published files; none: as the umask has it."""
        return int(self.mode, 8) if self.mode else None


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """What is taken out of the inbox, and when."""

    watch: WatchMode = WatchMode.AUTO
    settle_local_seconds: float = 5.0
    settle_network_seconds: float = 60.0
    young_seconds: float = 120.0
    rescan_seconds: float = 60.0
    poll_seconds: float = 10.0
    extensions: tuple[str, ...] = (
        *("3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf"),
        *("ogv", "ts", "vob", "webm", "wmv"),
    )
    ignore: tuple[str, ...] = (
        *(".*", "~$*", "*~", "*.part", "*.partial", "*.crdownload", "*.download", "*.filepart"),
        *("*.tmp", "Thumbs.db", "desktop.ini", "@eaDir", "#recycle", "__MACOSX", "lost+found"),
    )


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """How several daemons share one inbox."""

    instance: str = ""
    heartbeat_seconds: float = 10.0
    lease_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Locations:
    """As much of the configuration as one needs to look at a daemon from outside."""

    folders: FolderSettings = field(default_factory=FolderSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    claims: ClaimSettings = field(default_factory=ClaimSettings)


def load_locations(path: Path | None, root: Path | None = None) -> Locations:
    """The places named in ``path`` (none: the defaults), the folders below ``root`` if given.

    What the other sections say is not looked at: whoever runs the daemon does that.

    Raises:
        ConfigError: the text names the file, the key and what to do.
    """
    raw = read_sections(path)
    with naming(path):
        if unknown := sorted(raw.keys() - set(SECTIONS), key=str):
            known = ", ".join(sorted(SECTIONS))
            raise ConfigError(f"{unknown[0]}: no such key; known keys: {known}.")
        own = {item.name: raw[item.name] for item in fields(Locations) if item.name in raw}
        places = read_record(Locations, own, error=ConfigError)
        if root is not None:
            places = replace(places, folders=folders_below(root, places.folders))
        check_folders(places.folders)
        check_claims(places.claims)
    return places


def read_sections(path: Path | None) -> dict[str, Any]:
    """What the configuration file says, not yet checked; nothing without a file.

    Raises:
        ConfigError: the text names the file and what to do.
    """
    if path is None:
        return {}
    try:
        return read_yaml(path, error=ConfigError)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); mend its disk.") from error


@contextmanager
def naming(path: Path | None) -> Iterator[None]:
    """Complaints about keys name the file that they are in, if there is one."""
    try:
        yield
    except ConfigError as error:
        if path is None:
            raise
        raise ConfigError(f"{path}: {error}") from error


def folders_below(root: Path, like: FolderSettings) -> FolderSettings:
    """The usual five folders and the state below one root; everything else as in ``like``."""
    root = root.absolute()
    return replace(
        like,
        inbox=root / "inbox",
        work=root / "work",
        done=root / "done",
        failed=root / "failed",
        originals=root / "originals",
        state=root / "state",
    )


def check_folders(folders: FolderSettings) -> None:
    """Raise unless the folders can be paths, and the mode is one.

    Raises:
        ConfigError: the text names the key.
    """
    for item in fields(folders):
        if "\0" in str(getattr(folders, item.name)):
            raise ConfigError(f"folders.{item.name}: has a NUL character; write a plain path.")
    if not re.fullmatch(r"(0?[0-7]{3})?", folders.mode):
        raise ConfigError(
            f'folders.mode: is {folders.mode!r}, must be three octal digits, as in "0640".'
        )


def check_claims(claims: ClaimSettings) -> None:
    """Raise unless leases outlast a late heartbeat, and the instance can be part of a name.

    Raises:
        ConfigError: the text names the key.
    """
    if claims.lease_seconds < 3 * claims.heartbeat_seconds:
        raise ConfigError(
            "claims.lease_seconds: must be at least three times claims.heartbeat_seconds, "
            "so that one late heartbeat costs nobody a job."
        )
    if claims.instance.strip(".") != claims.instance or "/" in claims.instance:
        raise ConfigError("claims.instance: a plain name, without '/' or dots at its ends.")
