"""The ``status`` command: running daemons, waiting films, finished jobs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from daemon.config.locations import Locations, film_folders
from daemon.folders.bounded_calls import BoundedCalls
from daemon.inbox.scanner import Rules, count_films
from daemon.jobs.history_view import HistorySummary, read_history
from daemon.jobs.instances import this_process
from daemon.status.failures import Failures, scan_failures
from daemon.status.public import public_files, read_public
from daemon.status.render import text_of
from daemon.status.snapshot import SCHEMA, DaemonView, Moment, StatusReport, daemons
from daemon.storage.os_errors import hint_for
from erasecore.errors import ConfigError, EraseError, FolderError, FolderSilent

MAX_LAST = 100_000
"""Most jobs that ``--last`` shows."""


@dataclass(frozen=True, slots=True)
class StatusSources:
    """Places that the status is read from."""

    load: Callable[[], Locations]  # reads the configuration
    config: Path | None = None  # the configuration file, which may be unreadable
    runtime_folder: Path | None = None  # ``$RUNTIME_DIRECTORY``
    has_root: bool = False  # True: --root was given, so the service's own status is another one


WATCH_SECONDS = 2.0
"""Time between two reports of ``status --watch``, in seconds: a daemon writes one so often."""
CLEAR = "\x1b[H\x1b[2J"
"""Escape sequence of terminals: cursor to the top, clear the screen (ECMA-48)."""


def watch(sources: StatusSources, *, last: int, as_json: bool) -> int:
    """Print the status again and again, until interrupted: on a terminal in place.

    Args: see ``status``; JSON is written as one line each time.
    """
    while True:
        if not as_json and sys.stdout.isatty():
            sys.stdout.write(CLEAR)
        status(sources, last=last, as_json=as_json, indent=None)
        sys.stdout.flush()
        time.sleep(WATCH_SECONDS)


def status(sources: StatusSources, *, last: int, as_json: bool, indent: int | None = 2) -> int:
    """Print the daemons, the films that wait and the latest jobs.

    What this user may not read is replaced by the public status file of the daemon.

    Args:
        sources: places to read from.
        last: number of finished jobs to show.
        as_json: True for JSON, False for text.
        indent: of the JSON; None: it is one line.

    Returns:
        Exit code: 0 if a daemon runs and all is well; 1 if none runs, or one is dead or stuck,
        waits for the operator, or has set a film aside.

    Raises:
        ConfigError: the configuration cannot be used, and there is no public status file.
        FolderError: there is no work folder, and no public status file.
    """
    now = Moment(time.time(), time.monotonic())
    report = collect(sources, min(max(last, 0), MAX_LAST), now)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a terminal may lack letters
    sys.stdout.write(
        json.dumps(_answer(report), indent=indent) + "\n" if as_json else text_of(report)
    )
    return 0 if report.well else 1


def _answer(report: StatusReport) -> dict[str, object]:
    """Return the report for machines; docs/operations.md explains the keys."""
    complaints = filter(None, (report.complaint, report.history.complaint))
    return {
        "schema": SCHEMA,
        "well": report.well,
        "daemons": [
            {**asdict(view), "condition": view.condition, "well": view.well}
            for view in report.daemons
        ],
        "inbox": report.inbox,
        "counts": report.history.counts,
        "recent": [asdict(entry) for entry in report.history.recent],
        "failures": asdict(report.failures),
        "complaint": " ".join(complaints),
    }


def collect(sources: StatusSources, max_jobs: int, now: Moment) -> StatusReport:
    """Return the status, as far as this user may read it."""
    try:
        places = sources.load()
    except ConfigError as error:
        files = public_files("", sources.runtime_folder, sources.config)
        return _public_report(() if sources.has_root else files, HistorySummary(), error, now=now)
    folders = places.folders
    history = read_history(folders.state, max_jobs)
    try:
        # A share whose server is gone would keep us for ever; the daemon may say what is wrong.
        _check_answers(film_folders(folders))
        _check_there(folders.work)
        me = this_process(places.claims.instance)
        views = daemons(folders.work, me, now=now, lease_seconds=places.claims.lease_seconds)
        inbox = count_films(folders.inbox, Rules(places.inbox)) if folders.inbox.is_dir() else 0
    except (OSError, FolderError) as error:
        files = public_files(places.status.file, sources.runtime_folder, sources.config)
        return _public_report(files, history, error, now=now, work=folders.work)
    return StatusReport(views, inbox, history, scan_failures(folders.failed))


def _check_answers(folders: Mapping[str, Path]) -> None:
    for role in BoundedCalls().silent(folders):
        raise FolderSilent(folders[role])


def _check_there(work: Path) -> None:
    if not work.is_dir():
        raise FolderError(work, "is not there; has the daemon ever been started?")


def _public_report(
    files: Iterable[Path],
    history: HistorySummary,
    error: OSError | EraseError,
    *,
    now: Moment,
    work: Path | None = None,
) -> StatusReport:
    """Return what the daemon tells everybody.

    Args:
        files: possible places of its public status file.
        history: the history, as far as it can be read.
        error: reason why the folders are not shown.
        now: the present.
        work: the work folder, which the daemon must have; ``None``: unknown.

    Raises:
        EraseError: ``error``, if there is no public status file.
    """
    found = (read_public(file, now=now) for file in files)
    views = [view for view in found if view is not None and _has_work(view, work)]
    if not views and isinstance(error, EraseError):
        raise error
    if isinstance(error, PermissionError):
        complaint = f"{error.filename or work} is closed to user {os.getuid()}."
    elif isinstance(error, OSError):
        complaint = f"{error.filename or work} {hint_for(error)}"
    else:
        complaint = str(error)
    if views:
        complaint += " Shown is what the daemon tells everybody."
    shown = next((view.snapshot.failures for view in views if view.snapshot), Failures())
    return StatusReport(views, None, history, shown, complaint)


def _has_work(view: DaemonView, work: Path | None) -> bool:
    """Return True if a daemon has the work folder ``work``."""
    return work is None or view.snapshot is None or view.snapshot.work == str(work)
