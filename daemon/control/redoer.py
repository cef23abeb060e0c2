"""Carrying out of ``redo``: a thread moves the original, since that may be a long copy."""

from __future__ import annotations

from functools import partial
from threading import Event

from daemon.config.locations import FolderSettings
from daemon.control.film_search import NoSuchFilm, find_original
from daemon.control.journal import Answer, RequestRecord, Target, accepted, refused
from daemon.control.reach import Reach
from daemon.control.requests import RedoFilm
from daemon.jobs.isolation import caught
from daemon.jobs.redo import RedoOrder, problem_of_settings, put_into_inbox
from daemon.storage.copy_progress import CopyProgress, CopyStopped
from erasecore.errors import printable

SCRATCH_FILE = ".settings.part"
"""Name in the instance folder of a settings file that is being checked."""

_SKIPPED = (
    "inbox.duplicates is skip, so the daemon would not do it again; set it to number or erase, "
    "reload, then ask once more."
)


class RedoThread:
    """The move for one request, its end and its error."""

    def __init__(self) -> None:
        self.progress = CopyProgress()
        self.error: Exception | None = None
        self.ended = Event()  # set last

    def run(self, record: RequestRecord, folders: FolderSettings, *, marked: bool) -> None:
        """Do the work in this thread; sets ``error``, raises nothing.

        Args:
            record: the request.
            folders: the daemon's folders.
            marked: put the marker of a complete film beside it.
        """
        self.error = caught(partial(self._move, record, folders, marked=marked))
        self.ended.set()

    def _move(self, record: RequestRecord, folders: FolderSettings, *, marked: bool) -> None:
        request = record.request
        assert isinstance(request, RedoFilm)
        assert record.target is not None
        part = f".redo-{record.request_id}"
        order = RedoOrder(record.target.name, request.settings, marked, part)
        try:
            put_into_inbox(order, folders.originals, folders.inbox, self.progress)
        except CopyStopped as error:  # the daemon ends; it is done at the next start
            raise InterruptedError(str(error)) from error


class Redoer:
    """Carries out ``redo`` requests on the parts within ``reach``."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._threads: dict[str, RedoThread] = {}  # by request id

    def reconfigure(self, reach: Reach) -> None:
        """Use the folders and default settings of ``reach`` from now on."""
        self._reach = reach

    def target_of(self, request: RedoFilm) -> Target:
        """Return the original that is to be done again.

        Raises:
            NoSuchFilm: it is not there, or the settings cannot be used; the text is the answer.
            OSError: a folder cannot be read.
        """
        reach = self._reach
        target = find_original(request.film, reach.folders)
        if reach.skips_duplicates:
            raise NoSuchFilm(_SKIPPED)
        if request.settings:
            scratch = reach.jobs.store.instance / SCRATCH_FILE
            defaults = reach.erase_defaults
            problem = problem_of_settings(request.settings, request.film, defaults, scratch)
            if problem:
                raise NoSuchFilm(printable(problem))
        return target

    def apply(self, record: RequestRecord, target: Target) -> Answer | None:
        """Move the original; return the answer, None while the thread is at it.

        Raises:
            OSError: it failed; the call may be repeated.
        """
        thread = self._threads.get(record.request_id)
        if thread is None:
            thread = self._threads[record.request_id] = RedoThread()
            reach = self._reach
            reach.start_thread(partial(thread.run, record, reach.folders, marked=reach.marked))
        if not thread.ended.is_set():
            return None
        del self._threads[record.request_id]
        if isinstance(thread.error, FileExistsError):
            return refused("the inbox has another film, settings or subtitles of that name.")
        if thread.error is not None:
            raise OSError(str(thread.error)) from thread.error
        self._reach.inbox.request_rescan()
        return accepted(f"its original is in the inbox again, as {printable(target.name)}.")

    def close(self) -> None:
        """Ask the threads to stop."""
        for thread in self._threads.values():
            thread.progress.stop()
