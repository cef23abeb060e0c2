"""What was fetched: the manifest beside the weights, and whether the files are still the same.

``manifest.json`` lies in the models folder and travels with it: names, sizes and SHA-256 of the
files, and where each repository came from. When a file was last found to match is remembered in the
state folder (size, times, inode): so a start costs a few ``stat`` calls, not the reading of 10 GB.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog

from erasecore.errors import DiskFull, WeightsDamaged, WeightsMissing
from erasecore.settings import HostSettings
from erasecore.system.atomic_files import whole_file
from erasecore.weights.layout import PARTS, Weights, local_choice, locate

log = structlog.get_logger(__name__)

MANIFEST = "manifest.json"
STAMPS = "weights.json"
HASH_BYTES = 8 << 20
_MOST_BYTES = 4 << 20  # of either file of ours

Tick = Callable[[], object]
"""Called every few megabytes of hashing: a sign of life."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the files of one repository came from."""

    source: str
    repository: str
    asked: str  # the revision that was asked for; empty: the main branch
    revision: str  # the one that was fetched: a commit, where the source tells one
    fetched_at: float


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file as it was when it was fetched."""

    repository: str  # a key of ``weights.REPOSITORIES``
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that was fetched; names are relative to the models folder."""

    repositories: dict[str, Provenance] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)

    def of(self, repository: str) -> dict[str, FileRecord]:
        """The files of one repository."""
        return {name: one for name, one in self.files.items() if one.repository == repository}


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file's outside at the moment when its content was found to match."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str
    verified_at: float


Stamps = dict[str, Stamp]


def read_manifest(models: Path) -> Manifest | None:
    """What was fetched into ``models``; none where nothing was.

    Raises:
        WeightsDamaged: there is a manifest, and it cannot be read.
    """
    try:
        raw = _read(models / MANIFEST)
        return Manifest(
            {key: Provenance(**one) for key, one in raw["repositories"].items()},
            {name: _record(one) for name, one in raw["files"].items()},
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsDamaged(models, {MANIFEST: f"cannot be read ({error})"}) from error


def _record(raw: Mapping[str, Any]) -> FileRecord:
    return FileRecord(str(raw["repository"]), int(raw["size_bytes"]), str(raw["sha256"]))


def write_manifest(models: Path, manifest: Manifest) -> None:
    """Put ``manifest`` beside the weights, whole and durably."""
    _write(models / MANIFEST, {"version": 1, **asdict(manifest)})


def read_stamps(state: Path, models: Path) -> Stamps:
    """When each file below ``models`` was last found to match; what cannot be read is forgotten."""
    try:
        raw = _read(state / STAMPS)
        if raw["models"] != str(models):
            return {}
        return {name: Stamp(**one) for name, one in raw["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_stamps(state: Path, models: Path, stamps: Stamps) -> None:
    """Remember ``stamps`` where that is possible; without, the next start takes longer."""
    content = {"models": str(models), "files": {name: asdict(one) for name, one in stamps.items()}}
    try:
        _write(state / STAMPS, content)
    except (OSError, DiskFull) as error:
        log.debug("weights.not_remembered", state=str(state), error=str(error))


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        raw: dict[str, Any] = json.loads(file.read(_MOST_BYTES))
    return raw


def _write(path: Path, content: Mapping[str, object]) -> None:
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")


def sha256_of(path: Path, tick: Tick) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BYTES):
            digest.update(block)
            tick()
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Examination:
    """What became of looking at the files: what is wrong with which, and stamps of all others."""

    faults: dict[str, str]
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
    """Compare the files below ``models`` with ``records``.

    Args:
        models: the models folder.
        records: what should be there.
        stamps: when it was last found to be.
        now: seconds since the epoch, for the new stamps.
        full: hash every file, even one that has not been touched since.
        tick: called now and then while bytes are hashed.
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
    """A stamp of the file, or what is wrong with it."""
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
    """The stamp of a file whose content has just been found to be ``sha256``."""
    times = status.st_mtime_ns, status.st_ctime_ns
    return Stamp(status.st_size, *times, status.st_ino, sha256, now)


def strangers(models: Path, records: Mapping[str, FileRecord]) -> dict[str, str]:
    """Files that would be loaded though they were never fetched, and what is to be said of them."""
    chosen = [name for part in PARTS.values() for name in local_choice(models, part).files]
    return {name: "was not fetched; remove it" for name in chosen if name not in records}


def proven(host: HostSettings, *, now: float, tick: Tick = lambda: None) -> Weights:
    """Where the weights lie, after making sure that they are what was fetched.

    Files that have not been touched since they were last found to match are not read again. A
    folder that was filled by hand and has no manifest is taken as it is, and the log says so.

    Raises:
        WeightsMissing: not everything is there.
        WeightsDamaged: something is, but is not what was fetched.
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
