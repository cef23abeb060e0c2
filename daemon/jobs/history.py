"""History of ended jobs, written by a thread: no decision of the daemon depends on it.

The main loop never waits for the database. Lines that cannot be written are kept in memory, up to
a limit, and written later; ``trouble`` tells the operator. A new database is filled from the
published reports in the background.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import closing
from threading import Condition, Thread

import structlog
from ulid import ULID

from daemon.config.locations import FolderSettings
from daemon.folders.state_folder import STATE_CONSEQUENCE, state_trouble
from daemon.jobs.history_file import HistoryFile
from daemon.jobs.history_view import HISTORY_FILE, Content, Entry
from daemon.jobs.published_reports import PublishedReports
from daemon.jobs.speeds import KEPT_SPEEDS, MeasuredSpeed
from daemon.storage.os_errors import hint_for
from daemon.storage.sqlite_files import PRIMARY_CODE

log = structlog.get_logger(__name__)

KEPT_ENTRIES = 100_000
"""Newest jobs that are kept; a guess. The reports of older ones are still in done/ and failed/."""
MAX_PENDING = 1000
"""Lines that are kept in memory while the database cannot be written; a guess (about 1 MB)."""
STORE_SECONDS = 0.05
"""Longest wait of ``record`` for the line to be written, in seconds. Usually it is, in a few
milliseconds, so that a crash right after it costs no line."""
RETRY_SECONDS = 1.0
"""First pause after an error of the database, in seconds; doubles each time. A guess."""
MAX_RETRY_SECONDS = 60.0
"""Longest pause after an error of the database, in seconds. A guess."""
CLOSE_SECONDS = 3.0
"""Longest wait for the thread when the daemon ends, in seconds: longer than a busy database."""
REBUILD_BATCH = 50
"""Reports per transaction of a rebuild; lines of new jobs go between two batches. A guess."""


class History:
    """Writer of the history database; the constructor starts its thread and cannot fail.

    Args:
        folders: the state folder for the database, done/ and failed/ for the rebuild.
        kept_entries: number of newest jobs to keep.
    """

    def __init__(self, folders: FolderSettings, *, kept_entries: int = KEPT_ENTRIES) -> None:
        self._folders = folders
        self._kept_entries = kept_entries
        self._changed = Condition()  # guards all that follows
        self._pending: list[Entry] = []  # lines to write, the oldest first
        self._contents: list[Content] = []  # of films that are done; written before the lines
        self._writing = 0  # number of lines that the thread is writing
        self._dropped = 0  # lines that found no room in ``_pending`` since the last rebuild
        self._closing = False
        self._speeds = deque[MeasuredSpeed](maxlen=KEPT_SPEEDS)  # the oldest first
        self._unsaved_speeds: list[MeasuredSpeed] = []  # the database lacks them
        self.trouble = ""  # sentence for the operator; "" while the database works
        self._thread = Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def speeds(self) -> list[MeasuredSpeed]:
        """Return the newest measured speeds, those of earlier runs included."""
        with self._changed:
            return list(self._speeds)

    def record(
        self, entry: Entry, content: Content | None = None, speed: MeasuredSpeed | None = None
    ) -> None:
        """Hand an entry to the thread (insert or replace); wait ``STORE_SECONDS`` at most.

        Args:
            entry: the ended job.
            content: content of its source, if it is done.
            speed: its measured speed, if it has one.
        """
        with self._changed:
            self._pending.append(entry)
            self._contents += [content] if content else []
            del self._contents[:-MAX_PENDING]
            if speed is not None:
                self._speeds.append(speed)
                self._unsaved_speeds = [*self._unsaved_speeds, speed][-KEPT_SPEEDS:]
            self._trim()
            self._changed.notify_all()
            if not self.trouble:
                self._changed.wait_for(self._all_written, STORE_SECONDS)

    def _all_written(self) -> bool:
        return not self._pending and not self._writing

    def _trim(self) -> None:
        """Drop the oldest lines above ``MAX_PENDING``; the next rebuild adds them again."""
        excess = len(self._pending) - MAX_PENDING
        if excess > 0:
            if not self._dropped:
                log.warning("history.lines_dropped", remedy="they are added from the reports later")
            self._dropped += excess
            del self._pending[:excess]

    def close(self) -> None:
        """Write what is left, and end the thread; a database that hangs is not waited for."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        with self._changed:
            lost = len(self._pending) + self._writing
        if lost:
            log.warning("history.lines_lost", count=lost, remedy=f"remove {HISTORY_FILE}")

    # --- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        pause_seconds = RETRY_SECONDS
        while not self._closing:
            try:
                with closing(HistoryFile(self._folders.state, self._kept_entries)) as database:
                    pause_seconds = RETRY_SECONDS
                    self._serve(database)
            except (sqlite3.Error, OSError) as error:
                self._report(error)
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, pause_seconds)
                pause_seconds = min(2 * pause_seconds, MAX_RETRY_SECONDS)

    def _serve(self, database: HistoryFile) -> None:
        """Write lines until the daemon ends or the file is replaced; rebuild first if needed."""
        self._write_pending(database)
        with self._changed:
            unsaved = {speed.job_id for speed in self._speeds}
            stored = [one for one in database.speeds() if one.job_id not in unsaved]
            self._speeds.extendleft(reversed(stored[-(KEPT_SPEEDS - len(unsaved)) :]))
        self.trouble = ""
        if not database.complete or self._dropped:
            self._rebuild(database)
        while database.is_current():
            self._write_pending(database)
            with self._changed:
                if self._closing and not self._pending:
                    return
                self._changed.wait_for(lambda: self._pending or self._closing)

    def _write_pending(self, database: HistoryFile) -> None:
        """Write the lines that wait, in one transaction; put them back if that fails."""
        with self._changed:
            lines, self._pending = self._pending, []
            contents, self._contents = self._contents, []
            speeds, self._unsaved_speeds = self._unsaved_speeds, []
            self._writing = len(lines)
        try:
            database.add_contents(contents)
            if lines:
                database.add(lines)
            if speeds:
                database.add_speeds(speeds)
        except BaseException:
            with self._changed:
                self._pending[:0] = lines
                self._contents[:0] = contents
                self._unsaved_speeds[:0] = speeds
                self._trim()
            raise
        finally:
            with self._changed:
                self._writing = 0
                self._changed.notify_all()

    def _report(self, error: Exception) -> None:
        """Set ``trouble``: the folder's own problem if it has one, else the database's."""
        state = self._folders.state
        log.debug("history.hindered", error=str(error))
        self.trouble = state_trouble(state, token=str(ULID())) or (
            f"folders.state: {state / HISTORY_FILE} {_hint(error)} {STATE_CONSEQUENCE}"
        )

    # --- rebuild ----------------------------------------------------------------------------

    def _rebuild(self, database: HistoryFile) -> None:
        """Add every published job that the database lacks; unfinished if the daemon ends."""
        dropped, self._dropped = self._dropped, 0
        database.mark_complete(complete=False)
        reports, batch, added = PublishedReports(self._folders), list[Entry](), 0
        for entry in reports:
            if self._closing:
                return
            batch += [entry] if entry else []
            database.add_contents(reports.take_contents())
            if len(batch) == REBUILD_BATCH:
                database.add(batch, replace=False)
                added, batch = added + len(batch), []
                self._write_pending(database)
        database.add(batch, replace=False)
        added += len(batch)
        reports.log_skipped()
        if reports.finished:
            database.mark_complete()
        if added or dropped:
            log.info("history.rebuilt", jobs=added, finished=reports.finished)


def _hint(error: Exception) -> str:
    """Return advice on an error of the database; the end of a sentence about its file."""
    if isinstance(error, OSError):
        return hint_for(error)
    code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "is locked by another program; end that (`fuser` names it)."
    if code == sqlite3.SQLITE_FULL:
        return "has no room left; free some space or raise the quota."
    return f"cannot be used ({error}); mend it, or remove it and it is made anew."
