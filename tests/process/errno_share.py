"""A filesystem that shows a folder, and fails certain calls about certain films only.

``python -m tests.process.errno_share FOLDER POINT FAULTS HITS`` shows ``FOLDER`` at ``POINT`` until
it is unmounted. Calls fail while there is a file ``FAULTS``, a JSON list of ``Fault``.
To ``HITS`` goes a line of JSON for each call that failed, and before it, with ``TRACE_CALLS`` in
the environment, for each call about a film.

A film is known by a token in its name, ``c0012``; so are its companions, and what is published of
it. Its job's folder is known by what is written into ``job.json``; before that, to be the folder of
the film that was touched in the inbox last.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mfusepy import FUSE, FuseOSError

from tests.process.errno_steps import Duration, Fault, Kind
from tests.process.sick_share import SickShare

Answer = TypeVar("Answer")
TOKEN = re.compile(r"(?<![0-9a-z])[cg][0-9]{4}(?![0-9a-z])")
JOB_ID = re.compile(r"(?<![0-9a-z])[0-9a-z]{26}(?![0-9a-z])")
INSTANCE = re.compile(r"^work/[^/]+/")
PART = re.compile(r"[.-][0-9a-f]+\.part$")
STATE = re.compile(rb'"state": "(\w+)"')
PLANNED = re.compile(rb'"placements": \[\s*\{')


class FilmNames:
    """Finds out which film a path belongs to."""

    def __init__(self) -> None:
        self._film_of: dict[str, str] = {}  # by job id
        self._touched = ""  # the film that was touched last in the inbox

    def learn(self, call: str, path: str, data: bytes) -> None:
        """Note what a call tells about films and their jobs."""
        found = TOKEN.search(path)
        if path.startswith("/inbox/") and found:
            self._touched = found[0]
        job = JOB_ID.search(path) if path.startswith("/work/") else None
        if job and call == "mkdir":
            self._film_of.setdefault(job[0], self._touched)
        named = TOKEN.search(data.decode("utf-8", "replace")) if data else None
        if job and named and ".job.json." in path:
            self._film_of[job[0]] = named[0]

    def film_of(self, path: str) -> str:
        """Return the token of the film that ``path`` belongs to; "" if it is no film's."""
        job = JOB_ID.search(path)
        if job and job[0] in self._film_of:
            return self._film_of[job[0]]
        found = TOKEN.search(path)
        return found[0] if found else ""

    def without_names(self, path: str) -> str:
        """Return ``path`` with all that differs between films replaced."""
        text = JOB_ID.sub("JOB", path.strip("/"))
        text = INSTANCE.sub("work/", TOKEN.sub("film", text))
        return PART.sub(".part", text)


class ErrnoShare(SickShare):
    """Passes a folder through, or the errors that were ordered for a film."""

    def __init__(self, folder: str, faults: Path, hits: Path) -> None:
        super().__init__(folder, faults)
        self._names = FilmNames()
        self._hits = hits.open("a", buffering=1)
        self._faults: dict[str, Fault] = {}  # by film
        self._failed: set[str] = set()  # films of which a call has failed
        self._clashed: set[str] = set()  # films whose name a stranger has taken

    def _answer(self, call: str, path: str, act: Callable[[str], Answer]) -> Answer:
        """Return what ``act`` says of the real path, unless the call is to fail."""
        self._check(call, path)
        return act(self._folder + path)

    def _check(self, call: str, path: str, goal: str = "", data: bytes = b"") -> None:
        """Fail a call if there is a fault for it."""
        self._names.learn(call, path, data)
        film = self._names.film_of(path) or self._names.film_of(goal)
        fault = self._fault_of(film)
        if fault is None:
            return
        words = [call, self._names.without_names(path), self._names.without_names(goal)]
        text = " ".join(filter(None, [*words, _state_in(data)]))
        if "TRACE_CALLS" in os.environ:
            self._hits.write(json.dumps({"film": film, "trace": text}) + "\n")
        self._apply(fault, text, goal)
        if self._fails(fault, text):
            self._failed.add(film)
            self._hits.write(json.dumps({"film": film, "call": text}) + "\n")
            raise FuseOSError(getattr(errno, fault.error))

    def _fault_of(self, film: str) -> Fault | None:
        """Return the fault that is ordered for a film, if any."""
        if not self._orders.exists():
            return None
        if not self._faults:
            faults = map(Fault.of, json.loads(self._orders.read_bytes()))
            self._faults = {one.film: one for one in faults}
        return self._faults.get(film)

    def _fails(self, fault: Fault, text: str) -> bool:
        """Return True if the call ``text`` about the film of ``fault`` is to fail."""
        matches = re.fullmatch(fault.calls, text) is not None
        if fault.film not in self._failed:
            return matches
        everything = fault.duration is Duration.EVERYTHING
        return everything or (matches and fault.duration is Duration.ALWAYS)

    def _apply(self, fault: Fault, text: str, goal: str) -> None:
        """Do to a film what its kind says, beside the fault.

        Raises:
            FuseOSError: it is to be copied to another filesystem.
        """
        call, _, rest = text.partition(" ")
        source, _, target = rest.partition(" ")
        moves = call in ("link", "rename")
        from_work = source.startswith("work/") and not target.startswith("work/")
        to_work = target.startswith("work/") and not source.startswith(("work/", "inbox/"))
        if fault.kind is Kind.ACROSS and moves and (from_work or to_work):
            raise FuseOSError(errno.EXDEV)
        clashes = fault.kind is Kind.CLASH and fault.film not in self._clashed
        if clashes and moves and target == "done/film.mp4":
            self._clashed.add(fault.film)
            Path(self._folder + goal).write_text("a stranger's film\n")

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Write, and return the number of bytes written."""
        self._check("write", path, data=data)
        return os.pwrite(fh, data, offset)

    def rename(self, old: str, new: str) -> int:
        """Rename."""
        self._check("rename", old, new)
        os.rename(self._folder + old, self._folder + new)
        return 0

    def link(self, target: str, source: str) -> int:
        """Give ``source`` the second name ``target``."""
        self._check("link", source, target)
        os.link(self._folder + source, self._folder + target)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        """Sync a folder; the real one needs none."""
        self._check("fsyncdir", path)
        return 0


def _state_in(data: bytes) -> str:
    """Return the state of the job in the content of a ``job.json``; "" if it is something else."""
    found = STATE.search(data)
    if found is None:
        return ""
    state = found[1].decode()
    if not PLANNED.search(data) or state not in ("finished", "rejected"):
        return state
    return "planned" if state == "finished" else "planned-rejected"


def main(arguments: list[str]) -> None:
    """Show the folder until it is unmounted.

    A fifth argument lets the kernel cache pages, which mapping a file into memory takes.
    """
    folder, point, faults, hits, *cached = arguments
    FUSE(
        ErrnoShare(folder, Path(faults), Path(hits)),
        point,
        foreground=True,
        nothreads=True,
        direct_io=not cached,
        use_ino=True,
        hard_remove=True,
        attr_timeout=0,
        entry_timeout=0,
        fsname="errno-share",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
