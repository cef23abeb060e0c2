"""The command ``erase IN OUT``: one film by a worker process, without inbox, queue or history."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ulid import ULID

from daemon.config.locations import SubtitleNames
from daemon.config.schema import Config
from daemon.inbox.scanner import kind_of
from daemon.jobs.report_files import SRT_ENDING, SRT_FILE
from daemon.jobs.retry import Next, decide, given_up
from daemon.jobs.subtitle_language import language_of_file
from daemon.runtime.wakeup import Wakeup
from daemon.storage.names import MAX_NAME_BYTES, fitted
from daemon.workers.messages import Failed, Failure, Finished, Ready, Start
from daemon.workers.pool import WORKER_LOG
from daemon.workers.process import WORKER_COMMAND, Report, Supervisor, WorkerBroken
from erasecore.errors import EraseError, FolderError, HostError, InputError, UnsafeFile, printable
from erasecore.reports import EraseReport, Progress
from erasecore.settings import Companions
from erasecore.system.atomic_files import replace_durably, sync_folder
from erasecore.system.no_clobber import rename_no_clobber

Observe = Callable[[Progress | None], None]
"""Progress callback; receives ``None`` as long as the worker has reported no progress."""
POLL_SECONDS = 0.5
"""Longest sleep between two checks of the worker; also the period of ``Observe``. Guess."""


class Stopped(Exception):
    """The user interrupted the command (SIGINT or SIGTERM)."""


class AttemptFailed(EraseError):
    """The film failed; the text is the worker's sentence."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.sentence)


@dataclass(frozen=True, slots=True)
class EraseRequest:
    """One film to be erased, and the path of its result."""

    source: Path
    result: Path
    force: bool = False  # True: an existing file ``result`` may be replaced
    companions: Companions = field(default_factory=Companions)

    subtitle_names: SubtitleNames = SubtitleNames.LANGUAGE

    def srt(self, work_file: Path) -> Path:
        """Return the path of the subtitle file; an existing file is not replaced.

        Args:
            work_file: the file with the erased text, whose script decides.
        """
        stem, ending = self.result.name, SRT_ENDING
        if self.subtitle_names is SubtitleNames.LANGUAGE:
            stem, ending = self.result.stem, f".{language_of_file(work_file)}{SRT_ENDING}"
        return self.result.with_name(fitted(stem, MAX_NAME_BYTES - len(ending)) + ending)


