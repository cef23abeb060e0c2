"""The command ``notify``: takes events into the outbox and tells the receivers.

One thread owns the outbox and decides; it waits for one queue of what others report. Each folder of
events has a thread, and so has each message that is being sent; a receiver has at most one. So a
receiver that is slow or dead holds up nobody else.

What is promised: each event is told to each receiver once. Where this process, or the machine, ends
after a message was sent and before that was stored, it is sent again with the same id
(``webhook-id``, ``SUBTITLE_ERASER_EVENT_ID``).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event as Flag
from threading import Thread

import structlog

from daemon.config.schema import Config
from daemon.notify.collector import Arrival, Collector
from daemon.notify.delivery import Message, Outcome, Receiver, next_delay_seconds
from daemon.notify.events import job_events_folder, message_of, queue_events_folder
from daemon.notify.outbox import Delivery, Outbox
from daemon.runtime.systemd import Notifier as Systemd
from daemon.storage.failpoints import failpoint
from erasecore.errors import FolderError
from erasecore.system.atomic_files import make_folder

log = structlog.get_logger(__name__)

MAX_SLEEP_SECONDS = 5.0
"""Longest wait for a report, in seconds: the watchdog is fed in between. A guess."""
DATABASE_SECONDS = 1.0
"""Pause after an error of the database, in seconds. A guess."""
STOP_SECONDS = 20.0
"""Longest wait at the end for messages that are being sent, in seconds. A guess."""
CUT_OFF_SECONDS = 2.0
"""Longest wait for programs that are killed then, in seconds. A guess."""


def outbox_folder(config: Config) -> Path:
    """Return the folder of the outbox."""
    return config.folders.state / "notify"


@dataclass(frozen=True, slots=True)
class Sent:
    """A try has ended."""

    receiver: Receiver
    delivery: Delivery
    outcome: Outcome


Report = Arrival | Sent | None  # None: look again, e.g. because of a signal


class Notifier:
    """One notifier, from its start to its end.

    Args:
        config: the configuration.
        receivers: everybody who is to be told.
        cut_off: set by this object when receivers are waited for no longer; they know it, too.
        systemd: is told that it is ready and lives.
    """

    def __init__(
        self, config: Config, receivers: Sequence[Receiver], cut_off: Flag, systemd: Systemd
    ) -> None:
        self._config = config
        self._receivers = {one.name: one for one in receivers}
        self._stopping = Flag()
        self._cut_off = cut_off
        self._systemd = systemd
        self._reports: SimpleQueue[Report] = SimpleQueue()
        self._unstored: list[Arrival | Sent] = []  # reports that the database has not taken yet
        self._sending: set[str] = set()  # names of receivers with a message under way
        self._not_before: dict[str, float] = {}  # receiver -> monotonic end of its pause
        self._trouble = ""  # of the database, as it was last logged

    def run(self) -> int:
        """Tell until asked to stop; return the exit code.

        Raises:
            FolderError: another one runs, or the state folder cannot be used.
        """
        folder = outbox_folder(self._config)
        with ExitStack() as stack:
            stack.enter_context(_exclusive(folder))
            stack.enter_context(_signals(self._stop))
            outbox = _opened(folder)
            stack.callback(outbox.close)
            if dropped := outbox.drop_others(self._receivers):
                log.warning("notify.receiver_removed", dropped=dropped)
            for place in (job_events_folder(self._config), queue_events_folder(self._config)):
                Collector(place, self._reports.put, self._stopping).start()
            log.info("notify.started", receivers=sorted(self._receivers))
            self._systemd.ready()
            while not self._stopping.is_set():
                self._turn(outbox)
            self._systemd.stopping()
            self._drain(outbox, STOP_SECONDS)
            self._cut_off.set()
            self._drain(outbox, CUT_OFF_SECONDS)
        log.info("notify.stopped")
        return 0

    def _stop(self) -> None:
        self._stopping.set()
        self._reports.put(None)

    # --- one turn ---------------------------------------------------------------------------

    def _turn(self, outbox: Outbox) -> None:
        """Store what was reported, begin what is due, and wait for the next report."""
        try:
            self._store(outbox)
            seconds = self._begin_due(outbox, now=time.time())
            self._trouble = ""
        except sqlite3.Error as error:
            self._report_trouble(error)
            seconds = DATABASE_SECONDS
        self._systemd.alive(now=time.monotonic())
        self._collect(seconds)

    def _report_trouble(self, error: sqlite3.Error) -> None:
        """Log an error of the database, once."""
        if str(error) != self._trouble:
            self._trouble = str(error)
            log.error("notify.outbox_trouble", error=str(error), remedy="mend folders.state")

    def _collect(self, seconds: float) -> None:
        """Wait for reports, at most for ``seconds``."""
        try:
            report = self._reports.get(timeout=max(0.0, seconds))
            while True:
                self._unstored += [report] if report is not None else []
                report = self._reports.get_nowait()
        except Empty:
            pass

    def _store(self, outbox: Outbox) -> None:
        while self._unstored:
            report = self._unstored[0]
            if isinstance(report, Arrival):
                arrived = [(event, json.dumps(message_of(event))) for event in report.events]
                outbox.take(arrived, self._receivers.values())
                log.debug("notify.taken", events=[event.event_id for event in report.events])
                failpoint("notify.after_store")
                report.stored.set()
            else:
                self._conclude(outbox, report, now=time.time())
                self._sending.discard(report.receiver.name)
            del self._unstored[0]

    def _conclude(self, outbox: Outbox, sent: Sent, *, now: float) -> None:
        """Store the outcome of a try, and log it."""
        failpoint("notify.after_send")
        delivery, outcome, name = sent.delivery, sent.outcome, sent.receiver.name
        event_id = delivery.message.event_id
        told = log.bind(receiver=name, event_id=event_id, tries=delivery.tries)
        if outcome.delivered:
            outbox.finish(name, event_id)
            told.info("notify.delivered")
        elif outcome.gone:
            dropped = outbox.disable(sent.receiver)
            told.error(
                "notify.disabled",
                reason=outcome.reason,
                dropped=dropped,
                remedy=f"remove {name} from the configuration, or: subtitle-eraser notify --test",
            )
        else:
            delay = next_delay_seconds(delivery.tries, outcome, self._config.notify.retry_seconds)
            self._not_before[name] = time.monotonic() + outcome.retry_after_seconds
            if delay is None:
                outbox.finish(name, event_id)
                told.error("notify.given_up", reason=outcome.reason)
            else:
                outbox.retry_at(name, event_id, delivery.tries, now + delay)
                told.warning("notify.failed", reason=outcome.reason, retry_seconds=round(delay, 1))

    def _begin_due(self, outbox: Outbox, *, now: float) -> float:
        """Begin a message for each receiver that has one due; return the seconds until the next."""
        seconds = MAX_SLEEP_SECONDS
        for name, receiver in self._receivers.items():
            if name in self._sending:
                continue
            paused_seconds = self._not_before.get(name, 0.0) - time.monotonic()
            if paused_seconds > 0:
                seconds = min(seconds, paused_seconds)
                continue
            delivery = outbox.begin(name, self._config.notify.retry_seconds, now=now)
            if delivery is None:
                due = outbox.next_due(name)
                seconds = seconds if due is None else min(seconds, due - now)
                continue
            failpoint("notify.after_begin")
            self._sending.add(name)
            Thread(target=self._send, args=(receiver, delivery), daemon=True).start()
        return seconds

    def _send(self, receiver: Receiver, delivery: Delivery) -> None:
        """Try once; the work of a thread."""
        outcome = Outcome(False, "an error of ours; please report it with the log.")
        try:
            outcome = receiver.send(delivery.message, now=time.time())
        finally:
            self._reports.put(Sent(receiver, delivery, outcome))

    # --- the end ----------------------------------------------------------------------------

    def _drain(self, outbox: Outbox, seconds: float) -> None:
        """Store the outcomes of what is being sent; what takes longer is sent again later."""
        deadline = time.monotonic() + seconds
        while self._sending and (left := deadline - time.monotonic()) > 0:
            self._collect(left)
            try:
                self._store(outbox)
            except sqlite3.Error as error:
                self._report_trouble(error)
                return


def trial_message(host: str, *, now: float, token: str) -> Message:
    """Return the message of ``notify --test``.

    Args:
        host: name of this host.
        now: seconds since 1970.
        token: makes its id unique.
    """
    sentence = "This is a test of subtitle-eraser; nothing has happened."
    timestamp = datetime.fromtimestamp(now, UTC).isoformat()
    content = {
        "type": "test",
        "timestamp": timestamp,
        "data": {"host": host, "sentence": sentence},
    }
    return Message(f"{token}-test", "test", json.dumps(content))


def _opened(folder: Path) -> Outbox:
    try:
        return Outbox(folder)
    except (sqlite3.Error, OSError) as error:
        raise FolderError(folder, f"the outbox cannot be used: {error}") from error


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock on the outbox's folder.

    Raises:
        FolderError: another process has it, or the folder cannot be used.
    """
    try:
        make_folder(folder)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FolderError(folder, f"cannot be used: {error}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FolderError(folder, "another `notify` is at work there; end that.") from error
        yield
    finally:
        os.close(handle)


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on SIGTERM and SIGINT within the block."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(one, lambda _number, _frame: stop()) for one in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
