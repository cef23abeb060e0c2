"""The daemon's decisions, each as a table or for every input: retries, states, names, settling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.locations import InboxSettings
from daemon.config.schema import RetrySettings
from daemon.folders.filesystem_id import FilesystemId, filesystem_id
from daemon.folders.mount_table import Mount, filesystem_of, is_network, mounts
from daemon.inbox.candidate_queue import Priorities
from daemon.inbox.scanner import (
    FileSignature,
    Rules,
    WhyIgnored,
    count_films,
    scan,
    signature_of,
)
from daemon.inbox.settling import Candidate, Inbox, Settling, writer_has
from daemon.jobs import instances
from daemon.jobs.claims import claim, recover, untouched
from daemon.jobs.instances import (
    InstanceId,
    Leases,
    Liveness,
    liveness_of,
    start_time_of,
    this_process,
)
from daemon.jobs.job import (
    JOB_VERSION,
    LEGAL,
    Attempt,
    BrokenJob,
    IllegalMove,
    Job,
    JobState,
    begun,
    finished,
    handed_back,
    load_job,
    moved,
    requeued,
    save_job,
)
from daemon.jobs.owner_lock import LockState, lock_state, write_locked
from daemon.jobs.retry import MAX_DELAY_SECONDS, Decision, Next, decide, unfinished_delay
from daemon.runtime.host_problems import HostProblems
from daemon.storage.names import MAX_NAME_BYTES, fitted, numbered, output_name, work_name
from daemon.workers.messages import (
    MAX_LINE_BYTES,
    Failure,
    Finished,
    LineBuffer,
    MessageError,
    ProgressUpdate,
    Ready,
    Start,
    decode,
    encode,
)
from erasecore.errors import NewerJob, Remedy, printable
from erasecore.reports import EraseReport, Progress, Stage
from erasecore.settings import EraseSettings, Region

REPOSITORY = Path(__file__).parents[2]
RETRY = RetrySettings(max_attempts=3, delay_seconds=30.0, pause_seconds=60.0)
JOB = Job("id", "a/film.mp4", "source.mp4", 10, 20, 30.0)


@pytest.mark.parametrize(
    ("remedy", "attempt", "decision"),
    [
        (Remedy.RETRY, 1, Decision(Next.REQUEUE, 30.0)),  # a quieter moment may do
        (Remedy.RETRY, 2, Decision(Next.REQUEUE, 60.0)),  # twice as long each time
        (Remedy.RETRY, 3, Decision(Next.FAIL)),  # enough is enough
        (Remedy.RETRY, 9, Decision(Next.FAIL)),  # the limit was lowered meanwhile
        (Remedy.FIX_INPUT, 1, Decision(Next.FAIL)),  # the same film fails the same way
        (Remedy.FIX_CODE, 1, Decision(Next.FAIL)),  # and the same program, too
        (Remedy.FIX_HOST, 1, Decision(Next.PAUSE, 60.0)),  # no film is to blame
        (Remedy.FIX_HOST, 99, Decision(Next.PAUSE, 60.0)),  # however long it takes
    ],
)
def test_decide(remedy: Remedy, attempt: int, decision: Decision) -> None:
    """What follows from a remedy and the number of the attempt."""
    assert decide(remedy, attempt, RETRY) == decision


@given(st.integers(1, 500))
def test_delays_are_bounded(attempt: int) -> None:
    """No delay grows beyond an hour."""
    patient = replace(RETRY, max_attempts=1000)
    assert decide(Remedy.RETRY, attempt, patient).delay_seconds <= MAX_DELAY_SECONDS


@given(st.sampled_from(JobState), st.sampled_from(JobState))
def test_legal_moves(before: JobState, after: JobState) -> None:
    """A job moves along the listed ways and no other."""
    job = replace(JOB, state=before)
    if after in LEGAL[before]:
        assert moved(job, after).state is after
    else:
        with pytest.raises(IllegalMove):
            moved(job, after)


def test_attempts_are_counted_first() -> None:
    """An attempt counts from before it starts, unless it is handed back."""
    failure = Failure("OutOfMemory", Remedy.RETRY, "memory ran out.")
    job = begun(replace(JOB, state=JobState.QUEUED), now=1.0)
    assert job.counted == 1
    job = requeued(job, failure, now=2.0, delay_seconds=30.0, counted=True)
    assert (job.counted, job.not_before) == (1, 32.0)
    job = handed_back(begun(job, now=3.0), now=4.0)
    assert (job.counted, len(job.attempts)) == (1, 2)
    job = finished(begun(job, now=5.0), "result.mp4", now=6.0)
    assert [one.number for one in job.attempts] == [1, 2, 3]
    assert job.counted == 2


escaped = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)  # bytes that are no UTF-8
names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]) | escaped,
    min_size=1,
    max_size=80,
).filter(lambda name: name not in (".", ".."))


@given(
    st.binary(min_size=1, max_size=200)
    .filter(lambda name: b"/" not in name and b"\0" not in name)
    .filter(lambda name: name not in (b".", b".."))
)
def test_job_file_keeps_any_name(name: bytes) -> None:
    """Any bytes of a name come back from job.json as they were."""
    job = replace(JOB, name=os.fsdecode(name), settings=EraseSettings(priority=3))
    with tempfile.TemporaryDirectory() as folder:
        save_job(Path(folder), job)
        assert load_job(Path(folder)) == job


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job_id": 1}', '{"odd": 1}', "null"])
def test_broken_job_file(tmp_path: Path, text: str) -> None:
    """Whatever else a job.json holds is one kind of error."""
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(BrokenJob):
        load_job(tmp_path)


@pytest.mark.parametrize("name", ["../../evil.mp4", "/etc/evil.mp4", "a//b.mp4", ""])
def test_a_job_file_that_leads_out_of_the_inbox(tmp_path: Path, name: str) -> None:
    """It counts as broken: no film is published outside our folders."""
    save_job(tmp_path, replace(JOB, name=name))
    with pytest.raises(BrokenJob, match="no file of the inbox"):
        load_job(tmp_path)


def test_a_job_folder_that_was_renamed(tmp_path: Path) -> None:
    """The folder's name is the job's id, whatever its record says."""
    folder = tmp_path / "renamed"
    folder.mkdir()
    (folder / JOB.source).touch()
    save_job(folder, JOB)
    job = recover(folder, tmp_path / "inbox", RETRY, wall=0.0)
    assert job is not None
    assert job.job_id == "renamed"
    assert load_job(folder) == job


def test_a_job_file_with_keys_of_a_later_release(tmp_path: Path) -> None:
    """Keys that are not known here are ignored, wherever they stand."""
    save_job(tmp_path, JOB)
    raw = json.loads((tmp_path / "job.json").read_bytes())
    raw |= {"colour": "blue", "attempts": [{"number": 1, "started_at": 2.0, "host": "nas"}]}
    raw["settings"]["detect"]["model"] = "large"
    (tmp_path / "job.json").write_text(json.dumps(raw))
    assert load_job(tmp_path) == replace(JOB, attempts=(Attempt(1, 2.0),))


def test_a_job_file_of_a_later_version(tmp_path: Path) -> None:
    """It is told from a broken one, with the film and what to do."""
    save_job(tmp_path, replace(JOB, version=JOB_VERSION + 1))
    with pytest.raises(NewerJob, match=r"^a/film\.mp4: a later release .* install that release"):
        load_job(tmp_path)
    with pytest.raises(NewerJob):
        recover(tmp_path, tmp_path / "inbox", RETRY, wall=0.0)
    assert (tmp_path / "job.json").exists()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"job_id": "id", "name": "a/\\u00e9 \\"b\\".mp4", "sour', 'a/é "b".mp4'),  # cut off
        ('{"name": "a/film.mp4", "state": "flying"}', "a/film.mp4"),
        ('{"name": "/etc/passwd", "state": 1}', "logged (2).mp4"),
        ('{"name": "a/../../film.mp4"}', "logged (2).mp4"),
        ("", "logged (2).mp4"),
        ("[]", "logged (2).mp4"),
    ],
)
def test_a_broken_job_file_keeps_the_name(tmp_path: Path, text: str, name: str) -> None:
    """What can be read of the film's name is kept: from the file, else from the job's log."""
    (tmp_path / "job.json").write_text(text)
    line = "2026-01-02T03:04:05.678 info    job.claimed film=logged (2).mp4 size_bytes=3\n"
    (tmp_path / "log").write_text("2026-01-02T03:04:05.678 debug   a\n" + line)
    with pytest.raises(BrokenJob) as raised:
        load_job(tmp_path)
    assert raised.value.name == name


JOB_OF_VERSION_0_1 = """{
 "job_id": "01JEXAMPLE0000000000000000", "name": "a/b/film.mp4", "source": "source.mp4",
 "size_bytes": 1234, "mtime_ns": 5678, "claimed_at": 1764400000.0, "state": "rejected",
 "settings": {
  "engine": "auto", "priority": 0, "segment_seconds": 15.0, "mask": "", "srt": true,
  "on_residual": "done",
  "detect": {
   "every_seconds": 0.25, "side_px": 640, "min_seconds": 0.4, "regions": [], "times": []
  },
  "encode": {"codec": "source", "crf": 16.0, "preset": "medium", "threads": 0},
  "diffusion": {
   "min_invented_share": 0.05, "min_error_levels": 4.0, "steps": 2, "seed": 20,
   "require_gpu": false, "precision": "auto", "channels_last": false, "compile": false,
   "allow_propagate": true
  },
  "limits": {
   "max_width_px": 8192, "max_height_px": 8192, "max_streams": 100, "max_hours": 12.0,
   "max_frames": 2600000
  }
 },
 "attempts": [
  {
   "number": 1, "started_at": 1764400010.0, "stopped_at": 1764400020.0, "counted": true,
   "fault": {
    "error": "WorkerLost", "remedy": "retry", "sentence": "the worker was killed by SIGKILL.",
    "detail": "", "killed": true, "unfinished": false
   }
  },
  {
   "number": 2, "started_at": 1764400050.0, "stopped_at": 1764400060.0, "counted": true,
   "fault": {
    "error": "TruncatedVideo", "remedy": "fix-input", "sentence": "film.mp4: cut short.",
    "detail": "Traceback", "killed": false, "unfinished": true
   }
  },
  {"number": 3, "started_at": 1764400070.0, "stopped_at": null, "counted": true, "fault": null}
 ],
 "not_before": 1764400050.0, "unchanged_since": 1764400000.0, "pixels": 0, "result": "",
 "fault": {
  "error": "TruncatedVideo", "remedy": "fix-input", "sentence": "film.mp4: cut short.",
  "detail": "Traceback", "killed": false, "unfinished": true
 },
 "placements": [{"file": "source.mp4", "place": "failed", "name": "a/b/film.mp4"}]
}"""
"""A job.json as ``save_job`` of version 0.1 wrote it: failures have the key ``fault``."""


def test_job_file_of_version_0_1(tmp_path: Path) -> None:
    """An upgrade with films in work/ keeps each job with its failures; they are saved as now."""
    (tmp_path / "job.json").write_text(JOB_OF_VERSION_0_1)
    job = load_job(tmp_path)
    killed = Failure("WorkerLost", Remedy.RETRY, "the worker was killed by SIGKILL.", killed=True)
    cut_short = Failure(
        "TruncatedVideo", Remedy.FIX_INPUT, "film.mp4: cut short.", "Traceback", unfinished=True
    )
    assert [attempt.failure for attempt in job.attempts] == [killed, cut_short, None]
    assert (job.failure, job.rungs_down) == (cut_short, 1)
    assert job.settings.detect.regions_frame == "stored"  # as regions and masks were meant then
    save_job(tmp_path, job)
    assert '"fault"' not in (tmp_path / "job.json").read_text()
    assert load_job(tmp_path) == job


# --- names --------------------------------------------------------------------------------------


@given(names, st.integers(1, 99))
def test_results_have_room_for_sidecars(name: str, number: int) -> None:
    """A result's name, numbered and with the longest ending, fits into a folder."""
    made = numbered(output_name(PurePosixPath("a", name)), number)
    assert made.parent == PurePosixPath("a")
    longest = made.name + ".preview.jpg"
    assert len(os.fsencode(longest.encode("utf-8", "surrogatepass").decode("utf-8", "replace")))
    if not any("\ud800" <= c <= "\udfff" for c in made.name):
        assert len(longest.encode()) <= MAX_NAME_BYTES


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("film.mp4", "source.mp4"),
        ("FILM.MKV", "source.mkv"),
        ("no ending", "source"),
        ("film.mp4;rm -rf", "source"),
        ("film.\N{SNOWMAN}", "source"),
        ("film.toolong", "source"),
    ],
)
def test_work_names(name: str, work: str) -> None:
    """Nothing of a sender's name but a tame ending is used for the file we work on."""
    assert work_name(PurePosixPath(name)) == work


