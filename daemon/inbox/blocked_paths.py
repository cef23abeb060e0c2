"""What may not be taken out of the inbox: one folder, or one film, is left alone, and no other.

A claim is a rename out of the film's folder. The folder's rights may forbid it, or its mount, or
what the film itself is. Which of them it is, a file of our own tells: where that can be taken out,
only the film is held fast.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Hashable, Iterable
from contextlib import suppress
from pathlib import Path

from daemon.inbox.settling import Candidate, prefix_of
from daemon.runtime.host_problems import HostProblems
from daemon.storage.names import shown
from daemon.storage.os_errors import hint_for
from erasecore.errors import ClaimRefused

BLOCKING_ERRNOS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV, errno.EBUSY, errno.ETXTBSY)
"""What a rename is told that is not allowed here, though all is well with the disk."""


def claim_refusal(candidate: Candidate, job_folder: Path, error: OSError) -> ClaimRefused | None:
    """Why a film may not be taken out of the inbox; nothing if ``error`` says something else.

    Args:
        candidate: the film, still in the inbox.
        job_folder: where it was to go.
        error: what the rename of it said.
    """
    folder = candidate.path.parent
    if error.errno not in BLOCKING_ERRNOS or _whole_inbox(candidate, error):
        return None
    if _lets_go(folder, job_folder):
        return ClaimRefused(
            candidate.path,
            f"cannot be moved by user {os.getuid()}, though other files of its folder can: it "
            "is in use, protected (lsattr), or somebody else's in a folder with the sticky bit. "
            "Other films go on.",
        )
    what = hint_for(error)
    if error.errno == errno.EXDEV:
        what = (
            "lies on another filesystem than folders.work, and a film is taken by a rename; "
            "unmount it, give it a service of its own, or name it in inbox.ignore."
        )
    return ClaimRefused(folder, f"{what} Its films wait for that, those of other folders go on.")


def closed_sentence(folder: Path) -> str:
    """What to say of a folder of the inbox that we may not look into."""
    return (
        f"{folder}: cannot be looked into by user {os.getuid()}; give it the rights (chown or "
        "chmod), or name it in inbox.ignore. What is in it is not seen."
    )


def _whole_inbox(candidate: Candidate, error: OSError) -> bool:
    """Whether the inbox's own filesystem is read-only: that is no folder's fault."""
    folder = candidate.path.parent
    return error.errno == errno.EROFS and folder.stat().st_dev == candidate.inbox.stat().st_dev


def _lets_go(folder: Path, job_folder: Path) -> bool:
    """Whether a new file of ours can be taken out of ``folder``, as a film into ``job_folder``."""
    tried = folder / f".prove-{job_folder.parent.name}.tmp"  # no two daemons try with the same one
    try:
        tried.unlink(missing_ok=True)  # left by a crash
        os.close(os.open(tried, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError:
        return False
    try:
        tried.rename(job_folder / tried.name)
    except OSError:
        with suppress(OSError):
            tried.unlink()
        return False
    return True


class BlockedPaths:
    """Remembers what is left alone; each is a trouble of its own, tried again less and less often.

    What is remembered is a film's path below the inbox, or a folder's, which ends in a slash (the
    inbox itself: nothing).
    """

    def __init__(self, problems: HostProblems) -> None:
        self._problems = problems
        self._refused: set[str] = set()
        self._closed: set[str] = set()

    def add(
        self, candidate: Candidate, error: ClaimRefused, *, now: float, pause_seconds: float
    ) -> None:
        """Leave alone what ``error`` is about: the film, or its whole folder."""
        if error.path == candidate.path:
            name = candidate.name
            self._forget({candidate.prefix})  # lets others go
        else:
            name = candidate.prefix
        self._refused.add(name)
        self._report(name, str(error), now, pause_seconds)

    def free(self, candidates: Iterable[Candidate], *, now: float) -> list[Candidate]:
        """Those of ``candidates`` that may be tried."""
        held = {name for name in self._refused if self._problems.until_of(_what(name)) > now}
        if not held:
            return list(candidates)
        return [one for one in candidates if one.name not in held and one.prefix not in held]

    def until(self, *, now: float) -> float:
        """When something is tried again; never, if nothing is left alone."""
        moments = (self._problems.until_of(_what(name)) for name in self._refused)
        return min((until for until in moments if until > now), default=float("inf"))

    def taken(self, candidate: Candidate) -> None:
        """A film could be taken: neither it nor its folder is held fast (any more)."""
        self._forget({candidate.name, candidate.prefix})

    def keep_only(self, present: Collection[Hashable]) -> None:
        """Forget what holds no film any more; ``present`` are the paths of those there are."""
        if not self._refused:
            return
        prefixes = {prefix_of(str(name)) for name in present}
        self._forget({one for one in self._refused if one not in present and one not in prefixes})

    def see_closed(
        self, folders: Collection[str], inbox: Path, *, now: float, pause_seconds: float
    ) -> None:
        """Tell of folders of ``inbox`` that cannot be looked into, each once, until they can."""
        for name in self._closed.difference(folders):
            self._problems.clear(_what(name))
        self._closed = set(folders)
        for name in sorted(self._closed):
            self._report(name, closed_sentence(inbox / name), now, pause_seconds)

    def _report(self, name: str, sentence: str, now: float, pause_seconds: float) -> None:
        self._problems.report(
            _what(name), shown(sentence), now=now, pause_seconds=pause_seconds, pauses=False
        )

    def _forget(self, names: set[str]) -> None:
        for name in names & self._refused:
            self._problems.clear(_what(name))
        self._refused -= names


def _what(name: str) -> str:
    """What a trouble with ``name`` is called."""
    return f"inbox: {shown(name) or './'}"
