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
from daemon.runtime.wakeup import Wake
from daemon.storage.atomic import sync_folder
from daemon.storage.moves import rename_new
from daemon.storage.names import MAX_NAME_BYTES, fitted, shown
from daemon.workers.messages import Failed, Fault, Finished, Hello, Start
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

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.sentence)


@dataclass(frozen=True, slots=True)
class Errand:
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
    errand: Errand,
    config: Config,
    observe: Observe,
    *,
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> EraseReport:
    """What was done to ``errand.source``; the film without subtitles is ``errand.result`` then.

    The result appears whole or not at all, its subtitle file first; the work is done in a hidden
    folder beside it.

    Raises:
        EraseError: why not, as a sentence.
        Stopped: the user interrupted it; nothing is left behind.
    """
    _check(errand)
    folder = errand.result.parent / f".{str(ULID())[-10:].lower()}.erase.part"
    wake = Wake()
    try:
        folder.mkdir()
        supervisor = Supervisor(config.worker, config.host(), folder / WORKER_LOG, worker_command)
        with wake.signals():
            try:
                report = _attempts(errand, folder, config, supervisor, wake, observe=observe)
            finally:
                supervisor.dismiss()
        warnings = [*report.warnings, *_misnamed(report.result, errand.result)]
        if not _keep_srt(folder / SRT_FILE, errand.srt):
            warnings.append(f"{shown(errand.srt.name)} was there already and is left as it was")
        _keep(folder / report.result, errand)
    except OSError as error:
        sentence = f"{error.strerror or error}; choose another place or mend it."
        raise FolderError(errand.result.parent, sentence) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        wake.close()
    return replace(report, warnings=tuple(warnings))


def _check(errand: Errand) -> None:
    try:
        mode = errand.source.stat().st_mode
    except FileNotFoundError as error:
        raise InputError(errand.source, "there is no such file; correct the path.") from error
    except OSError as error:
        raise InputError(errand.source, f"cannot be read ({error.strerror}).") from error
    if not stat.S_ISREG(mode):
        raise UnsafeFile(errand.source, kind_of(mode))
    if os.path.lexists(errand.result):
        if errand.result.exists() and errand.result.samefile(errand.source):
            raise FolderError(errand.result, "is the source itself; name another file.")
        if not errand.force:
            raise FolderError(errand.result, "is there already; name another file, or use --force.")
    elif not errand.result.parent.is_dir():
        raise FolderError(errand.result.parent, "is no folder; make it, or name another place.")


def _attempts(
    errand: Errand,
    folder: Path,
    config: Config,
    supervisor: Supervisor,
    wake: Wake,
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
            source=str(errand.source.resolve()),
            folder=str(folder.resolve()),
            shown_as=shown(errand.source.name),
            log="",
            settings=config.erase,
            companions=errand.companions,
            rungs_down=2**killed - 1,
        )
        outcome = _attempt(start, supervisor, wake, observe)
        if isinstance(outcome, Finished):
            return outcome.report
        killed += outcome.fault.killed
        if decide(outcome.fault.remedy, number, config.retry).next is not Next.REQUEUE:
            raise AttemptFailed(given_up(outcome.fault))


def _attempt(
    start: Start, supervisor: Supervisor, wake: Wake, observe: Observe
) -> Finished | Failed:
    if supervisor.pid is None:
        supervisor.spawn(now=time.monotonic())
        while not any(isinstance(one, Hello) for one in _hear(supervisor, wake)):
            observe(None)
    supervisor.begin(start, now=time.monotonic())
    while True:
        for report in _hear(supervisor, wake):
            if isinstance(report, Finished | Failed):
                return report
        observe(supervisor.progress)


def _hear(supervisor: Supervisor, wake: Wake) -> list[Report]:
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
            rename_new(made, srt)
        except FileExistsError:
            return False
    return True


def _keep(made: Path, errand: Errand) -> None:
    """Give the result its name, replacing nothing that must not be."""
    if errand.force:
        os.replace(made, errand.result)
    else:
        rename_new(made, errand.result)
    sync_folder(errand.result.parent)
