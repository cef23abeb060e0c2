"""Text form of the status report. Plain string columns: a table library takes long to import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from daemon.jobs.history_view import Entry
from daemon.status.snapshot import DaemonView, StatusReport
from erasecore.errors import printable


def text_of(report: StatusReport) -> str:
    """Return ``report`` as text: daemons, counts, latest jobs, then failures and complaints."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: StatusReport) -> Iterator[str]:
    if report.daemons:
        yield from _columns(("daemon", "is", "at"), _daemon_rows(report.daemons))
        yield ""
    elif not report.complaint:
        yield "no daemon is running"
    history = report.history
    waiting = "cannot be seen" if report.inbox is None else report.inbox
    counts = [f"{outcome}: {count}" for outcome, count in sorted(history.counts.items())]
    yield "   ".join([f"in the inbox: {waiting}", *counts])
    if history.recent:
        yield ""
        heading = ("when", "outcome", "attempts", "seconds", "subtitles", "film")
        yield from _columns(heading, map(_recent_row, history.recent))
    sentences = [entry.sentence for entry in history.recent]
    yield from filter(None, [*sentences, history.complaint, printable(report.complaint)])


def _daemon_rows(views: Sequence[DaemonView]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each daemon, and one for each of its workers if it has several."""
    for view in views:
        sentence = view.snapshot.sentence() if view.snapshot else ""
        yield printable(view.instance), view.standing.value, printable(sentence)
        workers = view.snapshot.workers if view.snapshot else ()
        for worker in workers if len(workers) > 1 else ():
            process = f"process {worker.pid}" if worker.pid else ""
            yield f"  worker {worker.number}", process, printable(worker.sentence())


def _recent_row(entry: Entry) -> tuple[str, ...]:
    """Return the columns of a finished job."""
    when = datetime.fromtimestamp(entry.stopped_at).astimezone()
    return (
        when.strftime("%Y-%m-%d %H:%M"),
        entry.outcome,
        str(entry.attempts),
        f"{entry.seconds:.1f}",
        str(entry.events),
        printable(entry.name),
    )


def _columns(heading: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """Yield heading and rows as lines with padded columns.

    The last column is not padded: it holds names of any length and script.
    """
    table = [heading, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        yield "  ".join([*padded, row[-1]]).rstrip()
