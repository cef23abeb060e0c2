"""Claims: atomic transfer of films from the inbox to a job folder, and recovery after a crash.

A claim is one rename. Before it, ``job.json`` records the intent (state CLAIMING); after it, the
job folder contains the source. A daemon that loses the race gets FileNotFoundError and removes its
job folder.

``recover`` decides by the content of a job folder alone:

====================  ==========  ==============================================================
``job.json``          source      action
====================  ==========  ==============================================================
missing, unreadable   absent      nothing was claimed: remove the folder; with other files in it
                                  leave it alone (BrokenJob)
missing, unreadable   present     disk error: publish the source to failed/, by its name or job id
of a later release    any         leave it alone (NewerJob)
CLAIMING              absent      nothing was claimed, the film is in the inbox (or another's):
                                  remove the folder
CLAIMING              present     complete the claim
CLAIMED, QUEUED       present     continue in the same state
RUNNING               present     the attempt is counted: retry, or give up
CLAIMED .. RUNNING    absent      somebody removed it from work/: to failed/, without the film
FINISHED, REJECTED    any         publish again; files that are published already stay
DONE, FAILED          any         record it in the history, remove the folder
====================  ==========  ==============================================================
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import structlog

from daemon.config.film_settings import film_settings_file
from daemon.config.schema import RetrySettings
from daemon.inbox.blocked_paths import claim_refusal
from daemon.inbox.scanner import FileSignature, kind_of, signature_of
from daemon.inbox.settling import Candidate, writer_has
from daemon.jobs.companions import cues_beside, marker_beside, move_companion, plan_beside
from daemon.jobs.instances import (
    ASKED_FOLDER,
    EVENT_FILES,
    OWNER_FILE,
    REQUESTS_FOLDER,
    STATUS_FILE,
    WORKER_LOGS,
)
from daemon.jobs.job import (
    CUES_FILE,
    JOB_FILE,
    LOG_FILE,
    MARKER_FILE,
    SETTINGS_FILE,
    BrokenJob,
    Job,
    JobState,
    claimed,
    load_job,
    rejected,
    requeued,
    save_job,
)
from daemon.jobs.request_folders import (
    has_open_requests,
    move_requests,
    remove_request_folders,
)
from daemon.jobs.retry import MAX_DELAY_SECONDS, Next, decide
from daemon.plans.files import PLAN_FILE
from daemon.storage.below import GONE_ERRNOS, folder_below, status_in
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import move_below, remove_tree
from daemon.storage.names import work_name
from daemon.workers.messages import Failure
from erasecore.errors import Remedy, SourceGone, WorkerLost, printable
from erasecore.system.atomic_files import sync_folder, sync_handle

log = structlog.get_logger(__name__)

SOURCE_PREFIX = "source"
"""Prefix of the source's name in a job folder; see ``work_name``."""
GONE_PREFIX = ".gone-"
"""Prefix of a job folder that is being removed; ``sweep`` finishes an interrupted removal."""


def claim(candidate: Candidate, instance: Path, job_id: str, *, wall: float) -> Job | None:
    """Create a job folder and move a film there by one rename; None if it is not there any more.

    The rename starts from a handle of the film's folder, opened without following links: a folder
    that has been exchanged for a link since the scan gives no file from outside the inbox.

    Args:
        candidate: a settled film of the inbox.
        instance: our instance folder below ``work/``.
        job_id: name of the new job folder.
        wall: seconds since 1970.

    Returns:
        The job; None if the film has changed or is gone, e.g. because somebody else was first.

    Raises:
        ClaimRefused: the film or its whole folder must not be moved; nothing was changed.
        OSError: the claim failed half-way; ``recover`` completes it.
    """
    with ExitStack() as stack:
        try:
            place = folder_below(candidate.inbox, candidate.relative.parent)
            origin = stack.enter_context(place)
            status = status_in(origin, candidate.relative.name)
        except OSError as error:
            if error.errno not in (*GONE_ERRNOS, errno.EACCES, errno.EPERM):
                raise
            return None  # the next scan finds out which of them it is
        if status is None or signature_of(status) != candidate.signature:
            return None
        return _claim_from(origin, candidate, instance, job_id, wall=wall)


