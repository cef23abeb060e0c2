"""`status`: what the daemons are at, what waits, and what was done."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from daemon.config.locations import Places
from daemon.inbox.scanner import Rules, count_films
from daemon.jobs.history_view import read_past
from daemon.jobs.instances import this_process
from daemon.status.render import text_of
from daemon.status.snapshot import Seen, daemons
from daemon.storage.os_errors import advice
from erasecore.errors import FolderError


def status(places: Places, *, last: int, as_json: bool) -> int:
    """Show what the daemons are at, what waits and the ``last`` jobs that were done."""
    seen = _look(places, last)
    if as_json:
        answer = {
            "daemons": [asdict(view) for view in seen.daemons],
            "inbox": seen.inbox,
            "counts": seen.past.counts,
            "recent": [asdict(entry) for entry in seen.past.recent],
            "complaint": " ".join(one for one in (seen.complaint, seen.past.complaint) if one),
        }
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    else:
        sys.stdout.write(text_of(seen))
    return 1 if seen.complaint else 0


def _look(places: Places, most: int) -> Seen:
    """What there is to see; of a share that is away only what this machine knows itself."""
    folders = places.folders
    past = read_past(folders.state, most)
    try:
        if not folders.work.is_dir():
            raise FolderError(folders.work, "is not there; has the daemon ever been started?")
        views = daemons(folders.work, this_process(places.claims.instance))
        inbox = count_films(folders.inbox, Rules(places.inbox)) if folders.inbox.is_dir() else 0
    except OSError as error:
        return Seen([], None, past, f"{error.filename or folders.work} {advice(error)}")
    return Seen(views, inbox, past)
