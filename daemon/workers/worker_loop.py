"""The child's side of an attempt: obey Start, show signs of life, say how it ended.

It knows no pixel: what is done to the film is a function that ``worker.py`` passes in.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from daemon.storage.failpoints import failpoint
from daemon.storage.moves import digest_of
from daemon.storage.os_errors import hint_for
from daemon.workers.messages import (
    Failed,
    Failure,
    Finished,
    Message,
    MessageError,
    ProgressUpdate,
    Ready,
    Start,
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
    FolderGone,
    HostError,
    InputError,
    OutOfMemory,
    Remedy,
)
from erasecore.memory.oom_errors import GpuFailure, first_line, gpu_failure, is_out_of_memory
from erasecore.reports import EraseReport, Progress

Observe = Callable[[Progress], None]
Erase = Callable[[Start, Observe], EraseReport]

HEARTBEAT_SECONDS = 0.25
MAX_DETAIL_CHARACTERS = 20_000
CARD_LOST_CODE = 3
"""The exit code of a worker that can use its graphics card no more."""
_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Let the kernel end this process when the daemon ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGKILL)


class Channel:
    """Our two ends of the pipes to the daemon."""

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self._commands = commands
        self._answers = answers
        self._last_sign = 0.0
        self._lock = Lock()  # signs of life may come from any thread

    def starts(self) -> Iterator[Start]:
        """The attempts that the daemon asks for, until it closes its end."""
        for line in self._commands:
            message = decode(line)
            if not isinstance(message, Start):
                raise MessageError(f"a worker is only told to start, not {type(message).__name__}")
            yield message

    def send(self, message: Message) -> None:
        """Tell the daemon."""
        line = encode(message)
        with self._lock:
            self._answers.write(line)
            self._answers.flush()

    def heartbeat(self, job_id: str, progress: Progress | None) -> None:
        """Tell the daemon that we are at it, not more often than it cares for."""
        now = time.monotonic()
        if now - self._last_sign >= HEARTBEAT_SECONDS:
            self._last_sign = now
            self.send(ProgressUpdate(job_id, progress))


def serve(channel: Channel, versions: dict[str, str], erase: Erase) -> None:
    """Do one attempt after the other until the daemon closes its end."""
    channel.send(Ready(versions))
    for start in channel.starts():
        failpoint("worker.after_start")
        outcome = attempt(start, erase, channel)
        failpoint("worker.before_outcome")
        channel.send(outcome)
        if isinstance(outcome, Failed) and outcome.last:
            # Not even destructors may run: they would wait for a card that answers no more.
            os._exit(CARD_LOST_CODE)


def attempt(start: Start, erase: Erase, channel: Channel) -> Finished | Failed:
    """How one attempt at a film ended."""
    try:
        with output_to(start.log):
            return _finish(start, erase, channel)
    except Exception as error:  # noqa: BLE001 - one attempt must not end the worker
        last = gpu_failure(error) is not None or isinstance(error, DeviceBroken)
        return Failed(start.job_id, failure_of(error, start), last=last)


def _finish(start: Start, erase: Erase, channel: Channel) -> Finished:
    def tick() -> None:
        channel.heartbeat(start.job_id, None)

    report = erase(start, lambda progress: channel.heartbeat(start.job_id, progress))
    source, result = Path(start.source), Path(start.folder, report.result)
    return Finished(start.job_id, report, digest_of(source, tick), digest_of(result, tick))


def failure_of(error: Exception, start: Start) -> Failure:
    """An exception as what is said about it: class, remedy, sentence, traceback."""
    known = _known(error, start)
    sentence = str(known)
    if isinstance(known, InputError) and known.path == Path(start.source):
        sentence = f"{start.shown_as}: {known.sentence}"
    elif known is error and not isinstance(error, EraseError):
        sentence = (
            f"{start.shown_as}: an unexpected {type(error).__name__} ({error}). "
            "Please report this with the job's log."
        )
    remedy = known.remedy if isinstance(known, EraseError) else Remedy.FIX_CODE
    detail = "".join(traceback.format_exception(error))[-MAX_DETAIL_CHARACTERS:]
    unfinished = isinstance(known, InputError) and known.may_be_unfinished
    return Failure(type(known).__name__, remedy, sentence, detail, unfinished=unfinished)


def _known(error: Exception, start: Start) -> Exception:
    """An exception of Python's or the system's as one of ours, where it is plain which."""
    card = gpu_failure(error)
    if card is not None:
        kind = DeviceBroken if card is GpuFailure.BROKEN else DeviceLost
        return kind(f"{start.shown_as}: {first_line(error)}")
    if is_out_of_memory(error):
        return OutOfMemory(f"{start.shown_as}: {_out_of_memory_text(error)}")
    if isinstance(error, OSError):
        return _host_error(error, Path(start.folder)) or error
    return error


def _out_of_memory_text(error: Exception) -> str:
    """What to say of memory that ran out."""
    if isinstance(error, OutOfMemory):
        return str(error)
    return (
        f"memory ran out ({first_line(error)}); stop what else uses it, or give the machine more."
    )


def _host_error(error: OSError, folder: Path) -> HostError | None:
    """An error of the system that says something about the host, not about the film."""
    if error.errno in NO_ROOM:
        return DiskFull(folder)
    try:
        there = error.errno not in AWAY and folder.is_dir()
    except OSError:
        there = False
    return None if there else FolderGone(folder, hint_for(error))


@contextmanager
def output_to(log: str) -> Iterator[None]:
    """Send whatever is printed, by us, by libraries, by their children, to the job's log."""
    if not log:
        yield
        return
    kept = os.dup(1), os.dup(2)
    target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _flush()
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        _flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for handle in (*kept, target):
            os.close(handle)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
