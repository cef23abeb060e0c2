"""``erase IN OUT``: one film through the same worker process, without inbox and folders."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ulid import ULID

from daemon.config.schema import Config
from daemon.inbox.scanner import kind_of
from daemon.jobs.report_files import SRT_ENDING, SRT_FILE
from daemon.jobs.retry import Next, decide, given_up
from daemon.runtime.wakeup import Wakeup
from daemon.storage.atomic import sync_folder
from daemon.storage.moves import rename_no_clobber
from daemon.storage.names import MAX_NAME_BYTES, fitted, shown
from daemon.workers.messages import Failed, Failure, Finished, Ready, Start
from daemon.workers.pool import WORKER_LOG
from daemon.workers.process import WORKER_COMMAND, Report, Supervisor, WorkerBroken
from erasecore.errors import EraseError, FolderError, HostError, InputError, UnsafeFile
from erasecore.reports import EraseReport, Progress
from erasecore.settings import Companions

Observe = Callable[[Progress | None], None]
LOOK_SECONDS = 0.5


class Stopped(Exception):
    """The user did not want to wait."""


class AttemptFailed(EraseError):
    """The film could not be done; the text is the worker's own sentence."""

    def __init__(self, fault: Failure) -> None:
        self.fault = fault
        super().__init__(fault.sentence)


@dataclass(frozen=True, slots=True)
class EraseRequest:
    """One film to be erased, and where it is to go."""

    source: Path
    result: Path
    force: bool = False  # whether a film that has the result's name may be replaced
    companions: Companions = field(default_factory=Companions)

    @property
    def srt(self) -> Path:
        """Where the erased text goes, unless something is there already."""
        name = fitted(self.result.name, MAX_NAME_BYTES - len(SRT_ENDING))
        return self.result.with_name(name + SRT_ENDING)


def erase_file(
    request: EraseRequest,
    config: Config,
    observe: Observe,
    *,
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> EraseReport:
    """What was done to ``request.source``; the film without subtitles is ``request.result`` then.

    The result appears whole or not at all, its subtitle file first; the work is done in a hidden
    folder beside it.

    Raises:
        EraseError: why not, as a sentence.
        Stopped: the user interrupted it; nothing is left behind.
    """
    _check(request)
    folder = request.result.parent / f".{str(ULID())[-10:].lower()}.erase.part"
    wake = Wakeup()
    try:
        folder.mkdir()
        supervisor = Supervisor(config.worker, config.host(), folder / WORKER_LOG, worker_command)
        with wake.signals():
            try:
                report = _attempts(request, folder, config, supervisor, wake, observe=observe)
            finally:
                supervisor.dismiss()
        warnings = [*report.warnings, *_misnamed(report.result, request.result)]
        if not _keep_srt(folder / SRT_FILE, request.srt):
            warnings.append(f"{shown(request.srt.name)} was there already and is left as it was")
        _keep(folder / report.result, request)
    except OSError as error:
        sentence = f"{error.strerror or error}; choose another place or mend it."
        raise FolderError(request.result.parent, sentence) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        wake.close()
    return replace(report, warnings=tuple(warnings))


def _check(request: EraseRequest) -> None:
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


def _attempts(
    request: EraseRequest,
    folder: Path,
    config: Config,
    supervisor: Supervisor,
    wake: Wakeup,
    *,
    observe: Observe,
) -> EraseReport:
    """Try until it is done, or there is no point in trying again."""
    number = killed = 0
    while True:
        number += 1
        start = Start(
            job_id="erase",
            attempt=number,
            source=str(request.source.resolve()),
            folder=str(folder.resolve()),
            shown_as=shown(request.source.name),
            log="",
            settings=config.erase,
            companions=request.companions,
            rungs_down=2**killed - 1,
        )
        outcome = _attempt(start, supervisor, wake, observe)
        if isinstance(outcome, Finished):
            return outcome.report
        killed += outcome.failure.killed
        if decide(outcome.failure.remedy, number, config.retry).next is not Next.REQUEUE:
            raise AttemptFailed(given_up(outcome.failure))


def _attempt(
    start: Start, supervisor: Supervisor, wake: Wakeup, observe: Observe
) -> Finished | Failed:
    if supervisor.pid is None:
        supervisor.spawn(now=time.monotonic())
        while not any(isinstance(one, Ready) for one in _process_reports(supervisor, wake)):
            observe(None)
    supervisor.begin(start, now=time.monotonic())
    while True:
        for report in _process_reports(supervisor, wake):
            if isinstance(report, Finished | Failed):
                return report
        observe(supervisor.progress)


def _process_reports(supervisor: Supervisor, wake: Wakeup) -> list[Report]:
    wake.sleep(LOOK_SECONDS, supervisor.fileno())
    if wake.stops:
        raise Stopped
    reports = supervisor.step(now=time.monotonic())
    for report in reports:
        if isinstance(report, WorkerBroken):
            raise HostError(f"the worker cannot work: {report.sentence}")
    return reports


def _misnamed(made: str, result: Path) -> Iterator[str]:
    """What to say if the ending of the result's name is not that of its content."""
    ending = Path(made).suffix
    if ending.lower() != result.suffix.lower():
        name = shown(result.with_suffix(ending).name)
        yield f"films keep their container: what is in it is a {ending} file; {name} would fit"


def _keep_srt(made: Path, srt: Path) -> bool:
    """Give the erased text its name, if there is any; false where something has the name."""
    if made.exists():
        try:
            rename_no_clobber(made, srt)
        except FileExistsError:
            return False
    return True


def _keep(made: Path, request: EraseRequest) -> None:
    """Give the result its name, replacing nothing that must not be."""
    if request.force:
        os.replace(made, request.result)
    else:
        rename_no_clobber(made, request.result)
    sync_folder(request.result.parent)
