"""Films and folders that cannot be claimed: they are left alone for a while, and only they.

A claim renames the film out of its folder. Permissions or the mount of the folder may forbid that,
or attributes of the film alone. A trial with a file of our own tells which: if that can be renamed
out of the folder, only the film is blocked, else the whole folder.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection, Hashable, Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path, PurePosixPath

from daemon.inbox.left_films import LeftFilms
from daemon.inbox.scanner import SkippedEntries
from daemon.inbox.settling import Candidate, prefix_of
from daemon.runtime.host_problems import HostProblems
from daemon.storage.below import MAX_PATH_BYTES, folder_below, status_in
from daemon.storage.names import TRIAL_PREFIX, TRIAL_SECONDS, TRIAL_SUFFIX
from daemon.storage.os_errors import film_hint_for, hint_for
from erasecore.errors import ClaimRefused, printable

BLOCKING_ERRNOS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV, errno.EBUSY, errno.ETXTBSY)
"""Errnos of a rename that is not permitted, while the disk itself works."""
MAX_SHOWN_CHARACTERS = 300
"""Characters of a very long path that are shown; a guess."""


def claim_refusal(
    candidate: Candidate, origin: int, job_folder: Path, error: OSError
) -> ClaimRefused | None:
    """Return the error for a film, or its whole folder, that cannot be claimed.

    Args:
        candidate: the film, still in the inbox.
        origin: handle of its open folder.
        job_folder: target folder of the failed rename.
        error: error of the failed rename.

    Returns:
        None if ``error`` does not concern this film or folder alone, e.g. a failing disk.
    """
    folder = candidate.path.parent
    if error.errno not in BLOCKING_ERRNOS or _inbox_is_read_only(candidate, origin, error):
        return None
    if _trial_file_can_leave(origin, job_folder):
        return ClaimRefused(
            candidate.path,
            f"cannot be moved by user {os.getuid()}, though other files of its folder can: it "
            "is in use, protected (lsattr), or somebody else's in a folder with the sticky bit. "
            "Other films go on.",
        )
    hint = hint_for(error)
    if error.errno == errno.EXDEV:
        hint = (
            "lies on another filesystem than folders.work, and a film is taken by a rename; "
            "unmount it, give it a service of its own, or name it in inbox.ignore."
        )
    return ClaimRefused(folder, f"{hint} Its films wait for that, those of other folders go on.")


def closed_sentence(folder: Path) -> str:
    """Return the text for the operator about a folder of the inbox that we may not read."""
    return (
        f"{folder}: cannot be looked into by user {os.getuid()}; give it the rights (chown or "
        "chmod), or name it in inbox.ignore. What is in it is not seen."
    )


def unreadable_sentence(films: Sequence[Path]) -> str:
    """Return the text for the sender about films of one folder that we may not read."""
    more = f" (and {len(films) - 1} more in its folder)" if len(films) > 1 else ""
    return (
        f"{films[0]}{more}: cannot be read by user {os.getuid()}; give it the right (chmod a+r, "
        "chown, or the masks of the share), then it is taken. Other films go on."
    )


def too_deep_sentence(folder: Path) -> str:
    """Return the text for the sender about a folder whose entries have too long a path."""
    return (
        f"{str(folder)[:MAX_SHOWN_CHARACTERS]}...: paths in this folder have more than "
        f"{MAX_PATH_BYTES} bytes; move it up or shorten the names. What lies deeper is not seen."
    )


def skipped_sentences(skipped: SkippedEntries, inbox: Path) -> dict[str, str]:
    """Return what a scan had to skip as texts, by the names of their host problems."""
    found = {_problem_name(path): closed_sentence(inbox / path) for path in skipped.closed}
    for path in skipped.too_deep:
        found[f"{_problem_name(path)[:MAX_SHOWN_CHARACTERS]} (too deep)"] = too_deep_sentence(
            inbox / path
        )
    ordered = sorted(skipped.unreadable, key=lambda name: (prefix_of(name), name))
    for prefix, names in groupby(ordered, prefix_of):
        subject = f"{_problem_name(prefix)} (unreadable)"
        found[subject] = unreadable_sentence([inbox / name for name in names])
    ordered = sorted(skipped.failed, key=lambda name: (prefix_of(name), name))
    for prefix, names in groupby(ordered, prefix_of):
        first, *others = names
        more = f" {len(others)} more entries of its folder are like it." if others else ""
        subject = f"{_problem_name(prefix)} (failed)"
        found[subject] = failed_sentence(inbox / first, skipped.failed[first]) + more
    return found


def failed_sentence(path: Path, error: OSError) -> str:
    """Return the text for the operator about an entry of the inbox that cannot be examined."""
    return f"{path}: {film_hint_for(error)} Other films go on."


def _inbox_is_read_only(candidate: Candidate, origin: int, error: OSError) -> bool:
    """Return True if the filesystem of the inbox itself is read-only, not one mounted in it."""
    same_device = os.fstat(origin).st_dev == candidate.inbox.stat().st_dev
    return error.errno == errno.EROFS and same_device


def _trial_file_can_leave(origin: int, job_folder: Path) -> bool:
    """Return True if a new file of ours can be renamed from an open folder into ``job_folder``."""
    # The daemon's own name, by instance.
    trial = f"{TRIAL_PREFIX}{job_folder.parent.name}{TRIAL_SUFFIX}"
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    try:
        with suppress(FileNotFoundError):
            os.unlink(trial, dir_fd=origin)  # left by a crash
        os.close(os.open(trial, flags, 0o600, dir_fd=origin))
    except OSError:
        return False
    try:
        os.rename(trial, job_folder / trial, src_dir_fd=origin)
    except OSError:
        with suppress(OSError):
            os.unlink(trial, dir_fd=origin)
        return False
    return True


def sweep_trials_in(inbox: Path, names: Iterable[str]) -> None:
    """Remove trial files that crashed daemons have left in folders of the inbox.

    Args:
        inbox: the inbox; no link below it is followed.
        names: their paths below it.
    """
    for name in map(PurePosixPath, names):
        with suppress(OSError), folder_below(inbox, name.parent) as folder:
            status = status_in(folder, name.name)
            if status is not None and time.time() - status.st_mtime > TRIAL_SECONDS:
                os.unlink(name.name, dir_fd=folder)


class BlockedPaths:
    """Paths in the inbox that cannot be claimed or read; each is a host problem with a backoff.

    A path is a film's path below the inbox, or a folder's with a slash at its end; the inbox
    itself is the empty string.
    """

    def __init__(self, problems: HostProblems, left: LeftFilms) -> None:
        self.left = left  # films that nobody hinders, but that a person wants left alone
        self._problems = problems
        self._blocked: set[str] = set()  # cannot be claimed
        self._skipped: set[str] = set()  # names of the problems with what cannot be read

    def add(
        self, candidate: Candidate, error: ClaimRefused, *, now: float, pause_seconds: float
    ) -> None:
        """Block the path that ``error`` names: the film of ``candidate`` or its whole folder.

        It is tried again after ``pause_seconds``, then less and less often.
        """
        if error.path == candidate.path:
            path = candidate.name
            self._unblock({candidate.prefix})  # the trial file could leave the folder
        else:
            path = candidate.prefix
        self._blocked.add(path)
        self._report(_problem_name(path), str(error), now, pause_seconds)

    def free(self, candidates: Iterable[Candidate], *, now: float) -> list[Candidate]:
        """Return the candidates that are not blocked now, in the same order."""
        waiting = {
            path for path in self._blocked if self._problems.until_of(_problem_name(path)) > now
        }
        if not waiting:
            return list(candidates)
        return [
            film for film in candidates if film.name not in waiting and film.prefix not in waiting
        ]

    def sentences(self) -> dict[str, str]:
        """Return the reasons of the blocked paths, by path; a folder's ends with a slash."""
        return {path: self._problems.sentence_of(_problem_name(path)) for path in self._blocked}

    def until(self, *, now: float) -> float:
        """Return the next time after ``now`` that a blocked path is tried again, else infinity."""
        retry_times = (self._problems.until_of(_problem_name(path)) for path in self._blocked)
        return min((until for until in retry_times if until > now), default=float("inf"))

    def taken(self, candidate: Candidate) -> None:
        """Unblock a film that could be claimed, and its folder."""
        self._unblock({candidate.name, candidate.prefix})

    def keep_only(self, present: Collection[Hashable]) -> None:
        """Unblock films that are not ``present`` and folders that hold none of those.

        Args:
            present: paths below the inbox of the films and companions there are.
        """
        if not self._blocked:
            return
        prefixes = {prefix_of(str(name)) for name in present}
        self._unblock(
            {path for path in self._blocked if path not in present and path not in prefixes}
        )

    def see_skipped(
        self, skipped: SkippedEntries, inbox: Path, *, now: float, pause_seconds: float
    ) -> None:
        """Report what cannot be read; clear the reports of what can be again.

        Args:
            skipped: folders and films that the last scan had to skip.
            inbox: the inbox.
            now: our monotonic clock, in seconds.
            pause_seconds: first interval of the reports' backoff.
        """
        sweep_trials_in(inbox, skipped.trials)
        sentences = skipped_sentences(skipped, inbox)
        for subject in self._skipped.difference(sentences):
            self._problems.clear(subject)
        self._skipped = set(sentences)
        for subject in sorted(sentences):
            self._report(subject, sentences[subject], now, pause_seconds, kind="skipped")

    def _report(
        self, subject: str, sentence: str, now: float, pause_seconds: float, *, kind: str = ""
    ) -> None:
        """Report a host problem with a path that does not pause the queue."""
        self._problems.report(
            subject,
            printable(sentence),
            now=now,
            pause_seconds=pause_seconds,
            pauses=False,
            kind=kind,
        )

    def _unblock(self, paths: set[str]) -> None:
        """Unblock those of ``paths`` that are blocked, and clear their host problems."""
        for path in paths & self._blocked:
            self._problems.clear(_problem_name(path))
        self._blocked -= paths


def _problem_name(path: str) -> str:
    """Return the name of the host problem with a path below the inbox."""
    return f"inbox: {printable(path) or './'}"
