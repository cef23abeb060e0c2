"""Supervisor of one persistent worker process: starts, feeds, watches and replaces it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from daemon.config.parsing import as_json
from daemon.config.schema import WorkerSettings
from daemon.workers.child_process import ChildProcess
from daemon.workers.messages import (
    Failed,
    Failure,
    Finished,
    LineBuffer,
    Message,
    MessageError,
    Planned,
    ProgressUpdate,
    Ready,
    Start,
    decode,
    encode,
)
from daemon.workers.silence import SilenceWatch
from erasecore.errors import WorkerLost
from erasecore.reports import Progress
from erasecore.settings import HostSettings

WORKER_COMMAND = (sys.executable, "-m", "daemon.worker")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which libraries limit their threads."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""NumPy's: its products are small here, and a second thread only waits for them, busily."""
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
Report = Finished | Planned | Failed | WorkerBroken | ProgressUpdate | Ready
"""Results of ``Supervisor.step``."""


class Supervisor:
    """Supervises one worker process and knows its state.

    It never blocks: ``step`` is called when the worker's pipe is readable (``fileno``), and at
    least once a second, and returns what has happened since.
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
        self.host = host
        self.slot = slot
        self.backoff_until = float("-inf")  # monotonic seconds: not started before
        self.state = WorkerState.ABSENT
        self.versions: dict[str, str] = {}
        self.progress: Progress | None = None
        self.job_id = ""
        self._child = ChildProcess(command, log, number=slot.number)
        self._lines = LineBuffer()
        self._silence = SilenceWatch()
        self.reconfigure(settings)

    def reconfigure(self, settings: WorkerSettings) -> None:
        """Use other time limits at once, and another niceness from the next start on."""
        self._settings = settings

    @property
    def pid(self) -> int | None:
        """Process id of the worker; None while there is none."""
        return self._child.pid

    def fileno(self) -> int | None:
        """Return the pipe to be watched with select(); None while there is no worker."""
        return self._child.fileno()

    # --- backoff ----------------------------------------------------------------------------

    def back_off(self, until: float) -> None:
        """Do not start or use the worker before ``until``, monotonic seconds."""
        self.backoff_until = until

    def end_backoff(self) -> None:
        """Let the worker be started again at once."""
        self.backoff_until = float("-inf")

    # --- work -------------------------------------------------------------------------------

    def spawn(self, *, now: float) -> None:
        """Start a worker process.

        Raises:
            OSError: no process can be made, e.g. for lack of memory; the call may be repeated.
        """
        host = replace(self.host, threads=self.slot.threads)
        arguments = (str(os.getpid()), str(self._settings.nice), as_json(host))
        self._child.spawn(arguments, OFFLINE | self.slot.environment())
        self._lines = LineBuffer()
        self.state = WorkerState.LOADING
        self._silence.start(now)

    def begin(self, start: Start, *, now: float) -> None:
        """Send an attempt to the idle worker."""
        self.state, self.job_id, self.progress = WorkerState.BUSY, start.job_id, None
        self._silence.heard(now)
        self._child.note_oom_kills()
        self._child.send(encode(start))

    def step(self, *, now: float) -> list[Report]:
        """Return the messages since the last call, or the end of the worker."""
        if self._child.pid is None:
            return []
        self._silence.listen(now)
        try:
            reports = self._read(now=now)
        except MessageError as error:
            return [self._lost(f"the worker sent what is no message ({error})")]
        if reports is None:
            return [self._lost(f"the worker {self._child.ending()}")]
        if not reports and (sentence := self._too_silent(now)):
            return [self._lost(sentence)]
        return reports

    def _read(self, *, now: float) -> list[Report] | None:
        """Return the messages in the pipe; None if there are none and the worker has closed it."""
        reports: list[Report] = []
        while (piece := self._child.read()) is not None:
            if not piece:
                return reports or None
            self._silence.heard(now)
            for line in self._lines.feed(piece):
                reports.append(self._note_message(decode(line)))
                if self._child.pid is None:  # it was killed for this message: its last one
                    return reports
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

    def _too_silent(self, now: float) -> str:
        """Return why the worker counts as hung (stall); "" if it does not."""
        limits = {
            WorkerState.LOADING: self._settings.start_seconds,
            WorkerState.BUSY: self._settings.stall_seconds,
        }
        limit = limits.get(self.state)
        if limit is None or self._silence.seconds(now) <= limit:
            return ""
        return f"the worker gave no sign of life for {limit:g} seconds and was ended"

    def _lost(self, sentence: str) -> Report:
        """Kill a worker that has failed or ended; return the failure of its attempt, if any."""
        job_id, state, killed = self.job_id, self.state, self._child.was_killed()
        self.kill()
        if state is WorkerState.BUSY:
            failure = Failure(WorkerLost.__name__, WorkerLost.remedy, f"{sentence}.", killed=killed)
            return Failed(job_id, failure)
        last_words = self._child.last_words()
        more = f"its last words were: {last_words}" if last_words else f"see {self._child.log}."
        return WorkerBroken(f"{sentence}; {more}", loaded=state is WorkerState.IDLE)

    def _broken(self, sentence: str) -> WorkerBroken:
        """Kill a worker that cannot load its models; return the report."""
        self.kill()
        return WorkerBroken(sentence, loaded=False)

    # --- the end ----------------------------------------------------------------------------

    def kill(self) -> None:
        """Kill the worker and every process it has started."""
        if self._child.pid is not None:
            self._child.kill()
            self.state, self.job_id, self.progress = WorkerState.ABSENT, "", None

    def hang_up(self) -> None:
        """Ask an idle worker to end."""
        if self.state is WorkerState.IDLE:
            self._child.hang_up()

    def dismiss(self) -> None:
        """Ask an idle worker to end and wait for it; kill a busy one at once."""
        self.hang_up()
        if self.state is WorkerState.IDLE:
            self._child.wait_for_exit()
        self.kill()
