"""The ``queue`` command: films in their order, why each waits, when it will be done."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime

from daemon.status.command import StatusSources, collect
from daemon.status.queue_view import FilmStanding, QueuedFilm, QueueView
from daemon.status.render import columns
from daemon.status.snapshot import SCHEMA, DaemonView, Moment, Snapshot, StatusReport
from erasecore.errors import printable


def queue(sources: StatusSources, *, as_json: bool) -> int:
    """Print the queue of each daemon; return 1 if none can be seen, else 0.

    Args:
        sources: places to read from.
        as_json: True for JSON, False for text.

    Raises:
        ConfigError: the configuration cannot be used, and there is no public status file.
        FolderError: there is no work folder, and no public status file.
    """
    report = collect(sources, 0, Moment(time.time(), time.monotonic()))
    views = [(view, view.snapshot) for view in report.daemons]
    seen = [(view, snapshot) for view, snapshot in views if snapshot is not None]
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a terminal may lack letters
    if as_json:
        sys.stdout.write(json.dumps(_answer(seen, report), indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(seen, report)))
    return 0 if seen else 1


def _answer(seen: Sequence[tuple[DaemonView, Snapshot]], report: StatusReport) -> dict[str, object]:
    """Return the queue for machines; docs/operations.md explains the keys."""
    daemons = [
        {
            "instance": snapshot.instance,
            "condition": view.condition,
            "state": snapshot.state,
            "pause": snapshot.pause and asdict(snapshot.pause),
            **asdict(snapshot.queue),
        }
        for view, snapshot in seen
    ]
    return {"schema": SCHEMA, "daemons": daemons, "complaint": report.complaint}


def _lines(seen: Sequence[tuple[DaemonView, Snapshot]], report: StatusReport) -> Iterator[str]:
    if not seen and not report.complaint:
        yield "no daemon is running"
    for view, snapshot in seen:
        yield f"{printable(view.instance) or 'daemon'}, {view.condition}: {snapshot.state.value}"
        if snapshot.trouble:
            yield printable(snapshot.trouble)
        if snapshot.pause is not None:
            yield printable(snapshot.pause.sentence())
        yield from _queue_lines(snapshot.queue)
    if report.complaint:
        yield printable(report.complaint)


def _queue_lines(view: QueueView) -> Iterator[str]:
    if view.films:
        heading = ("", "film", "size", "done about", "why it waits")
        yield from columns(heading, _rows(view.films))
    more = view.count - len(view.films)
    if more > 0:
        yield f"and {more} more films"
    if not view.count:
        yield "no film waits"
    if view.arriving:
        verb = "film is" if view.arriving == 1 else "films are"
        yield f"{view.arriving} {verb} still being copied into the inbox"
    if view.ends_at is not None:
        yield f"all are done about {_clock(view.ends_at)}{_source_of(view)}"
    elif view.count and not view.measured_films:
        yield "when they are done is estimated once a film has been finished"


def _source_of(view: QueueView) -> str:
    if not view.measured_films:
        return ""
    films = "film" if view.measured_films == 1 else f"{view.measured_films} films"
    return f", by the speed of the last {films}"


def _rows(films: Sequence[QueuedFilm]) -> Iterator[tuple[str, ...]]:
    place = 0
    for film in films:
        place += film.standing is FilmStanding.WAITING
        number = str(place) if film.standing is FilmStanding.WAITING else "-"
        if film.standing is FilmStanding.AT_WORK:
            number = ">"
        reason = f"preferred; {film.reason}" if film.preferred else film.reason
        size = f"{film.size_bytes / 1e6:.1f} MB" if film.size_bytes else ""
        yield number, printable(film.film), size, _clock(film.ends_at), printable(reason)


def _clock(wall: float | None) -> str:
    """Return a time of day, with the date unless it is today's."""
    if wall is None:
        return ""
    try:
        moment = datetime.fromtimestamp(wall)
    except (ValueError, OverflowError, OSError):  # from a file that is not ours
        return ""
    today = moment.date() == datetime.now().date()
    return f"{moment:%H:%M}" if today else f"{moment:%Y-%m-%d %H:%M}"