def test_output_names_are_composed() -> None:
    """Names that a Mac has decomposed come out composed, as Windows shares need them."""
    assert str(output_name(PurePosixPath("Cafe\u0301/e\u0301.mp4"))) == "Caf\xe9/\xe9.mp4"


def test_numbered() -> None:
    """The number stands before the ending."""
    assert str(numbered(PurePosixPath("a/film.mp4"), 2)) == "a/film (2).mp4"


def test_fitted_cuts_at_characters() -> None:
    """A name is cut between characters and keeps its ending."""
    cut = fitted("\N{CLAPPER BOARD}" * 100 + ".mp4", 50)
    assert cut.endswith("\N{CLAPPER BOARD}.mp4")
    assert len(cut.encode()) <= 50


def test_shown() -> None:
    """Nothing that a terminal would obey is printed."""
    assert printable(os.fsdecode(b"a\x1b[31m\n\xff")) == r"a\x1b[31m\n\xff"


# --- the inbox ----------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.1, 10.0)), max_size=30))
def test_settling(looks: list[tuple[int, float]]) -> None:
    """A file is settled only after it looked the same for the whole settle time."""
    settling, now, changed_at, last = Settling(5.0), 0.0, 0.0, -1
    for size, wait in looks:
        now += wait
        if size != last:
            changed_at, last = now, size
        settled = settling.observe(Path("film.mp4"), FileSignature(size, 0, 0, 0), now=now)
        assert settled == (now - changed_at >= 5.0)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"size_bytes": 2}, False),  # it grows
        ({"mtime_ns": 2}, False),  # it was pre-allocated and is being filled
        ({"ctime_ns": 2}, False),  # its sender sets the old date at the end
        ({"inode": 2}, False),  # it was replaced by another of the same size
    ],
)
def test_what_unsettles(change: dict[str, int], same: bool) -> None:
    """Any change starts the wait anew, also one back into the past."""
    settling, looks = Settling(1.0), FileSignature(1, 1, 1, 1)
    settling.observe(Path("film.mp4"), looks, now=0.0)
    assert settling.observe(Path("film.mp4"), replace(looks, **change), now=1.0) is same


