"""Requests of people to this daemon: found, recorded, carried out once and answered.

One look is a step of the main loop. A watch on ``asked/`` makes it due at once; where there are no
events, as on a share that another host writes to, it is due every ``LOOK_SECONDS``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from daemon.config.schema import Config
from daemon.control.applier import RequestApplier
from daemon.control.film_search import NoSuchFilm
from daemon.control.journal import Answer, Journal, RequestRecord, record_of, refused
from daemon.control.mailbox import Arrival, Mailbox
from daemon.control.reach import Reach
from daemon.folders.mount_table import filesystem_of, is_network, mounts
from daemon.inbox.watcher import InboxWatcher
from daemon.storage.failpoints import failpoint
from daemon.storage.os_errors import hint_for
from erasecore.errors import printable

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""Time between two looks where no event tells of a request, in seconds; a guess."""
WATCHED_SECONDS = 30.0
"""Time between two looks where events do, in seconds: in case that one was lost. Guess."""


class Controller:
    """Takes the requests to the daemon of one instance folder.

    Args:
        instance: our instance folder.
        reach: the parts that requests may touch.
        wake: ends the main loop's sleep; thread-safe.
    """

    def __init__(self, instance: Path, reach: Reach, wake: Callable[[], None]) -> None:
        self._mailbox = Mailbox(instance)
        self._journal = Journal(instance)
        self._applier = RequestApplier(reach)
        self._pauses = reach.pauses
        self._wake = wake
        self._hinted = True
        self._look_at = float("-inf")  # monotonic seconds
        self._watch = InboxWatcher(self._mailbox.folder, self._hint, warn=False)

    def watch(self) -> None:
        """Begin to watch for requests, where there are events; else each look tells of them."""
        if not is_network(filesystem_of(self._mailbox.folder, mounts())):
            with suppress(OSError):
                self._watch.start()

    def _hint(self) -> None:
        self._hinted = True
        self._wake()

    def reconfigure(self, config: Config) -> None:
        """Use the folders and the default erase settings of ``config`` from now on."""
        self._applier.reconfigure(config)

    def next_look_at(self, *, now: float, wall: float) -> float:
        """Return the monotonic time of the next look, or of the end of the pause before it."""
        until = self._pauses.until
        return self._look_at if until is None else min(self._look_at, now + until - wall)

    def reread(self) -> None:
        """Read the journal, which has the requests of a daemon that was taken over.

        Raises:
            OSError: it cannot be read.
        """
        self._journal.reread()
        self._hinted = True

    def look_if_due(self, *, now: float, wall: float) -> None:
        """Take new requests, carry out the open ones, and end a pause whose time is over.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.

        Raises:
            OSError: the folder of the instance cannot be read or written; the call may be repeated.
        """
        self._pauses.end_if_over(wall=wall)
        if not self._hinted and now < self._look_at:
            return
        self._hinted = False
        self._look_at = now + (WATCHED_SECONDS if self._watch.alive() else LOOK_SECONDS)
        for arrival in self._mailbox.arrivals(wall=wall):
            self._take(arrival, wall)
        for record in self._journal.open():
            self._carry_out(record, now, wall)
        if self._journal.open():
            self._look_at = now + LOOK_SECONDS
        self._journal.forget_old(wall=wall)

    # --- one request ----------------------------------------------------------------------------

    def _take(self, arrival: Arrival, wall: float) -> None:
        """Record a request, with the film that it is about, and remove its file."""
        if arrival.request_id not in self._journal:
            self._journal.save(self._record_of(arrival, wall))
            failpoint("request.after_record")
        self._mailbox.remove(arrival.request_id)
        failpoint("request.after_removal")

    def _record_of(self, arrival: Arrival, wall: float) -> RequestRecord:
        if arrival.message is None:
            record = RequestRecord(arrival.request_id, arrival.by, wall)
            return _answered(
                record, refused(f"the request cannot be used: {arrival.refusal}."), wall
            )
        request = arrival.message.request
        record = record_of(arrival.request_id, request, by=arrival.by, wall=wall)
        try:
            return replace(record, target=self._applier.target_of(request))
        except NoSuchFilm as error:
            return _answered(record, refused(str(error)), wall)

    def _carry_out(self, record: RequestRecord, now: float, wall: float) -> None:
        """Carry out one request, and answer it; one that fails is tried again with each look."""
        if not self._journal.still_ours(record):
            return
        try:
            answer = self._applier.apply(record, now=now, wall=wall)
        except OSError as error:
            place = printable(str(error.filename or "a file"))
            log.warning(
                "request.hindered", command=record.command, sentence=f"{place} {hint_for(error)}"
            )
            return
        if answer is not None:
            failpoint("request.after_step")
            self._journal.answer(record, answer, wall=wall)
            _log_answer(record, answer)
            failpoint("request.after_answer")

    def close(self) -> None:
        """End the watch, and copies of originals."""
        self._applier.close()
        with suppress(OSError):
            self._watch.stop()


def _answered(record: RequestRecord, answer: Answer, wall: float) -> RequestRecord:
    """Return ``record`` with its answer, logged."""
    _log_answer(record, answer)
    return replace(record, answer=replace(answer, at=wall))


def _log_answer(record: RequestRecord, answer: Answer) -> None:
    write_line = log.info if answer.accepted else log.warning
    write_line(
        "request.answered",
        command=record.command or "?",
        film=printable(str(record.body.get("film", ""))),
        by=record.by,
        accepted=answer.accepted,
        sentence=answer.sentence,
    )
