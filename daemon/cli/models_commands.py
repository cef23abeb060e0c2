"""The commands ``models fetch``, ``models verify`` and ``models list``, one function each."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from rich.console import Console

from daemon.cli.context import CommandContext
from daemon.cli.download_progress import download_progress
from daemon.models.inventory import MISSING, RepositoryView, adopt, overview, size_bytes, verify
from erasecore.errors import HostError, printable

GIGABYTE = 1e9  # bytes, as disks are sold


def models(context: CommandContext) -> int:
    """Run the action that the options name; return its exit code."""
    return _ACTIONS[context.options.action](context)


def _fetch(context: CommandContext) -> int:
    """Fetch weights. The hub libraries are optional, so they are imported only here.

    Raises:
        HostError: one of them is not installed, or the fetch failed.
    """
    try:
        from daemon.cli.fetch_command import fetch_weights
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        raise HostError(
            f"fetching weights needs {library}; install the product with its extra: "
            "pip install 'subtitle-eraser[diffusion]'."
        ) from error
    return fetch_weights(context)


def _verify(context: CommandContext) -> int:
    """Hash every file and compare it with the manifest, or write a new manifest (--adopt)."""
    console = Console(stderr=True, highlight=False, markup=False)
    folders, now = _folders(context), time.time()
    with download_progress(console) as bar:
        tick = bar.counter("reading", size_bytes(folders[0]))
        if context.options.adopt:
            count = adopt(*folders, now=now, tick=tick)
            _say(f"{folders[0]}: {count} files are in the manifest as they are now")
            return 0
        size = verify(*folders, now=now, tick=tick)
    _say(f"{folders[0]}: all {size / GIGABYTE:.2f} GB are as they were fetched")
    return 0


def _list(context: CommandContext) -> int:
    """Print the state of every repository, as text or JSON."""
    models, state = _folders(context)
    views = overview(models, state, now=time.time())
    if context.options.json:
        answer = {
            "folder": str(models),
            "well": all(view.well for view in views),
            "size_bytes": sum(view.size_bytes for view in views),
            "repositories": [{**asdict(view), "well": view.well} for view in views],
        }
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return 0
    _say(f"{models}:")
    for view in views:
        for line in _repository_lines(view):
            _say(line)
    if not all(view.well for view in views):
        _say("`subtitle-eraser models fetch` mends it; only the engine diffueraser needs them")
    return 0


def _repository_lines(view: RepositoryView) -> Iterator[str]:
    """Yield a repository as text: a summary, its source, and each damaged or missing file.

    A repository counts as verified if each of its files was; the oldest time is shown.
    """
    files = view.files
    if all(file.state == MISSING for file in files):
        yield f"{view.folder}: missing"
        return
    states = ", ".join(sorted({file.state for file in files}))
    present = sum(file.state != MISSING for file in files)
    size = f"{view.size_bytes / GIGABYTE:.2f} GB"
    times = [file.verified_at for file in files if file.verified_at is not None]
    verified = _local_time(min(times)) if len(times) == len(files) else "not yet"
    yield f"{view.folder}: {states}; {present} of {len(files)} files, {size}, verified {verified}"
    if view.source:
        revision = f" at {view.revision}" if view.revision else ""
        yield f"  from {view.source} {view.repository}".rstrip() + revision
    for file in files:
        if file.sentence:
            yield f"  {file.name} {file.sentence}"


def _local_time(seconds: float) -> str:
    """Return seconds since the epoch as local date and time."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def _folders(context: CommandContext) -> tuple[Path, Path]:
    """Return the models folder and the state folder, as absolute paths."""
    host = context.config.host()
    return Path(host.models), Path(host.state)


def _say(sentence: str) -> None:
    Console(highlight=False, markup=False).print(printable(sentence), soft_wrap=True)


_ACTIONS: dict[str, Callable[[CommandContext], int]] = {
    "fetch": _fetch,
    "verify": _verify,
    "list": _list,
}
