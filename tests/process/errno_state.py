"""A state folder that answers with errors: films go on, or the queue pauses, says so and goes on.

The daemon never ends for it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.process.errno_mount import Disk, ErrnoMount, Film, complaints_of
from tests.process.errno_steps import STATE_FILM, Case, Fault, Kind, Outcome, Verdict
from tests.process.house import Daemon, House
from tests.process.waiting import comes_true

DONE_SECONDS = 90.0
"""Time in which films are done, start of the daemon included, and once more without a fault. It is
for a busy machine."""


class StateTrial:
    """A daemon whose state folder alone lies on an ``ErrnoShare``."""

    def __init__(self, root: Path, case: Case) -> None:
        self._case = case
        self._mount = ErrnoMount(root, cached=True)  # SQLite maps a file into memory
        self._house = House(root)
        self._disk = Disk(root)
        self._house.place(state=self._mount.point / STATE_FILM)
        self._films = [Film("g0001"), Film("g0002", Kind.BAD)]

    def close(self) -> None:
        """Leave nothing behind but files."""
        self._mount.lift()
        self._house.close()
        self._mount.close()

    def run(self) -> Verdict:
        """Return what became of two films, one of them bad."""
        case = self._case
        fault = Fault(STATE_FILM, case.step.calls, case.error, case.duration, Kind.PLAIN)
        running = case.step.name.endswith("running")
        if not running:
            self._mount.order([fault])
        daemon = self._house.start()
        if running:
            comes_true(lambda: daemon.said("worker.ready"), 30)
            self._mount.order([fault])
        for film in self._films:
            film.drop(self._house.inbox)
        comes_true(lambda: self._ended() or _told_or_died(daemon), DONE_SECONDS)
        outcome = Outcome.DONE if self._ended() else Outcome.INBOX
        told = daemon.said("host.trouble")
        wrong = [] if self._ended() or told else ["unsaid"]
        self._mount.lift()
        if not comes_true(self._ended, DONE_SECONDS):
            wrong.append("queue stopped")
        return Verdict(case, outcome, (*wrong, *complaints_of(daemon), *self._drain()))

    def _ended(self) -> bool:
        return all(self._disk.outcome(one) in (Outcome.DONE, Outcome.FAILED) for one in self._films)

    def _drain(self) -> list[str]:
        """Let a daemon finish what is left, with a state folder that is well."""
        try:
            self._house.once(seconds=120.0)
        except subprocess.TimeoutExpired:
            self._house.close()
        return [] if self._ended() else ["not drained"]


def _told_or_died(daemon: Daemon) -> bool:
    return bool(daemon.said("host.trouble")) or daemon.process.poll() is not None
