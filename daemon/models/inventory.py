"""Inventory of the models folder: list, verify and adopt (into a new manifest) the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from erasecore.errors import WeightsDamaged
from erasecore.weights.layout import PARTS, REPOSITORIES, local_choice, locate
from erasecore.weights.manifest import (
    Examination,
    FileRecord,
    Manifest,
    Provenance,
    examine,
    read_manifest,
    read_stamps,
    sha256_of,
    stamp_of,
    strangers,
    write_manifest,
    write_stamps,
)

BY_HAND = "by hand"  # ``Provenance.source`` of adopted weights
UNKNOWN = "not known"  # state of a file that the manifest does not list
MISSING = "missing"  # state of a needed or recorded file that does not exist
DAMAGED = "damaged"  # state of a file that does not match the manifest, or must not be there
WELL = "well"  # state of a file that matches the manifest

Tick = Callable[[], object]
"""Heartbeat callback, called every few megabytes while files are hashed."""


@dataclass(frozen=True, slots=True)
class FileView:
    """State of one weights file, for display and JSON."""

    name: str  # path relative to the models folder
    state: str  # UNKNOWN, MISSING, DAMAGED or WELL
    sentence: str  # description of the damage; empty: none
    size_bytes: int
    sha256: str  # according to the manifest; empty: not listed there
    verified_at: float | None  # seconds since the epoch; ``None``: never


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """State of one repository and its files, for display and JSON."""

    key: str  # of ``erasecore.weights.layout.REPOSITORIES``
    folder: str  # below the models folder
    source: str  # a ``ModelSource`` or BY_HAND; empty: not in the manifest
    repository: str
    revision: str
    fetched_at: float | None  # seconds since the epoch
    files: tuple[FileView, ...]

    @property
    def size_bytes(self) -> int:
        """Total size of the files, in bytes."""
        return sum(file.size_bytes for file in self.files)

    @property
    def well(self) -> bool:
        """True if no file is missing or damaged; files that the manifest does not list may be."""
        return not any(file.state in (MISSING, DAMAGED) for file in self.files)


def overview(
    models: Path, state: Path, *, now: float, full: bool = False, tick: Tick = lambda: None
) -> list[RepositoryView]:
    """Return the state of every repository, and remember which files were verified.

    Args:
        models: the models folder.
        state: folder of the stamps, which record when each file was last verified.
        now: seconds since the epoch.
        full: True to hash every file, not only those changed since they were last verified.
        tick: heartbeat callback.

    Raises:
        WeightsDamaged: the manifest cannot be read.
    """
    manifest = read_manifest(models) or Manifest()
    stamps = read_stamps(state, models)
    examined = examine(models, manifest.files, stamps, now=now, full=full, tick=tick)
    if examined.stamps != stamps:
        write_stamps(state, models, examined.stamps)
    if manifest.files:
        examined.faults.update(strangers(models, manifest.files))
    return [_repository_view(models, key, manifest, examined) for key in REPOSITORIES]


def _repository_view(
    models: Path, key: str, manifest: Manifest, examined: Examination
) -> RepositoryView:
    provenance = manifest.repositories.get(key)
    names = _names(models, key, manifest)
    return RepositoryView(
        key=key,
        folder=REPOSITORIES[key],
        source=provenance.source if provenance else "",
        repository=provenance.repository if provenance else "",
        revision=provenance.revision if provenance else "",
        fetched_at=provenance.fetched_at if provenance else None,
        files=tuple(_file_view(models, name, manifest, examined) for name in names),
    )


def _names(models: Path, key: str, manifest: Manifest) -> list[str]:
    """Return the files of a repository without duplicates: recorded ones, then needed ones."""
    names = dict.fromkeys(manifest.files_of(key))
    for part in PARTS.values():
        if part.repository == key:
            choice = local_choice(models, part)
            names |= dict.fromkeys((*choice.files, *choice.missing))
    return list(names)


def _file_view(models: Path, name: str, manifest: Manifest, examined: Examination) -> FileView:
    """Return the state of one file, from the results of ``examine`` and ``strangers``."""
    record, stamp = manifest.files.get(name), examined.stamps.get(name)
    path, damage = models / name, examined.faults.get(name, "")
    exists = path.is_file()
    if not exists:
        state, damage = MISSING, "is missing"
    elif damage:
        state = DAMAGED
    else:
        state = WELL if record else UNKNOWN
    return FileView(
        name=name,
        state=state,
        sentence=damage,
        size_bytes=path.stat().st_size if exists else 0,
        sha256=record.sha256 if record else "",
        verified_at=stamp.verified_at if stamp else None,
    )


def size_bytes(models: Path) -> int:
    """Return the total size of the weights that exist and would be loaded, in bytes."""
    choices = [local_choice(models, part) for part in PARTS.values()]
    return sum((models / name).stat().st_size for choice in choices for name in choice.files)


def verify(models: Path, state: Path, *, now: float, tick: Tick = lambda: None) -> int:
    """Hash all weights, compare them with the manifest and return their total size in bytes.

    Raises:
        WeightsMissing: a needed file does not exist; the text names it.
        WeightsDamaged: a file does not match the manifest, or only one of the two has it.
    """
    views = overview(models, state, now=now, full=True, tick=tick)
    files = [file for view in views for file in view.files]
    if damaged := {file.name: file.sentence for file in files if file.state == DAMAGED}:
        raise WeightsDamaged(models, damaged)
    locate(models)
    if lost := {file.name: file.sentence for file in files if file.state == MISSING}:
        raise WeightsDamaged(models, lost)
    unknown = [file.name for file in files if file.state == UNKNOWN]
    if unknown:
        raise WeightsDamaged(models, dict.fromkeys(unknown, "is not in the manifest"))
    return sum(file.size_bytes for file in files)


def adopt(models: Path, state: Path, *, now: float, tick: Tick = lambda: None) -> int:
    """Write a new manifest of the needed files as they are now; return the number of files.

    For weights that were copied by hand: later checks compare with this state.

    Raises:
        WeightsMissing: a needed file does not exist.
    """
    locate(models)
    manifest, stamps = Manifest(), {}
    for part in PARTS.values():
        key = part.repository
        manifest.repositories[key] = Provenance(BY_HAND, "", "", "", now)
        for name in local_choice(models, part).files:
            status = (models / name).stat()
            sha256 = sha256_of(models / name, tick)
            manifest.files[name] = FileRecord(key, status.st_size, sha256)
            stamps[name] = stamp_of(status, sha256, now)
    write_manifest(models, manifest)
    write_stamps(state, models, stamps)
    return len(manifest.files)