def _claim_from(
    origin: int, candidate: Candidate, instance: Path, job_id: str, *, wall: float
) -> Job | None:
    """Claim a film from the open folder ``origin``; see ``claim``."""
    folder = instance / job_id
    folder.mkdir()
    failpoint("claim.after_mkdir")
    job = Job(
        job_id=job_id,
        name=str(candidate.relative),
        source=work_name(candidate.relative),
        size_bytes=candidate.signature.size_bytes,
        mtime_ns=candidate.signature.mtime_ns,
        claimed_at=wall,
        marked=candidate.marked,
    )
    save_job(folder, job)
    (folder / LOG_FILE).touch()
    sync_folder(instance)
    failpoint("claim.after_folder")
    try:
        os.rename(candidate.relative.name, folder / job.source, src_dir_fd=origin)
    except OSError as error:
        # A network file system may repeat a rename, and report ENOENT although it was done.
        if not source_is_there(folder, job):
            _abandon_claim(candidate, origin, folder, error)
            return None
    sync_folder(folder)
    sync_handle(origin)
    failpoint("claim.after_rename")
    if (folder / job.source).lstat().st_ino != candidate.signature.inode:
        # Another file took the name before the rename: nobody knows yet whether it is complete.
        job = replace(job, mtime_ns=0)
    return _complete_from(origin, folder, job, candidate.inbox)


def _abandon_claim(candidate: Candidate, origin: int, folder: Path, error: OSError) -> None:
    """Remove the job folder of a claim whose rename failed with ``error``.

    Raises:
        ClaimRefused: the film must not be moved.
        OSError: ``error`` has another cause; the folder is left for ``recover``.
    """
    refused = claim_refusal(candidate, origin, folder, error)
    if refused is None and not isinstance(error, FileNotFoundError):
        raise error
    discard(folder)
    if refused is not None:
        raise refused from error


def complete_claim(folder: Path, job: Job, inbox: Path) -> Job | None:
    """Move the companions of a claimed film into its job folder; save it as CLAIMED.

    Args:
        folder: the job folder, which contains the source.
        job: the job in state CLAIMING.
        inbox: the inbox, in which the film lay at ``job.relative`` before the rename.

    Returns:
        The job; None if the source is no regular file: it is moved back.
    """
    with ExitStack() as stack:
        origin = None
        try:
            origin = stack.enter_context(folder_below(inbox, job.relative.parent))
        except OSError as error:
            if error.errno not in GONE_ERRNOS:
                raise
        return _complete_from(origin, folder, job, inbox)


def _complete_from(origin: int | None, folder: Path, job: Job, inbox: Path) -> Job | None:
    """Complete a claim from the open folder ``origin``; None: that folder is gone."""
    status = (folder / job.source).lstat()
    if not stat.S_ISREG(status.st_mode):
        # It was replaced between the scan and the rename.
        log.warning("claim.refused", file=printable(job.name), kind=kind_of(status.st_mode))
        move_below(inbox, job.relative, folder / job.source)
        discard(folder)
        return None
    if origin is not None:
        came_from = inbox / job.relative
        move_companion(origin, film_settings_file(came_from), folder / SETTINGS_FILE)
        failpoint("claim.after_sidecar")
        move_companion(origin, cues_beside(came_from), folder / CUES_FILE)
        failpoint("claim.after_cues")
        move_companion(origin, plan_beside(came_from), folder / PLAN_FILE)
        failpoint("claim.after_film_plan")
        if job.marked:
            move_companion(origin, marker_beside(came_from), folder / MARKER_FILE)
    job = claimed(job)
    save_job(folder, job)
    failpoint("claim.after_claimed")
    return job


def source_is_there(folder: Path, job: Job) -> bool:
    """Return True if the job folder lists the source.

    The listing is asked, not the file: an error about one file, even ENOENT, proves nothing.

    Raises:
        OSError: the folder cannot be listed.
    """
    return job.source in os.listdir(folder)  # noqa: PTH208 - names only


def untouched(folder: Path, job: Job) -> bool:
    """Return True if the source is as it was claimed and no local process is writing to it."""
    source = folder / job.source
    return matches_candidate(job, signature_of(source.lstat())) and not writer_has(source)


def matches_candidate(job: Job, signature: FileSignature) -> bool:
    """Return True if size and modification time are those of the source as it was claimed."""
    return (signature.size_bytes, signature.mtime_ns) == (job.size_bytes, job.mtime_ns)


