"""`status`: what the daemons are at, what waits, and what was done."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module

from daemon.asked import Asked
from daemon.config import Config
from daemon.folders import advice
from daemon.looking import Rules, count_films
from daemon.owners import this_process
from daemon.past import read_past
from daemon.status import Seen, daemons
from erasecore.errors import FolderError


def status(asked: Asked) -> int:
    """Show what the daemons are at, what waits and what was done."""
    seen = _look(asked.config, asked.options.last)
    if asked.options.json:
        answer = {
            "daemons": [asdict(view) for view in seen.daemons],
            "inbox": seen.inbox,
            "counts": seen.past.counts,
            "recent": [asdict(entry) for entry in seen.past.recent],
            "complaint": " ".join(one for one in (seen.complaint, seen.past.complaint) if one),
        }
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    else:
        import_module("daemon.statusview").show(seen)  # machines need not wait for tables
    return 1 if seen.complaint else 0


def _look(config: Config, most: int) -> Seen:
    """What there is to see; of a share that is away only what this machine knows itself."""
    folders = config.folders
    past = read_past(folders.state, most)
    try:
        if not folders.work.is_dir():
            raise FolderError(folders.work, "is not there; has the daemon ever been started?")
        views = daemons(folders.work, this_process(config.claims.instance))
        inbox = count_films(folders.inbox, Rules(config.inbox)) if folders.inbox.is_dir() else 0
    except OSError as error:
        return Seen([], None, past, f"{error.filename or folders.work} {advice(error)}")
    return Seen(views, inbox, past)
