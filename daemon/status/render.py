"""Text form of the status report. Plain string columns: a table library takes long to import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from daemon.inbox.scanner import Ignored, WhyIgnored
from daemon.jobs.history_view import Entry
from daemon.status.failures import Failures
from daemon.status.snapshot import DaemonView, HeldFilm, Snapshot, StatusReport
from daemon.storage.names import MARKER_SUFFIX
from erasecore.errors import printable

_IGNORED = {
    WhyIgnored.EXTENSION: "not taken by their name (inbox.extensions)",
    WhyIgnored.PATTERN: "not taken by their name (inbox.ignore)",
    WhyIgnored.MARKER: f"waiting for its marker, film.mp4{MARKER_SUFFIX} (inbox.ready)",
    WhyIgnored.KIND: "not taken: no regular files",
}
"""Texts for the reasons why entries of the inbox are ignored."""
_UNITS = ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))
"""Units of an age: seconds in each, and its name."""
_MAX_AGE_SECONDS = 1e10
"""Longest age that is shown in numbers; more comes from a file that is not ours."""


def text_of(report: StatusReport) -> str:
    """Return ``report`` as text: daemons, what waits, latest jobs, then failures and complaints."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: StatusReport) -> Iterator[str]:
    if report.daemons:
        yield from columns(("daemon", "is", "heard of", "at"), _daemon_rows(report.daemons))
        yield ""
    elif not report.complaint:
        yield "no daemon is running"
    history = report.history
    waiting = "cannot be seen" if report.inbox is None else report.inbox
    counts = [f"{outcome}: {count}" for outcome, count in sorted(history.counts.items())]
    yield "   ".join([f"in the inbox: {waiting}", *counts])
    snapshots = [view.snapshot for view in report.daemons if view.snapshot]
    yield from _inbox_lines(snapshots)
    yield from _failure_lines(report.failures)
    if history.recent:
        yield ""
        heading = ("when", "outcome", "attempts", "seconds", "subtitles", "film")
        yield from columns(heading, map(_recent_row, history.recent))
    texts = [*(entry.sentence for entry in history.recent), history.complaint, report.complaint]
    yield from map(printable, filter(None, texts))


def _inbox_lines(snapshots: Sequence[Snapshot]) -> Iterator[str]:
    """Yield what is ignored, as one daemon sees it, and the films that each daemon holds back."""
    seen = next((one.ignored for one in snapshots if one.ignored), ())
    yield from map(_ignored_line, seen)
    for snapshot in snapshots:
        yield from map(_held_line, snapshot.held)
        if snapshot.held_count > len(snapshot.held):
            yield f"and {snapshot.held_count - len(snapshot.held)} more films wait like these"


def _ignored_line(ignored: Ignored) -> str:
    names = [printable(name) for name in ignored.examples]
    if names and ignored.count > len(names):
        names.append("...")
    verb = "file is" if ignored.count == 1 else "files are"
    listed = f": {', '.join(names)}" if names else ""
    reason = _IGNORED.get(ignored.reason, f"not taken ({ignored.reason})")
    return f"{ignored.count} {verb} {reason}{listed}"


def _held_line(held: HeldFilm) -> str:
    until = "is set aside" if held.retry_at is None else f"waits until {_clock(held.retry_at)}"
    sentence = f": {held.sentence}" if held.sentence else ""
    if not held.job_id:
        return printable(f"{held.film} stays in the inbox{sentence}")
    return printable(f"{held.film} {until}, after {held.attempts} attempts{sentence}")


def _failure_lines(failures: Failures) -> Iterator[str]:
    """Yield a line on the films that lie in failed/; none if there are none."""
    if not failures.count:
        return
    number = failures.count if failures.complete else f"{failures.count} or more"
    newest = ", ".join(printable(name) for name in failures.newest)
    named = f", the newest {newest}" if newest else ""
    yield f"in failed/: {number}{named} (`subtitle-eraser requeue` puts them back)"


def _daemon_rows(views: Sequence[DaemonView]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each daemon, each of its workers if there are several, and each copy."""
    for view in views:
        sentence = view.snapshot.sentence() if view.snapshot else ""
        name = printable(view.instance) or "(starting)"
        yield name, view.condition, _ago(view.age_seconds), printable(sentence)
        workers = view.snapshot.workers if view.snapshot else ()
        for worker in workers if len(workers) > 1 else ():
            process = f"process {worker.pid}" if worker.pid else ""
            yield f"  worker {worker.number}", process, "", printable(worker.sentence())
        out = view.snapshot.publishing if view.snapshot else ()
        for film in out:
            yield "  publisher", "", "", printable(film.sentence())


def _ago(seconds: float | None) -> str:
    """Return an age in its largest unit, e.g. "5 min ago"; "" if it is unknown."""
    if seconds is None:
        return ""
    if not seconds < _MAX_AGE_SECONDS:  # NaN, too
        return "long ago"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def _clock(seconds: float) -> str:
    """Return a time, seconds since the epoch, as date and time of day; "?" if it is none."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return "?"


def _recent_row(entry: Entry) -> tuple[str, ...]:
    """Return the columns of a finished job."""
    return (
        _clock(entry.stopped_at),
        entry.outcome,
        str(entry.attempts),
        f"{entry.seconds:.1f}",
        str(entry.events),
        printable(entry.name),
    )


def columns(heading: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """Yield heading and rows as lines with padded columns.

    The last column is not padded: it holds names of any length and script.
    """
    table = [heading, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        yield "  ".join([*padded, row[-1]]).rstrip()
