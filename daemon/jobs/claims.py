"""Taking films out of the inbox, and deciding after a crash what each of them needs.

A claim is one rename. Before it, the job's folder says what is meant (CLAIMING); after it, the
folder holds the source. Whoever loses the race finds the source gone and forgets the folder.

``recover`` decides from what lies in a job's folder alone:

====================  ==========  ==============================================================
``job.json``          source      what is done
====================  ==========  ==============================================================
missing, unreadable   absent      nothing was taken: the folder is removed
missing, unreadable   there       the disk has failed us: to failed/, under the job's id
CLAIMING              absent      nothing was taken, the film is in the inbox (or another's)
CLAIMING              there       the claim is completed
CLAIMED, QUEUED       there       it goes on where it was
RUNNING               there       the attempt was counted: it tries again, or is given up
CLAIMED .. RUNNING    absent      somebody removed it from work/: to failed/, without the film
FINISHED, REJECTED    any         publishing is done again; what is published already stays
DONE, FAILED          any         it is remembered in the history and the folder removed
====================  ==========  ==============================================================
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from daemon.config.film_settings import film_settings_file, resolve_settings
from daemon.config.schema import RetrySettings
from daemon.inbox.blocked_paths import claim_refusal
from daemon.inbox.scanner import FileSignature, kind_of, signature_of
from daemon.inbox.settling import Candidate, writer_has
from daemon.jobs.companions import check_cues, copy_mask, cues_beside, move_cues
from daemon.jobs.instances import OWNER_FILE, STATUS_FILE, WORKER_LOGS
from daemon.jobs.job import (
    CUES_FILE,
    LOG_FILE,
    SETTINGS_FILE,
    BrokenJob,
    Job,
    JobState,
    claimed,
    load_job,
    queued,
    rejected,
    requeued,
    save_job,
)
from daemon.jobs.retry import MAX_DELAY_SECONDS, Next, decide
from daemon.storage.atomic import status_if_there, sync_folder
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import remove_tree, rename_no_clobber
from daemon.storage.names import shown, work_name
from daemon.workers.messages import Failure
from erasecore.errors import BadSidecar, Remedy, WorkerLost
from erasecore.settings import EraseSettings

log = structlog.get_logger(__name__)

GONE_PREFIX = ".gone-"


def claim(candidate: Candidate, instance: Path, job_id: str, *, wall: float) -> Job | None:
    """The job that ``candidate`` has become; nothing if another daemon, or its sender, was first.

    Args:
        candidate: a settled film.
        instance: our own folder below work.
        job_id: the new job's name.
        wall: seconds since 1970.

    Raises:
        ClaimRefused: it, or any film of its folder, may not be taken; nothing was changed.
    """
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
    )
    save_job(folder, job)
    (folder / LOG_FILE).touch()
    sync_folder(instance)
    failpoint("claim.after_folder")
    try:
        os.rename(candidate.path, folder / job.source)
    except OSError as error:
        # A server that was asked twice, since its first answer was lost, says that it is not there.
        if status_if_there(folder / job.source) is None:
            _not_taken(candidate, folder, error)
            return None
    sync_folder(folder)
    sync_folder(candidate.path.parent)
    failpoint("claim.after_rename")
    return complete_claim(folder, job, candidate.path)


def _not_taken(candidate: Candidate, folder: Path, error: OSError) -> None:
    """Forget the folder of a job that came to nothing, for another was first or it may not be.

    Raises:
        ClaimRefused: it may not be.
        OSError: something else is wrong; the folder is left for ``recover``.
    """
    refused = claim_refusal(candidate, folder, error)
    if refused is None and not isinstance(error, FileNotFoundError):
        raise error
    discard(folder)
    if refused is not None:
        raise refused from error


def complete_claim(folder: Path, job: Job, came_from: Path) -> Job | None:
    """The job once its source, and the source's own settings and cues, lie in ``folder``."""
    status = (folder / job.source).lstat()
    if not stat.S_ISREG(status.st_mode):
        # It was swapped for something else between our look and our rename.
        log.warning("claim.refused", file=shown(job.name), kind=kind_of(status.st_mode))
        with suppress(FileExistsError):
            rename_no_clobber(folder / job.source, came_from)
            discard(folder)
        return None
    move_cues(film_settings_file(came_from), folder / SETTINGS_FILE)
    failpoint("claim.after_sidecar")
    move_cues(cues_beside(came_from), folder / CUES_FILE)
    failpoint("claim.after_cues")
    job = claimed(job)
    save_job(folder, job)
    failpoint("claim.after_claimed")
    return job