@pytest.mark.parametrize(
    ("name", "film"),
    [
        ("film.mp4", True),
        ("FILM.MP4", True),
        ("film.mp4.part", False),
        (".film.mp4", False),
        ("~$film.mp4", False),
        ("film.txt", False),
        ("film", False),
        ("Thumbs.db", False),
        ("-y.mp4", True),
        ("[a].mp4", True),
    ],
)
def test_rules(name: str, film: bool) -> None:
    """What is taken for a film by its name."""
    assert Rules(InboxSettings()).film(name) is film


BEGIN, END = ["", "a", "b.c", ".", "*", "*a", "?", "[ab]"], ["", ".mp4", "4", ".MKV", "*", ".part"]
PATTERNS = st.builds(str.__add__, st.sampled_from(BEGIN), st.sampled_from(END))
NAMES = st.builds(str.__add__, st.sampled_from(BEGIN[:4]), st.sampled_from(END[:4]))


@settings(max_examples=500)
@given(st.lists(PATTERNS, max_size=2), st.sets(st.sampled_from(["mp4", ".mkv", "p4"])), NAMES)
def test_rules_in_short(ignore: list[str], extensions: set[str], name: str) -> None:
    """A film is what has a film's ending and no pattern's form, whichever patterns are asked."""
    rules = Rules(InboxSettings(ignore=tuple(ignore), extensions=tuple(extensions)))
    stem, _, ending = name.rpartition(".")
    known = ending.lower() in [one.lstrip(".").lower() for one in extensions]
    ignored = any(fnmatchcase(name, one) for one in ignore)
    assert rules.film(name) is (known and stem != "" and not ignored)
    assert rules.ignored(name) is ignored


