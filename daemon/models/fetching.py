"""``models fetch``: what the configuration wants, from the hubs into the models folder.

A repository is exchanged as a whole: all of its files are downloaded and found to be what the hub
has announced before the first of them gets its name. What was downloaded before an interruption is
kept in ``.fetch``. No hub is asked while everything that is wanted is there and unchanged.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from daemon.config.schema import ModelSource
from daemon.models.download import digests_of, download
from daemon.models.hubs import Hub, Listing, RemoteFile, RepositoryRequest, plain_words
from daemon.storage.atomic import make_folder, sync_folder
from erasecore.errors import DownloadDamaged, FolderError, NoRoom, NotOnHub, WeightsDamaged
from erasecore.weights.layout import PARTS, REPOSITORIES, choose, local_choice
from erasecore.weights.manifest import (
    FileRecord,
    Manifest,
    Provenance,
    Stamps,
    examine,
    read_manifest,
    read_stamps,
    stamp_of,
    write_manifest,
    write_stamps,
)

FETCH_FOLDER = ".fetch"
SPARE_BYTES = 64 << 20
SET_ASIDE = ".not-fetched"
"""Behind the name of a file that would be loaded in place of one that was fetched."""


@dataclass(frozen=True, slots=True)
class FetchOutput:
    """How the fetch says what it is at."""

    say: Callable[[str], None]
    progress: Callable[[str, int, int], None]  # the file, bytes that are there, bytes in all


@dataclass(frozen=True, slots=True)
class Place:
    """The folders that a fetch works in, and the time at which it was begun."""

    models: Path
    state: Path
    now: float

    @property
    def parts(self) -> Path:
        """Where downloads grow."""
        return self.models / FETCH_FOLDER

    def part(self, name: str, remote: RemoteFile) -> Path:
        """Where one download grows: named by its content, it never goes on as another."""
        content = (remote.sha256 or remote.git_sha1)[:16]
        return self.parts / f"{name.replace('/', '_')}.{content}.part"


@dataclass(frozen=True, slots=True)
class Plan:
    """One repository: what of it is to be downloaded, and what is there already."""

    wanted: RepositoryRequest
    hub: Hub
    listing: Listing
    downloads: Mapping[str, RemoteFile]  # by their names below the models folder
    kept: Mapping[str, FileRecord]


def fetch(
    place: Place,
    wanted: Sequence[RepositoryRequest],
    hub_of: Callable[[ModelSource], Hub],
    voice: FetchOutput,
    *,
    update: bool = False,
) -> int:
    """How many files were fetched; all that is wanted is in ``place`` then, and unchanged.

    Args:
        place: where.
        wanted: what.
        hub_of: the hub of each source; called only if something has to be fetched from it.
        voice: is told what happens.
        update: whether hubs are asked for newer revisions of what is there.

    Raises:
        HostError: why not; what has been downloaded is kept for the next time.
    """
    try:
        make_folder(place.parts)
        with _alone(place, voice):
            return _fetch(place, wanted, hub_of, voice, update=update)
    except OSError as error:
        sentence = f"{error.strerror or error}; mend it, or set models.folder to another place."
        raise FolderError(Path(error.filename or place.models), sentence) from error


@contextmanager
def _alone(place: Place, voice: FetchOutput) -> Iterator[None]:
    """Only one fetch works in a models folder; others wait for it, and may find all done."""
    handle = os.open(place.parts / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            voice.say(f"another fetch is at work in {place.models}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _fetch(
    place: Place,
    wanted: Sequence[RepositoryRequest],
    hub_of: Callable[[ModelSource], Hub],
    voice: FetchOutput,
    *,
    update: bool,
) -> int:
    manifest, stamps = _known(place, voice)
    plans = []
    for one in wanted:
        if update or not is_whole(place, one, manifest, stamps):
            voice.say(f"asking for {one.repository}")
            plans.append(_plan(place, one, hub_of(one.source), manifest, stamps, update=update))
    _check_room(place, plans)
    for plan in plans:
        manifest = _put_in_place(place, plan, _download(place, plan, voice), manifest)
    for part in place.parts.glob("*.part"):
        part.unlink()
    return sum(len(plan.downloads) for plan in plans)


def _known(place: Place, voice: FetchOutput) -> tuple[Manifest, Stamps]:
    """What was fetched before."""
    try:
        manifest = read_manifest(place.models) or Manifest()
    except WeightsDamaged as error:
        voice.say(f"{error.faults}: it is made anew")
        manifest = Manifest()
    return manifest, read_stamps(place.state, place.models)


def is_whole(place: Place, wanted: RepositoryRequest, manifest: Manifest, stamps: Stamps) -> bool:
    """Whether a repository is there as it is wanted, so that no hub need be asked."""
    if not _same(manifest.repositories.get(wanted.key), wanted):
        return False
    records = manifest.of(wanted.key)
    for part in PARTS.values():
        if part.repository == wanted.key:
            choice = local_choice(place.models, part)
            if choice.missing or not records.keys() >= set(choice.files):
                return False
    examined = examine(place.models, records, stamps, now=place.now)
    stamps.update(examined.stamps)
    write_stamps(place.state, place.models, stamps)
    return not examined.faults


def _same(provenance: Provenance | None, wanted: RepositoryRequest) -> bool:
    """Whether what was fetched is what is wanted now."""
    if provenance is None:
        return False
    asked = wanted.source, wanted.repository, wanted.revision
    return asked == (provenance.source, provenance.repository, provenance.asked)


def _plan(
    place: Place,
    wanted: RepositoryRequest,
    hub: Hub,
    manifest: Manifest,
    stamps: Stamps,
    *,
    update: bool,
) -> Plan:
    """What has to be downloaded of one repository, by what the hub says of it now."""
    before = manifest.repositories.get(wanted.key)
    if before is not None and _same(before, wanted) and not update:
        asked = replace(wanted, revision=before.revision)  # mended as it was, not exchanged
    else:
        asked = wanted
    with plain_words(hub, asked):
        listing = hub.listing(asked.repository, asked.revision)
    downloads, kept = {}, {}
    for name, remote in _chosen(hub, wanted, listing).items():
        record = _record_if_there(place, name, remote, wanted.key, stamps)
        if record is None:
            downloads[name] = remote
        else:
            kept[name] = record
    return Plan(wanted, hub, listing, downloads, kept)


def _chosen(hub: Hub, wanted: RepositoryRequest, listing: Listing) -> dict[str, RemoteFile]:
    """The files of a repository that are needed, by their names below the models folder."""
    chosen = {}
    for part in PARTS.values():
        if part.repository != wanted.key:
            continue
        prefix = f"{part.folder}/" if part.folder else ""
        names = {name.removeprefix(prefix) for name in listing.files if name.startswith(prefix)}
        choice = choose(part, names)
        if choice.missing:
            what = f"{wanted.repository} lacks {prefix}{choice.missing[0]}"
            raise NotOnHub(hub.title, what, f"models.{wanted.key}")
        for name in choice.files:
            chosen[f"{part.place}/{name}"] = listing.files[prefix + name]
    return chosen


def _record_if_there(
    place: Place, name: str, remote: RemoteFile, key: str, stamps: Stamps
) -> FileRecord | None:
    """A record of the file that is in place, if it has the content that the hub announces."""
    path = place.models / name
    if not path.is_file() or path.stat().st_size != remote.size_bytes:
        return None
    known = stamps.get(name)
    if known is not None and remote.sha256:
        record = FileRecord(key, remote.size_bytes, remote.sha256)
        if not examine(place.models, {name: record}, stamps, now=place.now).faults:
            return record
    digests = digests_of(path)
    return FileRecord(key, remote.size_bytes, digests.sha256) if digests.fit(remote) else None


def _check_room(place: Place, plans: Sequence[Plan]) -> None:
    """Raise unless everything that is to be downloaded fits.

    Raises:
        NoRoom: it does not; nothing has been downloaded.
    """
    downloads = [(name, one) for plan in plans for name, one in plan.downloads.items()]
    parts = [place.part(name, remote) for name, remote in downloads]
    there = sum(part.stat().st_size for part in parts if part.exists())
    needed = sum(remote.size_bytes for _, remote in downloads) - there
    free = shutil.disk_usage(place.models).free
    if downloads and needed + SPARE_BYTES > free:
        raise NoRoom(place.models, needed + SPARE_BYTES, free)


def _download(place: Place, plan: Plan, voice: FetchOutput) -> dict[str, FileRecord]:
    """Records of a plan's downloads, each whole below ``.fetch`` and as it was announced."""
    records = {}
    for name, remote in plan.downloads.items():
        part = place.part(name, remote)
        _download_one(place, plan, name, remote, voice)
        if not (digests := digests_of(part)).fit(remote):
            # Once more, from its first byte: what was kept from the last time may be the reason.
            part.unlink()
            _download_one(place, plan, name, remote, voice)
            if not (digests := digests_of(part)).fit(remote):
                part.unlink()
                raise DownloadDamaged(plan.hub.title, name)
        records[name] = FileRecord(plan.wanted.key, remote.size_bytes, digests.sha256)
        voice.say(f"{name}: {remote.size_bytes} bytes")
    return records


