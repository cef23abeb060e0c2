"""A progress bar over the bytes of files, for people who wait for weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from erasecore.weights.manifest import HASH_BYTES


class DownloadProgress:
    """A bar for the file at work, on terminals; sentences go above it, or stand alone."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._task = progress.add_task("", total=None, visible=False)
        self._name = ""

    def print(self, sentence: str) -> None:
        """Say something that stays."""
        self._console.print(sentence, soft_wrap=True)

    def move(self, name: str, done: int, total: int) -> None:
        """Show how far a file is, by the folder that it is to lie in."""
        if name != self._name:
            self._name = name
            shown_as = PurePosixPath(name).parent.name or name
            self._progress.reset(self._task, total=total, completed=done, description=shown_as)
        self._progress.update(self._task, completed=done, visible=done < total)

    def counter(self, what: str, total: int) -> Callable[[], None]:
        """A function that moves the bar by one block of what is read."""
        done = 0

        def tick() -> None:
            nonlocal done
            done += HASH_BYTES
            self.move(what, min(done, total), total)

        return tick


@contextmanager
def download_progress(console: Console) -> Iterator[DownloadProgress]:
    """A bar that is there while the block lasts; without a terminal only sentences are shown."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield DownloadProgress(console, progress)
