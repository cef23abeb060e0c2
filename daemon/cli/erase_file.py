"""Erasing one film by a worker process: work folder, publication of result and subtitle file.

The work folder lies beside the result and is named for both films. It stays behind when the program
is killed or interrupted, so that the same command goes on with the finished segments.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from daemon.cli.film_worker import AttemptFailed, FilmWorker, Observe, Stopped
from daemon.config.locations import SubtitleNames
from daemon.config.schema import Config
from daemon.inbox.scanner import kind_of
from daemon.jobs.report_files import SRT_ENDING, SRT_FILE
from daemon.jobs.subtitle_language import language_of_file
from daemon.storage.names import MAX_NAME_BYTES, fitted
from daemon.workers.messages import Finished, Start
from daemon.workers.pool import WORKER_LOG
from daemon.workers.process import WORKER_COMMAND
from erasecore.errors import (
    FolderError,
    InputError,
    Remedy,
    UnsafeFile,
    printable,
)
from erasecore.reports import EraseReport
from erasecore.settings import Companions, TimeRange
from erasecore.system.atomic_files import replace_durably, sync_folder
from erasecore.system.no_clobber import rename_no_clobber

__all__ = ["AttemptFailed", "EraseRequest", "Observe", "Stopped", "erase_file"]

BEFORE_FILE = "before"
"""Name in the work folder of a preview's film before erasing; see ``erasecore.excerpts``."""
LOCK_FILE = "lock"
"""Name of the file in the work folder that the program at work holds locked."""


@dataclass(frozen=True, slots=True)
class EraseRequest:
    """One film to be erased, and the path of its result."""

    source: Path
    result: Path
    force: bool = False  # True: an existing file ``result`` may be replaced
    companions: Companions = field(default_factory=Companions)

    subtitle_names: SubtitleNames = SubtitleNames.LANGUAGE
    span: TimeRange | None = None  # stretch that is erased; None: all
    preview_seconds: float = 0.0  # length of the hardest stretch, for a preview; 0: none
    by_ending: bool = False  # True: the ending of ``result`` decides the container
    log: str = ""  # file that the worker's log lines are appended to; empty: none

    def srt(self, work_file: Path) -> Path:
        """Return the path of the subtitle file; an existing file is not replaced.

        Args:
            work_file: the file with the erased text, whose script decides.
        """
        stem, ending = self.result.name, SRT_ENDING
        if self.subtitle_names is SubtitleNames.LANGUAGE:
            stem, ending = self.result.stem, f".{language_of_file(work_file)}{SRT_ENDING}"
        return self.result.with_name(fitted(stem, MAX_NAME_BYTES - len(ending)) + ending)

    @property
    def before(self) -> Path:
        """Path of the preview's film before erasing."""
        ending = f".before{self.result.suffix}"
        stem = fitted(self.result.stem, MAX_NAME_BYTES - len(ending))
        return self.result.with_name(stem + ending)

    @property
    def work_folder(self) -> Path:
        """Folder of the unfinished work; the same for each call with the same films."""
        names = f"{self.source.resolve()}\0{self.result.resolve()}\0{self.span}"
        digest = hashlib.sha256(os.fsencode(names)).hexdigest()[:10]
        return self.result.parent / f".{digest}.erase.part"


