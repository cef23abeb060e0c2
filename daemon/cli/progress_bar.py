"""A progress bar for people who wait for one film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from erasecore import reports

Observe = Callable[[reports.Progress | None], None]


@contextmanager
def progress_bar(console: Console, film: str) -> Iterator[Observe]:
    """A function that moves the bar; without a terminal it does nothing."""
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
    """Frames a second within the current stage."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stage = ""
        self._since, self._frames = 0.0, 0

    def text(self, progress: reports.Progress) -> str:
        now = self._clock()
        if progress.stage.value != self._stage:
            self._stage, self._since, self._frames = progress.stage.value, now, progress.frames_done
        if now - self._since < 0.5:
            return ""
        return f"{(progress.frames_done - self._frames) / (now - self._since):.1f} frames/s"
