"""Any interleaving of the daemons' steps, crashes included, loses and doubles nothing."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from daemon import claims, faults
from daemon.config import load_config
from daemon.faults import DAEMON_POINTS
from daemon.history import History
from daemon.holdings import Holdings
from daemon.inbox import Candidate, stamp_of
from daemon.jobs import JOB_FILE, Fault, JobState, load_job
from daemon.publish import target
from daemon.wire import Finished
from erasecore.errors import Remedy
from erasecore.reports import EraseReport

NAMES = ("film.mp4", "a/film.mp4", "other.mkv")
DAEMONS = 2
PUBLISHING = [one for one in DAEMON_POINTS if one.startswith(("publish.", "reject."))]


class Crash(BaseException):
    """A power cut: nothing may catch it."""


def crash() -> NoReturn:
    """Cut the power."""
    raise Crash


REPORT = EraseReport(
    untouched=False,
    result="result.mp4",
    engine="none",
    width=2,
    height=2,
    frames=1,
    duration_seconds=1.0,
    video_codec="h264",
    segments=0,
    segments_resumed=0,
)


class Daemons(RuleBasedStateMachine):
    """Two daemons that take steps in any order, and may be killed within any of them."""

    @initialize()
    def begin(self) -> None:
        """An empty root and two daemons."""
        self.root = Path(tempfile.mkdtemp())
        self.config = load_config(None, self.root)
        for name in ("inbox", "work", "done", "failed", "originals", "state"):
            (self.root / name).mkdir()
        self.history = History(self.root / "state")
        self.numbers = itertools.count(1)
        self.dropped: list[str] = []
        self.now = 0.0
        self.holdings = [self._new(number) for number in range(DAEMONS)]

    def _new(self, number: int) -> Holdings:
        instance = self.root / "work" / f"daemon{number}"
        instance.mkdir(exist_ok=True)
        return Holdings(instance, self.config, self.history)

    def teardown(self) -> None:
        """In the end everything is where it belongs, exactly once."""
        faults.arm("")
        for number in range(DAEMONS):
            self._restart(number)
        while self._films("inbox") or any(one.jobs for one in self.holdings):
            for holdings in self.holdings:
                self._claim(holdings)
                self._begin(holdings)
                self._finish(holdings)
                holdings.settle_up()
            self.now += 10_000
        ended = self._films("originals") + self._films("failed")
        assert sorted(ended) == sorted(self.dropped)
        assert self._by_name("done") == self._by_name("originals")
        for folder, ending in (("done", ".report.json"), ("failed", ".error.json")):
            for name in self._by_name(folder):
                job_id = json.loads((self.root / folder / f"{name}{ending}").read_text())["job_id"]
                assert (self.root / folder / f"{name}.log").read_text() in ("", job_id)
        assert not list((self.root / "work").rglob("*.*"))
        self.history.close()
        shutil.rmtree(self.root)

    # --- steps ------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES))
    def drop(self, name: str) -> None:
        """Somebody puts a film into the inbox, if there is none of that name."""
        path = self.root / "inbox" / name
        if path.exists():
            return
        path.parent.mkdir(exist_ok=True)
        text = f"{name} {next(self.numbers)}"
        path.write_text(text)
        self.dropped.append(text)

    @rule(name=st.sampled_from(NAMES))
    def foreign(self, name: str) -> None:
        """Somebody else puts a file of the same name into done/."""
        for folder, ending in (("done", ".preview.jpg"), ("done", ".log"), ("failed", ".log")):
            path = self.root / folder / f"{name}{ending}"
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                path.write_text("another")

    @rule(number=st.integers(0, DAEMONS - 1))
    def claim(self, number: int) -> None:
        """A daemon takes the first film."""
        self._guarded(number, lambda: self._claim(self.holdings[number]))

    @rule(number=st.integers(0, DAEMONS - 1))
    def attempt(self, number: int) -> None:
        """A daemon begins with a job that is due."""
        self._guarded(number, lambda: self._begin(self.holdings[number]))

    @rule(number=st.integers(0, DAEMONS - 1))
    def finish(self, number: int) -> None:
        """An attempt ends well."""
        self._guarded(number, lambda: self._finish(self.holdings[number]))

    @rule(number=st.integers(0, DAEMONS - 1), remedy=st.sampled_from(Remedy))
    def fail(self, number: int, remedy: Remedy) -> None:
        """An attempt fails."""
        holdings = self.holdings[number]

        def act() -> None:
            for job in holdings.states(JobState.RUNNING)[:1]:
                (holdings.folder(job) / "log").write_text(job.job_id)
                fault = Fault("SomeError", remedy, "it failed")
                holdings.fail(job.job_id, fault, wall=self.now)

        self._guarded(number, act)

    @rule(number=st.integers(0, DAEMONS - 1))
    def publish(self, number: int) -> None:
        """A daemon publishes what it has."""
        self._guarded(number, lambda: self.holdings[number].settle_up())

    @rule(number=st.integers(0, DAEMONS - 1))
    def restart(self, number: int) -> None:
        """A daemon is killed between two steps, and started again."""
        self._restart(number)

    @rule(number=st.integers(0, DAEMONS - 1))
    def take_over(self, number: int) -> None:
        """A daemon is killed, and the other takes over what it held."""
        dead, alive = number, self.holdings[1 - number]
        taken = claims.take_over(self.holdings[dead].instance, alive.instance)
        alive.adopt(taken, wall=self.now)
        self.holdings[dead] = self._new(dead)

    @rule(
        number=st.integers(0, DAEMONS - 1),
        name=st.sampled_from(NAMES),
        well=st.booleans(),
        point=st.one_of(st.sampled_from(PUBLISHING), st.sampled_from(DAEMON_POINTS)),
        taken=st.booleans(),
    )
    def power_cut(self, number: int, name: str, well: bool, point: str, taken: bool) -> None:
        """A film goes all the way, or until the power is cut; then its name may be taken."""
        holdings = self.holdings[number]

        def act() -> None:
            self.drop(name)
            self._claim(holdings)
            self._begin(holdings)
            if well:
                self._finish(holdings)
            for job in holdings.states(JobState.RUNNING):
                (holdings.folder(job) / "log").write_text(job.job_id)
                fault = Fault("SomeError", Remedy.FIX_INPUT, "it failed")
                holdings.fail(job.job_id, fault, wall=self.now)
            holdings.settle_up()

        faults.arm(point, crash)
        self._guarded(number, act, then=lambda: self._take_a_name(holdings) if taken else None)
        faults.arm("")

    # --- what the steps are made of ---------------------------------------------------------

    def _guarded(
        self,
        number: int,
        act: Callable[[], object],
        then: Callable[[], object] = lambda: None,
    ) -> None:
        try:
            act()
        except Crash:
            then()
            self._restart(number)

    def _take_a_name(self, holdings: Holdings) -> None:
        """Somebody else takes a name that a job was about to give to one of its files."""
        for folder in claims.job_folders(holdings.instance):
            if not (folder / JOB_FILE).exists():
                continue
            job = load_job(folder)
            free = [one for one in job.placements if (folder / one.file).exists()]
            for placement in free[:1]:
                path = target(self.config.folders, placement)
                path.parent.mkdir(exist_ok=True)
                if not path.exists() and path.suffix not in (".mp4", ".mkv"):
                    path.write_text("another")

    def _restart(self, number: int) -> None:
        faults.arm("")
        self.holdings[number] = self._new(number)
        self.holdings[number].adopt_strays(wall=self.now)

    def _claim(self, holdings: Holdings) -> None:
        inbox = self.root / "inbox"
        for path in sorted(one for one in inbox.rglob("*") if one.is_file())[:1]:
            candidate = Candidate(inbox, str(path.relative_to(inbox)), stamp_of(path.lstat()), 0.0)
            job_id = f"job{next(self.numbers):06}"
            holdings.claim(candidate, job_id, now=self.now, wall=self.now)

    def _begin(self, holdings: Holdings) -> None:
        self.now += 10_000
        holdings.admit(settle_seconds=0.0, now=self.now, wall=self.now)
        job = next(iter(holdings.due(wall=self.now)), None)
        if job is not None and not holdings.states(JobState.RUNNING):
            holdings.begin(job, wall=self.now)

    def _finish(self, holdings: Holdings) -> None:
        for job in holdings.states(JobState.RUNNING)[:1]:
            folder = holdings.folder(job)
            result = f"result{Path(job.source).suffix}"
            (folder / result).write_bytes((folder / job.source).read_bytes())
            (folder / "log").write_text(job.job_id)
            (folder / "preview.jpg").write_bytes(b"a picture")
            report = Finished(job.job_id, _named(result), "", "")
            holdings.finish(report, {}, wall=self.now)

    # --- what holds at any moment -----------------------------------------------------------

    def _films(self, folder: str) -> list[str]:
        root = self.root / folder
        files = [one for one in root.rglob("*") if one.suffix in (".mp4", ".mkv")]
        return [one.read_text() for one in files if not one.name.startswith("result")]

    def _by_name(self, folder: str) -> dict[str, str]:
        root = self.root / folder
        files = [one for one in root.rglob("*") if one.suffix in (".mp4", ".mkv")]
        return {str(one.relative_to(root)): one.read_text() for one in files}

    @invariant()
    def each_source_is_in_one_place(self) -> None:
        """Inbox, work, originals and failed hold each source exactly once between them."""
        if not hasattr(self, "root"):
            return
        places = ("inbox", "work", "originals", "failed")
        found = [text for place in places for text in self._films(place)]
        assert sorted(found) == sorted(self.dropped)

    @invariant()
    def no_result_is_doubled(self) -> None:
        """No film is in done/ twice."""
        if hasattr(self, "root"):
            counts = Counter(self._films("done"))
            assert not [text for text, count in counts.items() if count > 1]


def _named(result: str) -> EraseReport:
    return replace(REPORT, result=result)


Daemons.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=20,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking takes longer than a test may
)
TestDaemons = pytest.mark.errors_logged(Daemons.TestCase)  # some of the faults are our own
