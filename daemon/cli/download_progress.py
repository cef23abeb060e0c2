"""Terminal progress bar for reading and downloading weights, in bytes."""

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
    """Progress bar of the current file; sentences are printed above it."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._task = progress.add_task("", total=None, visible=False)
        self._name = ""

    def print(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        self._console.print(sentence, soft_wrap=True)

    def move(self, name: str, done: int, total: int) -> None:
        """Set the bar to ``done`` of ``total`` bytes; hide it when the file is complete.

        Args:
            name: path of the file; the bar is labelled with the name of its folder.
            done: bytes.
            total: bytes.
        """
        if name != self._name:
            self._name = name
            shown_as = PurePosixPath(name).parent.name or name
            self._progress.reset(self._task, total=total, completed=done, description=shown_as)
        self._progress.update(self._task, completed=done, visible=done < total)

    def counter(self, label: str, total: int) -> Callable[[], None]:
        """Return a callback that moves the bar by ``HASH_BYTES``, to ``total`` bytes at most."""
        done = 0

        def tick() -> None:
            nonlocal done
            done += HASH_BYTES
            self.move(label, min(done, total), total)

        return tick


@contextmanager
def download_progress(console: Console) -> Iterator[DownloadProgress]:
    """Show a progress bar during the block; only its sentences if ``console`` is no terminal."""
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
