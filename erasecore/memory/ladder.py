"""Out-of-memory recovery: work is repeated in smaller batches until it fits (a ladder of rungs).

A *rung* (level, fallback) is a batch size or another way to need less memory; the first one of a
*ladder* needs the most. Work that runs out of memory is repeated one rung lower. The rung that
fitted is remembered per engine, size and device, and after some successes the one above is tried.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from erasecore.errors import OutOfMemory
from erasecore.memory.malloc import free_memory
from erasecore.memory.oom_errors import first_line, is_out_of_memory
from erasecore.reports import LadderReport
from erasecore.system.logger import get_logger

log = get_logger(__name__)

Plan = TypeVar("Plan")
Result = TypeVar("Result")

SUCCESSES_BEFORE_RETRY = 8  # calls that succeed on a rung before the one above is tried; guess
SUCCESSES_AFTER_KILL = 64  # the same after a kill, as a failed try costs the worker; guess
MAX_SUCCESSES_BEFORE_RETRY = 1024  # limit of the doubling after failed tries; guess


@dataclass(frozen=True, slots=True)
class Rung(Generic[Plan]):
    """One level of memory use.

    Attributes:
        name: used in logs, reports and the state folder; unique in its ladder.
        plan: argument of the work, e.g. a batch size.
    """

    name: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class WorkloadKey:
    """Key under which a rung is remembered: engine, picture size and device."""

    engine: str
    width: int  # of the processed picture, in pixels
    height: int
    device: str = "cpu"  # or the GPU's name, e.g. "cuda NVIDIA L4"

    def __str__(self) -> str:
        return f"{self.engine} {self.width}x{self.height} {self.device}"

    @property
    def on_host(self) -> bool:
        """True if the work needs host memory (RAM), False for GPU memory."""
        return self.device == "cpu"


@dataclass(frozen=True, slots=True)
class RungState:
    """Current rung of one workload, as remembered between films.

    Attributes:
        rung: name of the rung that fitted into memory.
        successes: calls that succeeded on it so far.
        patience: successes needed before the rung above is tried.
    """

    rung: str
    successes: int = 0
    patience: int = SUCCESSES_BEFORE_RETRY


@dataclass(frozen=True, slots=True)
class KilledAttempt:
    """An earlier attempt at this film that was killed (SIGKILL, taken for the OOM killer).

    Attributes:
        rung: name of the rung that it worked on; empty if unknown.
        lower: number of rungs below that one at which this attempt starts.
    """

    rung: str
    lower: int


class LadderStore(Protocol):
    """Persistence of rungs, across films and across attempts at one film."""

    def begin(self, job: Path, rungs_down: int) -> None:
        """Open the notes of a film; see ``Ladders.begin``."""
        ...

    def read(self, key: WorkloadKey) -> RungState | None:
        """Return the remembered state of a workload, ``None`` if there is none."""
        ...

    def write(self, key: WorkloadKey, state: RungState) -> None:
        """Store the state of a workload for later films."""
        ...

    def note(self, key: WorkloadKey, rung: str) -> None:
        """Note in the job's folder that ``rung`` is about to run, for the attempt after a kill."""
        ...

    def killed_attempt(self, key: WorkloadKey) -> KilledAttempt | None:
        """Return the earlier attempt at this film that was killed, ``None`` if none was."""
        ...


class NullLadderStore:
    """Store that keeps nothing (null object)."""

    def begin(self, job: Path, rungs_down: int) -> None:
        """Do nothing."""

    def read(self, key: WorkloadKey) -> None:
        """Return ``None``."""

    def write(self, key: WorkloadKey, state: RungState) -> None:
        """Do nothing."""

    def note(self, key: WorkloadKey, rung: str) -> None:
        """Do nothing."""

    def killed_attempt(self, key: WorkloadKey) -> None:
        """Return ``None``."""


NULL_STORE = NullLadderStore()