def discard(folder: Path, *, with_source: bool = False) -> bool:
    """Remove a job folder; a crash or an error meanwhile leaves it hidden, for ``sweep``.

    Args:
        folder: the job folder; nothing is done if it is missing.
        with_source: a source that is still in it is removed, too.

    Returns:
        False if it is hidden, but files of it could not be removed.

    Raises:
        OSError: the folder cannot be hidden, or has a source that is to be kept.
    """
    gone = folder.with_name(GONE_PREFIX + folder.name)
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names only
        if not with_source and any(name.startswith(SOURCE_PREFIX) for name in names):
            raise OSError(errno.ENOTEMPTY, "the film is still in it", str(folder))
        folder.rename(gone)
    except FileNotFoundError:
        return True
    sync_folder(gone.parent)
    failpoint("discard.after_aside")
    try:
        remove_tree(gone)
    except OSError as error:
        log.warning("discard.left_over", folder=str(gone), reason=str(error))
        return False
    failpoint("discard.after_removal")
    return True


def recover(folder: Path, inbox: Path, retry: RetrySettings, *, wall: float) -> Job | None:
    """Bring the job in ``folder`` into a consistent state, by the table above.

    Args:
        folder: a job folder, now below our own instance folder.
        inbox: folder that the source came from.
        retry: limits; an interrupted attempt counts, since it was counted before it began.
        wall: seconds since 1970.

    Returns:
        The job as it is saved now; None if the folder was removed.

    Raises:
        BrokenJob: there is no record and no source, but other files; nothing was changed.
        NewerJob: the job is of a later release; nothing was changed.
        OSError: the folder cannot be read; nothing was changed.
    """
    try:
        job = load_job(folder)
    except BrokenJob as error:
        return _salvage(folder, error, wall=wall)
    if job.job_id != folder.name:  # the folder was renamed
        job = replace(job, job_id=folder.name)
        save_job(folder, job)
    present = source_is_there(folder, job)
    if job.state is JobState.CLAIMING:
        if present:
            return complete_claim(folder, job, inbox)
        discard(folder)
        return None
    if job.state in (JobState.FINISHED, JobState.REJECTED, JobState.DONE, JobState.FAILED):
        return job
    recovered = _continued(job, retry, present=present, wall=wall)
    if recovered != job:
        save_job(folder, recovered)
        failpoint("recover.after_save")
    return recovered


def reject_unrecovered(folder: Path, failure: Failure, *, wall: float) -> Job:
    """Save a claimed job that ``recover`` fails on as REJECTED; return it.

    Args:
        folder: the job folder, which contains the source.
        failure: the reason.
        wall: seconds since 1970.

    Raises:
        BrokenJob: ``job.json`` is unreadable.
        FileNotFoundError: nothing was claimed.
        OSError: the folder cannot be read or written.
    """
    job = load_job(folder)
    if job.state is JobState.CLAIMING and not source_is_there(folder, job):
        raise FileNotFoundError(errno.ENOENT, "nothing was claimed", str(folder))
    job = rejected(job, failure, now=wall)
    save_job(folder, job)
    return job


def _continued(job: Job, retry: RetrySettings, *, present: bool, wall: float) -> Job:
    """Return a CLAIMED, QUEUED or RUNNING job as it continues after a crash or takeover.

    Args:
        job: the job as it was saved.
        retry: limits and delays.
        present: the source is in the job folder.
        wall: seconds since 1970.
    """
    if not present:
        sentence = f"{printable(job.name)}: its source was removed from work/ by somebody else."
        return rejected(job, Failure(SourceGone.__name__, SourceGone.remedy, sentence), now=wall)
    if job.state is not JobState.RUNNING:
        # The clock may have been set back: limit the rest of the delay, and the source's age.
        return replace(
            job,
            not_before=min(job.not_before, wall + MAX_DELAY_SECONDS),
            unchanged_since=min(job.unchanged_since, wall),
        )
    lost = Failure(
        WorkerLost.__name__,
        WorkerLost.remedy,
        f"{printable(job.name)}: the daemon ended in the middle of an attempt.",
    )
    decision = decide(lost.remedy, job.counted, retry)
    if decision.next is Next.FAIL:
        return rejected(job, lost, now=wall)
    # No delay after the first crash. If the daemon ends again, other films go before this one.
    delay_seconds = decision.delay_seconds if job.counted > 1 else 0.0
    return requeued(job, lost, now=wall, delay_seconds=delay_seconds, counted=True)