def test_scan_orders_by_age(tmp_path: Path) -> None:
    """Of the films that were there at the first look the oldest goes first."""
    for age, name in enumerate(["c.mp4", "a.mp4", "d/b.mp4"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (age + 1, age + 1))
    inbox = Inbox(tmp_path, InboxSettings(settle_local_seconds=0.0))
    assert [one.path.name for one in inbox.scan(now=0.0)] == ["c.mp4", "a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("in_the_way", "goes_to"),
    [
        ("", "a/b/film.mp4"),
        ("a/b/film.mp4", "a/b/film (2).mp4"),
        ("a", "film.mp4"),
    ],
)
def test_no_film_was_claimed_and_its_folder_is_gone(
    tmp_path: Path, in_the_way: str, goes_to: str
) -> None:
    """It goes back to where it was, or as near as can be, and no job is left of it."""
    inbox, folder = tmp_path / "inbox", tmp_path / "instance" / "job"
    inbox.mkdir()
    folder.mkdir(parents=True)
    job = replace(JOB, name="a/b/film.mp4", state=JobState.CLAIMING)
    save_job(folder, job)
    (folder / job.source).symlink_to("elsewhere")
    if in_the_way:
        (inbox / in_the_way).parent.mkdir(parents=True, exist_ok=True)
        (inbox / in_the_way).write_text("a stranger's")
    assert recover(folder, inbox, RETRY, wall=0.0) is None
    assert (inbox / goes_to).readlink() == Path("elsewhere")
    assert list(folder.parent.iterdir()) == []
    if in_the_way:
        assert (inbox / in_the_way).read_text() == "a stranger's"


@pytest.mark.skipif(os.getuid() != 0 and not hasattr(os, "O_NOATIME"), reason="no leases here")
def test_writer_has(tmp_path: Path) -> None:
    """A file that somebody has open for writing is known to be, and one for reading is not."""
    path = tmp_path / "film.mp4"
    path.touch()
    with path.open("ab"):
        assert writer_has(path)
    with path.open("rb"):
        assert not writer_has(path)
    assert not writer_has(tmp_path / "gone.mp4")
    (tmp_path / "link.mp4").hardlink_to(path)
    with (tmp_path / "link.mp4").open("ab"):
        assert writer_has(path), "under whichever name it is written to"


def test_filesystem_of() -> None:
    """The longest mount point that holds a path says its type; the last mount there wins."""
    table = (Mount("/", "ext4"), Mount("/srv", "ext4"), Mount("/srv", "cifs"), Mount("/s", "nfs"))
    assert filesystem_of(Path("/srv/films"), table) == "cifs"
    assert filesystem_of(Path("/elsewhere"), table) == "ext4"
    assert filesystem_of(Path("/x"), ()) == ""


def test_mount_table(tmp_path: Path) -> None:
    """The kernel's escapes in names are undone."""
    table = tmp_path / "mountinfo"
    line = r"36 35 98:0 /s\303\251ries /mnt/my\040films rw master:1 - cifs //nas/all\040films rw"
    table.write_text(line.replace(r"\303\251", "é") + "\n")
    assert mounts(table) == (Mount("/mnt/my films", "cifs", "/séries", "//nas/all films"),)
    assert mounts(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        *((local, False) for local in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay")),
        *((shared, True) for shared in ("cifs", "smb3", "nfs", "nfs4", "fuse", "fuse.sshfs", "9p")),
    ],
)
def test_is_network(kind: str, network: bool) -> None:
    """On which filesystems changes come without events."""
    assert is_network(kind) is network


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        (0.0, 1.0),  # just arrived: soon again
        (-5.0, 1.0),  # the clock was set back
        (5.0, 5.0),  # as long again as it has lain there
        (60.0, 60.0),
        (100.0, 20.0),  # the last time is when it is old enough to be believed
        (120.0, None),
        (5000.0, None),
    ],
)
def test_patience(age: float, seconds: float | None) -> None:
    """A film that looks cut off is tried again while it is young."""
    assert unfinished_delay(age, 120.0) == seconds
    assert unfinished_delay(age, 0.0) is None


