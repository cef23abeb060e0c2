"""Work done in the largest pieces that memory bears: a ladder of rungs, climbed down and up again.

A *rung* says how much is done at once; the first one of a *ladder* needs the most memory. Work that
runs out of it is done again one rung lower. The rung that was enough is remembered for films of
that size on that device, and after some successes the one above is tried again.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import structlog

from erasecore.errors import OutOfMemory
from erasecore.memory.malloc import free_memory
from erasecore.memory.oom_errors import first_line, is_out_of_memory
from erasecore.reports import LadderReport

log = structlog.get_logger(__name__)

Plan = TypeVar("Plan")
Made = TypeVar("Made")

SUCCESSES_BEFORE_RETRY = 8  # successes on a rung before the one above is tried
SUCCESSES_AFTER_KILL = 64  # trying then costs a worker, not an exception
MAX_SUCCESSES_BEFORE_RETRY = 1024


@dataclass(frozen=True, slots=True)
class Rung(Generic[Plan]):
    """How much is done at once.

    Attributes:
        name: in logs, reports and the state folder; no other rung of the ladder has it.
        plan: what the work is told.
    """

    name: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class WorkloadKey:
    """What a rung is remembered for."""

    engine: str
    width: int  # of what is worked on, in pixels
    height: int
    device: str = "cpu"  # else the card's name, such as "cuda NVIDIA L4"

    def __str__(self) -> str:
        return f"{self.engine} {self.width}x{self.height} {self.device}"

    @property
    def on_host(self) -> bool:
        """Whether it is the machine's own memory that may run out."""
        return self.device == "cpu"


@dataclass(frozen=True, slots=True)
class RungState:
    """Where on its ladder the work of a site stands.

    Attributes:
        rung: the name of the rung that was enough.
        successes: of the work on it, since it is stood on.
        patience: successes before the rung above is tried.
    """

    rung: str
    successes: int = 0
    patience: int = SUCCESSES_BEFORE_RETRY


@dataclass(frozen=True, slots=True)
class KilledAttempt:
    """An earlier attempt at the film was killed for the memory it took.

    Attributes:
        rung: the name of the rung that it was on; empty where that is not known.
        lower: how many rungs below that one is to be begun.
    """

    rung: str
    lower: int


class LadderStore(Protocol):
    """What is known of rungs beyond the work at hand."""

    def begin(self, job: Path, rungs_down: int) -> None:
        """Open the notes on a film; see ``Ladders.begin``."""
        ...

    def read(self, site: WorkloadKey) -> RungState | None:
        """Where the work of ``site`` stands, if that is known."""
        ...

    def write(self, site: WorkloadKey, standing: RungState) -> None:
        """Keep it for films to come."""
        ...

    def note(self, site: WorkloadKey, rung: str) -> None:
        """Keep it for a later attempt at this film, should this one be killed now."""
        ...

    def killed_attempt(self, site: WorkloadKey) -> KilledAttempt | None:
        """How an earlier attempt at this film ended, if it was killed."""
        ...


class NullLadderStore:
    """Knows nothing and remembers nothing."""

    def begin(self, job: Path, rungs_down: int) -> None:
        """Nothing."""

    def read(self, site: WorkloadKey) -> None:
        """Nothing."""

    def write(self, site: WorkloadKey, standing: RungState) -> None:
        """Nothing."""

    def note(self, site: WorkloadKey, rung: str) -> None:
        """Nothing."""

    def killed_attempt(self, site: WorkloadKey) -> None:
        """Nothing."""


NULL_STORE = NullLadderStore()


