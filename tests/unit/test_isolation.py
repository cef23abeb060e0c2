"""Blame, proofs of folders, names of results, clocks that are set: decisions without a daemon."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from daemon.config.locations import FolderSettings, folders_below
from daemon.config.schema import Config, RetrySettings
from daemon.folders import checks
from daemon.folders.checks import prove, prove_folder, sweep_trials
from daemon.folders.proofs import PROOF_SECONDS, FolderProofs
from daemon.jobs.blame import FolderBlame
from daemon.jobs.isolation import ADOPT, PUBLISH, QUEUE, JobIsolation
from daemon.jobs.job import Job, JobState, Place, Placement, load_job, save_job
from daemon.jobs.publish import withdrawn
from daemon.jobs.result_names import Item, free_folder, placements_of, target
from daemon.jobs.retry import Blame, Decision, Next, decide
from daemon.jobs.store import JobStore
from daemon.runtime.clock_watch import ClockWatch
from daemon.runtime.host_problems import HostProblems
from daemon.storage.names import fitted_folders, numbered_folder
from daemon.workers.messages import Failure, Start
from daemon.workers.worker_loop import failure_of
from erasecore.errors import (
    ConfigError,
    FolderError,
    FolderGone,
    NewerJob,
    NotAVideo,
    Remedy,
)
from erasecore.settings import EraseSettings

RETRY = RetrySettings(max_attempts=3, delay_seconds=30.0, pause_seconds=60.0)
JOB = Job("job1", "a/film.mp4", "source.mp4", 10, 20, 30.0)
FAILURE = Failure("FilmBlocked", Remedy.FIX_HOST, "film.mp4: cannot be published.")


@pytest.mark.parametrize(
    ("blame", "tries", "decision"),
    [
        (Blame.HOST, 1, Decision(Next.PAUSE, 60.0)),  # the folder's proof failed
        (Blame.HOST, 99, Decision(Next.PAUSE, 60.0)),  # no film is ever counted for that
        (Blame.JOB, 1, Decision(Next.REQUEUE, 30.0)),  # the proof held: this job alone waits
        (Blame.JOB, 2, Decision(Next.REQUEUE, 60.0)),  # twice as long each time
        (Blame.JOB, 3, Decision(Next.FAIL)),  # and goes to failed/
    ],
)
def test_decide_by_blame(blame: Blame, tries: int, decision: Decision) -> None:
    """A problem of the host pauses the queue only if the host is to blame."""
    assert decide(Remedy.FIX_HOST, tries, RETRY, blame=blame) == decision


@pytest.mark.parametrize("blame", Blame)
def test_blame_is_about_the_host_only(blame: Blame) -> None:
    """Other remedies are decided as ever."""
    assert decide(Remedy.RETRY, 1, RETRY, blame=blame).next is Next.REQUEUE
    assert decide(Remedy.FIX_INPUT, 1, RETRY, blame=blame).next is Next.FAIL


# --- proofs ---------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> FolderSettings:
    """Five folders that exist."""
    found = folders_below(tmp_path, FolderSettings(min_free_mb=0))
    prove(found, token="start")
    return found


def proofs_of(folders: FolderSettings) -> FolderProofs:
    """Proofs without mounts."""
    return FolderProofs(folders, token="t", check_mounts=lambda: None)


def test_a_proof_leaves_nothing_behind(folders: FolderSettings) -> None:
    """Not even what a crash in the last one has left."""
    left = folders.done / ".prove-t-inner.tmp"
    left.mkdir()
    (left / ".prove-t.tmp").touch()
    (folders.done / ".prove-t.tmp").touch()
    prove_folder("done", folders.done, token="t")
    assert list(folders.done.iterdir()) == []


def test_a_folder_that_overwrites_is_refused(
    folders: FolderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filesystem whose renames overwrite without a word is told, before a film is lost."""
    monkeypatch.setattr(checks, "rename_no_clobber", os.replace)
    with pytest.raises(ConfigError, match="overwrites"):
        prove_folder("done", folders.done, token="t")
    assert list(folders.done.iterdir()) == []


