"""`models fetch`, `verify` and `list`: each a function from what was asked to an exit code."""

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
from daemon.storage.names import shown
from erasecore.errors import HostError

GIGABYTE = 1e9


def models(asked: CommandContext) -> int:
    """Fetch, verify or list weights."""
    return _ACTIONS[asked.options.action](asked)


def _fetch(asked: CommandContext) -> int:
    """Bring what is lacking; only here are libraries needed that speak to hubs."""
    try:
        from daemon.cli.fetch_command import fetch_weights
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        raise HostError(
            f"fetching weights needs {library}; install the product with its extra: "
            "pip install 'subtitle-eraser[diffusion]'."
        ) from error
    return fetch_weights(asked)


def _verify(asked: CommandContext) -> int:
    """Read every file."""
    console = Console(stderr=True, highlight=False, markup=False)
    folders, now = _folders(asked), time.time()
    with download_progress(console) as bar:
        tick = bar.counter("reading", size_bytes(folders[0]))
        if asked.options.adopt:
            count = adopt(*folders, now=now, tick=tick)
            _say(f"{folders[0]}: {count} files are in the manifest as they are now")
            return 0
        size = verify(*folders, now=now, tick=tick)
    _say(f"{folders[0]}: all {size / GIGABYTE:.2f} GB are as they were fetched")
    return 0


def _list(asked: CommandContext) -> int:
    """Show what is there."""
    models, state = _folders(asked)
    views = overview(models, state, now=time.time())
    if asked.options.json:
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
        for line in _lines(view):
            _say(line)
    if not all(view.well for view in views):
        _say("`subtitle-eraser models fetch` mends it; only the engine diffueraser needs them")
    return 0


def _lines(view: RepositoryView) -> Iterator[str]:
    """A repository in a few lines."""
    if all(one.state == MISSING for one in view.files):
        yield f"{view.folder}: missing"
        return
    states = ", ".join(sorted({one.state for one in view.files}))
    there = sum(one.state != MISSING for one in view.files)
    size = f"{view.size_bytes / GIGABYTE:.2f} GB"
    verified = [one.verified_at for one in view.files if one.verified_at is not None]
    moment = _moment(min(verified)) if len(verified) == len(view.files) else "not yet"
    yield f"{view.folder}: {states}; {there} of {len(view.files)} files, {size}, verified {moment}"
    if view.source:
        revision = f" at {view.revision}" if view.revision else ""
        yield f"  from {view.source} {view.repository}".rstrip() + revision
    for one in view.files:
        if one.sentence:
            yield f"  {one.name} {one.sentence}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def _folders(asked: CommandContext) -> tuple[Path, Path]:
    """The models folder and the state folder."""
    host = asked.config.host()
    return Path(host.models), Path(host.state)


def _say(sentence: str) -> None:
    Console(highlight=False, markup=False).print(shown(sentence), soft_wrap=True)


_ACTIONS: dict[str, Callable[[CommandContext], int]] = {
    "fetch": _fetch,
    "verify": _verify,
    "list": _list,
}
