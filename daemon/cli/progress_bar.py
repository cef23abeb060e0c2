"""Terminal progress bar for the erasure of one film."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from erasecore import reports

Observe = Callable[[reports.Progress | None], None]
"""Progress callback; ``None`` means that no progress has been reported yet."""

LINE_SECONDS = 10.0
"""Least distance of two lines of one stage where there is no bar; a guess."""


@contextmanager
def progress_bar(
    console: Console, film: str, *, quiet: bool = False, lines: bool = False
) -> Iterator[Observe]:
    """Show a progress bar during the block; yield the callback that moves it.

    Args:
        console: without a terminal, lines are printed now and then instead of a bar.
        film: name of the film, printable.
        quiet: show nothing.
        lines: print lines in any case.
    """
    if quiet:
        yield lambda _progress: None
    elif lines or not console.is_terminal:
        yield _ProgressLines(console, film, time.monotonic).observe
    else:
        with _bar(console, film) as observe:
            yield observe


@contextmanager
def _bar(console: Console, film: str) -> Iterator[Observe]:
    """Show a bar that is drawn anew in place."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"{film}: loading", total=1.0, rate="")
        rate = _Rate(bar.get_time)

        def observe(progress: reports.Progress | None) -> None:
            if progress is not None:
                bar.update(
                    task,
                    completed=progress.job_share,
                    description=f"{film}: {progress.stage.value}",
                    rate=rate.text(progress),
                )

        yield observe


class _ProgressLines:
    """Prints a line when a stage begins, and one each ``LINE_SECONDS``."""

    def __init__(self, console: Console, film: str, clock: Callable[[], float]) -> None:
        self._console, self._film, self._clock = console, film, clock
        self._rate = _Rate(clock)
        self._stage = ""
        self._printed_at = 0.0

    def observe(self, progress: reports.Progress | None) -> None:
        """Print a line if it is time."""
        if progress is None:
            return
        now, rate = self._clock(), self._rate.text(progress)
        if progress.stage.value != self._stage or now - self._printed_at >= LINE_SECONDS:
            self._stage, self._printed_at = progress.stage.value, now
            words = f"{self._film}: {progress.job_share:.0%}", self._stage, rate
            self._console.print(" ".join(filter(None, words)))


class _Rate:
    """Mean speed in frames per second since the first report of the current stage."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stage = ""
        self._stage_started_at = 0.0
        self._first_frames = 0  # frames done at the first report of the stage

    def text(self, progress: reports.Progress) -> str:
        """Return the speed for display; "" in the first half second of a stage."""
        now, frames = self._clock(), progress.frames_done
        if progress.stage.value != self._stage:
            self._stage = progress.stage.value
            self._stage_started_at, self._first_frames = now, frames
        seconds = now - self._stage_started_at
        if seconds < 0.5:
            return ""
        return f"{(frames - self._first_frames) / seconds:.1f} frames/s"
