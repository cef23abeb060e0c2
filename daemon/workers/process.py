"""Supervisor of one persistent worker process: start, attempts, deadlines, end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import structlog

from daemon.config.parsing import as_json
from daemon.config.schema import WorkerSettings
from daemon.runtime.log_limits import shorten
from daemon.workers.messages import (
    Failed,
    Failure,
    Finished,
    LineBuffer,
    Message,
    MessageError,
    ProgressUpdate,
    Ready,
    Start,
    decode,
    encode,
)
from daemon.workers.oom_kills import OomKillCount, count_oom_kills
from erasecore.errors import WorkerLost, printable
from erasecore.reports import Progress
from erasecore.settings import HostSettings

log = structlog.get_logger(__name__)

WORKER_COMMAND = (sys.executable, "-m", "daemon.worker")
"""Command line that starts a worker process, without its arguments."""
KILL_SECONDS = 5.0
"""Time to wait for a process to end after SIGKILL, in seconds (guess)."""
DEAF_SECONDS = 2.0
"""Longest usual interval of two calls of ``step``, in seconds (guess). After a longer one the
daemon itself was held up, and that time does not count as the worker's silence."""
OOM_SCORE = "500"
"""``oom_score_adj`` of a worker (proc(5), -1000 to 1000): when memory runs out the kernel's OOM
killer ends a worker, not the daemon (guess)."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which libraries limit their threads."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Environment that limits NumPy's matrix products to one thread: they are small here, and a second
thread only waits for them in a busy loop."""
READ_BYTES = 1 << 20
"""Most bytes read from the pipe at once (guess)."""
LAST_BYTES = 2000
"""Bytes at the end of a worker's log that are searched for its last line (guess)."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Environment that keeps the diffusion engine's libraries from contacting model hubs."""


class WorkerState(StrEnum):
    """State of a worker process."""

    ABSENT = "absent"  # there is no process
    LOADING = "loading"  # started; its models are being loaded
    IDLE = "idle"  # waits for an attempt
    BUSY = "busy"  # at an attempt


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """Share of the machine's resources that one worker has."""

    number: int = 1
    device: str = ""  # its GPU, as ``CUDA_VISIBLE_DEVICES`` names it; empty: whatever there is
    threads: int = 0  # threads of each library; 0: as many as there are cores

    @property
    def name(self) -> str:
        """Name of the slot's worker, e.g. "worker 1"."""
        return f"worker {self.number}"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that limit libraries to this slot."""
        threads = {name: str(self.threads) for name in THREAD_VARIABLES if self.threads}
        return ONE_THREAD | threads | ({"CUDA_VISIBLE_DEVICES": self.device} if self.device else {})


@dataclass(frozen=True, slots=True)
class WorkerBroken:
    """Report that a worker ended outside an attempt; no film is the cause."""

    sentence: str
    loaded: bool  # its models had been loaded


_WHOLE_MACHINE = WorkerSlot()
Report = Finished | Failed | WorkerBroken | ProgressUpdate | Ready
"""Results of ``Supervisor.step``."""


def last_words(log: Path) -> str:
    """Return the last line of a log that is not blank, printable; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LAST_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return ""
    last = next((line for line in reversed(lines) if line.strip()), b"")
    return printable(os.fsdecode(last.strip()))


