"""Films of the inbox that this daemon leaves alone because a person asked for it (``hand-back``).

A film is known by its path, size and modification time: another film of that name is taken. The
list is kept over restarts in a file directly below ``work/``, as a pause is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from daemon.config.parsing import as_json, read_record
from daemon.inbox.scanner import FileSignature
from daemon.inbox.settling import Candidate
from daemon.storage.failpoints import failpoint
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.system.atomic_files import sync_folder, write_whole

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LeftFilm:
    """One film that is left alone."""

    name: str  # path below the inbox
    size_bytes: int
    mtime_ns: int  # nanoseconds since 1970
    by: str  # person who asked, printable

    def matches(self, signature: FileSignature) -> bool:
        """Return True if a file of this name is still the film that was meant."""
        found = (signature.size_bytes, signature.mtime_ns)
        return found == (self.size_bytes, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class _Content:
    films: tuple[LeftFilm, ...] = ()


class _BadList(Exception):
    pass


def left_file(work: Path, host: str) -> Path:
    """Return the path of the list of the daemons of ``host``."""
    return work / f".subtitle-eraser-left-{host}.json"


class LeftFilms:
    """The films that are left alone, by path below the inbox, in memory and in their file."""

    def __init__(self, file: Path) -> None:
        """Read the list in ``file``; see ``left_file``."""
        self._file = file
        self._films = {film.name: film for film in _read(file)}
        self.waiting: dict[str, Candidate] = {}  # those that the last scan found, by path

    def without_left(self, settled: Iterable[Candidate]) -> list[Candidate]:
        """Return the settled films that may be taken; keep the others in ``waiting``."""
        self.waiting, free = {}, []
        for film in settled:
            known = self._films.get(film.name)
            if known is not None and known.matches(film.signature):
                self.waiting[film.name] = film
            else:
                free.append(film)
        return free

    def add(self, film: LeftFilm) -> None:
        """Leave ``film`` alone from now on, durably.

        Raises:
            OSError: the list cannot be written; nothing has changed.
        """
        self._save({**self._films, film.name: film})

    def remove(self, name: str) -> None:
        """Take the film ``name`` again, durably; do nothing if it is not left alone.

        Raises:
            OSError: as ``add``.
        """
        if name in self._films:
            self._save({key: film for key, film in self._films.items() if key != name})

    def keep_only(self, present: Collection[object]) -> None:
        """Forget the films that are not in the inbox any more.

        Args:
            present: paths below the inbox of what is there.

        Raises:
            OSError: as ``add``.
        """
        kept = {name: film for name, film in self._films.items() if name in present}
        if kept != self._films:
            self._save(kept)

    def _save(self, films: dict[str, LeftFilm]) -> None:
        if films:
            write_whole(self._file, as_json(_Content(tuple(films.values()))).encode())
        else:
            self._file.unlink(missing_ok=True)
            sync_folder(self._file.parent)
        failpoint("left.after_file")
        self._films = films


def _read(file: Path) -> tuple[LeftFilm, ...]:
    """Return the films in ``file``; none if there is no list that can be used."""
    try:
        raw = read_json(file)
        return read_record(_Content, raw if isinstance(raw, dict) else {}, error=_BadList).films
    except FileNotFoundError:
        return ()
    except (OSError, BadJson, _BadList) as error:
        log.warning("left_films.unreadable", file=str(file), reason=str(error))
        return ()
