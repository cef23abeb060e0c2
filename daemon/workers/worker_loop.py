"""Main loop of a worker process: reads Start messages, sends heartbeats and outcomes.

It does not process pixels: the function that erases a film is passed in by ``daemon.worker``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from daemon.storage.failpoints import failpoint
from daemon.storage.moves import digest_of
from daemon.storage.os_errors import film_hint_for, hint_for
from daemon.workers.messages import (
    Failed,
    Failure,
    Finished,
    Message,
    MessageError,
    Planned,
    ProgressUpdate,
    Ready,
    Start,
    Task,
    decode,
    encode,
)
from erasecore.errors import (
    AWAY,
    NO_ROOM,
    DeviceBroken,
    DeviceLost,
    DiskFull,
    EraseError,
    FilmBlocked,
    FolderGone,
    HostError,
    InputError,
    OutOfMemory,
    ProductUnreadable,
    Remedy,
    UnreadableFile,
)
from erasecore.memory.oom_errors import GpuFailure, first_line, gpu_failure, is_out_of_memory
from erasecore.reports import EraseReport, Progress

Observe = Callable[[Progress], None]
"""Callback that receives the progress of an attempt."""
Erase = Callable[[Start, Observe], EraseReport]
"""Function that erases one film and returns its report."""
MakePlan = Callable[[Start, Observe], Planned]
"""Function that writes the plan of one film into the job's folder."""

HEARTBEAT_SECONDS = 0.25
"""Least interval of two heartbeats, in seconds (guess)."""
MAX_DETAIL_CHARACTERS = 20_000
"""Characters of a traceback that are kept, from its end (guess)."""
CARD_LOST_CODE = 3
"""Exit code of a worker process that has lost its GPU."""
_PR_SET_PDEATHSIG = 1
"""Option of prctl(2): the signal that this process gets when its parent ends."""


def die_with_parent(parent_pid: int) -> None:
    """Make the kernel send this process SIGKILL when the daemon ends, for whatever reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it ended before the call
        os.kill(os.getpid(), signal.SIGKILL)


class Channel:
    """Worker's ends of the two pipes to the daemon."""

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self._commands = commands
        self._answers = answers
        self._last_heartbeat = 0.0  # on our monotonic clock
        self._lock = Lock()  # heartbeats may come from any thread

    def starts(self) -> Iterator[Start]:
        """Yield the attempts that the daemon sends, until it closes its end.

        Raises:
            MessageError: another message came.
        """
        for line in self._commands:
            message = decode(line)
            if not isinstance(message, Start):
                raise MessageError(f"a worker is only told to start, not {type(message).__name__}")
            yield message

    def send(self, message: Message) -> None:
        """Send a message to the daemon; may be called from any thread."""
        line = encode(message)
        with self._lock:
            self._answers.write(line)
            self._answers.flush()

    def heartbeat(self, job_id: str, progress: Progress | None) -> None:
        """Send the progress, unless one was sent less than ``HEARTBEAT_SECONDS`` ago."""
        now = time.monotonic()
        if now - self._last_heartbeat >= HEARTBEAT_SECONDS:
            self._last_heartbeat = now
            self.send(ProgressUpdate(job_id, progress))


def serve(
    channel: Channel, versions: dict[str, str], erase: Erase, plan: MakePlan | None = None
) -> None:
    """Send Ready, then run the attempts one by one until the daemon closes its end.

    The process exits at once after an attempt that has lost the GPU.
    """
    channel.send(Ready(versions))
    for start in channel.starts():
        failpoint("worker.after_start")
        outcome = attempt(start, erase, channel, plan)
        failpoint("worker.before_outcome")
        channel.send(outcome)
        if isinstance(outcome, Failed) and outcome.last:
            # Without destructors: they could wait for ever for a GPU that does not answer.
            os._exit(CARD_LOST_CODE)


def attempt(
    start: Start, erase: Erase, channel: Channel, plan: MakePlan | None = None
) -> Finished | Planned | Failed:
    """Run one attempt; return its outcome. Exceptions become Failed."""
    try:
        with output_to(start.log):
            if start.task is Task.PLAN and plan is not None:
                return plan(start, lambda told: channel.heartbeat(start.job_id, told))
            return _finish(start, erase, channel)
    except Exception as error:  # noqa: BLE001 - one attempt must not end the worker
        last = gpu_failure(error) is not None or isinstance(error, DeviceBroken)
        return Failed(start.job_id, failure_of(error, start), last=last)