def erase_file(
    request: EraseRequest,
    config: Config,
    observe: Observe,
    *,
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> EraseReport:
    """Write ``request.source`` without its subtitles to ``request.result``; return the report.

    The result is published atomically, its subtitle file first. The work is done in a hidden
    folder beside the result, which is always removed.

    Raises:
        EraseError: the film or the host prevents it; the text says the next step.
        Stopped: the user interrupted it; no file is left behind.
    """
    _check(request)
    folder = request.result.parent / f".{str(ULID())[-10:].lower()}.erase.part"
    wake = Wakeup()
    try:
        folder.mkdir()
        supervisor = Supervisor(config.worker, config.host(), folder / WORKER_LOG, worker_command)
        with wake.signals():
            try:
                report = _run_attempts(request, folder, config, supervisor, wake, observe=observe)
            finally:
                supervisor.dismiss()
        warnings = [*report.warnings, *_suffix_warnings(report.result, request.result)]
        srt = request.srt(folder / SRT_FILE)
        if not _publish_srt(folder / SRT_FILE, srt):
            name = printable(srt.name)
            warnings.append(f"{name} was there already and is left as it was")
        _publish_result(folder / report.result, request)
    except OSError as error:
        sentence = f"{error.strerror or error}; choose another place or mend it."
        raise FolderError(request.result.parent, sentence) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        wake.close()
    return replace(report, warnings=tuple(warnings))


def _check(request: EraseRequest) -> None:
    """Raise unless the source is a regular file and the result may be written.

    Raises:
        InputError: the source does not exist, cannot be read or is not a regular file.
        FolderError: the result exists, is the source itself, or has no folder.
    """
    try:
        mode = request.source.stat().st_mode
    except FileNotFoundError as error:
        raise InputError(request.source, "there is no such file; correct the path.") from error
    except OSError as error:
        raise InputError(request.source, f"cannot be read ({error.strerror}).") from error
    if not stat.S_ISREG(mode):
        raise UnsafeFile(request.source, kind_of(mode))
    if os.path.lexists(request.result):
        if request.result.exists() and request.result.samefile(request.source):
            raise FolderError(request.result, "is the source itself; name another file.")
        if not request.force:
            raise FolderError(
                request.result, "is there already; name another file, or use --force."
            )
    elif not request.result.parent.is_dir():
        raise FolderError(request.result.parent, "is no folder; make it, or name another place.")


def _run_attempts(
    request: EraseRequest,
    folder: Path,
    config: Config,
    supervisor: Supervisor,
    wake: Wakeup,
    *,
    observe: Observe,
) -> EraseReport:
    """Run attempts, as often as the retry settings allow, and return the report of the last one.

    After each attempt whose worker was killed (out of memory) the next one uses smaller pieces.

    Raises:
        AttemptFailed: the last attempt failed.
        HostError: the worker cannot work at all.
        Stopped: the user interrupted it.
    """
    attempt = killed = 0
    while True:
        attempt += 1
        start = Start(
            job_id="erase",
            attempt=attempt,
            source=str(request.source.resolve()),
            folder=str(folder.resolve()),
            shown_as=printable(request.source.name),
            log="",
            settings=config.erase,
            companions=request.companions,
            rungs_down=2**killed - 1,
        )
        outcome = _run_attempt(start, supervisor, wake, observe)
        if isinstance(outcome, Finished):
            return outcome.report
        killed += outcome.failure.killed
        if decide(outcome.failure.remedy, attempt, config.retry).next is not Next.REQUEUE:
            raise AttemptFailed(given_up(outcome.failure))


def _run_attempt(
    start: Start, supervisor: Supervisor, wake: Wakeup, observe: Observe
) -> Finished | Failed:
    """Run one attempt, in a new worker process if there is none, and return its outcome."""
    if supervisor.pid is None:
        supervisor.spawn(now=time.monotonic())
        while not any(isinstance(report, Ready) for report in _next_reports(supervisor, wake)):
            observe(None)
    supervisor.begin(start, now=time.monotonic())
    while True:
        for report in _next_reports(supervisor, wake):
            if isinstance(report, Finished | Failed):
                return report
        observe(supervisor.progress)


def _next_reports(supervisor: Supervisor, wake: Wakeup) -> list[Report]:
    """Wait for the worker, at most ``POLL_SECONDS``, and return what it has reported.

    Raises:
        HostError: the worker cannot work at all.
        Stopped: the user interrupted the command.
    """
    wake.sleep(POLL_SECONDS, supervisor.fileno())
    if wake.stops:
        raise Stopped
    reports = supervisor.step(now=time.monotonic())
    for report in reports:
        if isinstance(report, WorkerBroken):
            raise HostError(f"the worker cannot work: {report.sentence}")
    return reports


def _suffix_warnings(work_name: str, result: Path) -> Iterator[str]:
    """Yield a warning if the suffix of ``result`` differs from that of the container in it.

    Args:
        work_name: name that the worker gave to the result, with the right suffix.
        result: path that the user asked for.
    """
    suffix = Path(work_name).suffix
    if suffix.lower() != result.suffix.lower():
        name = printable(result.with_suffix(suffix).name)
        yield f"films keep their container: what is in it is a {suffix} file; {name} would fit"


def _publish_srt(work_file: Path, srt: Path) -> bool:
    """Move the subtitle file ``work_file``, if there is one, to ``srt``, never over a file.

    Returns:
        False if there is one but ``srt`` exists already: both are left as they are. Else True.
    """
    if work_file.exists():
        try:
            rename_no_clobber(work_file, srt)
        except FileExistsError:
            return False
    return True


def _publish_result(work_file: Path, request: EraseRequest) -> None:
    """Move the result to its path atomically; an existing file is replaced only with ``force``."""
    if request.force:
        replace_durably(work_file, request.result)
    else:
        rename_no_clobber(work_file, request.result)
        sync_folder(request.result.parent)
