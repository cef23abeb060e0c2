"""A progress bar over the bytes of files, for people who wait for weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from erasecore.manifest import HASH_BYTES


class FileBar:
    """A bar for the file at work, on terminals; sentences go above it, or stand alone."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._task = progress.add_task("", total=None, visible=False)

    def print(self, sentence: str) -> None:
        """Say something that stays."""
        self._console.print(sentence, soft_wrap=True)

    def move(self, name: str, done: int, total: int) -> None:
        """Show how far a file is."""
        self._progress.update(
            self._task, description=name, completed=done, total=total, visible=done < total
        )

    def counter(self, what: str, total: int) -> Callable[[], None]:
        """A function that moves the bar by one block of what is read."""
        done = 0

        def tick() -> None:
            nonlocal done
            done += HASH_BYTES
            self.move(what, min(done, total), total)

        return tick


@contextmanager
def file_bar(console: Console) -> Iterator[FileBar]:
    """A bar that is there while the block lasts; without a terminal only sentences are shown."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield FileBar(console, progress)
