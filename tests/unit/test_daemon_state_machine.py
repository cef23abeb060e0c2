"""Any interleaving of two daemons' steps, crashes and awakenings included, loses nothing.

Each step may be cut off at any fault point, as by a power cut, fail there with a disk's error, or
stand still there while the other daemon takes over and does all that is to be done; then the one
that slept wakes up and goes on.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from daemon.config.schema import load_config
from daemon.control.client import DaemonFolder, send
from daemon.control.controller import Controller
from daemon.control.journal import read_request_record
from daemon.control.reach import Reach
from daemon.control.requests import COMMANDS, request_of
from daemon.folders.proofs import FolderProofs
from daemon.inbox.left_films import LeftFilms, left_file
from daemon.inbox.scanner import signature_of
from daemon.inbox.settling import Candidate
from daemon.jobs import claims, instances
from daemon.jobs.history import History
from daemon.jobs.instances import InstanceId, Leases, Liveness
from daemon.jobs.job import JobState, load_job
from daemon.jobs.job_parts import JobParts
from daemon.jobs.pause_switch import PauseSwitch, pause_file
from daemon.jobs.publish import requeue
from daemon.jobs.request_folders import make_request_folders
from daemon.jobs.result_names import target
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.threads import Starter
from daemon.storage import failpoints
from daemon.storage.failpoints import DAEMON_FAILPOINTS
from daemon.workers.messages import Failure, Finished
from erasecore.errors import ClaimRefused, Remedy
from erasecore.reports import EraseReport

NAMES = ("film.mp4", "a/film.mp4", "other.mkv")
HOSTS = 2
NO_SUCH_PID = 2**22 + 1  # and all above it
LONG = 10_000.0  # seconds; longer than any delay or lease
POINTS = [one for one in DAEMON_FAILPOINTS if not one.startswith("worker.")]
STEPS_OUT = [one for one in POINTS if one.startswith(("publish.", "reject.", "undo."))]


class PowerCutError(BaseException):
    """The end: nothing may catch it."""


def cut() -> NoReturn:
    """Cut the power."""
    raise PowerCutError


def fail() -> NoReturn:
    """Fail as a disk does, after what was asked for has been done."""
    raise OSError(errno.EIO, "Input/output error")


class Kind(StrEnum):
    """What happens at a point."""

    CUT = "cut"  # it is the end
    FREEZE = "freeze"  # it goes on after the other daemon has taken over
    ERROR = "error"  # the step fails, though what came before the point is done


@dataclass(frozen=True)
class Trouble:
    """What happens in the middle of a step."""

    point: str = ""  # nothing
    kind: Kind = Kind.CUT


TROUBLES = st.builds(
    Trouble,
    st.one_of(st.just(""), st.sampled_from(STEPS_OUT), st.sampled_from(POINTS)),
    st.sampled_from(Kind),
)


def without_freeze(trouble: Trouble) -> Trouble:
    """Return ``trouble``, or a power cut where nobody could take over."""
    return replace(trouble, kind=Kind.CUT) if trouble.kind is Kind.FREEZE else trouble


NUMBERS = st.integers(0, HOSTS - 1)
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


class InboxOnDisk:
    """The films of an inbox as they lie there now, all of them settled."""

    def __init__(self, inbox: Path, left: LeftFilms) -> None:
        self.inbox = inbox
        self.left = left

    def candidates(self) -> list[Candidate]:
        """Every film, those that are left alone included."""
        files = sorted(one for one in self.inbox.rglob("*.m[pk][4v]") if one.is_file())
        names = [str(one.relative_to(self.inbox)) for one in files]
        return [
            Candidate(self.inbox, name, signature_of((self.inbox / name).lstat()), 0.0)
            for name in names
        ]

    def find(self, name: str) -> Candidate | None:
        """The film of that name."""
        return next((one for one in self.candidates() if one.name == name), None)

    def blocked(self) -> dict[str, str]:
        """Nothing is."""
        return {}

    def take(self, candidate: Candidate) -> None:
        """It lies where it lies."""

    def request_rescan(self) -> None:
        """It is looked at each time."""


class Daemons(RuleBasedStateMachine):
    """Two daemons on two hosts that take steps in any order; either may die, or sleep, in any."""

    @initialize()
    def begin(self) -> None:
        """An empty root and two daemons."""
        self.root = Path(tempfile.mkdtemp())
        self.config = load_config(None, self.root)
        for name in ("inbox", "work", "done", "failed", "originals", "state"):
            (self.root / name).mkdir()
        self.history = History(self.config.folders)
        self.numbers = itertools.count(1)
        self.dropped: list[str] = []
        self.redone: set[str] = set()  # names that were to be done again: results may be doubled
        self.asked: set[str] = set()  # ids of requests
        self.answered: set[str] = set()
        self.now = 0.0
        work, hosts = self.root / "work", [f"host{number}" for number in range(HOSTS)]
        self.pauses = [PauseSwitch(pause_file(work, host)) for host in hosts]
        lefts = [LeftFilms(left_file(work, host)) for host in hosts]
        self.inboxes = [InboxOnDisk(self.root / "inbox", left) for left in lefts]
        self.controllers: list[Controller | None] = [None] * HOSTS
        self.owners = [self._owner(number) for number in range(HOSTS)]
        self.parts = [self._settle_in(number) for number in range(HOSTS)]

    def teardown(self) -> None:
        """In the end everything is where it belongs, exactly once."""
        failpoints.arm("")
        for number in range(HOSTS):
            self._restart(number)
        self._end_requests()
        while self._films("inbox") or any(one.store.jobs for one in self.parts):
            for number in range(HOSTS):
                self._take_over_the_dead(number)
                self._do_all(self.parts[number])
        ended = self._films("originals") + self._films("failed")
        assert sorted(ended) == sorted(self.dropped)
        done, originals = self._by_name("done"), self._by_name("originals")
        assert originals.items() <= done.items()
        assert all(_name_in(done[name]) in self.redone for name in done.keys() - originals)
        for folder, ending in (("done", ".report.json"), ("failed", ".error.json")):
            for name in self._by_name(folder):
                job_id = json.loads((self.root / folder / f"{name}{ending}").read_text())["job_id"]
                assert (self.root / folder / f"{name}.log").read_text() in ("", job_id)
        for number in range(HOSTS):
            claims.release_claim(self.parts[number].store.instance)
        assert not list((self.root / "work").iterdir())
        self.history.close()
        shutil.rmtree(self.root)

    def _end_requests(self) -> None:
        """Every request has its answer; then nothing is left alone or paused any more."""
        for number in range(HOSTS):
            self._look(number)
        assert self.answered == self.asked
        for number in range(HOSTS):
            self.inboxes[number].left.keep_only(())
            self.pauses[number].end("nobody")

    # --- what others do -----------------------------------------------------------------------

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
        """Somebody else puts files of such names into done/ and failed/."""
        for folder, ending in (("done", ".preview.jpg"), ("done", ".log"), ("failed", ".log")):
            path = self.root / folder / f"{name}{ending}"
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                path.write_text("another")

    @rule(trouble=TROUBLES)
    def requeue(self, trouble: Trouble) -> None:
        """Somebody puts a failed film back into the inbox, with a power cut if there is one."""
        failed = self.root / "failed"
        for path in sorted(failed.rglob("*.m[pk][4v]"))[:1]:
            failpoints.arm(trouble.point, cut)
            try:
                requeue(path, failed, self.root / "inbox")
            except (PowerCutError, FileExistsError):
                pass  # it may be said again, or the inbox has a film of that name
            finally:
                failpoints.arm("")

    @rule(
        number=NUMBERS,
        command=st.sampled_from(sorted(COMMANDS)),
        name=st.sampled_from(NAMES),
        trouble=TROUBLES,
    )
    def ask(self, number: int, command: str, name: str, trouble: Trouble) -> None:
        """Somebody asks a daemon for something, which looks, and may be cut off at that."""
        instance = self.parts[number].store.instance
        if not instance.is_dir():
            return
        body = {} if command in ("pause", "resume") else {"film": name}
        if command == "redo":
            self.redone.add(name)
        folder = DaemonFolder(instance, f"host{number}", Liveness.ALIVE)
        self.asked.add(send(folder, request_of(command, body)))
        self._step(number, trouble, lambda: self._look(number))

    # --- what the daemons do ------------------------------------------------------------------

    @rule(number=NUMBERS, trouble=TROUBLES)
    def look_for_requests(self, number: int, trouble: Trouble) -> None:
        """A daemon goes on with what it was asked for."""
        self._step(number, trouble, lambda: self._look(number))

    @rule(number=NUMBERS, trouble=TROUBLES)
    def claim(self, number: int, trouble: Trouble) -> None:
        """A daemon takes the first film."""
        self._step(number, trouble, lambda: self._claim(self.parts[number]))

    @rule(number=NUMBERS, trouble=TROUBLES)
    def attempt(self, number: int, trouble: Trouble) -> None:
        """A daemon begins with a job that is due."""
        self._step(number, trouble, lambda: self._begin(self.parts[number]))

    @rule(number=NUMBERS, trouble=TROUBLES)
    def finish(self, number: int, trouble: Trouble) -> None:
        """An attempt ends well."""
        self._step(number, trouble, lambda: self._finish(self.parts[number]))

    @rule(
        number=NUMBERS,
        trouble=TROUBLES,
        remedy=st.sampled_from(Remedy),
        unfinished=st.booleans(),
    )
    def fail(self, number: int, trouble: Trouble, remedy: Remedy, unfinished: bool) -> None:
        """An attempt fails."""
        failure = Failure("SomeError", remedy, "it failed", unfinished=unfinished)
        self._step(number, trouble, lambda: self._fail(self.parts[number], failure))

    @rule(number=NUMBERS, trouble=TROUBLES)
    def hand_back(self, number: int, trouble: Trouble) -> None:
        """A daemon puts the job at hand back into the queue."""

        def act() -> None:
            for job in self.parts[number].store.states(JobState.RUNNING)[:1]:
                self.parts[number].attempts.hand_back(job.job_id, now=self.now, wall=self.now)

        self._step(number, trouble, act)

    @rule(number=NUMBERS, trouble=TROUBLES, taken=st.booleans())
    def publish(self, number: int, trouble: Trouble, taken: bool) -> None:
        """A daemon publishes what it has; perhaps somebody takes a name before it tries again."""
        self._step(number, trouble, lambda: self._publish(self.parts[number]))
        if taken:
            self._take_a_name(self.parts[number])

    @rule(number=NUMBERS, trouble=TROUBLES)
    def restart(self, number: int, trouble: Trouble) -> None:
        """A daemon is killed between two steps and started again, which may be cut off, too."""
        self._step(number, without_freeze(trouble), lambda: self._restart(number))

    @rule(number=NUMBERS, trouble=TROUBLES)
    def take_over(self, number: int, trouble: Trouble) -> None:
        """A daemon is silent for a lease, though it lives; the other takes over what it held."""
        other = 1 - number
        act = lambda: self._take(self.parts[other].store.instance, self.parts[number])  # noqa: E731
        self._step(number, without_freeze(trouble), act)

    @rule(
        number=NUMBERS,
        name=st.sampled_from(NAMES),
        remedy=st.one_of(st.none(), st.sampled_from(Remedy)),
        trouble=TROUBLES,
        taken=st.booleans(),
    )
    def go_all_the_way(
        self, number: int, name: str, remedy: Remedy | None, trouble: Trouble, taken: bool
    ) -> None:
        """A film goes all the way, or as far as it comes."""
        self.drop(name)

        def act() -> None:
            parts = self.parts[number]
            self._claim(parts)
            self._begin(parts)
            if remedy is None:
                self._finish(parts)
            else:
                self._fail(parts, Failure("SomeError", remedy, "it failed"))
            self._publish(parts)

        self._step(number, trouble, act)
        if taken:
            self._take_a_name(self.parts[number])

    # --- troubles -----------------------------------------------------------------------------

    def _step(self, number: int, trouble: Trouble, act: Callable[[], object]) -> None:
        """Do a step, whatever comes in between; afterwards as the service does."""
        actions = {Kind.CUT: cut, Kind.ERROR: fail, Kind.FREEZE: lambda: self._sleep(number)}
        failpoints.arm(trouble.point, actions[trouble.kind])
        try:
            act()
            if self.parts[number].isolation.take_lost():
                failpoints.arm("")
                self._recover(number)
        except PowerCutError:
            failpoints.arm("")
            self._restart(number)
        except ClaimRefused:
            pass  # the film stays in the inbox for a while
        except OSError:
            failpoints.arm("")
            self._recover(number)
        finally:
            failpoints.arm("")
            self._note_answers()

    def _sleep(self, number: int) -> None:
        """While a daemon sleeps in the middle of a step, the other does all that is to be done."""
        failpoints.arm("")
        other = self.parts[1 - number]
        try:
            self._take(self.parts[number].store.instance, other)
            self._do_all(other)
        except OSError:
            self._recover(1 - number)

    def _recover(self, number: int) -> None:
        """As ``Service`` does after a turn that failed."""
        store = self.parts[number].store
        if instances.beat(store.instance):
            store.forget_lost()
            self.parts[number].adopter.reattach_orphans(now=self.now, wall=self.now)
        else:
            self.parts[number] = self._settle_in(number)

    def _restart(self, number: int) -> None:
        self.owners[number] = self._owner(number)
        self.parts[number] = self._settle_in(number)
        self._take_over_the_dead(number)

    # --- what the steps are made of -----------------------------------------------------------

    def _owner(self, number: int) -> InstanceId:
        """A process that never was before."""
        start_time = next(self.numbers)
        return InstanceId(f"host{number}", "boot", 1, NO_SUCH_PID + start_time, start_time)

    def _settle_in(self, number: int) -> JobParts:
        token = f"{next(self.numbers):010}"
        instance, lock = instances.open_instance(
            self.root / "work", self.owners[number], token, make_request_folders
        )
        os.close(lock)  # these owners are no processes: nothing is held for them
        problems = HostProblems(self.config.retry)
        proofs = FolderProofs(self.config.folders, token=token, check_mounts=lambda: None)
        at_once = lambda work: work()  # noqa: E731 - instead of a thread: it is cut off here
        parts = JobParts.build(instance, self.config, self.history, problems, proofs, at_once)
        self.controllers[number] = Controller(
            instance, self._reach(number, parts, at_once), lambda: None
        )
        return parts

    def _reach(self, number: int, parts: JobParts, start: Starter) -> Reach:
        """The parts that requests to a daemon touch; there are no workers to be interrupted."""

        def interrupt(job_id: str = "", *, now: float, wall: float) -> None:
            for job in parts.store.states(JobState.RUNNING):
                if job_id in ("", job.job_id):
                    parts.attempts.hand_back(job.job_id, now=now, wall=wall)

        return Reach(
            jobs=parts,
            inbox=self.inboxes[number],
            claim=parts.claimer.claim,
            interrupt=interrupt,
            start_thread=start,
            pauses=self.pauses[number],
            left=self.inboxes[number].left,
            folders=self.config.folders,
            erase_defaults=self.config.erase,
            marked=False,
            skips_duplicates=False,
            host=f"host{number}",
        )

    def _look(self, number: int) -> None:
        """A daemon looks for requests until it has none, as it does over its turns."""
        controller = self.controllers[number]
        assert controller is not None
        for _ in range(3):
            self.now += LONG
            controller.look_if_due(now=self.now, wall=self.now)
            self._note_answers()

    def _note_answers(self) -> None:
        """Each request is answered once: an answer that was given never changes."""
        for file in (self.root / "work").glob("*/requests/*.json"):
            record = read_request_record(file)
            if record is not None and record.answer is not None:
                self.answered.add(record.request_id)

    def _take_over_the_dead(self, number: int) -> None:
        work, me = self.root / "work", self.owners[number]
        for instance in instances.abandoned(work, me, Leases(LONG), now=self.now):
            self._take(instance, self.parts[number])

    def _take(self, instance: Path, parts: JobParts) -> None:
        taken = claims.take_over(instance, parts.store.instance)
        parts.adopter.adopt(taken, now=self.now, wall=self.now)
        for controller, other in zip(self.controllers, self.parts, strict=True):
            if other is parts and controller is not None:
                controller.reread()

    def _do_all(self, parts: JobParts) -> None:
        self._claim(parts)
        while parts.store.jobs:
            self._begin(parts)
            self._finish(parts)
            self._publish(parts)

    def _claim(self, parts: JobParts) -> None:
        inbox = self._inbox_of(parts)
        for candidate in inbox.left.without_left(inbox.candidates())[:1]:
            job_id = f"job{next(self.numbers):06}"
            parts.claimer.claim(candidate, job_id, now=self.now, wall=self.now)

    def _inbox_of(self, parts: JobParts) -> InboxOnDisk:
        """The inbox as the daemon with these parts sees it."""
        return self.inboxes[int(parts.store.instance.name.removeprefix("host")[0])]

    def _begin(self, parts: JobParts) -> None:
        self.now += LONG
        parts.claimer.queue_settled(settle_seconds=0.0, now=self.now, wall=self.now)
        job = next(iter(parts.store.due(wall=self.now)), None)
        if job is not None and not parts.store.states(JobState.RUNNING):
            parts.attempts.begin(job, now=self.now, wall=self.now)

    def _publish(self, parts: JobParts) -> None:
        self.now += LONG
        parts.publisher.publish_finished(now=self.now, wall=self.now)

    def _finish(self, parts: JobParts) -> None:
        for job in parts.store.states(JobState.RUNNING)[:1]:
            folder = parts.store.folder(job)
            result = f"result{Path(job.source).suffix}"
            (folder / result).write_bytes((folder / job.source).read_bytes())
            (folder / "log").write_text(job.job_id)
            (folder / "preview.jpg").write_bytes(b"a picture")
            report = Finished(job.job_id, replace(REPORT, result=result), "", "")
            parts.attempts.finish(report, {}, wall=self.now)

    def _fail(self, parts: JobParts, failure: Failure) -> None:
        for job in parts.store.states(JobState.RUNNING)[:1]:
            (parts.store.folder(job) / "log").write_text(job.job_id)
            parts.attempts.fail(job.job_id, failure, now=self.now, wall=self.now)

    def _take_a_name(self, parts: JobParts) -> None:
        """Somebody else takes a name that a job was about to give to one of its files."""
        if not parts.store.instance.is_dir():
            return
        for folder in claims.job_folders(parts.store.instance):
            if not (folder / "job.json").exists():
                continue
            free = [one for one in load_job(folder).placements if (folder / one.file).exists()]
            for placement in free[:1]:
                path = target(self.config.folders, placement)
                path.parent.mkdir(exist_ok=True)
                if not path.exists() and path.suffix not in (".mp4", ".mkv"):
                    path.write_text("another")

    # --- what holds at any moment -------------------------------------------------------------

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
            doubled = [text for text, count in counts.items() if count > 1]
            assert all(_name_in(text) in self.redone for text in doubled)


def _name_in(text: str) -> str:
    """The name that a film was dropped under, by its content."""
    return text.rpartition(" ")[0]


Daemons.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=16,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking takes longer than a test may
)
TestDaemons = pytest.mark.errors_logged(Daemons.TestCase)  # some of the faults are our own