DISK = FilesystemId("ext4", "/srv/films/inbox", "/dev/sda1", "u1", 7)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"source": "/dev/sdb1", "fsid": 8}, True),  # named anew at a restart
        ({"uuid": "u2"}, False),  # another disk in its place
        ({"uuid": "", "fsid": 8}, True),  # who asks cannot know the UUID
        ({"uuid": "", "source": "/dev/sdb1"}, True),
        ({"uuid": "", "source": "/dev/sdb1", "fsid": 8}, False),
        ({"uuid": "", "source": "/dev/sdb1", "fsid": 0}, False),
        ({"location": "/inbox"}, False),  # the disk that was mounted there is not
        ({"kind": "cifs"}, False),
        ({"kind": "", "location": "/x", "source": ""}, True),  # no mount table can be read
        ({"kind": "", "location": "/x", "source": "", "uuid": "u2"}, False),
    ],
)
def test_same_filesystem(change: dict[str, object], same: bool) -> None:
    """What shows that a folder lies where it lay."""
    other = replace(DISK, **change)  # type: ignore[arg-type]
    assert other.is_same(DISK) is DISK.is_same(other) is same


@pytest.mark.parametrize(
    ("outside", "inside", "location"),
    [
        ("/ ext4 / /dev/a", "/x/done ext4 /x/done /dev/a", "/x/done of /dev/a (ext4)"),
        ("/x btrfs /@x /dev/a", "/x/done btrfs /@x/done /dev/a", "/@x/done of /dev/a (btrfs)"),
        ("/x cifs / //nas/x", "/x/done smb3 /done //nas/x", "/done of //nas/x (cifs)"),
        ("/x nfs4 / nas:/e", "/x/done nfs4 /done nas:/e/done", "/e/done of nas (nfs)"),
        ("/x nfs / nas:/", "/x/done nfs4 / nas:/done", "/done of nas (nfs)"),
    ],
)
def test_a_mount_of_its_own_is_the_same_folder(outside: str, inside: str, location: str) -> None:
    """A folder has one identity, whether a unit sees it as a mount of its own or not."""
    path, whole, own = Path("/x/done"), Mount(*outside.split()), Mount(*inside.split())
    assert filesystem_id(path, (whole,)) == filesystem_id(path, (whole, own))
    assert str(filesystem_id(path, (whole,))) == location


# --- owners and leases --------------------------------------------------------------------------

ME = replace(this_process(), machine_id="this one")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({}, Liveness.SELF),
        ({"host": "another"}, Liveness.FOREIGN),  # only its heartbeat tells
        ({"machine_id": "another", "boot_id": "b"}, Liveness.FOREIGN),  # of the same name
        ({"boot_id": "before", "start_time": 1}, Liveness.DEAD),  # this host has been restarted
        ({"boot_id": "before", "pid_namespace": 1}, Liveness.DEAD),  # and so has this container
        # A service behind a /proc of its own: a container shows it another boot id than us.
        ({"boot_id": "the host's"}, Liveness.ALIVE),
        ({"locked": True}, Liveness.SELF),
        ({"pid_namespace": 1}, Liveness.FOREIGN),  # in another container
        ({"pid": 2**22 + 1}, Liveness.DEAD),  # no such process
        ({"start_time": 1}, Liveness.DEAD),  # the process id was given to another
        ({"pid": os.getppid(), "start_time": start_time_of(os.getppid())}, Liveness.ALIVE),
    ],
)
def test_standing(change: dict[str, object], what: Liveness) -> None:
    """Who is alive, as seen from us."""
    assert liveness_of(replace(ME, **change), ME) is what  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [FileNotFoundError(), PermissionError()], ids=["2", "1"])
