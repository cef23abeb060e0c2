"""Manifest of the downloaded weights, and the integrity check against it (SHA-256).

``manifest.json`` lies in the models folder and is moved with it: names, sizes and SHA-256 of the
files, and the origin of each repository. A cache of verified files (size, times, inode) lies in
the state folder, so that a start costs a few ``stat`` calls instead of reading 10 GB.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from erasecore.errors import DiskFull, WeightsDamaged, WeightsMissing
from erasecore.settings import HostSettings
from erasecore.system.atomic_files import whole_file
from erasecore.system.logger import get_logger
from erasecore.weights.layout import PARTS, Weights, local_choice, locate

log = get_logger(__name__)

MANIFEST = "manifest.json"  # in the models folder
STAMPS = "weights.json"  # in the state folder
HASH_BYTES = 8 << 20  # read at once while hashing, 8 MiB; guess
_MAX_JSON_BYTES = 4 << 20  # read of either JSON file at most, 4 MiB; guess

Tick = Callable[[], object]
"""Heartbeat callback, called after every ``HASH_BYTES`` hashed."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Origin of one repository's files."""

    source: str  # the hub
    repository: str  # its name on the hub
    asked: str  # configured revision; empty: the main branch
    revision: str  # fetched revision: a commit, if the hub names one
    fetched_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size and hash of one file when it was downloaded."""

    repository: str  # key of ``layout.REPOSITORIES``
    size_bytes: int
    sha256: str  # hexadecimal


@dataclass(frozen=True, slots=True)
class Manifest:
    """Record of everything that was downloaded; file names are relative to the models folder."""

    repositories: dict[str, Provenance] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)

    def files_of(self, repository: str) -> dict[str, FileRecord]:
        """Return the files of one repository, by name."""
        return {
            name: record for name, record in self.files.items() if record.repository == repository
        }


@dataclass(frozen=True, slots=True)
class Stamp:
    """Signature of a file (size, times, inode) when its content was last verified."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str  # hexadecimal
    verified_at: float  # seconds since the epoch


Stamps = dict[str, Stamp]
"""Stamps of files, by their names relative to the models folder."""


