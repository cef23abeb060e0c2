"""How the status looks to people: plain lines, since libraries for tables take long to load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from daemon.jobs.history_view import Entry
from daemon.status.snapshot import DaemonView, StatusReport
from daemon.storage.names import shown


def text_of(seen: StatusReport) -> str:
    """All of it, in lines."""
    return "".join(f"{line}\n" for line in _lines(seen))


def _lines(seen: StatusReport) -> Iterator[str]:
    if seen.daemons:
        yield from _columns(("daemon", "is", "at"), _daemon_rows(seen.daemons))
        yield ""
    elif not seen.complaint:
        yield "no daemon is running"
    waiting = "cannot be seen" if seen.inbox is None else seen.inbox
    counts = [f"{outcome}: {count}" for outcome, count in sorted(seen.history.counts.items())]
    yield "   ".join([f"in the inbox: {waiting}", *counts])
    if seen.history.recent:
        yield ""
        heading = ("when", "outcome", "attempts", "seconds", "subtitles", "film")
        yield from _columns(heading, map(_recent_row, seen.history.recent))
    sentences = [entry.sentence for entry in seen.history.recent]
    yield from filter(None, [*sentences, seen.history.complaint, shown(seen.complaint)])


def _daemon_rows(views: Sequence[DaemonView]) -> Iterator[tuple[str, ...]]:
    for view in views:
        sentence = view.snapshot.sentence() if view.snapshot else ""
        yield shown(view.instance), view.standing.value, shown(sentence)
        workers = view.snapshot.workers if view.snapshot else ()
        for worker in workers if len(workers) > 1 else ():
            process = f"process {worker.pid}" if worker.pid else ""
            yield f"  worker {worker.number}", process, shown(worker.sentence())


def _recent_row(entry: Entry) -> tuple[str, ...]:
    when = datetime.fromtimestamp(entry.stopped_at).astimezone()
    return (
        when.strftime("%Y-%m-%d %H:%M"),
        entry.outcome,
        str(entry.attempts),
        f"{entry.seconds:.1f}",
        str(entry.events),
        shown(entry.name),
    )


def _columns(heading: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """Rows in columns; the last, of any length and script, is not filled up."""
    table = [heading, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        filled = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        yield "  ".join([*filled, row[-1]]).rstrip()
