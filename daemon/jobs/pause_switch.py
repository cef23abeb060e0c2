"""Switch for the pause of the queue by a person, kept over restarts in the work folder.

The file lies directly below ``work/``, since an instance folder ends with its daemon. Its name has
the daemon's host name (or ``claims.instance``): a daemon of that name finds it at its next start.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from daemon.config.parsing import as_json, read_record
from daemon.jobs.pause import Pause
from daemon.storage.failpoints import failpoint
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.system.atomic_files import sync_folder, write_whole

log = structlog.get_logger(__name__)

MAX_PAUSE_BYTES = 8192
"""Largest file of a pause that is read, in bytes; ours have some hundred. Guess."""


class _BadPause(Exception):
    pass


def pause_file(work: Path, host: str) -> Path:
    """Return the path of the file that keeps the pause of the daemons of ``host``."""
    return work / f".subtitle-eraser-pause-{host}.json"


class PauseSwitch:
    """The pause of this daemon, in memory and in its file.

    Args:
        file: see ``pause_file``; None keeps nothing, for ``once``, which a person starts to have
            films done now.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._pause = _read(file) if file is not None else None

    def current(self, *, wall: float) -> Pause | None:
        """Return the pause that holds now; None if there is none.

        Args:
            wall: seconds since 1970.
        """
        pause = self._pause
        if pause is None or (pause.until is not None and pause.until <= wall):
            return None
        return pause

    @property
    def until(self) -> float | None:
        """End of the pause, seconds since 1970; None: there is none, or it has no end."""
        return self._pause.until if self._pause is not None else None

    def begin(self, pause: Pause) -> None:
        """Pause, durably.

        Raises:
            OSError: the file cannot be written; nothing has changed.
        """
        if self._file is not None:
            write_whole(self._file, as_json(pause).encode())
            failpoint("pause.after_file")
        self._pause = pause
        log.info("queue.paused", by=pause.by, until=pause.until)

    def end(self, by: str) -> None:
        """End the pause, durably; ``by``: who ended it, "" if its time is over.

        Raises:
            OSError: the file cannot be removed; nothing has changed.
        """
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            sync_folder(self._file.parent)
            failpoint("resume.after_file")
        self._pause = None
        log.info("queue.resumed", by=by)

    def end_if_over(self, *, wall: float) -> None:
        """End a pause whose time is over; ``wall``: seconds since 1970."""
        if self._pause is not None and self.current(wall=wall) is None:
            self.end("")


def _read(file: Path) -> Pause | None:
    """Return the pause in ``file``; None if there is none that can be used."""
    try:
        raw = read_json(file, MAX_PAUSE_BYTES)
        return read_record(Pause, raw if isinstance(raw, dict) else {}, error=_BadPause)
    except FileNotFoundError:
        return None
    except (OSError, BadJson, _BadPause) as error:
        log.warning("pause.unreadable", file=str(file), reason=str(error))
        return None