def test_a_verdict_is_kept_for_a_moment(folders: FolderSettings) -> None:
    """A job that fails in each turn does not prove the folder in each turn."""
    proofs = proofs_of(folders)
    assert proofs.error_of("done", now=0.0) is None
    folders.done.rmdir()
    assert proofs.error_of("done", now=PROOF_SECONDS / 2) is None
    assert isinstance(proofs.error_of("done", now=PROOF_SECONDS), ConfigError)
    folders.done.mkdir()
    assert proofs.error_of("done", now=PROOF_SECONDS, fresh=True) is None


def test_a_mount_that_went_is_no_films_fault(folders: FolderSettings) -> None:
    """The folder under its mount point would pass any proof."""

    def gone() -> None:
        raise FolderGone(folders.done, "mount it.")

    proofs = FolderProofs(folders, token="t", check_mounts=gone)
    assert isinstance(proofs.error_of("done", now=0.0), FolderGone)


def test_room_for_one_film(folders: FolderSettings) -> None:
    """A disk on which a film has no room is full; one that could never hold it is not."""
    proofs = proofs_of(folders)
    total = checks.total_bytes(folders.done)
    assert proofs.shortage_of("done", 1) is None
    assert isinstance(proofs.shortage_of("done", total), FolderError)
    assert proofs.shortage_of("done", total + 1) is None


# --- isolation ------------------------------------------------------------------------------


class Desk:
    """One held job and its isolation."""

    def __init__(self, folders: FolderSettings) -> None:
        self.folders = folders
        self.instance = folders.work / "me"
        self.instance.mkdir()
        self.problems = HostProblems(RETRY)
        self.store = JobStore(self.instance)
        config = replace(Config(), folders=folders, retry=RETRY)
        blame = FolderBlame(proofs_of(folders), self.problems)
        self.isolation = JobIsolation(self.store, blame, self.problems, config)

    def hold(self, state: JobState, **changes: object) -> Job:
        """A job whose source is in its folder."""
        job = replace(JOB, state=state, **changes)  # type: ignore[arg-type]
        folder = self.store.folder(job)
        folder.mkdir()
        (folder / job.source).write_text("film")
        self.store.save(job)
        return job

    def run(self, job: Job, error: Exception | None, now: float, step: object = QUEUE) -> bool:
        """Whether a step succeeds that raises ``error``."""

        def act() -> None:
            if error is not None:
                raise error

        assert step in (QUEUE, PUBLISH)
        chosen = PUBLISH if step is PUBLISH else QUEUE
        return self.isolation.run(job, chosen, act, now=now, wall=1000.0 + now)


@pytest.fixture
def desk(folders: FolderSettings) -> Desk:
    """A desk without a job."""
    return Desk(folders)


WRONG = OSError(errno.EISDIR, "Is a directory", "/somewhere/film.mp4")


@pytest.mark.errors_logged
def test_a_job_alone_waits_and_is_rejected(desk: Desk) -> None:
    """With backoff, named, and after the last try with a reason; the queue never pauses."""
    job = desk.hold(JobState.CLAIMED)
    assert not desk.run(job, WRONG, 0.0)
    assert not desk.problems.pausing()
    assert "a/film.mp4: cannot be put into the queue" in desk.problems.sentence()
    assert not desk.isolation.due(job.job_id, now=29.0)
    assert not desk.run(job, None, 29.0)  # it waits
    assert not desk.run(job, WRONG, 30.0)
    assert not desk.isolation.due(job.job_id, now=89.0)
    assert not desk.run(job, WRONG, 90.0)
    rejected = load_job(desk.store.folder(job))
    assert rejected == desk.store.jobs[job.job_id]
    assert rejected.state is JobState.REJECTED
    assert rejected.failure is not None
    assert (rejected.failure.error, rejected.failure.remedy) == ("FilmBlocked", Remedy.FIX_HOST)
    assert desk.problems.sentence() == ""