def erase_file(
    request: EraseRequest,
    config: Config,
    observe: Observe,
    *,
    worker: FilmWorker | None = None,
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> EraseReport:
    """Write ``request.source`` without its subtitles to ``request.result``; return the report.

    The result is published atomically, its subtitle file first. The work is done in a hidden folder
    beside the result; it is removed unless the work can go on later.

    Args:
        request: the films.
        config: settings; ``config.erase`` are the film's.
        observe: progress callback.
        worker: does the work; ``None``: one of its own, with ``worker_command``.
        worker_command: program of that worker.

    Raises:
        EraseError: the film or the host prevents it; the text says the next step.
        Stopped: the user interrupted it; the same call goes on with the finished segments.
    """
    _check(request)
    try:
        with _locked_folder(request.work_folder) as folder:
            if worker is not None:
                return _erase_in(folder, request, config, observe, worker)
            log = folder / WORKER_LOG
            with FilmWorker(config, log, worker_command=worker_command) as own:
                return _erase_in(folder, request, config, observe, own)
    except OSError as error:
        sentence = f"{error.strerror or error}; choose another place or mend it."
        raise FolderError(request.result.parent, sentence) from error


@contextmanager
def _locked_folder(folder: Path) -> Iterator[Path]:
    """Make or take up the work folder; remove it in the end, unless the work can go on later.

    Raises:
        FolderError: another program is at work in it.
    """
    folder.mkdir(exist_ok=True)
    with (folder / LOCK_FILE).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            sentence = "another program erases the same film to the same place; wait for it."
            raise FolderError(folder, sentence) from error
        keep = False
        try:
            yield folder
        except Stopped:
            keep = True
            raise
        except AttemptFailed as error:
            keep = error.failure.remedy is Remedy.FIX_HOST
            raise
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)


def _erase_in(
    folder: Path, request: EraseRequest, config: Config, observe: Observe, worker: FilmWorker
) -> EraseReport:
    """Erase the film in its work folder, and publish the result."""
    outcome = worker.run(_start_of(request, folder, config), observe)
    assert isinstance(outcome, Finished)
    report = outcome.report
    warnings = list(report.warnings)
    request = _fitting(request, report)
    srt = request.srt(folder / SRT_FILE)
    if not _publish_srt(folder / SRT_FILE, srt):
        warnings.append(f"{printable(srt.name)} was there already and is left as it was")
    before = folder / BEFORE_FILE
    if before.exists():
        _publish_result(before, replace(request, result=request.before))
    _publish_result(folder / report.result, request)
    return replace(report, warnings=tuple(warnings), result=request.result.name)


def _start_of(request: EraseRequest, folder: Path, config: Config) -> Start:
    """Return the work for the worker."""
    return Start(
        job_id="erase",
        attempt=1,
        source=str(request.source.resolve()),
        folder=str(folder.resolve()),
        shown_as=printable(request.source.name),
        log=request.log,
        settings=config.erase,
        companions=request.companions,
        span=request.span,
        preview_seconds=request.preview_seconds,
        ending=request.result.suffix.lower() if request.by_ending else "",
    )


def _check(request: EraseRequest) -> None:
    """Raise unless the source is a regular file and the result may be written.

    Raises:
        InputError: the source does not exist, cannot be read or is not a regular file.
        FolderError: the result exists, is the source itself, or has no folder.
    """
    check_film(request.source)
    if os.path.lexists(request.result):
        if request.result.exists() and request.result.samefile(request.source):
            raise FolderError(request.result, "is the source itself; name another file.")
        if not request.force:
            raise FolderError(
                request.result, "is there already; name another file, or use --force."
            )
    elif not request.result.parent.is_dir():
        raise FolderError(request.result.parent, "is no folder; make it, or name another place.")


def check_film(source: Path) -> None:
    """Raise unless ``source`` is a regular file.

    Raises:
        InputError: it does not exist, cannot be read or is not a regular file.
    """
    try:
        mode = source.stat().st_mode
    except FileNotFoundError as error:
        raise InputError(source, "there is no such file; correct the path.") from error
    except OSError as error:
        raise InputError(source, f"cannot be read ({error.strerror}).") from error
    if not stat.S_ISREG(mode):
        raise UnsafeFile(source, kind_of(mode))


def _fitting(request: EraseRequest, report: EraseReport) -> EraseRequest:
    """Return ``request`` with the ending of what was made; it differs only in two cases.

    A film without subtitles is copied, and keeps its container; another one, whose container cannot
    store the result, gets Matroska.

    Raises:
        FolderError: there is a file of that name already.
    """
    ending = Path(report.result).suffix
    if ending.lower() == request.result.suffix.lower():
        return request
    result = request.result.with_suffix(ending)
    if os.path.lexists(result) and not request.force:
        raise FolderError(result, "is there already; name another file, or use --force.")
    return replace(request, result=result)


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
