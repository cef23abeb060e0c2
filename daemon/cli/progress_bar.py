"""Terminal progress bar for the erasure of one film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from erasecore import reports

Observe = Callable[[reports.Progress | None], None]
"""Progress callback; ``None`` means that no progress has been reported yet."""


@contextmanager
def progress_bar(console: Console, film: str) -> Iterator[Observe]:
    """Show a progress bar during the block; yield the callback that moves it.

    If ``console`` is no terminal there is no bar, and the callback does nothing.
    """
    if not console.is_terminal:
        yield lambda _progress: None
        return
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