@pytest.mark.errors_logged
def test_a_success_ends_the_count(desk: Desk) -> None:
    """Only tries in a row count."""
    job = desk.hold(JobState.CLAIMED)
    for now in (0.0, 1000.0):
        assert not desk.run(job, WRONG, now)
        assert not desk.run(job, WRONG, now + 200.0)
        assert desk.run(job, None, now + 900.0)
    assert desk.store.jobs[job.job_id].state is JobState.CLAIMED


@pytest.mark.errors_logged
def test_a_broken_folder_is_not_the_jobs(desk: Desk) -> None:
    """The queue pauses, nothing is counted, and it goes on once the folder is mended."""
    job = desk.hold(JobState.FINISHED, result="result.mp4")
    desk.folders.done.rmdir()
    for now in range(0, 1000, 100):
        assert not desk.run(job, WRONG, float(now), PUBLISH)
    assert desk.problems.blocked(now=900.0)
    assert "folders.done" in desk.problems.sentence()
    assert desk.isolation.hindrances() == {}
    desk.folders.done.mkdir()
    desk.isolation.blame.recheck(now=10_000.0)
    assert not desk.problems.pausing()


@pytest.mark.errors_logged
def test_a_job_that_cannot_be_saved_is_set_aside(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays in work/, is named, and is tried again; when the cause is gone it goes on."""
    job = desk.hold(JobState.CLAIMED)

    def broken(_job: Job) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(desk.store, "save", broken)
    now = 0.0
    for _ in range(10):
        assert not desk.run(job, WRONG, now)
        now += 240.0
    assert desk.isolation.is_set_aside(job.job_id)
    assert str(desk.store.folder(job)) in desk.problems.sentence()
    assert not desk.isolation.due(job.job_id, now=now - 1.0)  # at most eight times the delay
    assert desk.isolation.due(job.job_id, now=now)
    monkeypatch.undo()
    assert desk.run(job, None, now)
    assert not desk.isolation.is_set_aside(job.job_id)
    assert desk.problems.sentence() == ""


@pytest.mark.errors_logged
def test_the_sentence_on_a_job_is_true(desk: Desk) -> None:
    """One full stop, and what becomes of the job: tried again, or set aside until it is mended."""
    job = desk.hold(JobState.CLAIMED)
    folder = desk.store.folder(job)
    error = NewerJob(folder, "a/film.mp4", 9, 1)
    isolation = desk.isolation
    isolation.concerns(job.job_id, job.name, ADOPT, error, now=0.0)
    cause = f"a/film.mp4: cannot be taken up again: {str(error).rstrip('.')}."
    assert desk.problems.sentence() == f"{cause} It is tried again by itself; other films go on."
    isolation.set_aside(job.job_id)
    aside = f"It is set aside in {folder} and goes on once that is mended; other films go on."
    assert desk.problems.sentence() == f"{cause} {aside}"


@pytest.mark.errors_logged
def test_a_bug_with_one_film_is_that_films(desk: Desk) -> None:
    """Whatever a step raises, it goes no further, and is not blamed on sender or operator."""
    job = desk.hold(JobState.CLAIMED)
    for now in (0.0, 100.0, 200.0):
        assert not desk.run(job, ZeroDivisionError("division by zero"), now)
    failure = desk.store.jobs[job.job_id].failure
    assert failure is not None
    assert failure.remedy is Remedy.FIX_CODE


@pytest.mark.errors_logged
def test_a_source_that_is_gone_is_told_at_once(desk: Desk) -> None:
    """Not after the last try."""
    job = desk.hold(JobState.QUEUED)
    (desk.store.folder(job) / job.source).unlink()
    assert not desk.run(job, FileNotFoundError(errno.ENOENT, "it is gone"), 0.0)
    failure = desk.store.jobs[job.job_id].failure
    assert failure is not None
    assert failure.error == "SourceGone"


@pytest.mark.errors_logged
def test_a_job_that_was_taken_over_is_nobodys_fault(desk: Desk) -> None:
    """Its folder went to another daemon, which took us for dead."""
    job = desk.hold(JobState.QUEUED)
    desk.store.folder(job).rename(desk.folders.work / "theirs")
    assert not desk.run(job, FileNotFoundError(errno.ENOENT, "it is gone"), 0.0)
    assert desk.isolation.take_lost()
    assert not desk.isolation.take_lost()
    assert desk.isolation.hindrances() == {}


def test_what_was_published_is_taken_back(desk: Desk) -> None:
    """A job that is given up half-way leaves nothing in done/; a result that is there stays."""
    report = Placement("report.json", Place.DONE, "a/film.mp4.report.json")
    film = Placement("result.mp4", Place.DONE, "a/film.mp4")
    job = desk.hold(JobState.FINISHED, result="result.mp4", placements=(report, film))
    folder = desk.store.folder(job)
    (folder / "result.mp4").write_text("result")
    published = target(desk.folders, report)
    published.parent.mkdir()
    published.write_text("{}")
    rejected = withdrawn(folder, job, FAILURE, desk.folders, now=1.0)
    assert (rejected.state, rejected.placements) == (JobState.REJECTED, ())
    assert (published.exists(), (folder / "report.json").read_text()) == (False, "{}")
    save_job(folder, job)
    (folder / "result.mp4").rename(target(desk.folders, film))
    with pytest.raises(FileExistsError):
        withdrawn(folder, job, FAILURE, desk.folders, now=1.0)


@pytest.mark.parametrize(
    ("content", "mtime_ns", "ours"),
    [
        ("ours", 5_000_000_000, True),
        ("ours", 6_900_000_000, True),  # FAT keeps even seconds
        ("mine", 8_000_000_000, False),
        ("longer", 5_000_000_000, False),
    ],
)
def test_a_strangers_file_is_not_taken_back(
    desk: Desk, content: str, mtime_ns: int, ours: bool
) -> None:
    """Whoever has put a file of his own in its place keeps it."""
    name = "film.mp4.report.json"
    report = Placement("report.json", Place.DONE, name, size_bytes=4, mtime_ns=5_000_000_000)
    film = Placement("result.mp4", Place.DONE, "film.mp4")
    job = desk.hold(JobState.FINISHED, result="result.mp4", placements=(report, film))
    folder, published = desk.store.folder(job), target(desk.folders, report)
    (folder / "result.mp4").write_text("result")
    published.write_text(content)
    os.utime(published, ns=(mtime_ns, mtime_ns))
    assert withdrawn(folder, job, FAILURE, desk.folders, now=1.0).placements == ()
    assert (folder / "report.json").exists() == ours
    assert published.exists() != ours


# --- names ----------------------------------------------------------------------------------


def test_a_folder_is_numbered_like_a_film(tmp_path: Path) -> None:
    """Each part that a file or a link has, and the next film goes to the same place."""
    (tmp_path / "shows").write_text("a list")
    (tmp_path / "shows (2)").symlink_to(tmp_path)
    assert str(free_folder(tmp_path, PurePosixPath("shows/s1"))) == "shows (3)/s1"
    (tmp_path / "shows (3)").mkdir()
    (tmp_path / "shows (3)" / "s1").write_text("another")
    for _ in range(2):
        assert str(free_folder(tmp_path, PurePosixPath("shows/s1"))) == "shows (3)/s1 (2)"
        (tmp_path / "shows (3)" / "s1 (2)").mkdir(exist_ok=True)


def test_a_numbered_folder_has_a_name_that_fits() -> None:
    """Also the longest one."""
    assert numbered_folder("shows", 1) == "shows"
    assert numbered_folder("shows", 12) == "shows (12)"
    assert len(os.fsencode(numbered_folder("ü" * 127, 10_000))) <= 255


@pytest.mark.parametrize("part", ["d" * 200, "d", "\U0001f3ac" * 60, "a.\U0001f3ac" * 10])
def test_long_paths_are_shortened(part: str) -> None:
    """To what fits, always in the same way, and never to nothing but what is needed."""
    path = PurePosixPath(*[part] * (3800 // (len(os.fsencode(part)) + 1)))
    for limit in (4000, 3000, 1000, 100, 0):
        short = fitted_folders(path, max_bytes=limit)
        assert short == fitted_folders(path, max_bytes=limit)
        assert len(os.fsencode(short)) <= max(limit, 1)
        assert not {"", ".."} & set(short.parts)
    assert fitted_folders(path, max_bytes=4000) == path


def test_names_are_not_tried_for_ever(
    folders: FolderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last number it is an error of that film."""
    monkeypatch.setattr("daemon.jobs.result_names.MAX_NUMBER", 3)
    for name in ("film.mp4", "film (2).mp4", "film (3).mp4"):
        (folders.done / name).touch()
    job = replace(JOB, name="film.mp4", result="result.mp4")
    with pytest.raises(FileExistsError, match="names like this are taken"):
        placements_of(job, [Item("result.mp4", Place.DONE)], folders, 1)


# --- clocks ---------------------------------------------------------------------------------


def test_a_clock_that_is_set_is_noticed() -> None:
    """Forward or back; slewing and the passing of time are not that."""
    clock = ClockWatch()
    assert clock.jump_seconds(now=0.0, wall=1000.0) == 0.0
    assert clock.jump_seconds(now=10.0, wall=1010.1) == 0.0
    assert clock.jump_seconds(now=20.0, wall=1020.1 - 86400) == -86400
    assert clock.jump_seconds(now=30.0, wall=1030.1 - 86400) == 0.0
    assert clock.jump_seconds(now=40.0, wall=1040.1) == 86400


def test_delays_move_with_the_clock(desk: Desk) -> None:
    """They stay as long as they are on the monotonic clock; without one there is none then."""
    job = desk.hold(JobState.QUEUED, not_before=2000.0, unchanged_since=900.0)
    desk.store.hold(replace(job, job_id="job2", not_before=0.0, unchanged_since=0.0))
    desk.store.shift_times(-500.0)
    moved, other = desk.store.jobs["job1"], desk.store.jobs["job2"]
    assert (moved.not_before, moved.unchanged_since) == (1500.0, 400.0)
    assert (other.not_before, other.unchanged_since) == (0.0, 0.0)


# --- our own files --------------------------------------------------------------------------


def test_our_own_result_is_never_the_senders_fault() -> None:
    """A container that we wrote and cannot read is ours to mend, whatever the reader says."""
    start = Start("job1", 1, "/w/job1/source.avi", "/w/job1", "film.avi", "", EraseSettings())
    ours = failure_of(NotAVideo(Path("/w/job1/result.avi.part")), start)
    assert (ours.error, ours.remedy) == ("ProductUnreadable", Remedy.FIX_CODE)
    assert ours.sentence.startswith("film.avi: result.avi.part, which was made of the film")
    assert not ours.unfinished
    theirs = failure_of(NotAVideo(Path("/w/job1/source.avi")), start)
    assert (theirs.error, theirs.remedy) == ("NotAVideo", Remedy.FIX_INPUT)


def test_trial_files_of_a_proof_cut_off_are_swept(tmp_path: Path) -> None:
    """Old ones go, files and folders; one that may belong to a proof at this moment stays."""
    (tmp_path / ".prove-old.tmp").touch()
    (tmp_path / ".prove-old-inner.tmp").mkdir()
    for name in (".prove-old.tmp", ".prove-old-inner.tmp"):
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".prove-new.tmp").touch()
    (tmp_path / "film.mp4").touch()
    sweep_trials(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".prove-new.tmp", "film.mp4"]