def _salvage(folder: Path, error: BrokenJob, *, wall: float) -> Job | None:
    """Reject the source of a folder whose ``job.json`` is unreadable; None if it has no source.

    Raises:
        BrokenJob: there is no source but other files, which may be somebody's film.
    """
    source = min(folder.glob(f"{SOURCE_PREFIX}*"), default=None)
    if source is None:
        if any(_may_be_film(path) for path in folder.rglob("*")):
            raise BrokenJob(
                f"{folder} has files but no readable {JOB_FILE} ({error}); move what may be a film "
                "into the inbox, then remove the folder",
                error.name,
            ) from error
        discard(folder)
        return None
    log.error("job.broken", folder=str(folder), reason=str(error))
    name = error.name or folder.name + source.suffix
    reason = f"its job.json could not be read ({error}); the film itself is unharmed."
    status = source.lstat()
    job = Job(
        job_id=folder.name,
        name=name,
        source=source.name,
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        claimed_at=wall,
        state=JobState.REJECTED,
        failure=Failure("BrokenJob", Remedy.FIX_HOST, f"{printable(name)}: {reason}"),
    )
    save_job(folder, job)
    failpoint("recover.after_salvage")
    return job


def _may_be_film(path: Path) -> bool:
    """Return True for a file with content that is no record, log or temporary file of ours."""
    ours = path.name in (JOB_FILE, LOG_FILE) or path.name.startswith(".")
    return not ours and path.is_file() and path.stat().st_size > 0


def job_folders(instance: Path) -> list[Path]:
    """Return the job folders of an instance, the oldest first (job ids sort by time).

    What cannot be inspected is taken for one: it is better met with an error than passed over.
    """
    with os.scandir(instance) as entries:
        return sorted(Path(one.path) for one in entries if _may_be_job(one))


def _may_be_job(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name in (ASKED_FOLDER, REQUESTS_FOLDER):
        return False
    try:
        return entry.is_dir()
    except OSError:
        return True


def sweep(instance: Path) -> None:
    """Remove the job folders whose removal a crash or an error has interrupted.

    Raises:
        OSError: at least one could not be removed; the others are.
    """
    first_error: OSError | None = None
    for gone in instance.glob(f"{GONE_PREFIX}*"):
        try:
            remove_tree(gone)
        except OSError as error:
            first_error = first_error or error
    if first_error is not None:
        raise first_error


def take_over(abandoned: Path, instance: Path) -> list[Path]:
    """Move the job folders of an abandoned instance into ours; return their new paths.

    ``owner.json`` is removed first: if the owner is alive after all, its next heartbeat fails, even
    if we crash meanwhile. Each job is moved by one rename, so that of several daemons that try,
    exactly one gets it. The rest of the abandoned folder is removed, unless a job could not be
    moved: it is tried again with the next check.

    Args:
        abandoned: folder of an instance whose owner is dead or whose lease has expired.
        instance: our own instance folder.
    """
    (abandoned / OWNER_FILE).unlink(missing_ok=True)
    failpoint("takeover.after_owner")
    try:
        folders = job_folders(abandoned)
    except FileNotFoundError:
        return []  # another daemon has taken over the whole folder
    taken = []
    for folder in folders:
        try:
            os.rename(folder, instance / folder.name)
        except FileNotFoundError:  # another daemon has taken it over
            continue
        except OSError as error:
            log.warning("claims.not_taken_over", folder=str(folder), reason=str(error))
            continue
        taken.append(instance / folder.name)
        failpoint("takeover.after_job")
    sync_folder(instance)
    failpoint("takeover.after_jobs")
    with suppress(OSError):  # tried again with the next check: the folder stays until then
        move_requests(abandoned, instance)
    with suppress(OSError):  # what is left is removed with the next check
        release_claim(abandoned)
    return taken


def release_claim(instance: Path) -> None:
    """Remove an instance folder with its files, unless a job or a foreign file is left in it.

    It stays as well while it has requests that are not answered: the next daemon takes them over.
    """
    with suppress(FileNotFoundError):
        sweep(instance)
        if not job_folders(instance) and not has_open_requests(instance):
            remove_request_folders(instance)
            for name in (STATUS_FILE, OWNER_FILE):
                (instance / name).unlink(missing_ok=True)
            failpoint("leave.after_files")
            for pattern in (WORKER_LOGS, EVENT_FILES, ".*.part"):
                for file in instance.glob(pattern):
                    file.unlink(missing_ok=True)
            with suppress(OSError):  # not empty: somebody else has put a file there
                instance.rmdir()
