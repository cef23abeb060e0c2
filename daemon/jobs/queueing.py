"""Admission of claimed jobs to the queue: their settings are resolved, their mask is copied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import structlog

from daemon.config.film_settings import ResolvedSettings, resolve_settings
from daemon.config.locations import DuplicateMode
from daemon.inbox.scanner import signature_of
from daemon.jobs.claims import matches_candidate
from daemon.jobs.companions import check_companions, copy_mask, mask_bytes
from daemon.jobs.duplicates import Twin
from daemon.jobs.job import (
    LOG_FILE,
    SETTINGS_FILE,
    Job,
    JobState,
    moved,
    queued,
    rejected,
    save_job,
)
from daemon.jobs.report_files import write_duplicate_report
from daemon.runtime.logs import job_bound
from daemon.storage.copy_progress import CopyProgress
from daemon.storage.failpoints import failpoint
from daemon.workers.messages import Failure
from erasecore.errors import BadSidecar, printable
from erasecore.settings import EraseSettings
from erasecore.system.atomic_files import status_if_there

log = structlog.get_logger(__name__)

QUICK_MASK_BYTES = 4 << 20
"""Largest mask that is copied within a turn of the main loop, in bytes; a guess."""


def admit(
    folder: Path,
    job: Job,
    inbox: Path,
    base: EraseSettings,
    *,
    now: float,
    progress: CopyProgress | None = None,
) -> Job:
    """Resolve the settings of a claimed job and save it as QUEUED, or as REJECTED if they are bad.

    Args:
        folder: the job folder.
        job: the job in state CLAIMED, its source complete.
        inbox: the inbox, with the settings files of the film's folders.
        base: the operator's erase settings, which the film's settings override.
        now: seconds since 1970.
        progress: it may stop the copy of a mask.

    Raises:
        CopyStopped: it was stopped; the call may be repeated.
        OSError: the mask cannot be copied; the call may be repeated.
    """
    signature = signature_of((folder / job.source).lstat())
    try:
        check_companions(inbox, inbox / job.relative)
        resolved = _settings_of(folder, job, inbox, base)
        for warning in resolved.warnings:
            log.warning("settings.outdated", sentence=printable(warning))
        _copy_mask_of(resolved, inbox, folder, progress)
    except BadSidecar as error:
        job = rejected(job, Failure(type(error).__name__, error.remedy, str(error)), now=now)
    else:
        since = job.unchanged_since if matches_candidate(job, signature) else now
        size_bytes, mtime_ns = signature.size_bytes, signature.mtime_ns
        job = queued(job, resolved.settings, size_bytes=size_bytes, mtime_ns=mtime_ns)
        job = replace(job, unchanged_since=since, not_before=0.0)
    save_job(folder, job)
    failpoint("claim.after_queued")
    return job


def as_duplicate(folder: Path, job: Job, twin: Twin) -> Job:
    """Save a queued job whose content has been done before: as finished, or with that name.

    A crash before it leaves the job QUEUED: it is worked on once more.

    Raises:
        OSError: the folder cannot be written; the call may be repeated.
    """
    if twin.mode is DuplicateMode.NUMBER:
        job = replace(job, named_like=twin.content.published_as)
    else:
        write_duplicate_report(folder, job, twin.content)
        job = moved(job, JobState.FINISHED)
    save_job(folder, job)
    like = printable(twin.content.published_as)
    with job_bound(job.job_id, folder / LOG_FILE):
        log.info("job.duplicate", film=printable(job.name), like=like, treatment=twin.mode.value)
    return job


def _copy_mask_of(
    resolved: ResolvedSettings, inbox: Path, folder: Path, progress: CopyProgress | None
) -> None:
    """Copy the mask that the settings name, if they do, into the job folder; see ``admit``."""
    if resolved.mask is not None and resolved.mask_named_in is not None:
        name = resolved.mask.relative_to(inbox)
        copy_mask(inbox, name, folder, named_in=resolved.mask_named_in, progress=progress)
        failpoint("claim.after_mask")


def has_large_mask(folder: Path, job: Job, inbox: Path, base: EraseSettings) -> bool:
    """Return True if the mask of a claimed job is so large that its copy may take long."""
    try:
        mask = _settings_of(folder, job, inbox, base).mask
    except BadSidecar:
        return False
    return mask is not None and mask_bytes(inbox, mask.relative_to(inbox)) > QUICK_MASK_BYTES


def _settings_of(folder: Path, job: Job, inbox: Path, base: EraseSettings) -> ResolvedSettings:
    """Return the settings of a claimed job: ``base`` with its folders' and its own."""
    own = folder / SETTINGS_FILE
    has_own = status_if_there(own) is not None
    return resolve_settings(inbox / job.relative, inbox, base, own=own if has_own else None)
