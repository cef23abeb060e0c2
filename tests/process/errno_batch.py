"""Films with a fault each, in one inbox with one daemon, and what became of them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.process.errno_mount import Disk, ErrnoMount, Film, complaints_of
from tests.process.errno_steps import Case, Duration, Fault, Outcome, Verdict
from tests.process.house import BESIDE_STATE, REPOSITORY, Daemon, House
from tests.process.waiting import comes_true

SOURCES = ("inbox", "work", "originals", "failed")
REACH_SECONDS = 60.0
"""Time in which all faults of a batch are met, in seconds, and a second more for each film. All
these limits are for a busy machine: nothing waits so long unless something is wrong."""
GOOD_SECONDS = 90.0
"""Time in which a good film is done while the faults last; a second more for each film."""
PATIENCE_SECONDS = 90.0
"""Time in which each film is where it belongs, and is named if it waits."""
QUIET_SECONDS = 3.0
"""Time that films which may stay where they are get to move on all the same."""
DRAIN_SECONDS = 120.0
"""Time in which all films are done once the faults are lifted; two seconds more for each film."""
MASK = re.compile(r"masks/c[0-9]+\.png")
TINY: dict[str, dict[str, Any]] = {
    "inbox": {"settle_network_seconds": 0.1, "poll_seconds": 0.2},
    "retry": {"delay_seconds": 0.05, "pause_seconds": 0.1, "max_attempts": 2},
    "folders": {"mode": "0640"},
}
"""Configuration that makes each wait short."""


class Batch:
    """Films with a fault each, in one inbox with one daemon."""

    def __init__(self, root: Path, cases: Sequence[Case]) -> None:
        self._mount = ErrnoMount(root)
        self._house = House(root)
        self._disk = Disk(self._mount.disk)
        self._house.place(**{name: self._mount.point / name for name in BESIDE_STATE})
        self._house.configure(**TINY)
        self._cases = cases
        self._films = [Film(f"c{number:04d}", one.step.kind) for number, one in enumerate(cases)]
        self._good = [Film("g0001"), Film("g0002")]
        self._wrong: dict[str, list[str]] = {film.token: [] for film in self._films}
        self._batch_wrong: list[str] = []  # that any of the cases may be to blame for

    def close(self) -> None:
        """Leave nothing behind but files."""
        self._mount.lift()
        self._house.close()
        self._mount.close()

    def run(self) -> list[Verdict]:
        """Return what became of each film."""
        faults = [
            Fault(film.token, case.step.calls, case.error, case.duration, film.kind)
            for film, case in zip(self._films, self._cases, strict=True)
        ]
        self._mount.order(faults)
        daemon = self._house.start()
        comes_true(lambda: daemon.said("worker.ready"), 30)
        for film in self._films:
            film.drop(self._mount.disk / "inbox")
        comes_true(self._all_reached, REACH_SECONDS + len(self._films))
        self._expect_good_films(daemon)
        outcomes = self._settle()
        self._judge(outcomes)
        self._expect_alive(daemon)
        self._mount.lift()
        self._drain()
        return [
            Verdict(case, outcomes[film.token], (*self._wrong[film.token], *self._batch_wrong))
            for film, case in zip(self._films, self._cases, strict=True)
        ]

    def _all_reached(self) -> bool:
        """Return True once each fault has been met, or its film has passed it."""
        hits = self._mount.hits()
        return all(one.token in hits or self._ended(one) for one in self._films)

    def _ended(self, film: Film) -> bool:
        return self._disk.outcome(film) in (Outcome.DONE, Outcome.FAILED)

    def _expect_good_films(self, daemon: Daemon) -> None:
        """Drop good films; they have to be done while the faults last."""
        for film in self._good:
            film.drop(self._mount.disk / "inbox")
        seconds = GOOD_SECONDS + len(self._films)

        def done() -> bool:
            return all(self._disk.outcome(one) is Outcome.DONE for one in self._good)

        comes_true(lambda: done() or daemon.process.poll() is not None, seconds)
        if not done():
            self._batch_wrong.append("queue stopped")

    def _expect_alive(self, daemon: Daemon) -> None:
        """Note if the daemon has died, or met what it did not expect."""
        self._batch_wrong += complaints_of(daemon)

    def _settle(self) -> dict[str, str]:
        """Return where each film is, once none has a reason to move any more."""
        if not self._batch_wrong:
            comes_true(lambda: all(map(self._ended, self._films)), QUIET_SECONDS)
            comes_true(self._all_in_place, PATIENCE_SECONDS)
        return {film.token: self._outcome(film) for film in self._films}

    def _outcome(self, film: Film) -> Outcome:
        return self._disk.outcome(film) or Outcome.HELD

    def _all_in_place(self) -> bool:
        return all(
            self._outcome(film) in case.step.allowed(case.error, case.duration)
            for film, case in zip(self._films, self._cases, strict=True)
        )

    def _status(self) -> str:
        """Return all that ``status`` tells while the faults last."""
        argv = [sys.executable, "-m", "daemon", "status", "--config", str(self._house.config)]
        told = ""
        for form in ([], ["--json"]):
            done = subprocess.run(
                [*argv, *form],
                cwd=REPOSITORY,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            told += done.stdout + done.stderr
        if "Traceback" in told:
            self._batch_wrong.append("status traceback")
        return told

    def _unsaid(self, outcomes: dict[str, str]) -> set[str]:
        """Return the tokens of the films that wait while ``status`` names them not."""
        status = MASK.sub("", self._status())  # masks are named as files that are no films
        return {
            film.token
            for film, case in zip(self._films, self._cases, strict=True)
            # A film of which each call says that it is not there cannot be known of.
            if not (case.error == "ENOENT" and case.duration is not Duration.ONCE)
            and outcomes[film.token] in (Outcome.INBOX, Outcome.HELD)
            and film.token not in status
        }

    def _judge(self, outcomes: dict[str, str]) -> None:
        """Note which films are in a wrong place, or nothing is said of."""
        hits = self._mount.hits()
        # A busy daemon may take a while to look at each film again.
        if not comes_true(lambda: not self._unsaid(outcomes), PATIENCE_SECONDS):
            for token in self._unsaid(outcomes):
                self._wrong[token].append("unsaid")
        for film, case in zip(self._films, self._cases, strict=True):
            wrong, outcome = self._wrong[film.token], Outcome(outcomes[film.token])
            if film.token not in hits:
                wrong.append("not reached")
            if outcome not in case.step.allowed(case.error, case.duration):
                wrong.append(f"is {outcome}")
            if outcome is Outcome.FAILED and film.token not in self._disk.explanation(film):
                wrong.append("sentence")

    def _drain(self) -> None:
        """Let a daemon finish all films without faults, and count what lies where."""
        try:
            self._house.once(seconds=DRAIN_SECONDS + 2 * len(self._films))
        except subprocess.TimeoutExpired:
            self._batch_wrong.append("not drained")
            self._house.close()
        sources = self._disk.contents(*SOURCES)
        done = self._disk.contents("done")
        for film in (*self._films, *self._good):
            wrong = self._wrong.setdefault(film.token, [])
            wrong += _losses(film, sources, done)
        strangers = [f"litter: {path}" for path, _ in (*sources, *done) if path.name[0] == "."]
        self._batch_wrong += [one for one in strangers if not one.endswith(".subtitle-eraser")]
        for film in self._good:
            self._batch_wrong += [f"good film {one}" for one in self._wrong[film.token]]


Contents = list[tuple[Path, str]]
"""Files by their paths, each with a digest."""


def _losses(film: Film, sources: Contents, done: Contents) -> Iterator[str]:
    """Yield what is wrong with where the files of a film lie after all has been drained."""
    for name, text in film.files().items():
        if not _places(text, sources):
            yield f"lost {Path(name).suffix}"
    places = [one.parts[0] for one in _places(film.text, sources)]
    results = _places(film.text, done)
    if len(places) > 1:
        yield f"doubled: {places}"
    if len(results) > 1:
        yield f"published {len(results)} times"
    if places == ["originals"] and not results:
        yield "result lost"
    if places in (["inbox"], ["work"]):
        yield f"left in {places[0]}"
    if places == ["failed"] and results:
        yield "failed and published"


def _places(text: str, contents: Contents) -> list[Path]:
    """Return the visible files with the content ``text``; none of the daemon's results in work/."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return [
        path
        for path, found in contents
        if found == digest and not path.name.startswith(("result", "."))
    ]
