"""``models fetch``: download the configured repositories of weights into the models folder.

A repository is replaced as a whole: all of its files are downloaded and verified against the hub's
digests before the first of them gets its final name. Partial downloads are kept in ``.fetch`` and
resumed. No hub is contacted while everything requested exists and is unchanged.
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
from daemon.models.hubs import Hub, Listing, RemoteFile, RepositoryRequest, translated_errors
from erasecore.errors import (
    DownloadDamaged,
    DownloadRefused,
    FolderError,
    NoRoom,
    NotOnHub,
    WeightsDamaged,
)
from erasecore.system.atomic_files import make_folder, replace_durably
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

FETCH_FOLDER = ".fetch"  # below the models folder: partial downloads and the lock file
SPARE_BYTES = 64 << 20  # free space that must remain after the downloads; guess
SET_ASIDE = ".not-fetched"
"""Suffix for foreign files that would be loaded in place of fetched ones."""


@dataclass(frozen=True, slots=True)
class FetchOutput:
    """Callbacks that show the progress of a fetch."""

    say: Callable[[str], None]  # shows a sentence
    progress: Callable[[str, int, int], None]  # file name, bytes on the disk, bytes in total


@dataclass(frozen=True, slots=True)
class FetchContext:
    """Folders that a fetch works in, and its time."""

    models: Path  # the models folder
    state: Path  # folder of the stamps, which record when each file was last verified
    now: float  # seconds since the epoch

    @property
    def parts(self) -> Path:
        """Folder of the partial downloads."""
        return self.models / FETCH_FOLDER

    def part(self, name: str, remote: RemoteFile) -> Path:
        """Return the path of a partial download.

        It contains the announced digest: a download is never resumed with other content.
        """
        content = (remote.sha256 or remote.git_sha1)[:16]
        return self.parts / f"{name.replace('/', '_')}.{content}.part"


@dataclass(frozen=True, slots=True)
class Plan:
    """Files of one repository that are to be downloaded, and those that exist already."""

    wanted: RepositoryRequest
    hub: Hub
    listing: Listing
    downloads: Mapping[str, RemoteFile]  # by their paths relative to the models folder
    kept: Mapping[str, FileRecord]  # likewise


def fetch(
    context: FetchContext,
    wanted: Sequence[RepositoryRequest],
    hub_of: Callable[[ModelSource], Hub],
    output: FetchOutput,
    *,
    update: bool = False,
) -> int:
    """Fetch all requested files that are missing, changed or outdated; return their number.

    Only one fetch at a time works in a models folder; a second one waits for the first.

    Args:
        context: the folders.
        wanted: the repositories.
        hub_of: makes the client of a source; called only if something is to be fetched from it.
        output: progress callbacks.
        update: True to ask the hubs for newer revisions of repositories that are complete.

    Raises:
        HostError: the fetch failed; partial downloads are kept and resumed by the next fetch.
    """
    try:
        make_folder(context.parts)
        with _fetch_lock(context, output):
            return _fetch(context, wanted, hub_of, output, update=update)
    except OSError as error:
        sentence = f"{error.strerror or error}; mend it, or set models.folder to another place."
        raise FolderError(Path(error.filename or context.models), sentence) from error


@contextmanager
def _fetch_lock(context: FetchContext, output: FetchOutput) -> Iterator[None]:
    """Hold the exclusive lock of the models folder; wait if another fetch has it."""
    handle = os.open(context.parts / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            output.say(f"another fetch is at work in {context.models}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _fetch(
    context: FetchContext,
    wanted: Sequence[RepositoryRequest],
    hub_of: Callable[[ModelSource], Hub],
    output: FetchOutput,
    *,
    update: bool,
) -> int:
    """Do the work of ``fetch``, with the lock held."""
    manifest, stamps = _read_records(context, output)
    plans = []
    for request in wanted:
        if update or not _is_complete(context, request, manifest, stamps):
            output.say(f"asking for {request.repository}")
            hub = hub_of(request.source)
            plans.append(_plan(context, request, hub, manifest, stamps, update=update))
    _check_room(context, plans)
    for plan in plans:
        manifest = _install(context, plan, _download(context, plan, output), manifest)
    for part in context.parts.glob("*.part"):
        part.unlink()
    return sum(len(plan.downloads) for plan in plans)


def _read_records(context: FetchContext, output: FetchOutput) -> tuple[Manifest, Stamps]:
    """Return manifest and stamps of earlier fetches; an unreadable manifest counts as empty."""
    try:
        manifest = read_manifest(context.models) or Manifest()
    except WeightsDamaged as error:
        detail = "; ".join(f"{name} {fault}" for name, fault in error.faults.items())
        output.say(f"{detail}: it is made anew")
        manifest = Manifest()
    return manifest, read_stamps(context.state, context.models)


def _is_complete(
    context: FetchContext, wanted: RepositoryRequest, manifest: Manifest, stamps: Stamps
) -> bool:
    """Return True if a repository is complete, unchanged and of the requested revision.

    Adds the stamps of the files that match to ``stamps`` and writes them.
    """
    if not _is_requested(manifest.repositories.get(wanted.key), wanted):
        return False
    records = manifest.files_of(wanted.key)
    for part in PARTS.values():
        if part.repository == wanted.key:
            choice = local_choice(context.models, part)
            if choice.missing or not records.keys() >= set(choice.files):
                return False
    examined = examine(context.models, records, stamps, now=context.now)
    stamps.update(examined.stamps)
    write_stamps(context.state, context.models, stamps)
    return not examined.faults


def _is_requested(provenance: Provenance | None, wanted: RepositoryRequest) -> bool:
    """Return True if the fetched repository is the requested one, from the requested source."""
    if provenance is None:
        return False
    request = wanted.source, wanted.repository, wanted.revision
    return request == (provenance.source, provenance.repository, provenance.asked)


def _plan(
    context: FetchContext,
    wanted: RepositoryRequest,
    hub: Hub,
    manifest: Manifest,
    stamps: Stamps,
    *,
    update: bool,
) -> Plan:
    """Compare the hub's listing of one repository with the files that exist.

    To repair a repository, the listing is that of the commit that was fetched, not of the newest.
    """
    before = manifest.repositories.get(wanted.key)
    if before is not None and _is_requested(before, wanted) and not update:
        request = replace(wanted, revision=before.revision)
    else:
        request = wanted
    with translated_errors(hub, request):
        listing = hub.listing(request.repository, request.revision)
    downloads, kept = {}, {}
    recorded = {} if request is wanted else manifest.files_of(wanted.key)
    for name, remote in _needed_files(hub, wanted, listing).items():
        _check_announced(hub, name, remote, recorded.get(name))
        record = _record_if_same(context, name, remote, wanted.key, stamps)
        if record is None:
            downloads[name] = remote
        else:
            kept[name] = record
    return Plan(wanted, hub, listing, downloads, kept)


def _check_announced(hub: Hub, name: str, remote: RemoteFile, recorded: FileRecord | None) -> None:
    """Check that a file's content can be compared, and is what was fetched at this revision.

    A branch such as ModelScope's master moves on, and only ``models fetch --update`` follows.

    Args:
        hub: announces the file.
        name: of the file, relative to the models folder.
        remote: announced size and digest.
        recorded: the manifest's record; ``None``: not fetched yet, or an update.

    Raises:
        DownloadRefused: no digest, or another one than the manifest's.
    """
    if not remote.sha256 and not remote.git_sha1:
        problem = (
            "no digest of it is announced, so its content could not be checked; fetch from another "
            "source (models.source), or bring it by hand and run `models verify --adopt`"
        )
        raise DownloadRefused(f"{hub.title}: {name} is not fetched: {problem}.")
    if recorded is not None and remote.sha256 and remote.sha256 != recorded.sha256:
        problem = (
            "its content has changed there since it was fetched; `models fetch --update` takes "
            "the new one"
        )
        raise DownloadRefused(f"{hub.title}: {name} is not fetched: {problem}.")


def _needed_files(hub: Hub, wanted: RepositoryRequest, listing: Listing) -> dict[str, RemoteFile]:
    """Return the files of a repository that are needed, by their paths below the models folder.

    Raises:
        NotOnHub: a needed file is not in the listing.
    """
    needed = {}
    for part in PARTS.values():
        if part.repository != wanted.key:
            continue
        prefix = f"{part.folder}/" if part.folder else ""
        names = {name.removeprefix(prefix) for name in listing.files if name.startswith(prefix)}
        choice = choose(part, names)
        if choice.missing:
            sentence = f"{wanted.repository} lacks {prefix}{choice.missing[0]}"
            raise NotOnHub(hub.title, sentence, f"models.{wanted.key}")
        for name in choice.files:
            needed[f"{part.place}/{name}"] = listing.files[prefix + name]
    return needed


def _record_if_same(
    context: FetchContext, name: str, remote: RemoteFile, key: str, stamps: Stamps
) -> FileRecord | None:
    """Return a record of the existing file if it has the announced content, else ``None``.

    A file whose stamp is still valid is not hashed again.
    """
    path = context.models / name
    if not path.is_file() or path.stat().st_size != remote.size_bytes:
        return None
    known = stamps.get(name)
    if known is not None and remote.sha256:
        record = FileRecord(key, remote.size_bytes, remote.sha256)
        if not examine(context.models, {name: record}, stamps, now=context.now).faults:
            return record
    digests = digests_of(path)
    return FileRecord(key, remote.size_bytes, digests.sha256) if digests.fit(remote) else None


def _check_room(context: FetchContext, plans: Sequence[Plan]) -> None:
    """Raise unless the disk has room for all downloads and ``SPARE_BYTES``.

    Raises:
        NoRoom: it has not; nothing has been downloaded.
    """
    downloads = [(name, remote) for plan in plans for name, remote in plan.downloads.items()]
    parts = [context.part(name, remote) for name, remote in downloads]
    present_bytes = sum(part.stat().st_size for part in parts if part.exists())
    needed_bytes = sum(remote.size_bytes for _, remote in downloads) - present_bytes
    free_bytes = shutil.disk_usage(context.models).free
    if downloads and needed_bytes + SPARE_BYTES > free_bytes:
        raise NoRoom(context.models, needed_bytes + SPARE_BYTES, free_bytes)


def _download(context: FetchContext, plan: Plan, output: FetchOutput) -> dict[str, FileRecord]:
    """Download the files of a plan into ``.fetch``, verify them and return their records.

    Raises:
        DownloadDamaged: a file's content differs from the announced one, twice.
    """
    records = {}
    for name, remote in plan.downloads.items():
        part = context.part(name, remote)
        _download_file(context, plan, name, remote, output)
        if not (digests := digests_of(part)).fit(remote):
            # Retry from the first byte: a part kept from an earlier fetch may be damaged.
            part.unlink()
            _download_file(context, plan, name, remote, output)
            if not (digests := digests_of(part)).fit(remote):
                part.unlink()
                raise DownloadDamaged(plan.hub.title, name)
        records[name] = FileRecord(plan.wanted.key, remote.size_bytes, digests.sha256)
        output.say(f"{name}: {remote.size_bytes} bytes")
    return records


def _download_file(
    context: FetchContext, plan: Plan, name: str, remote: RemoteFile, output: FetchOutput
) -> None:
    """Complete the partial download of one file, without verifying its content."""
    prefix = f"{REPOSITORIES[plan.wanted.key]}/"
    repository, path = plan.wanted.repository, name.removeprefix(prefix)
    address = plan.hub.address(repository, plan.listing.revision, path)
    request = replace(plan.wanted, revision=plan.listing.revision)
    with translated_errors(plan.hub, request):
        download(
            address,
            plan.hub.headers,
            context.part(name, remote),
            remote,
            lambda done: output.progress(name, done, remote.size_bytes),
        )


def _install(
    context: FetchContext, plan: Plan, fetched: Mapping[str, FileRecord], manifest: Manifest
) -> Manifest:
    """Move the downloads of a plan to their final names; write and return the new manifest.

    A crash in the middle leaves files that the manifest does not describe: the daemon refuses to
    load them, and the next fetch finds them complete and only writes the manifest.
    """
    stamps = read_stamps(context.state, context.models)
    for name, record in fetched.items():
        target = context.models / name
        make_folder(target.parent)
        part = context.part(name, plan.downloads[name])
        part.chmod(0o644)
        replace_durably(part, target)
        stamps[name] = stamp_of(target.stat(), record.sha256, context.now)
    records = {**plan.kept, **fetched}
    _remove_obsolete(context, plan.wanted.key, manifest, records)
    manifest = _updated_manifest(manifest, plan, records, context.now)
    write_manifest(context.models, manifest)
    write_stamps(context.state, context.models, stamps)
    return manifest


def _remove_obsolete(
    context: FetchContext, key: str, before: Manifest, records: Mapping[str, FileRecord]
) -> None:
    """Delete fetched files that are no longer needed.

    A foreign file that would be loaded in place of a fetched one is renamed, not deleted.
    """
    for part in PARTS.values():
        if part.repository != key:
            continue
        for name in before.files_of(key):
            if name not in records and str(PurePosixPath(name).parent) == part.place:
                (context.models / name).unlink(missing_ok=True)
        for name in local_choice(context.models, part).files:
            if name not in records:
                os.replace(context.models / name, context.models / f"{name}{SET_ASIDE}")


def _updated_manifest(
    manifest: Manifest, plan: Plan, records: Mapping[str, FileRecord], now: float
) -> Manifest:
    """Return ``manifest`` with the plan's repository replaced by ``records``."""
    wanted, key = plan.wanted, plan.wanted.key
    revision = plan.listing.revision
    provenance = Provenance(wanted.source, wanted.repository, wanted.revision, revision, now)
    others = {name: file for name, file in manifest.files.items() if file.repository != key}
    return Manifest({**manifest.repositories, key: provenance}, {**others, **records})
