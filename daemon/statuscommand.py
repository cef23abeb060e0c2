"""`status`: what the daemons are at, what waits, and what was done."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Column, Table

from daemon.asked import Asked
from daemon.history import Entry, read_past
from daemon.inbox import Rules, count_films
from daemon.names import shown
from daemon.owners import this_process
from daemon.status import DaemonView, daemons
from erasecore.errors import FolderError


def status(asked: Asked) -> int:
    """Show what the daemons are at, what waits and what was done."""
    folders = asked.config.folders
    if not folders.work.is_dir():
        raise FolderError(folders.work, "is not there; has the daemon ever been started?")
    views = daemons(folders.work, this_process(asked.config.claims.instance))
    rules = Rules(asked.config.inbox)
    waiting = count_films(folders.inbox, rules) if folders.inbox.is_dir() else 0
    past = read_past(folders.state, asked.options.last)
    if asked.options.json:
        answer = {
            "daemons": [asdict(view) for view in views],
            "inbox": waiting,
            "counts": past.counts,
            "recent": [asdict(entry) for entry in past.recent],
            "complaint": past.complaint,
        }
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return 0
    console = Console(highlight=False, markup=False)
    console.print(_daemon_table(views) if views else "no daemon is running")
    console.print(f"in the inbox: {waiting}   ", end="")
    console.print(
        "   ".join(f"{outcome}: {count}" for outcome, count in sorted(past.counts.items()))
    )
    if past.recent:
        console.print(_recent_table(past.recent))
    for sentence in [*(entry.sentence for entry in past.recent), past.complaint]:
        if sentence:
            console.print(sentence)
    return 0


def _daemon_table(views: list[DaemonView]) -> Table:
    table = Table("daemon", "is", Column("at", overflow="fold"), box=box.SIMPLE)
    for view in views:
        sentence = view.snapshot.sentence() if view.snapshot else ""
        table.add_row(view.instance, view.standing.value, shown(sentence))
        workers = view.snapshot.workers if view.snapshot else ()
        for worker in workers if len(workers) > 1 else ():
            process = f"process {worker.pid}" if worker.pid else ""
            table.add_row(f"  worker {worker.number}", process, shown(worker.sentence()))
    return table


def _recent_table(entries: tuple[Entry, ...]) -> Table:
    table = Table(Column("when", no_wrap=True), Column("film", overflow="fold"), box=box.SIMPLE)
    for heading in ("outcome", "attempts", "seconds", "subtitles"):
        table.add_column(heading)
    for entry in entries:
        when = datetime.fromtimestamp(entry.stopped_at).astimezone()
        table.add_row(
            when.strftime("%Y-%m-%d %H:%M"),
            entry.name,
            entry.outcome,
            str(entry.attempts),
            f"{entry.seconds:.1f}",
            str(entry.events),
        )
    return table