class Ladder(Generic[Plan]):
    """The rungs of one kind of work, and the one that it stands on.

    Args:
        site: what is worked on, with what, on which device.
        rungs: the one that needs the most memory first; at least one.
        book: where the rung that was enough is remembered.
    """

    def __init__(self, site: WorkloadKey, rungs: Sequence[Rung[Plan]], book: LadderStore) -> None:
        self._site, self._rungs, self._book = site, tuple(rungs), book
        self._names = [rung.name for rung in rungs]
        standing = book.read(site)
        if standing is None or standing.rung not in self._names:
            standing = RungState(self._names[0])
        self._kept = self._standing = standing
        self._at = self._lowest = self._names.index(standing.rung)
        self._noted = ""
        self._steps = 0
        death = book.killed_attempt(site)
        if death is not None:
            self._begin_below(death)

    @property
    def rung(self) -> Rung[Plan]:
        """The rung that the next work begins on, unless the one above is due to be tried."""
        return self._rungs[self._at]

    def run(self, work: Callable[[Plan], Made]) -> Made:
        """What ``work`` makes, at the largest rung that memory bears.

        ``work`` may be called several times, each time with a plan that needs less; what an earlier
        call has made and not kept outside must not matter.

        Raises:
            OutOfMemory: it does not even fit at the last rung.
        """
        trying = self._above_is_due()
        if trying:
            self._at -= 1
            self._log.info("memory.rung_tried", after=self._standing.successes)
        while True:
            self._note()
            outcome = _try(work, self.rung.plan)
            if isinstance(outcome, _Done):
                self._succeeded()
                return outcome.made
            # Outside the handler: inside it the traceback still holds every array.
            free_memory()
            self._step_down(outcome.said, was_tried=trying)
            trying = False

    def close(self) -> None:
        """Remember how often the work has succeeded."""
        if self._standing != self._kept:
            self._write()

    def report(self) -> LadderReport:
        """What has happened since the ladder was made."""
        return LadderReport(
            work=str(self._site),
            rung=self._names[self._lowest],
            position=self._lowest,
            rungs=len(self._rungs),
            steps_down=self._steps,
        )

    # --- moving -------------------------------------------------------------------------------

    def _begin_below(self, death: KilledAttempt) -> None:
        """Begin below the rung on which a worker was killed."""
        known = self._names.index(death.rung) if death.rung in self._names else self._at
        if known < self._at:  # it was being tried, in vain
            self._stand(self._at, _longer(max(self._standing.patience, SUCCESSES_AFTER_KILL)))
        target = min(known + death.lower, len(self._rungs) - 1)
        if target > self._at:
            self._log.warning(
                "memory.rung_lowered", next=self._names[target], reason="a worker was killed"
            )
            self._steps += target - self._at
            self._stand(target, SUCCESSES_AFTER_KILL)

    def _note(self) -> None:
        if self.rung.name != self._noted:
            self._noted = self.rung.name
            self._book.note(self._site, self._noted)

    def _above_is_due(self) -> bool:
        return self._at > 0 and self._standing.successes >= self._standing.patience

    def _succeeded(self) -> None:
        """Count the success, and remember the rung where that is news."""
        name = self.rung.name
        if name != self._standing.rung:  # the rung above bears it again
            self._standing = RungState(name)
        self._standing = replace(self._standing, successes=self._standing.successes + 1)
        self._lowest = max(self._lowest, self._at)
        if name != self._kept.rung or self._standing.patience != self._kept.patience:
            self._write()
            self._log.info("memory.rung_remembered")

    def _step_down(self, said: str, *, was_tried: bool) -> None:
        """Stand one rung lower, or raise ``OutOfMemory`` where there is none."""
        if self._at + 1 == len(self._rungs):
            self._log.warning("memory.exhausted", error=said)
            raise OutOfMemory(
                f"memory ran out even in the smallest pieces ({self._site}: {said}); "
                "stop what else uses it, or give the machine more.",
                on_host=self._site.on_host,
            )
        self._log.warning("memory.short", next=self._names[self._at + 1], error=said)
        self._steps += 1
        patience = SUCCESSES_BEFORE_RETRY
        if was_tried:  # in vain: let more time pass before the next try
            patience = _longer(self._standing.patience)
        self._stand(self._at + 1, patience)

    def _stand(self, at: int, patience: int) -> None:
        self._at = at
        self._lowest = max(self._lowest, at)
        self._standing = RungState(self._names[at], 0, patience)

    def _write(self) -> None:
        self._kept = self._standing
        self._book.write(self._site, self._standing)

    @property
    def _log(self) -> Any:  # noqa: ANN401 - structlog's bound loggers have no one type
        return log.bind(work=str(self._site), rung=self.rung.name)


class Ladders:
    """All ladders of one worker process, and what has happened on them in the film at work.

    Args:
        book: where the rungs that were enough outlive the process.
    """

    def __init__(self, book: LadderStore = NULL_STORE) -> None:
        self._book = book
        self._open: dict[WorkloadKey, Ladder[Any]] = {}

    def begin(self, job: Path, rungs_down: int) -> None:
        """Begin an attempt at the film whose folder is ``job``.

        Args:
            job: its folder.
            rungs_down: how much lower than the attempts at it that were killed for the memory they
                took; 0: none was.
        """
        self._open.clear()
        self._book.begin(job, rungs_down)

    def ladder(self, site: WorkloadKey, rungs: Sequence[Rung[Plan]]) -> Ladder[Plan]:
        """The ladder of ``site``; the same one, for as long as one film is worked on."""
        if site not in self._open:
            self._open[site] = Ladder(site, rungs, self._book)
        return self._open[site]

    def close(self) -> tuple[LadderReport, ...]:
        """What was done in smaller pieces in the film that has ended; the next one starts anew."""
        ladders, self._open = list(self._open.values()), {}
        for ladder in ladders:
            ladder.close()
        reports = (ladder.report() for ladder in ladders)
        return tuple(report for report in reports if report.position)


def _longer(patience: int) -> int:
    return min(2 * patience, MAX_SUCCESSES_BEFORE_RETRY)


@dataclass(frozen=True, slots=True)
class _Done(Generic[Made]):
    made: Made


@dataclass(frozen=True, slots=True)
class _Short:
    said: str


def _try(work: Callable[[Plan], Made], plan: Plan) -> _Done[Made] | _Short:
    """What the work made, or what was said when memory ran out; nothing of it is held then."""
    try:
        return _Done(work(plan))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        return _Short(first_line(error))
