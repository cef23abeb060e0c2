"""Outbox: an SQLite database of events, and of what each receiver has still to be told.

A message is *begun* in the database before it is sent, and its outcome is stored after that. So a
crash between the two repeats it, with the same id, and a database that cannot be written stops
messages rather than repeat them without end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from daemon.config.notify_settings import MAX_RETRY_SECONDS, EventKind
from daemon.notify.delivery import Message, Receiver
from daemon.notify.events import Event
from daemon.storage import sqlite_files
from erasecore.system.atomic_files import make_folder

log = structlog.get_logger(__name__)

OUTBOX_FILE = "outbox.sqlite3"
"""Name of the database in its folder, ``notify/`` below the state folder."""
BUSY_SECONDS = 1.0
"""Longest wait for a lock that ``notify --test`` holds, in seconds. A guess."""
KEPT_EVENTS = 100_000
"""Newest events whose ids are kept, so that none is told again. A guess."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT UNIQUE, kind TEXT, body TEXT);
CREATE TABLE IF NOT EXISTS delivery (
    event_id TEXT, receiver TEXT, tries INTEGER, due REAL, PRIMARY KEY (event_id, receiver));
CREATE INDEX IF NOT EXISTS delivery_by_time ON delivery (receiver, due);
CREATE TABLE IF NOT EXISTS disabled (receiver TEXT PRIMARY KEY, address_digest TEXT);
CREATE TABLE IF NOT EXISTS pause (host TEXT, subject TEXT, PRIMARY KEY (host, subject));
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that a receiver is to be told."""

    receiver: str
    message: Message
    tries: int  # so far, with the one that has begun


class Outbox:
    """The open database; used by one thread.

    Args:
        folder: made if it is missing. A damaged database in it is set aside and made anew.

    Raises:
        sqlite3.Error: the database cannot be opened or written.
        OSError: the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        path = folder / OUTBOX_FILE
        try:
            self._database = _connect(path)
        except (sqlite3.DatabaseError, sqlite_files.Damaged) as error:
            if not sqlite_files.is_damage(error):
                raise
            aside = sqlite_files.set_aside(path)
            log.warning("notify.outbox_broken", kept_as=str(aside), error=str(error))
            self._database = _connect(path)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # --- events -----------------------------------------------------------------------------

    def take(self, arrived: Sequence[tuple[Event, str]], receivers: Iterable[Receiver]) -> None:
        """Store events and what is to be told of them, in one transaction.

        An event that is known, or a pause or its end that is no change, is passed over.

        Args:
            arrived: events with their messages' bodies.
            receivers: everybody who may be told.
        """
        told = list(receivers)
        disabled = self._disabled()
        active = [one for one in told if disabled.get(one.name) != one.address_digest]
        with self._transaction() as database:
            for event, body in arrived:
                if not self._is_new(event):
                    continue
                values = (event.event_id, event.kind, body)
                database.execute(
                    "INSERT INTO event (event_id, kind, body) VALUES (?, ?, ?)", values
                )
                database.executemany(
                    "INSERT INTO delivery VALUES (?, ?, 0, 0)",
                    [(event.event_id, one.name) for one in active if event.kind in one.kinds],
                )
            database.execute(
                "DELETE FROM event WHERE number <= (SELECT MAX(number) FROM event) - ? "
                "AND event_id NOT IN (SELECT event_id FROM delivery)",
                (KEPT_EVENTS,),
            )

    def _is_new(self, event: Event) -> bool:
        """Return True if an event is to be told; for one of the queue, note its new state."""
        known = "SELECT 1 FROM event WHERE event_id = ?"
        if self._database.execute(known, (event.event_id,)).fetchone():
            return False
        subject = (event.host, event.subject)
        if event.kind is EventKind.PAUSED:
            change = "INSERT OR IGNORE INTO pause VALUES (?, ?)"
        elif event.kind is EventKind.RESUMED:
            change = "DELETE FROM pause WHERE host = ? AND subject = ?"
        else:
            return True
        return self._database.execute(change, subject).rowcount > 0

    # --- deliveries -------------------------------------------------------------------------

    def begin(
        self, receiver: str, retry_seconds: Sequence[float], *, now: float
    ) -> Delivery | None:
        """Return the next message that is due for a receiver, noted as tried; None without one.

        Args:
            receiver: name of the receiver.
            retry_seconds: delays between tries; the message is due again after one of them, unless
                its outcome is stored before.
            now: seconds since 1970.
        """
        # The clock may have been set back: nothing waits longer than the longest delay.
        query = (
            "SELECT event_id, kind, body, tries FROM delivery JOIN event USING (event_id) "
            "WHERE receiver = ? AND (due <= ? OR due > ?) ORDER BY due, number LIMIT 1"
        )
        values = (receiver, now, now + MAX_RETRY_SECONDS)
        row = self._database.execute(query, values).fetchone()
        if row is None:
            return None
        event_id, kind, body, tries = row
        delays = retry_seconds[: tries + 1]
        self.retry_at(receiver, event_id, tries + 1, now + (delays[-1] if delays else 0.0))
        return Delivery(receiver, Message(event_id, kind, body), tries + 1)

    def next_due(self, receiver: str) -> float | None:
        """Return the time of a receiver's next try, seconds since 1970; None without one."""
        query = "SELECT MIN(due) FROM delivery WHERE receiver = ?"
        due: float | None = self._database.execute(query, (receiver,)).fetchone()[0]
        return due

    def waiting(self, receiver: str) -> int:
        """Return the number of messages that wait for a receiver."""
        query = "SELECT COUNT(*) FROM delivery WHERE receiver = ?"
        count: int = self._database.execute(query, (receiver,)).fetchone()[0]
        return count

    def retry_at(self, receiver: str, event_id: str, tries: int, due: float) -> None:
        """Store when a message is tried again, seconds since 1970."""
        with self._transaction() as database:
            database.execute(
                "UPDATE delivery SET tries = ?, due = ? WHERE event_id = ? AND receiver = ?",
                (tries, due, event_id, receiver),
            )

    def finish(self, receiver: str, event_id: str) -> None:
        """Forget a message that is delivered or given up; its event stays known."""
        with self._transaction() as database:
            database.execute(
                "DELETE FROM delivery WHERE event_id = ? AND receiver = ?", (event_id, receiver)
            )

    # --- receivers --------------------------------------------------------------------------

    def disable(self, receiver: Receiver) -> int:
        """Tell a receiver no more; return the number of its messages that are dropped."""
        with self._transaction() as database:
            values = (receiver.name, receiver.address_digest)
            database.execute("INSERT OR REPLACE INTO disabled VALUES (?, ?)", values)
            dropped = database.execute("DELETE FROM delivery WHERE receiver = ?", values[:1])
            return dropped.rowcount

    def enable(self, name: str) -> None:
        """Tell the receiver ``name`` again."""
        with self._transaction() as database:
            database.execute("DELETE FROM disabled WHERE receiver = ?", (name,))

    def is_disabled(self, receiver: Receiver) -> bool:
        """Return True if the receiver has asked, at this address, to be told no more."""
        return self._disabled().get(receiver.name) == receiver.address_digest

    def drop_others(self, names: Iterable[str]) -> int:
        """Drop the messages for all but the receivers ``names``; return their number."""
        kept = list(names)
        marks = ", ".join("?" * len(kept))
        with self._transaction() as database:
            query = f"DELETE FROM delivery WHERE receiver NOT IN ({marks})"
            return database.execute(query, kept).rowcount

    def _disabled(self) -> dict[str, str]:
        return dict(self._database.execute("SELECT receiver, address_digest FROM disabled"))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with sqlite_files.transaction(self._database):
            yield self._database


def _connect(path: Path) -> sqlite3.Connection:
    """Open the database and check it."""
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        # No write-ahead log: a disk that fails kills whoever has one mapped.
        database.execute("PRAGMA journal_mode=TRUNCATE")
        database.execute("PRAGMA synchronous=FULL")
        database.executescript(_SCHEMA)
        sqlite_files.check(database)
    except BaseException:
        with suppress(sqlite3.Error):
            database.close()
        raise
    return database
