"""`status`: what the daemons are at, what waits, and what was done."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from daemon.config.locations import Locations
from daemon.inbox.scanner import Rules, count_films
from daemon.jobs.history_view import read_history
from daemon.jobs.instances import this_process
from daemon.status.render import text_of
from daemon.status.snapshot import StatusReport, daemons
from daemon.storage.os_errors import hint_for
from erasecore.errors import FolderError


def status(places: Locations, *, last: int, as_json: bool) -> int:
    """Show what the daemons are at, what waits and the ``last`` jobs that were done."""
    seen = _collect(places, last)
    if as_json:
        answer = {
            "daemons": [asdict(view) for view in seen.daemons],
            "inbox": seen.inbox,
            "counts": seen.history.counts,
            "recent": [asdict(entry) for entry in seen.history.recent],
            "complaint": " ".join(one for one in (seen.complaint, seen.history.complaint) if one),
        }
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    else:
        sys.stdout.write(text_of(seen))
    return 1 if seen.complaint else 0


def _collect(places: Locations, most: int) -> StatusReport:
    """What there is to see; of a share that is away only what this machine knows itself."""
    folders = places.folders
    past = read_history(folders.state, most)
    try:
        if not folders.work.is_dir():
            raise FolderError(folders.work, "is not there; has the daemon ever been started?")
        views = daemons(folders.work, this_process(places.claims.instance))
        inbox = count_films(folders.inbox, Rules(places.inbox)) if folders.inbox.is_dir() else 0
    except OSError as error:
        return StatusReport([], None, past, f"{error.filename or folders.work} {hint_for(error)}")
    return StatusReport(views, inbox, past)