def test_standing_behind_a_hidden_proc(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    """A process that we may not see (hidepid) or signal is alive; one that is not there is dead."""

    def hidden(_pid: int) -> str:
        raise error

    def refuse(pid: int, _number: int) -> None:
        raise ProcessLookupError if pid > 2**22 else PermissionError

    monkeypatch.setattr(instances, "_stat_text", hidden)
    monkeypatch.setattr(os, "kill", refuse)
    assert liveness_of(replace(ME, pid=1), ME) is Liveness.ALIVE
    # With another boot id it may be another process with this id: the lease tells.
    assert liveness_of(replace(ME, pid=1, boot_id="another"), ME) is Liveness.FOREIGN
    if isinstance(error, FileNotFoundError):
        assert liveness_of(replace(ME, pid=2**22 + 1), ME) is Liveness.DEAD


@pytest.mark.parametrize(
    ("change", "lock", "what"),
    [
        ({"boot_id": "another", "pid": 2**22 + 1}, LockState.HELD, Liveness.ALIVE),
        ({"pid_namespace": 1}, LockState.HELD, Liveness.ALIVE),
        ({"pid": os.getppid(), "start_time": 1}, LockState.FREE, Liveness.DEAD),
        ({"pid_namespace": 1}, LockState.FREE, Liveness.DEAD),  # a container that was restarted
        ({"host": "another"}, LockState.FREE, Liveness.FOREIGN),  # a server may keep no locks
        ({"host": "another"}, LockState.HELD, Liveness.FOREIGN),  # or keep those of the dead
    ],
)
def test_standing_by_the_lock(change: dict[str, object], lock: LockState, what: Liveness) -> None:
    """The lock on the owner file tells more than ``/proc``, on the same machine."""
    assert liveness_of(replace(ME, **change), ME, lock) is what  # type: ignore[arg-type]


@pytest.mark.parametrize("lock", [LockState.FREE, LockState.UNKNOWN])
def test_standing_without_proc(lock: LockState) -> None:
    """Nothing can be compared then: only the heartbeat, or a free lock, tells of a death."""
    blind = {"boot_id": "", "pid_namespace": 0, "start_time": 0}
    unseen = replace(ME, pid=2**22 + 1)
    expected = Liveness.DEAD if lock is LockState.FREE else Liveness.FOREIGN
    for owner, me in (
        (unseen, replace(ME, **blind)),  # type: ignore[arg-type]
        (replace(unseen, **blind), ME),  # type: ignore[arg-type]
        (replace(unseen, **blind), replace(ME, **blind)),  # type: ignore[arg-type]
    ):
        assert liveness_of(owner, me, lock) is expected


def test_lock_on_the_owner_file(tmp_path: Path) -> None:
    """The lock is seen by others, does not stop reading, and goes with the process."""
    file = tmp_path / "owner.json"
    assert lock_state(file) is LockState.UNKNOWN
    handle = write_locked(file, lambda locked: b"locked" if locked else b"not")
    assert file.read_bytes() == b"locked"
    asked = "import sys; from pathlib import Path; from daemon.jobs.owner_lock import lock_state"
    argv = [sys.executable, "-c", f"{asked}; print(lock_state(Path(sys.argv[1])))", str(file)]
    ask = partial(subprocess.run, argv, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert ask().stdout == "held\n"
    assert lock_state(file) is LockState.HELD  # by another handle of the same process, too
    os.close(handle)
    assert ask().stdout == "free\n"
    assert [one.name for one in tmp_path.iterdir()] == ["owner.json"]


def test_standing_where_machines_have_no_id() -> None:
    """A namesake that was started at another time may be another machine: its heartbeat tells."""
    me = replace(ME, machine_id="")
    assert liveness_of(replace(me, boot_id="another"), me) is Liveness.FOREIGN
    assert liveness_of(replace(me, pid=2**22 + 1), me) is Liveness.DEAD


def test_owner_fields() -> None:
    """An owner is a process that never was before."""
    assert isinstance(ME, InstanceId)
    assert ME.pid == os.getpid()
    assert start_time_of(2**22 + 1) is None


def test_leases() -> None:
    """A lease runs on our clock, from when we saw the heartbeat change, wherever that clock is."""
    leases, other = Leases(10.0), Path("other")
    assert not leases.expired(other, 5, now=100.0)  # however old it may be already
    assert not leases.expired(other, 5, now=109.0)
    assert not leases.expired(other, 3, now=109.5)  # its clock was set back: it lives
    assert not leases.expired(other, 3, now=119.0)
    assert leases.expired(other, 3, now=119.5)


def test_troubles(log_records: list[dict[str, object]]) -> None:
    """A trouble blocks until it is to be tried again, and is known until it is mended."""
    problems = HostProblems()
    assert not problems.blocked(now=0.0)
    with_error = len(log_records)
    problems.report("space", "the disk is full.", now=0.0, pause_seconds=5.0)
    problems.report("space", "the disk is full.", now=1.0, pause_seconds=5.0)
    assert len(log_records) == with_error + 1  # said once
    log_records.clear()
    assert problems.blocked(now=5.9)
    assert not problems.blocked(now=6.1)
    assert problems.sentence() == "the disk is full."
    problems.clear("space")
    assert problems.sentence() == ""


@pytest.mark.errors_logged
def test_a_trouble_is_logged_by_its_kind(log_records: list[dict[str, object]]) -> None:
    """Another number in its sentence is seen in the status, and not logged; another kind is."""
    problems = HostProblems()
    for megabytes, kind in ((5, "work"), (4, "work"), (3, "done")):
        sentence = f"{megabytes} MB are free."
        problems.report("space", sentence, now=0.0, pause_seconds=1.0, kind=kind)
    assert problems.sentence() == "3 MB are free."
    assert [one["sentence"] for one in log_records] == ["5 MB are free.", "3 MB are free."]


@pytest.mark.errors_logged
def test_several_troubles() -> None:
    """What the queue waits for is told first, and not a thousand of the others."""
    problems = HostProblems()
    for number in range(9):
        problems.report(f"{number}/", "shut.", now=2.0, pause_seconds=1.0, pauses=False)
    assert not problems.blocked(now=2.5)
    problems.report("space", "the disk is full.", now=1.0, pause_seconds=5.0)
    told = problems.sentence()
    assert told == "the disk is full. " + 4 * "shut. " + "(And 5 more; see the log.)"
    assert [problems.until(now=now) for now in (2.0, 3.5, 7.0)] == [3.0, 6.0, None]


# --- the wire -----------------------------------------------------------------------------------

REPORT = EraseReport(True, "result.mp4", "none", 1, 2, 3, 0.5, "h264", 0, 0, seconds={"erase": 1.0})


@pytest.mark.parametrize(
    "message",
    [
        Ready({"av": "1"}),
        Start(
            job_id="id",
            attempt=1,
            source=os.fsdecode(b"/a/\xff.mp4"),
            folder="/a",
            shown_as="film",
            log="",
            settings=EraseSettings(),
        ),
        ProgressUpdate("id", Progress(Stage.DETECT, 0.25, 1, 2)),
        ProgressUpdate("id", None),
        Finished("id", REPORT, "a", "b"),
    ],
)
def test_messages_come_back(message: Ready | Start | ProgressUpdate | Finished) -> None:
    """What is sent is what arrives."""
    assert decode(encode(message)) == message


def test_settings_come_back() -> None:
    """Settings arrive as deep as they go."""
    settings = EraseSettings()
    settings = replace(settings, detect=replace(settings.detect, regions=(Region(0, 0.5, 1, 1),)))
    start = Start("id", 1, "/s", "/f", shown_as="s", log="", settings=settings)
    assert decode(encode(start)) == start


@given(st.binary(max_size=200))
def test_no_message(line: bytes) -> None:
    """Whatever else a worker writes is one kind of error."""
    with pytest.raises(MessageError):
        decode(line)


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b)), st.integers(1, 7))
def test_lines(lines: list[bytes], step: int) -> None:
    """Lines arrive whole, however the pipe has cut them."""
    stream = b"".join(line + b"\n" for line in lines)
    feed, found = LineBuffer(), list[bytes]()
    for start in range(0, len(stream), step):
        found += feed.feed(stream[start : start + step])
    assert found == lines