class Supervisor:
    """Owner of one worker process: its state, its pipes and its deadlines.

    ``step`` does not block. The caller runs it whenever ``fileno`` is readable, and regularly for
    the deadlines; it returns the reports since the last call.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        host: HostSettings,
        log: Path,
        command: Sequence[str] = WORKER_COMMAND,
        *,
        slot: WorkerSlot = _WHOLE_MACHINE,
    ) -> None:
        self.settings = settings
        self.host = host
        self.slot = slot
        self.backoff_until = float("-inf")  # on our monotonic clock: not started again before
        self.state = WorkerState.ABSENT
        self.versions: dict[str, str] = {}
        self.progress: Progress | None = None
        self.job_id = ""
        self._log = log
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._commands = self._answers = -1
        self._lines = LineBuffer()
        self._heard_at = self._listened_at = 0.0
        self._kills = OomKillCount(None, None)  # as of the start of the worker, or its attempt

    @property
    def pid(self) -> int | None:
        """Process id of the worker; None without a process."""
        return self._process.pid if self._process else None

    def fileno(self) -> int | None:
        """Return the file descriptor of the worker's messages; None without a process."""
        return self._answers if self._process else None

    def spawn(self, *, now: float) -> None:
        """Start a worker process in its own session and process group; state LOADING.

        Raises:
            OSError: the process cannot be started, e.g. for lack of memory.
        """
        shorten(self._log)  # the log of a worker that cannot start grows at every try
        with self._log.open("ab") as output:
            self._spawn(output)
        self._lines = LineBuffer()
        self.state = WorkerState.LOADING
        self._heard_at = self._listened_at = now
        self._kills = count_oom_kills()

    def _spawn(self, output: BinaryIO) -> None:
        """Make the two pipes and start the process, with stdout and stderr to ``output``."""
        command_out, self._commands = os.pipe()
        self._answers, answer_in = os.pipe()
        os.set_blocking(self._answers, False)
        numbers = (command_out, answer_in, os.getpid(), self.settings.nice)
        host = replace(self.host, threads=self.slot.threads)
        try:
            self._process = subprocess.Popen(
                [*self._command, *map(str, numbers), as_json(host)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(command_out, answer_in),
                start_new_session=True,
                env=os.environ | OFFLINE | self.slot.environment(),  # passed on, not read
            )
        except OSError:  # limit of processes or of memory
            self._forget()
            raise
        finally:
            os.close(command_out)
            os.close(answer_in)
        with suppress(OSError):  # e.g. a system without /proc
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text(OOM_SCORE)

    def begin(self, start: Start, *, now: float) -> None:
        """Send an attempt to the idle worker; state BUSY."""
        self.state, self.job_id, self.progress = WorkerState.BUSY, start.job_id, None
        self._heard_at, self._kills = now, count_oom_kills()
        try:
            _write_all(self._commands, encode(start))
        except BrokenPipeError:
            return  # it has just ended; the next ``step`` reports that

    def step(self, *, now: float) -> list[Report]:
        """Read the worker's messages and check its deadline.

        Returns:
            The reports since the last call. If the worker ended, broke the protocol or sent no
            heartbeat in time, it is killed, and one report says so.
        """
        if self._process is None:
            return []
        self._reset_deadline(now)
        try:
            reports = self._read(now=now)
        except MessageError as error:
            return [self._lost(f"the worker sent what is no message ({error})")]
        if reports is None:
            return [self._lost(f"the worker {self._ending()}")]
        if not reports and (silence := self._too_silent(now)):
            return [self._lost(silence)]
        return reports

    def _read(self, *, now: float) -> list[Report] | None:
        """Return the reports of the messages there are; None once the worker closed its pipe."""
        reports: list[Report] = []
        while True:
            try:
                piece = os.read(self._answers, READ_BYTES)
            except BlockingIOError:
                return reports
            if not piece:
                return reports or None
            self._heard_at = now
            for line in self._lines.feed(piece):
                reports.append(self._note_message(decode(line)))
                if self._process is None:  # the message announced the worker's end
                    return reports

    def _note_message(self, message: Message) -> Report:
        """Update the state by a message of the worker; return its report.

        Raises:
            MessageError: the message does not belong to the attempt at hand.
        """
        if isinstance(message, Start):
            raise MessageError("Start, from a worker")
        if isinstance(message, Ready):
            self.state, self.versions = WorkerState.IDLE, message.versions
            return message
        if isinstance(message, Failed) and not message.job_id:
            return self._broken(message.failure.sentence)
        if isinstance(message, ProgressUpdate) and message.job_id != self.job_id:
            return message  # a late heartbeat of another thread; its attempt has ended
        if message.job_id != self.job_id:
            raise MessageError(f"{type(message).__name__} about a job that it was not given")
        if isinstance(message, ProgressUpdate):
            self.progress = message.progress or self.progress
        else:
            self.state, self.job_id, self.progress = WorkerState.IDLE, "", None
        if isinstance(message, Failed) and message.last:
            self.kill()
        return message

    def _reset_deadline(self, now: float) -> None:
        """Extend the deadline if this call comes late, because the daemon itself was held up.

        The cause, e.g. a suspended machine, may have held up the worker too.
        """
        deaf_seconds, self._listened_at = now - self._listened_at, now
        if deaf_seconds > DEAF_SECONDS:
            self._heard_at = min(now, self._heard_at + deaf_seconds)

    def _too_silent(self, now: float) -> str:
        """Return a sentence if the time without a heartbeat exceeds its limit; else empty."""
        limits = {
            WorkerState.LOADING: self.settings.start_seconds,
            WorkerState.BUSY: self.settings.stall_seconds,
        }
        limit = limits.get(self.state)
        if limit is None or now - self._heard_at <= limit:
            return ""
        return f"the worker gave no sign of life for {limit:g} seconds and was ended"

    def _ending(self) -> str:
        """Return how the worker ended, as the end of a sentence; wait for it up to 5 seconds."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "closed its pipe without a word"
        if code >= 0:
            return f"ended by itself with exit code {code}"
        name = signal.Signals(-code).name
        if code != -signal.SIGKILL:
            return f"was killed by {name}"
        return f"was killed by {name}: {count_oom_kills().cause(self._kills)}"

    def _was_killed(self) -> bool:
        """Return True if somebody else ended the worker by SIGKILL, e.g. the OOM killer."""
        return self._process is not None and self._process.poll() == -signal.SIGKILL

    def _lost(self, sentence: str) -> Report:
        """Kill a worker that has ended or misbehaves.

        Returns:
            Failed, with the failure ``WorkerLost``, if it was at an attempt; else WorkerBroken.
        """
        job_id, state, killed = self.job_id, self.state, self._was_killed()
        self.kill()
        if state is WorkerState.BUSY:
            failure = Failure(WorkerLost.__name__, WorkerLost.remedy, f"{sentence}.", killed=killed)
            return Failed(job_id, failure)
        said = last_words(self._log)
        more = f"its last words were: {said}" if said else f"see {self._log}."
        return WorkerBroken(f"{sentence}; {more}", loaded=state is WorkerState.IDLE)

    def _broken(self, sentence: str) -> WorkerBroken:
        """Kill a worker that cannot load its models; return the report."""
        self.kill()
        return WorkerBroken(sentence, loaded=False)

    def kill(self) -> None:
        """Send SIGKILL to the worker's process group, if there is a worker; state ABSENT."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):  # the whole group has ended already
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            self._process.wait(timeout=KILL_SECONDS)
        except subprocess.TimeoutExpired:
            # In uninterruptible sleep (state D), e.g. on a dead NFS mount: SIGKILL takes effect
            # only when the mount returns.
            log.warning("worker.not_reaped", pid=self._process.pid, worker=self.slot.number)
        self._forget()

    def hang_up(self) -> None:
        """Close the command pipe of an idle worker, which makes it exit."""
        if self.state is WorkerState.IDLE and self._commands >= 0:
            os.close(self._commands)
            self._commands = -1

    def dismiss(self) -> None:
        """End the worker: an idle one by itself within 5 seconds, any other by ``kill``."""
        self.hang_up()
        if self._process is not None and self.state is WorkerState.IDLE:
            with suppress(subprocess.TimeoutExpired):  # kill() below ends it
                self._process.wait(timeout=5)
        self.kill()

    def _forget(self) -> None:
        """Close the pipes and reset the state to ABSENT."""
        for handle in (self._commands, self._answers):
            if handle >= 0:
                os.close(handle)
        self._commands = self._answers = -1
        self._process, self.state, self.job_id, self.progress = None, WorkerState.ABSENT, "", None


def _write_all(handle: int, content: bytes) -> None:
    """Write all of ``content`` to a file descriptor; block while the pipe is full."""
    while content:
        content = content[os.write(handle, content) :]