def untouched(folder: Path, job: Job) -> bool:
    """Whether the source still is what was claimed, and nobody here has it open for writing."""
    source = folder / job.source
    return _matches_candidate(job, signature_of(source.lstat())) and not writer_has(source)


def _matches_candidate(job: Job, looks: FileSignature) -> bool:
    """Whether ``looks`` are those of the source as it was claimed."""
    return (looks.size_bytes, looks.mtime_ns) == (job.size_bytes, job.mtime_ns)


def admit(folder: Path, job: Job, inbox: Path, base: EraseSettings, *, now: float) -> Job:
    """The claimed ``job`` with its settings, in the queue; rejected if they cannot be used.

    Raises:
        OSError: its mask cannot be copied; the same call may be made again.
    """
    looks = signature_of((folder / job.source).lstat())
    film, own = inbox / job.relative, folder / SETTINGS_FILE
    try:
        check_cues(cues_beside(film))
        there = status_if_there(own) is not None
        resolved = resolve_settings(film, inbox, base, own=own if there else None)
        if resolved.mask is not None and resolved.mask_named_in is not None:
            name = resolved.mask.relative_to(inbox)
            copy_mask(inbox, name, folder, named_in=resolved.mask_named_in)
            failpoint("claim.after_mask")
    except BadSidecar as error:
        job = rejected(job, Failure(type(error).__name__, error.remedy, str(error)), now=now)
    else:
        since = job.unchanged_since if _matches_candidate(job, looks) else now
        job = queued(job, resolved.settings, size_bytes=looks.size_bytes, mtime_ns=looks.mtime_ns)
        job = replace(job, unchanged_since=since, not_before=0.0)
    save_job(folder, job)
    failpoint("claim.after_queued")
    return job


def discard(folder: Path) -> None:
    """Remove a job's folder, so that a crash in the middle leaves no half of one."""
    gone = folder.with_name(GONE_PREFIX + folder.name)
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    sync_folder(gone.parent)
    failpoint("discard.after_aside")
    remove_tree(gone)
    failpoint("discard.after_removal")


def recover(folder: Path, inbox: Path, retry: RetrySettings, *, wall: float) -> Job | None:
    """What the job in ``folder`` needs, by the table above; nothing if the folder was removed.

    Args:
        folder: a job's folder, now below our own instance.
        inbox: where its source came from.
        retry: how many attempts it has; one that was interrupted was counted before it began.
        wall: seconds since 1970.

    Raises:
        OSError: one cannot know what lies there; nothing was changed.
    """
    try:
        job = load_job(folder)
    except BrokenJob as error:
        return _salvage(folder, error, wall=wall)
    present = status_if_there(folder / job.source) is not None
    if job.state is JobState.CLAIMING:
        if present:
            return complete_claim(folder, job, inbox / job.relative)
        discard(folder)
        return None
    if job.state in (JobState.FINISHED, JobState.REJECTED, JobState.DONE, JobState.FAILED):
        return job
    recovered = _go_on(job, retry, present=present, wall=wall)
    if recovered != job:
        save_job(folder, recovered)
        failpoint("recover.after_save")
    return recovered