def read_manifest(models: Path) -> Manifest | None:
    """Return the manifest in the models folder, ``None`` if there is none.

    Raises:
        WeightsDamaged: the manifest cannot be read.
    """
    try:
        raw = _read_json(models / MANIFEST)
        return Manifest(
            {key: Provenance(**origin) for key, origin in raw["repositories"].items()},
            {name: _file_record(record) for name, record in raw["files"].items()},
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsDamaged(models, {MANIFEST: f"cannot be read ({error})"}) from error


def _file_record(raw: Mapping[str, Any]) -> FileRecord:
    return FileRecord(str(raw["repository"]), int(raw["size_bytes"]), str(raw["sha256"]))


def write_manifest(models: Path, manifest: Manifest) -> None:
    """Write ``manifest`` into the models folder, atomically and synced to disk."""
    _write_json(models / MANIFEST, {"version": 1, **asdict(manifest)})


def read_stamps(state: Path, models: Path) -> Stamps:
    """Return the stamps of the files below ``models``; empty if unreadable or of another folder."""
    try:
        raw = _read_json(state / STAMPS)
        if raw["models"] != str(models):
            return {}
        return {name: Stamp(**stamp) for name, stamp in raw["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_stamps(state: Path, models: Path, stamps: Stamps) -> None:
    """Write ``stamps`` into the state folder; if that fails, the next start hashes all files."""
    files = {name: asdict(stamp) for name, stamp in stamps.items()}
    content = {"models": str(models), "files": files}
    try:
        _write_json(state / STAMPS, content)
    except (OSError, DiskFull) as error:
        log.debug("weights.not_remembered", state=str(state), error=str(error))


def _read_json(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        raw: dict[str, Any] = json.loads(file.read(_MAX_JSON_BYTES))
    return raw


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")


def sha256_of(path: Path, tick: Tick) -> str:
    """Return the SHA-256 of a file in hexadecimal; calls ``tick`` after every ``HASH_BYTES``."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BYTES):
            digest.update(block)
            tick()
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Examination:
    """Result of an integrity check: a problem for each bad file, a stamp for each good one."""

    faults: dict[str, str]  # file name -> problem, the rest of a sentence, e.g. "is missing"
    stamps: Stamps


def examine(
    models: Path,
    records: Mapping[str, FileRecord],
    stamps: Stamps,
    *,
    now: float,
    full: bool = False,
    tick: Tick = lambda: None,
) -> Examination:
    """Compare the files below ``models`` with ``records``; unchanged files are not hashed again.

    Args:
        models: the models folder.
        records: expected files, by name relative to ``models``.
        stamps: signatures from the last check; a file that still has its own counts as verified.
        now: seconds since the epoch, for the new stamps.
        full: hash every file, regardless of ``stamps``.
        tick: heartbeat callback during hashing.
    """
    faults: dict[str, str] = {}
    kept: Stamps = {}
    for name, record in records.items():
        known = None if full else stamps.get(name)
        found = _examine_file(models / name, record, known, now, tick)
        if isinstance(found, Stamp):
            kept[name] = found
        else:
            faults[name] = found
    return Examination(faults, kept)


def _examine_file(
    path: Path, record: FileRecord, known: Stamp | None, now: float, tick: Tick
) -> Stamp | str:
    """Return the file's stamp if its content is that of ``record``, else the problem as text."""
    try:
        status = path.stat()
        if status.st_size != record.size_bytes:
            return f"has {status.st_size} bytes instead of {record.size_bytes}"
        if known is not None and known == stamp_of(status, record.sha256, known.verified_at):
            return known
        sha256 = sha256_of(path, tick)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if sha256 == record.sha256:
        return stamp_of(status, sha256, now)
    return f"has other content than was fetched (SHA-256 {sha256[:12]}, not {record.sha256[:12]})"


def stamp_of(status: os.stat_result, sha256: str, now: float) -> Stamp:
    """Return the stamp of a file whose content was verified as ``sha256`` at the time ``now``."""
    times = status.st_mtime_ns, status.st_ctime_ns
    return Stamp(status.st_size, *times, status.st_ino, sha256, now)


def strangers(models: Path, records: Mapping[str, FileRecord]) -> dict[str, str]:
    """Return files that would be loaded but are not in the manifest, each with a problem text."""
    chosen = [name for part in PARTS.values() for name in local_choice(models, part).files]
    return {name: "was not fetched; remove it" for name in chosen if name not in records}


def proven(host: HostSettings, *, now: float, tick: Tick = lambda: None) -> Weights:
    """Return the paths of the weights, after checking that they are the downloaded files.

    Files with an unchanged stamp are not read again. A folder that was filled by hand and has no
    manifest is accepted without a check, with a warning in the log.

    Args:
        host: names the models folder and the state folder.
        now: seconds since the epoch.
        tick: heartbeat callback during hashing.

    Raises:
        WeightsMissing: no models folder is configured, or files are missing.
        WeightsDamaged: files differ from the manifest or are not in it.
        FolderError: the models folder cannot be read.
    """
    if not host.models:
        raise WeightsMissing(Path("models.folder"), list(PARTS))
    models, state = Path(host.models), Path(host.state or host.models)
    manifest = read_manifest(models)
    weights = locate(models)
    if manifest is None:
        log.warning(
            "weights.unproven", models=str(models), mend="subtitle-eraser models verify --adopt"
        )
        return weights
    stamps = read_stamps(state, models)
    examined = examine(models, manifest.files, stamps, now=now, tick=tick)
    if examined.stamps != stamps:
        write_stamps(state, models, examined.stamps)
    faults = {**examined.faults, **strangers(models, manifest.files)}
    if faults:
        raise WeightsDamaged(models, faults)
    return weights