def test_a_line_without_end() -> None:
    """A worker that writes for ever without a line's end is not listened to until memory ends."""
    feed = LineBuffer()
    with pytest.raises(MessageError, match="a line of more than"):
        for _ in range(2 + MAX_LINE_BYTES // (8 << 20)):
            list(feed.feed(bytes(8 << 20)))


def test_a_film_that_is_swapped_for_a_link(tmp_path: Path) -> None:
    """What takes its name between our look and our rename goes back, unopened, and is no job."""
    inbox, instance = tmp_path / "inbox", tmp_path / "instance"
    for folder in (inbox, instance):
        folder.mkdir()
    film = inbox / "film.mp4"
    film.touch()
    candidate = Candidate(inbox, film.name, signature_of(film.lstat()), 0.0)
    film.unlink()
    film.symlink_to(tmp_path / "secret.mp4")
    assert claim(candidate, instance, "job", wall=0.0) is None
    assert film.is_symlink()
    assert list(instance.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0 and not hasattr(os, "O_NOATIME"), reason="no leases here")
def test_a_sender_who_comes_back_after_the_claim(tmp_path: Path) -> None:
    """Whoever has the claimed film open for writing means to go on, though nothing changed yet."""
    source = tmp_path / JOB.source
    source.write_bytes(b"film")
    looks = signature_of(source.lstat())
    job = replace(JOB, size_bytes=looks.size_bytes, mtime_ns=looks.mtime_ns)
    assert untouched(tmp_path, job)
    with source.open("r+b"):
        assert not untouched(tmp_path, job)
    assert untouched(tmp_path, job)
    source.write_bytes(b"a longer film")
    assert not untouched(tmp_path, job)


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """A job that was to wait until some day far ahead waits no longer than any job may."""
    (tmp_path / JOB.source).touch()
    save_job(tmp_path, replace(JOB, state=JobState.QUEUED, not_before=1e12))
    job = recover(tmp_path, tmp_path, RETRY, wall=100.0)
    assert job is not None
    assert job.not_before == 100.0 + MAX_DELAY_SECONDS
    assert load_job(tmp_path) == job


def test_scan_knows_what_speaks_about_a_film(tmp_path: Path) -> None:
    """Settings of its folders, the deepest last, then its own; of nobody else's."""
    for name in (".erase.yaml", "a/.erase.yaml", "a/b.mp4.erase.yaml", "c/.erase.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("priority: 1")
    for name in ("a/b.mp4", "a/other.mp4", "d.mp4"):
        (tmp_path / name).touch()
    inbox = Inbox(tmp_path, InboxSettings(settle_local_seconds=0.0))
    found = {one.name: [mark.name for mark in one.settings] for one in inbox.scan(now=0.0)}
    assert found == {
        "d.mp4": [".erase.yaml"],
        "a/other.mp4": [".erase.yaml", "a/.erase.yaml"],
        "a/b.mp4": [".erase.yaml", "a/.erase.yaml", "a/b.mp4.erase.yaml"],
    }


def test_films_are_counted_by_their_names(tmp_path: Path) -> None:
    """As a look would find them, without looking at each."""
    for name in ("a.mp4", "b.MKV", "c.txt", ".d.mp4", "@eaDir/e.mp4", "f/g/h.webm", "i.mp4/j.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rules = Rules(InboxSettings())
    names = sorted(found.name for found in scan(tmp_path, rules))
    assert names == ["a.mp4", "b.MKV", "f/g/h.webm", "i.mp4/j.mp4"]
    assert count_films(tmp_path, rules) == len(names)


def test_what_is_out_of_reach_holds_nothing_up(tmp_path: Path) -> None:
    """A sender can nest folders deeper than any path leads, and close them: the rest is seen."""
    (tmp_path / "film.mp4").touch()
    nested = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # of 255 bytes each; a path may have 4096
        os.mkdir("d" * 255, dir_fd=nested)
        inner = os.open("d" * 255, os.O_RDONLY, dir_fd=nested)
        os.close(os.open("film.mp4", os.O_CREAT | os.O_CLOEXEC, dir_fd=inner))
        os.close(nested)
        nested = inner
    os.close(nested)
    rules = Rules(InboxSettings())
    names = [found.name for found in scan(tmp_path, rules)]
    assert "film.mp4" in names
    assert 1 < len(names) < 20
    assert count_films(tmp_path, rules) == len(names)


def test_ignored_entries_are_named(tmp_path: Path) -> None:
    """Files that are not taken are counted by reason, with three examples; sidecars are not."""
    names = ["a.gif", "b.gif", "c.gif", "d.gif", "film.mkv.part", "film.mp4", "film.srt"]
    (tmp_path / "sub").mkdir()
    for name in (*names, "film.mp4.erase.yaml", "lone.srt", ".erase.yaml", "sub/e.gif"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link.mp4").symlink_to("film.mp4")
    inbox = Inbox(tmp_path, InboxSettings())
    inbox.scan(now=0.0)
    found = {one.reason: one for one in inbox.skipped.ignored()}
    assert found[WhyIgnored.EXTENSION].count == 6
    assert len(found[WhyIgnored.EXTENSION].examples) == 3
    assert found[WhyIgnored.PATTERN].examples == ("film.mkv.part",)
    assert found[WhyIgnored.KIND].examples == ("link.mp4",)


def test_what_we_may_not_look_at_holds_nothing_up(tmp_path: Path) -> None:
    """In a folder that may be listed but not entered, or not even listed, lies nothing for us."""
    (tmp_path / "film.mp4").touch()
    for name, mode in (("listed", 0o644), ("closed", 0o000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "film.mp4").touch()
        (tmp_path / name).chmod(mode)
    tmp_path.chmod(0o755)
    code = (
        "import ctypes, os, sys; from pathlib import Path\n"  # while it may be loaded
        "from daemon.config.locations import InboxSettings\n"
        "from daemon.inbox.scanner import Rules, SkippedEntries, scan\n"
        "os.chdir(sys.argv[1])\n"
        "os.geteuid() or os.setuid(65534)\n"  # root may look at everything
        "skipped = SkippedEntries()\n"
        "print([found.name for found in scan(Path('.'), Rules(InboxSettings()), skipped)])\n"
        "print(sorted(skipped.closed))"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stdout.splitlines() == ["['film.mp4']", "['closed/', 'listed/']"]


def test_priorities_follow_their_files(tmp_path: Path) -> None:
    """The most urgent first, else as they come; a settings file that changes is read again."""
    priorities = Priorities(tmp_path, EraseSettings(priority=3))
    inbox = Inbox(tmp_path, InboxSettings(settle_local_seconds=0.0))
    for age, name in enumerate(("a.mp4", "b/c.mp4", "b/d.mp4", "e.mp4")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))

    def order() -> list[tuple[str, int]]:
        found = priorities.sort(inbox.scan(now=0.0))
        return [(one.name, priorities.priority_of(one)) for one in found]

    assert order() == [("a.mp4", 3), ("b/c.mp4", 3), ("b/d.mp4", 3), ("e.mp4", 3)]
    (tmp_path / "b/.erase.yaml").write_text("priority: 5")
    (tmp_path / "b/c.mp4.erase.yaml").write_text("encode: {crf: 20}")
    (tmp_path / "e.mp4.erase.yaml").write_text("priority: 7")
    assert order() == [("e.mp4", 7), ("b/c.mp4", 5), ("b/d.mp4", 5), ("a.mp4", 3)]
    (tmp_path / "b/c.mp4.erase.yaml").write_text("priority: -2")
    (tmp_path / "e.mp4.erase.yaml").write_text("priorities: 7")  # no such key: it is not believed
    assert order() == [("b/d.mp4", 5), ("a.mp4", 3), ("e.mp4", 3), ("b/c.mp4", -2)]
