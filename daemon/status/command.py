"""The ``status`` command: running daemons, waiting films, finished jobs."""

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
    """Print the daemons, the films that wait and the latest jobs.

    Args:
        places: the configured folders.
        last: number of finished jobs to show.
        as_json: True for JSON, False for text.

    Returns:
        Exit code: 1 if the folders cannot be inspected, else 0.
    """
    report = _collect(places, last)
    if as_json:
        complaints = filter(None, (report.complaint, report.history.complaint))
        answer = {
            "daemons": [asdict(view) for view in report.daemons],
            "inbox": report.inbox,
            "counts": report.history.counts,
            "recent": [asdict(entry) for entry in report.history.recent],
            "complaint": " ".join(complaints),
        }
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    else:
        sys.stdout.write(text_of(report))
    return 1 if report.complaint else 0


def _collect(places: Locations, max_jobs: int) -> StatusReport:
    """Return the status; only the local history and a complaint if the shared folders are away."""
    folders = places.folders
    history = read_history(folders.state, max_jobs)
    try:
        if not folders.work.is_dir():
            raise FolderError(folders.work, "is not there; has the daemon ever been started?")
        views = daemons(folders.work, this_process(places.claims.instance))
        inbox = count_films(folders.inbox, Rules(places.inbox)) if folders.inbox.is_dir() else 0
    except OSError as error:
        complaint = f"{error.filename or folders.work} {hint_for(error)}"
        return StatusReport([], None, history, complaint)
    return StatusReport(views, inbox, history)