class Ladder(Generic[Plan]):
    """The rungs of one workload and its current position on them.

    Args:
        key: engine, picture size and device.
        rungs: at least one, the one that needs the most memory first.
        store: remembers the rung that fitted.
    """

    def __init__(self, key: WorkloadKey, rungs: Sequence[Rung[Plan]], store: LadderStore) -> None:
        self._key, self._rungs, self._store = key, tuple(rungs), store
        self._names = [rung.name for rung in rungs]
        state = store.read(key)
        if state is None or state.rung not in self._names:
            state = RungState(self._names[0])
        self._saved_state = self._state = state
        self._index = self._lowest = self._names.index(state.rung)
        self._noted_rung = ""
        self._steps = 0
        killed = store.killed_attempt(key)
        if killed is not None:
            self._start_below_killed(killed)

    @property
    def rung(self) -> Rung[Plan]:
        """Current rung; ``run`` starts on it, or on the one above if that is due to be tried."""
        return self._rungs[self._index]

    def run(self, work: Callable[[Plan], Result]) -> Result:
        """Return the result of ``work`` on the first rung, from the current one down, that fits.

        After an out-of-memory error ``work`` is called again with the plan of the next rung; it
        must not depend on results of the failed call.

        Raises:
            OutOfMemory: it does not fit on the last rung either.
        """
        retrying_above = self._retry_above_due()
        if retrying_above:
            self._index -= 1
            self._log.info("memory.rung_tried", after=self._state.successes)
        while True:
            self._note_rung()
            outcome = _run_once(work, self.rung.plan)
            if isinstance(outcome, _Done):
                self._succeeded()
                return outcome.result
            # Outside the handler: inside it the traceback still holds every array.
            free_memory()
            self._step_down(outcome.message, was_retry=retrying_above)
            retrying_above = False

    def close(self) -> None:
        """Store the number of successes, if it has changed."""
        if self._state != self._saved_state:
            self._save()

    def report(self) -> LadderReport:
        """Return the lowest rung used and the number of steps down, since construction."""
        return LadderReport(
            work=str(self._key),
            rung=self._names[self._lowest],
            position=self._lowest,
            rungs=len(self._rungs),
            steps_down=self._steps,
        )

    # --- moving -------------------------------------------------------------------------------

    def _start_below_killed(self, killed: KilledAttempt) -> None:
        """Start ``killed.lower`` rungs below the one on which a worker was killed."""
        killed_index = self._names.index(killed.rung) if killed.rung in self._names else self._index
        if killed_index < self._index:  # killed while it tried the rung above: try that less often
            self._move_to(self._index, _doubled(max(self._state.patience, SUCCESSES_AFTER_KILL)))
        target = min(killed_index + killed.lower, len(self._rungs) - 1)
        if target > self._index:
            self._log.warning(
                "memory.rung_lowered", next=self._names[target], reason="a worker was killed"
            )
            self._steps += target - self._index
            self._move_to(target, SUCCESSES_AFTER_KILL)

    def _note_rung(self) -> None:
        """Note the current rung in the store, if it is not the one noted last."""
        if self.rung.name != self._noted_rung:
            self._noted_rung = self.rung.name
            self._store.note(self._key, self._noted_rung)

    def _retry_above_due(self) -> bool:
        """Return True if the work succeeded often enough to try the rung above."""
        return self._index > 0 and self._state.successes >= self._state.patience

    def _succeeded(self) -> None:
        """Count a success; store the state if the rung or its patience has changed."""
        name = self.rung.name
        if name != self._state.rung:  # the try of the rung above succeeded
            self._state = RungState(name)
        self._state = replace(self._state, successes=self._state.successes + 1)
        self._lowest = max(self._lowest, self._index)
        if name != self._saved_state.rung or self._state.patience != self._saved_state.patience:
            self._save()
            self._log.info("memory.rung_remembered")

    def _step_down(self, message: str, *, was_retry: bool) -> None:
        """Move one rung lower; raise ``OutOfMemory`` if this is the last one.

        Args:
            message: first line of the out-of-memory error.
            was_retry: the rung was tried again after successes below; doubles the patience.
        """
        if self._index + 1 == len(self._rungs):
            self._log.warning("memory.exhausted", error=message)
            raise OutOfMemory(
                f"memory ran out even in the smallest pieces ({self._key}: {message}); "
                "stop what else uses it, or give the machine more.",
                on_host=self._key.on_host,
            )
        self._log.warning("memory.short", next=self._names[self._index + 1], error=message)
        self._steps += 1
        patience = SUCCESSES_BEFORE_RETRY
        if was_retry:
            patience = _doubled(self._state.patience)
        self._move_to(self._index + 1, patience)

    def _move_to(self, index: int, patience: int) -> None:
        """Make rung ``index`` the current one, without successes."""
        self._index = index
        self._lowest = max(self._lowest, index)
        self._state = RungState(self._names[index], 0, patience)

    def _save(self) -> None:
        self._saved_state = self._state
        self._store.write(self._key, self._state)

    @property
    def _log(self) -> Any:  # noqa: ANN401 - structlog's bound loggers have no one type
        return log.bind(work=str(self._key), rung=self.rung.name)


class Ladders:
    """The ladders of one worker process, for the film that it is working on.

    Args:
        store: remembers rungs beyond the process.
    """

    def __init__(self, store: LadderStore = NULL_STORE) -> None:
        self._store = store
        self._ladders: dict[WorkloadKey, Ladder[Any]] = {}

    def begin(self, job: Path, rungs_down: int) -> None:
        """Start an attempt at a film, with new ladders.

        Args:
            job: the film's job folder.
            rungs_down: total number of rungs to go down because attempts were killed; 0: none was.
        """
        self._ladders.clear()
        self._store.begin(job, rungs_down)

    def ladder(self, key: WorkloadKey, rungs: Sequence[Rung[Plan]]) -> Ladder[Plan]:
        """Return the ladder of ``key``, created on first use and kept until the film ends."""
        if key not in self._ladders:
            self._ladders[key] = Ladder(key, rungs, self._store)
        return self._ladders[key]

    def close(self) -> tuple[LadderReport, ...]:
        """End the film: store all ladders and return reports of those that left the first rung."""
        ladders, self._ladders = list(self._ladders.values()), {}
        for ladder in ladders:
            ladder.close()
        reports = (ladder.report() for ladder in ladders)
        return tuple(report for report in reports if report.position)


def _doubled(patience: int) -> int:
    """Return twice the patience (exponential backoff), limited."""
    return min(2 * patience, MAX_SUCCESSES_BEFORE_RETRY)


@dataclass(frozen=True, slots=True)
class _Done(Generic[Result]):
    """Outcome of work that succeeded."""

    result: Result


@dataclass(frozen=True, slots=True)
class _RanOut:
    """Outcome of work that ran out of memory."""

    message: str  # first line of the error


def _run_once(work: Callable[[Plan], Result], plan: Plan) -> _Done[Result] | _RanOut:
    """Call ``work``; catch out-of-memory errors alone, and drop all references to its arrays."""
    try:
        return _Done(work(plan))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        return _RanOut(first_line(error))
