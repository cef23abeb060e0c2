"""How far a job is: stages weighted by the time they usually take, told at most so often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from erasecore.reports import Progress, Stage

Observe = Callable[[Progress], None]

_SHARES = {  # of a job's time, measured on 720p and 1080p films
    Stage.PROBE: 0.01,
    Stage.DETECT: 0.19,
    Stage.ERASE: 0.68,
    Stage.ASSEMBLE: 0.02,
    Stage.VERIFY: 0.10,
}
_SCOUT_SHARE = 0.5  # of a segment's progress; encoding is the rest


class ProgressReporter:
    """Turns steps of stages into ``Progress``; may be used from several threads."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._lock = threading.Lock()
        self._furthest = 0.0
        self.pixels = 0  # width x height of the film, once it is known

    def report(self, stage: Stage, done: float, total: float) -> None:
        """Say that ``done`` of ``total`` frames of ``stage`` are through (total 0: unknown)."""
        share = min(1.0, done / total) if total > 0 else 0.0
        before = sum(_SHARES[earlier] for earlier in _SHARES if _order(earlier) < _order(stage))
        with self._lock:
            self._furthest = max(self._furthest, before + share * _SHARES[stage])
            told = Progress(stage, self._furthest, int(done), int(total), self.pixels)
            self._observe(told)


class EraseMeter:
    """Adds up the progress of scouting and encoding the frames of a film.

    Args:
        total: the film's frames.
        done: those that an earlier attempt has finished.
        reporter: told after every step.
    """

    def __init__(self, total: int, done: int, reporter: ProgressReporter) -> None:
        self._reporter, self._total = reporter, total
        self._scouted = self._encoded = float(done)

    def scouted(self, frames: float) -> None:
        """So many more frames are recovered."""
        self._scouted += frames
        self._report()

    def encoded(self, frames: float) -> None:
        """So many more frames are stored."""
        self._encoded += frames
        self._report()

    def _report(self) -> None:
        done = _SCOUT_SHARE * self._scouted + (1 - _SCOUT_SHARE) * self._encoded
        self._reporter.report(Stage.ERASE, done, self._total)


class Clock:
    """How long each stage took on the wall, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Time the block as ``stage``."""
        begun = time.monotonic()
        yield
        self.seconds[stage.value] = round(time.monotonic() - begun, 3)


def _order(stage: Stage) -> int:
    return list(_SHARES).index(stage)
