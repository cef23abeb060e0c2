"""The weights that are there: verified, adopted where they were brought by hand, and listed."""

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

BY_HAND = "by hand"
UNKNOWN, MISSING, DAMAGED, WELL = "not known", "missing", "damaged", "well"

Tick = Callable[[], object]


@dataclass(frozen=True, slots=True)
class FileView:
    """One file, as it is told."""

    name: str  # below the models folder
    state: str
    sentence: str  # what is wrong with it
    size_bytes: int
    sha256: str
    verified_at: float | None


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """One repository and its files, as they are told."""

    key: str
    folder: str
    source: str
    repository: str
    revision: str
    fetched_at: float | None
    files: tuple[FileView, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(one.size_bytes for one in self.files)

    @property
    def well(self) -> bool:
        """Whether all that is needed is there, and nothing is known against it."""
        return not any(one.state in (MISSING, DAMAGED) for one in self.files)


def overview(
    models: Path, state: Path, *, now: float, full: bool = False, tick: Tick = lambda: None
) -> list[RepositoryView]:
    """What is there of every repository.

    Args:
        models: the models folder.
        state: where it is remembered what was verified, and when.
        now: seconds since the epoch.
        full: every file is read and compared, instead of only those touched since the last time.
        tick: called now and then while files are read.

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
    """The files of a repository: known ones, needed ones and lacking ones."""
    names = dict.fromkeys(manifest.of(key))
    for part in PARTS.values():
        if part.repository == key:
            choice = local_choice(models, part)
            names |= dict.fromkeys((*choice.files, *choice.missing))
    return list(names)


def _file_view(models: Path, name: str, manifest: Manifest, examined: Examination) -> FileView:
    record, stamp = manifest.files.get(name), examined.stamps.get(name)
    path, fault = models / name, examined.faults.get(name, "")
    there = path.is_file()
    if not there:
        state, fault = MISSING, "is missing"
    elif fault:
        state = DAMAGED
    else:
        state = WELL if record else UNKNOWN
    return FileView(
        name=name,
        state=state,
        sentence=fault,
        size_bytes=path.stat().st_size if there else 0,
        sha256=record.sha256 if record else "",
        verified_at=stamp.verified_at if stamp else None,
    )


def size_bytes(models: Path) -> int:
    """How much there is to be read of all weights."""
    choices = [local_choice(models, part) for part in PARTS.values()]
    return sum((models / name).stat().st_size for choice in choices for name in choice.files)


def verify(models: Path, state: Path, *, now: float, tick: Tick = lambda: None) -> int:
    """How many bytes were read and found to be what was fetched.

    Raises:
        WeightsMissing, WeightsDamaged: they are not; the text names the files.
    """
    views = overview(models, state, now=now, full=True, tick=tick)
    files = [one for view in views for one in view.files]
    if faults := {one.name: one.sentence for one in files if one.state == DAMAGED}:
        raise WeightsDamaged(models, faults)
    locate(models)
    if lost := {one.name: one.sentence for one in files if one.state == MISSING}:
        raise WeightsDamaged(models, lost)
    if unknown := {one.name: "is not in the manifest" for one in files if one.state == UNKNOWN}:
        raise WeightsDamaged(models, unknown)
    return sum(one.size_bytes for one in files)


def adopt(models: Path, state: Path, *, now: float, tick: Tick = lambda: None) -> int:
    """How many files are in the new manifest: all that are needed, as they lie there now.

    Raises:
        WeightsMissing: not everything is there.
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