def _go_on(job: Job, retry: RetrySettings, *, present: bool, wall: float) -> Job:
    if not present:
        sentence = f"{shown(job.name)}: its source was removed from work/ by somebody else."
        return rejected(job, Failure("SourceGone", Remedy.FIX_HOST, sentence), now=wall)
    if job.state is not JobState.RUNNING:
        # A clock set back must not make a job wait for years.
        return replace(job, not_before=min(job.not_before, wall + MAX_DELAY_SECONDS))
    lost = Failure(
        WorkerLost.__name__,
        WorkerLost.remedy,
        f"{shown(job.name)}: the daemon ended in the middle of an attempt.",
    )
    decision = decide(lost.remedy, job.counted, retry)
    if decision.next is Next.FAIL:
        return rejected(job, lost, now=wall)
    # Once is an accident, and the film goes on at once; of what ends us again others come first.
    delay_seconds = decision.delay_seconds if job.counted > 1 else 0.0
    return requeued(job, lost, now=wall, delay_seconds=delay_seconds, counted=True)


def _salvage(folder: Path, error: BrokenJob, *, wall: float) -> Job | None:
    """A folder whose ``job.json`` cannot be read: its source, if any, is on its way to failed/."""
    source = next(iter(sorted(folder.glob("source*"))), None)
    if source is None:
        discard(folder)
        return None
    log.error("job.broken", folder=str(folder), reason=str(error))
    name = folder.name + source.suffix
    sentence = f"{name}: its job.json could not be read ({error}); the film itself is unharmed."
    status = source.lstat()
    job = Job(
        job_id=folder.name,
        name=name,
        source=source.name,
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        claimed_at=wall,
        state=JobState.REJECTED,
        failure=Failure("BrokenJob", Remedy.FIX_HOST, sentence),
    )
    save_job(folder, job)
    failpoint("recover.after_salvage")
    return job


def job_folders(instance: Path) -> list[Path]:
    """The folders of the jobs that an instance holds, the oldest first."""
    return sorted(
        one for one in instance.iterdir() if one.is_dir() and not one.name.startswith(".")
    )


def sweep(instance: Path) -> None:
    """Finish the removal of folders that a crash interrupted."""
    for gone in instance.glob(f"{GONE_PREFIX}*"):
        remove_tree(gone)


def take_over(abandoned: Path, instance: Path) -> list[Path]:
    """The jobs of an abandoned instance that are ours now, and the rest of it gone.

    Its owner is told first, by the loss of its ``owner.json``: should it still live, it finds out
    at its next heartbeat, even if we die in the middle of this. Each job is taken by one rename: of
    several daemons that try, one gets it.
    """
    (abandoned / OWNER_FILE).unlink(missing_ok=True)
    failpoint("takeover.after_owner")
    try:
        folders = job_folders(abandoned)
    except FileNotFoundError:
        return []  # another daemon has been quicker with all of it
    taken = []
    for folder in folders:
        with suppress(FileNotFoundError):
            os.rename(folder, instance / folder.name)
            taken.append(instance / folder.name)
            failpoint("takeover.after_job")
    sync_folder(instance)
    failpoint("takeover.after_jobs")
    _remove_husk(abandoned)
    return taken


def _remove_husk(instance: Path) -> None:
    """Remove an instance's folder that holds no job any more."""
    with suppress(FileNotFoundError):
        sweep(instance)
        if not job_folders(instance):
            for name in (STATUS_FILE, OWNER_FILE):
                (instance / name).unlink(missing_ok=True)
            failpoint("leave.after_files")
            for pattern in (WORKER_LOGS, ".*.part"):
                for file in instance.glob(pattern):
                    file.unlink(missing_ok=True)
            with suppress(OSError):  # something of somebody's is in it: leave it
                instance.rmdir()


def release_claim(instance: Path) -> None:
    """Remove our own folder when we go, if no job is left in it."""
    _remove_husk(instance)
