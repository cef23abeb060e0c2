"""How the status looks to people."""

from __future__ import annotations

from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Column, Table

from daemon.names import shown
from daemon.past import Entry
from daemon.status import DaemonView, Seen


def show(seen: Seen) -> None:
    """Print it."""
    console = Console(highlight=False, markup=False)
    if seen.daemons or not seen.complaint:
        console.print(_daemon_table(seen.daemons) if seen.daemons else "no daemon is running")
    waiting = "cannot be seen" if seen.inbox is None else seen.inbox
    console.print(f"in the inbox: {waiting}   ", end="")
    counts = sorted(seen.past.counts.items())
    console.print("   ".join(f"{outcome}: {count}" for outcome, count in counts))
    if seen.past.recent:
        console.print(_recent_table(seen.past.recent))
    sentences = [entry.sentence for entry in seen.past.recent]
    for sentence in [*sentences, seen.past.complaint, shown(seen.complaint)]:
        if sentence:
            console.print(sentence)


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