def _finish(start: Start, erase: Erase, channel: Channel) -> Finished:
    """Erase the film; return its report with the SHA-256 of source and result."""

    def tick(_position: int) -> None:
        channel.heartbeat(start.job_id, None)

    report = erase(start, lambda progress: channel.heartbeat(start.job_id, progress))
    source, result = Path(start.source), Path(start.folder, report.result)
    return Finished(start.job_id, report, digest_of(source, tick), digest_of(result, tick))


def failure_of(error: Exception, start: Start) -> Failure:
    """Return the record of an exception that ended an attempt.

    The film is named as its sender knows it. An exception that is none of ours is a bug: its
    remedy is FIX_CODE.
    """
    classified = _classify(error, start)
    sentence = str(classified)
    if isinstance(classified, InputError) and classified.path == Path(start.source):
        sentence = f"{start.shown_as}: {classified.sentence}"
    elif isinstance(classified, ProductUnreadable):
        sentence = f"{start.shown_as}: {classified}"
    elif classified is error and not isinstance(error, EraseError):
        sentence = (
            f"{start.shown_as}: an unexpected {type(error).__name__} ({error}). "
            "Please report this with the job's log."
        )
    remedy = classified.remedy if isinstance(classified, EraseError) else Remedy.FIX_CODE
    detail = "".join(traceback.format_exception(error))[-MAX_DETAIL_CHARACTERS:]
    unfinished = isinstance(classified, InputError) and classified.may_be_unfinished
    return Failure(type(classified).__name__, remedy, sentence, detail, unfinished=unfinished)


def _classify(error: Exception, start: Start) -> Exception:
    """Return the EraseError for a GPU, memory, host or product failure; else ``error`` itself."""
    gpu = gpu_failure(error)
    if gpu is not None:
        error_class = DeviceBroken if gpu is GpuFailure.BROKEN else DeviceLost
        return error_class(f"{start.shown_as}: {first_line(error)}")
    if is_out_of_memory(error):
        return OutOfMemory(f"{start.shown_as}: {_out_of_memory_text(error)}")
    if isinstance(error, OSError):
        cause = error.__cause__
        # shutil.copyfile makes an error without an errno of EISDIR.
        told = cause if error.errno is None and isinstance(cause, OSError) else error
        return _unreadable(told, start) or _host_error(told, Path(start.folder)) or error
    if isinstance(error, InputError) and _is_product(error.path, start):
        return ProductUnreadable(error.path, error.sentence)
    return error


def _is_product(path: Path, start: Start) -> bool:
    """Return True if a file is one that the attempt has made, e.g. its result."""
    sent = (start.source, *astuple(start.companions))
    return path.is_relative_to(start.folder) and str(path) not in sent


def _unreadable(error: OSError, start: Start) -> UnreadableFile | None:
    """Return the error for a file of the sender's that we may not read; else None."""
    companions = start.companions
    files = {start.source: "it", companions.cues: "its .srt", companions.mask: "its mask"}
    files[companions.plan] = "its plan"
    what = files.get(str(error.filename or ""))
    if error.errno not in (errno.EACCES, errno.EPERM) or what is None or not error.filename:
        return None
    return UnreadableFile(Path(start.source), os.getuid(), what=what)


def _out_of_memory_text(error: Exception) -> str:
    """Return the text for the operator about memory that ran out."""
    if isinstance(error, OutOfMemory):
        return str(error)
    return (
        f"memory ran out ({first_line(error)}); stop what else uses it, or give the machine more."
    )


def _host_error(error: OSError, folder: Path) -> HostError | None:
    """Return the HostError if ``error`` comes from the disk of the job's folder.

    None if it has another cause. FilmBlocked if the folder is still there, and it is about a file
    in it: the daemon finds out whether the disk or this film alone is concerned.
    """
    if error.errno in NO_ROOM:
        return DiskFull(folder)
    try:
        available = error.errno not in AWAY and folder.is_dir()
    except OSError:
        available = False
    if not available:
        return FolderGone(folder, hint_for(error))
    path = str(error.filename or "")
    if error.errno is None or (path and not Path(path).is_relative_to(folder)):
        return None
    return FilmBlocked(f"{path or folder} {film_hint_for(error)}")


@contextmanager
def output_to(log: str) -> Iterator[None]:
    """Redirect stdout and stderr to the file ``log`` while the block lasts; empty: do nothing.

    File descriptors 1 and 2 are redirected, so that output of libraries and of child processes
    goes there too.
    """
    if not log:
        yield
        return
    saved = os.dup(1), os.dup(2)
    target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _flush()
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        _flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for handle in (*saved, target):
            os.close(handle)


def _flush() -> None:
    """Flush Python's buffers of stdout and stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
