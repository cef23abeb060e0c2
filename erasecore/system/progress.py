"""Progress of a job: stages are weighted by their usual share of its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from erasecore.reports import Progress, Stage

Observe = Callable[[Progress], None]
"""Progress callback, also the job's heartbeat."""

ERASE_SHARES = {  # share of a job's time, in order, sum 1; measured on 720p and 1080p films
    Stage.PROBE: 0.01,
    Stage.DETECT: 0.19,
    Stage.ERASE: 0.68,
    Stage.ASSEMBLE: 0.02,
    Stage.VERIFY: 0.10,
}
PLAN_SHARES = {Stage.PROBE: 0.01, Stage.DETECT: 0.99}
"""The same of a plan, which reads text while it detects."""
_RECOVERY_SHARE = 0.5  # share of recovery in a segment's progress, encoding is the rest; guess


class BrokenOff(BaseException):
    """Carries an exception of the progress callback through the pipeline, which must not handle it.

    Args:
        error: as the callback raised it.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error


class ProgressReporter:
    """Converts frame counts of stages into ``Progress``, never falling; thread-safe.

    Args:
        observe: progress callback, called on every report.
        shares: share of the work of each stage, in order, sum 1.
    """

    def __init__(self, observe: Observe, shares: Mapping[Stage, float] = ERASE_SHARES) -> None:
        self._observe, self._shares = observe, shares
        self._lock = threading.Lock()
        self._furthest = 0.0
        self.pixels = 0  # width x height of the film; 0 until probed

    def report(self, stage: Stage, done: float, total: float) -> None:
        """Report that ``done`` of ``total`` frames of ``stage`` are finished (total 0: unknown).

        Raises:
            BrokenOff: the callback raised an exception, which is to end the work.
        """
        share = min(1.0, done / total) if total > 0 else 0.0
        stages = list(self._shares)
        before = sum(self._shares[earlier] for earlier in stages[: stages.index(stage)])
        with self._lock:
            reached = min(1.0, before + share * self._shares[stage])  # the sum may round up
            self._furthest = max(self._furthest, reached)
            progress = Progress(stage, self._furthest, int(done), int(total), self.pixels)
            try:
                self._observe(progress)
            except Exception as error:
                raise BrokenOff(error) from error


class EraseMeter:
    """Progress counter of the erase stage: recovered and encoded frames of a film.

    Args:
        total: number of frames of the film.
        done: number of frames that an earlier attempt has finished.
        reporter: receives the progress after every step.
    """

    def __init__(self, total: int, done: int, reporter: ProgressReporter) -> None:
        self._reporter, self._total = reporter, total
        self._recovered = self._encoded = float(done)

    def scouted(self, frames: float) -> None:
        """Add ``frames`` whose background is recovered (scouted, before encoding)."""
        self._recovered += frames
        self._report()

    def encoded(self, frames: float) -> None:
        """Add ``frames`` that are encoded and stored."""
        self._encoded += frames
        self._report()

    def _report(self) -> None:
        done = _RECOVERY_SHARE * self._recovered + (1 - _RECOVERY_SHARE) * self._encoded
        self._reporter.report(Stage.ERASE, done, self._total)


class Clock:
    """Stopwatch: wall-clock time of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}  # by stage value, rounded to 1 ms

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measure the ``with`` block as ``stage``; nothing is stored if it raises."""
        started = time.monotonic()
        yield
        self.seconds[stage.value] = round(time.monotonic() - started, 3)
