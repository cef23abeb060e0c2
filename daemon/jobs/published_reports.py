"""Ended jobs as the reports in done/ and failed/ tell them, to rebuild the history.

Anybody who may write there can change these files, so they are read as untrusted ones: regular
files only, of limited size, links not followed, every field checked.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import structlog

from daemon.config.locations import FolderSettings
from daemon.jobs.history_view import (
    ERROR_ENDING,
    REPORT_ENDING,
    BadEntry,
    Content,
    Entry,
    checked_entry,
    content_of,
)
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.errors import printable

log = structlog.get_logger(__name__)

_SKIPPED_ERRNOS = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM),
    *(errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO),
)
"""Errnos of a file or sub-folder that is skipped; others, e.g. of a lost share, end the walk."""


class PublishedReports:
    """Iterable of the jobs whose reports lie below done/ and failed/."""

    def __init__(self, folders: FolderSettings) -> None:
        self._roots = (
            (folders.done, REPORT_ENDING, "done"),
            (folders.failed, ERROR_ENDING, "failed"),
        )
        self.finished = False  # True once everything was read
        self._contents: list[Content] = []  # of the reports read since the last ``take_contents``
        self._skipped = 0  # number of reports and folders that cannot be used
        self._example = ""  # the first of them, and why

    def __iter__(self) -> Iterator[Entry | None]:
        """Yield an entry for each good report; None for each bad one, so that callers can stop."""
        try:
            for root, ending, outcome in self._roots:
                device = root.stat().st_dev
                for path in self._files(root, ending):
                    yield self._entry(path, root, ending, outcome)
                if root.stat().st_dev != device:  # unmounted meanwhile: what was there is not read
                    return
        except OSError as error:
            log.info("history.rebuild_interrupted", error=str(error))
            return
        self.finished = True

    def take_contents(self) -> list[Content]:
        """Return the contents that the reports read since the last call tell of."""
        contents, self._contents = self._contents, []
        return contents

    def log_skipped(self) -> None:
        """Log one warning for all reports that were skipped."""
        if self._skipped:
            log.warning("history.unreadable", files=self._skipped, example=self._example)

    def _files(self, root: Path, ending: str) -> Iterator[os.DirEntry[str]]:
        """Yield the files below ``root`` whose names have the ending; links are not followed.

        Raises:
            OSError: the folder or its share cannot be read.
        """
        pending = [str(root)]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                        elif entry.name.endswith(ending):
                            yield entry
            except OSError as error:
                if folder == str(root) or error.errno not in _SKIPPED_ERRNOS:
                    raise
                self._skip(folder, str(error))

    def _entry(
        self, report: os.DirEntry[str], root: Path, ending: str, outcome: str
    ) -> Entry | None:
        """Return the entry in a report; None if there is no valid one."""
        name = os.path.relpath(report.path, root).removesuffix(ending)
        try:
            raw = read_json(Path(report.path))
            history = raw.get("history") if isinstance(raw, dict) else None
            fields = history if isinstance(history, dict) else {}
            entry = checked_entry({**fields, "outcome": outcome, "published_as": name})
            if outcome == "done" and isinstance(raw, dict):
                content = content_of(raw, entry.job_id, name)
                self._contents += [content] if content else []
            return entry  # noqa: TRY300 - it belongs to what may fail
        except (BadJson, BadEntry) as error:
            self._skip(report.path, str(error))
        except OSError as error:
            if error.errno not in _SKIPPED_ERRNOS:
                raise
            self._skip(report.path, str(error))
        return None

    def _skip(self, path: str, reason: str) -> None:
        self._skipped += 1
        self._example = self._example or f"{printable(path)}: {printable(reason)}"
