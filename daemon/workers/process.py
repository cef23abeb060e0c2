"""One persistent worker process: started, fed, watched, replaced."""

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
from daemon.storage.names import shown
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
from erasecore.errors import WorkerLost
from erasecore.reports import Progress
from erasecore.settings import HostSettings

log = structlog.get_logger(__name__)

WORKER_COMMAND = (sys.executable, "-m", "daemon.worker")
KILL_SECONDS = 5.0
DEAF_SECONDS = 2.0
"""We listen more often, unless we are held up ourselves."""
OOM_SCORE = "500"
"""When memory runs out the kernel is to end a worker, not the daemon."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""NumPy's: its products are small here, and a second thread only waits for them, busily."""
READ_BYTES = 1 << 20
LAST_BYTES = 2000
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""What keeps the diffusion engine's libraries from asking hubs for anything, or telling them."""


class WorkerState(StrEnum):
    """What the worker process is at."""

    ABSENT = "absent"
    LOADING = "loading"
    IDLE = "idle"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """What one worker has of the machine."""

    number: int = 1
    device: str = ""  # its GPU, as ``CUDA_VISIBLE_DEVICES`` names it; empty: whatever there is
    threads: int = 0  # for all that splits its work; 0: as many as there are cores

    @property
    def name(self) -> str:
        """What its worker is called."""
        return f"worker {self.number}"

    def environment(self) -> dict[str, str]:
        """The variables that hold libraries to it."""
        threads = {name: str(self.threads) for name in THREAD_VARIABLES if self.threads}
        return ONE_THREAD | threads | ({"CUDA_VISIBLE_DEVICES": self.device} if self.device else {})


@dataclass(frozen=True, slots=True)
class WorkerBroken:
    """The worker ended without having been at work; no film is to blame."""

    sentence: str
    loaded: bool  # it had been fit for work


_WHOLE_MACHINE = WorkerSlot()
Report = Finished | Failed | WorkerBroken | ProgressUpdate | Ready


def last_words(log: Path) -> str:
    """The last line of a log that says anything, escaped; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LAST_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return ""
    said = next((line for line in reversed(lines) if line.strip()), b"")
    return shown(os.fsdecode(said.strip()))


class Supervisor:
    """Keeps one worker process and knows what it is doing.

    It never waits: ``step`` is called whenever the worker's pipe has something (``fileno``), and
    once in a while, and says what has happened since.
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
        self.backoff_until = float("-inf")  # on our monotonic clock: not tried again before
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
        self._kills = OomKillCount(None, None)  # when the worker, or its attempt, began

    @property
    def pid(self) -> int | None:
        """The worker's process id, while there is one."""
        return self._process.pid if self._process else None

    def fileno(self) -> int | None:
        """The pipe's end to be watched, while there is a worker."""
        return self._answers if self._process else None

    def spawn(self, *, now: float) -> None:
        """Start a worker process, in a session and process group of its own."""
        shorten(self._log)  # of a worker that cannot start it has grown at every try
        with self._log.open("ab") as output:
            self._spawn(output)
        self._lines = LineBuffer()
        self.state = WorkerState.LOADING
        self._heard_at = self._listened_at = now
        self._kills = count_oom_kills()

    def _spawn(self, output: BinaryIO) -> None:
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
        except OSError:  # no process, no memory: it is tried again
            self._forget()
            raise
        finally:
            os.close(command_out)
            os.close(answer_in)
        with suppress(OSError):  # not every system has it
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text(OOM_SCORE)

    def begin(self, start: Start, *, now: float) -> None:
        """Give the idle worker an attempt."""
        self.state, self.job_id, self.progress = WorkerState.BUSY, start.job_id, None
        self._heard_at, self._kills = now, count_oom_kills()
        try:
            _write_all(self._commands, encode(start))
        except BrokenPipeError:
            return  # it has just ended; the next step says so

    def step(self, *, now: float) -> list[Report]:
        """What has happened since the last time: messages, or the end of the worker."""
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
        """Messages; none at all (not an empty list) once the worker is gone."""
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
                if self._process is None:  # that was its last word
                    return reports

    def _note_message(self, message: Message) -> Report:
        if isinstance(message, Start):
            raise MessageError("Start, from a worker")
        if isinstance(message, Ready):
            self.state, self.versions = WorkerState.IDLE, message.versions
            return message
        if isinstance(message, Failed) and not message.job_id:
            return self._broken(message.failure.sentence)
        if isinstance(message, ProgressUpdate) and message.job_id != self.job_id:
            return message  # a last word from another thread, of an attempt that has ended
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
        """Count no silence while we did not listen: what held us up may have held the worker."""
        deaf_seconds, self._listened_at = now - self._listened_at, now
        if deaf_seconds > DEAF_SECONDS:
            self._heard_at = min(now, self._heard_at + deaf_seconds)

    def _too_silent(self, now: float) -> str:
        limits = {
            WorkerState.LOADING: self.settings.start_seconds,
            WorkerState.BUSY: self.settings.stall_seconds,
        }
        limit = limits.get(self.state)
        if limit is None or now - self._heard_at <= limit:
            return ""
        return f"the worker gave no sign of life for {limit:g} seconds and was ended"

    def _ending(self) -> str:
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
        """Whether somebody else has killed the worker, as the system does when memory runs out."""
        return self._process is not None and self._process.poll() == -signal.SIGKILL

    def _lost(self, sentence: str) -> Report:
        """The worker is not to be relied upon any more: end it and say what it leaves undone."""
        job_id, state, killed = self.job_id, self.state, self._was_killed()
        self.kill()
        if state is WorkerState.BUSY:
            failure = Failure(WorkerLost.__name__, WorkerLost.remedy, f"{sentence}.", killed=killed)
            return Failed(job_id, failure)
        said = last_words(self._log)
        more = f"its last words were: {said}" if said else f"see {self._log}."
        return WorkerBroken(f"{sentence}; {more}", loaded=state is WorkerState.IDLE)

    def _broken(self, sentence: str) -> WorkerBroken:
        self.kill()
        return WorkerBroken(sentence, loaded=False)

    def kill(self) -> None:
        """End the worker and everything it has started, at once."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):  # all of it has ended already
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            self._process.wait(timeout=KILL_SECONDS)
        except subprocess.TimeoutExpired:
            # Asleep in the kernel, for a share that is gone say. It will never run again.
            log.warning("worker.not_reaped", pid=self._process.pid, worker=self.slot.number)
        self._forget()

    def hang_up(self) -> None:
        """Tell an idle worker that there is no more work for it."""
        if self.state is WorkerState.IDLE and self._commands >= 0:
            os.close(self._commands)
            self._commands = -1

    def dismiss(self) -> None:
        """Let an idle worker end in peace, a busy one at once."""
        self.hang_up()
        if self._process is not None and self.state is WorkerState.IDLE:
            with suppress(subprocess.TimeoutExpired):  # kill() below does not ask
                self._process.wait(timeout=5)
        self.kill()

    def _forget(self) -> None:
        for handle in (self._commands, self._answers):
            if handle >= 0:
                os.close(handle)
        self._commands = self._answers = -1
        self._process, self.state, self.job_id, self.progress = None, WorkerState.ABSENT, "", None


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]