def _download_one(
    place: Place, plan: Plan, name: str, remote: RemoteFile, voice: FetchOutput
) -> None:
    prefix = f"{REPOSITORIES[plan.wanted.key]}/"
    repository, path = plan.wanted.repository, name.removeprefix(prefix)
    address = plan.hub.address(repository, plan.listing.revision, path)
    asked = replace(plan.wanted, revision=plan.listing.revision)
    with plain_words(plan.hub, asked):
        download(
            address,
            plan.hub.headers,
            place.part(name, remote),
            remote,
            lambda done: voice.progress(name, done, remote.size_bytes),
        )


def _put_in_place(
    place: Place, plan: Plan, fetched: Mapping[str, FileRecord], manifest: Manifest
) -> Manifest:
    """The new manifest, after every file of a plan has got its name.

    A crash in here leaves files that the manifest does not describe: the daemon refuses them, and
    the next fetch finds them there.
    """
    stamps = read_stamps(place.state, place.models)
    for name, record in fetched.items():
        target = place.models / name
        make_folder(target.parent)
        part = place.part(name, plan.downloads[name])
        part.chmod(0o644)
        os.replace(part, target)
        sync_folder(target.parent)
        stamps[name] = stamp_of(target.stat(), record.sha256, place.now)
    records = {**plan.kept, **fetched}
    _clear(place, plan.wanted.key, manifest, records)
    manifest = _with(manifest, plan, records, place.now)
    write_manifest(place.models, manifest)
    write_stamps(place.state, place.models, stamps)
    return manifest


def _clear(place: Place, key: str, before: Manifest, records: Mapping[str, FileRecord]) -> None:
    """Remove what was fetched before and is not wanted any more.

    What was not fetched, and would be loaded in place of what was, is somebody's: it is renamed.
    """
    for part in PARTS.values():
        if part.repository != key:
            continue
        for name in before.of(key):
            if name not in records and str(PurePosixPath(name).parent) == part.place:
                (place.models / name).unlink(missing_ok=True)
        for name in local_choice(place.models, part).files:
            if name not in records:
                os.replace(place.models / name, place.models / f"{name}{SET_ASIDE}")


def _with(
    manifest: Manifest, plan: Plan, records: Mapping[str, FileRecord], now: float
) -> Manifest:
    """``manifest`` with one repository exchanged."""
    wanted, key = plan.wanted, plan.wanted.key
    revision = plan.listing.revision
    provenance = Provenance(wanted.source, wanted.repository, wanted.revision, revision, now)
    others = {name: one for name, one in manifest.files.items() if one.repository != key}
    return Manifest({**manifest.repositories, key: provenance}, {**others, **records})
