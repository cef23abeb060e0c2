"""The write discipline, history, log and notifications, on real files."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from structlog.typing import EventDict

from daemon.config.locations import FolderSettings
from daemon.config.schema import LogFormat, LogLevel, LogSettings
from daemon.jobs.history import MAX_PENDING, REBUILD_BATCH, History
from daemon.jobs.history_view import Entry, HistorySummary, read_history
from daemon.jobs.publish import AFTER_MOVE, requeue
from daemon.runtime.logs import configure, job_bound
from daemon.storage.copy_progress import CopyProgress, CopyStopped, FileCopy
from daemon.storage.failpoints import FAILPOINTS, arm, failpoint
from daemon.storage.moves import COPY_BYTES, move_no_clobber, remove_tree
from erasecore.errors import ConfigError
from erasecore.system import no_clobber
from erasecore.system.atomic_files import make_folder, sync_folder, whole_file, write_whole
from erasecore.system.no_clobber import rename_no_clobber
from tests.conftest import wait_for

SHM = Path("/dev/shm")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A file and a free name."""
    source = tmp_path / "source"
    source.write_text("film")
    return source, tmp_path / "target"


def test_rename_new(pair: tuple[Path, Path]) -> None:
    """A file gets its new name."""
    rename_no_clobber(*pair)
    assert (pair[0].exists(), pair[1].read_text()) == (False, "film")


def test_rename_new_torn_apart(pair: tuple[Path, Path]) -> None:
    """A file that has both names already, since a crash came between link and unlink, ends well."""
    source, target = pair
    os.link(source, target)
    rename_no_clobber(source, target)
    assert (source.exists(), target.exists()) == (False, True)


@pytest.mark.parametrize("kind", ["file", "folder", "dead link"])
def test_rename_new_overwrites_nothing(pair: tuple[Path, Path], kind: str) -> None:
    """Whatever has the name keeps it."""
    source, target = pair
    if kind == "file":
        target.write_text("another")
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        rename_no_clobber(source, target)
    assert source.read_text() == "film"


@pytest.mark.parametrize("links", [True, False])
def test_filesystems_that_can_do_less(
    pair: tuple[Path, Path], links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without RENAME_NOREPLACE, and even without links, nothing is overwritten."""

    def cannot(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not on this filesystem")

    # What such a filesystem answers, on one that is at hand.
    monkeypatch.setattr(no_clobber, "_rename_noreplace", lambda *_: False)
    if not links:
        monkeypatch.setattr(os, "link", cannot)
    source, target = pair
    target.write_text("another")
    with pytest.raises(FileExistsError):
        rename_no_clobber(source, target)
    target.unlink()
    rename_no_clobber(source, target)
    assert (source.exists(), target.read_text()) == (False, "film")


class PowerCutError(BaseException):
    """The end, within a process that goes on."""


def cut() -> NoReturn:
    """End what is being done."""
    raise PowerCutError


def test_killed_while_a_name_is_reserved(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where names can only be reserved, a crash in between leaves what the next try recognises."""

    def cannot(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not on this filesystem")

    monkeypatch.setattr(no_clobber, "_rename_noreplace", lambda *_: False)
    monkeypatch.setattr(os, "link", cannot)
    source, target = pair
    arm("move.after_reserve", cut)
    with pytest.raises(PowerCutError):
        rename_no_clobber(source, target)
    arm("")
    assert source.read_text() == "film"
    rename_no_clobber(source, target)
    assert (source.exists(), target.read_text()) == (False, "film")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another filesystem."""
    folder = SHM / f"subtitle-eraser-test-{os.getpid()}"
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second filesystem here")
    folder.mkdir()
    yield folder
    remove_tree(folder)


class Progress(CopyProgress):
    """Keeps what it is told, and does something at the ``at``-th block."""

    def __init__(self, act: Callable[[], None] = lambda: None, *, at: int = 0) -> None:
        super().__init__()
        self.seen: list[FileCopy | None] = []
        self._act, self._at, self._blocks = act, at, 0

    def begin(self, target: Path, size_bytes: int) -> None:
        """Note the beginning."""
        super().begin(target, size_bytes)
        self.seen.append(self.file)

    def copied(self, position: int) -> None:
        """Note a block that is copied."""
        self._count()
        super().copied(position)
        self.seen.append(self.file)

    def checked(self, position: int) -> None:
        """Note a block that is read back."""
        self._count()
        super().checked(position)
        self.seen.append(self.file)

    def _count(self) -> None:
        self._blocks += 1
        if self._blocks == self._at:
            self._act()


def test_move_to_another_filesystem(pair: tuple[Path, Path], elsewhere: Path) -> None:
    """A file is copied, checked, named and removed, in that order; no part is left."""
    progress = Progress()
    os.utime(pair[0], (5, 5))
    move_no_clobber(pair[0], elsewhere / "film", part=".part", progress=progress)
    assert not pair[0].exists()
    assert (elsewhere / "film").read_text() == "film"
    assert (elsewhere / "film").stat().st_mtime == 5
    assert [one.name for one in elsewhere.iterdir()] == ["film"]
    target = elsewhere / "film"
    assert progress.seen == [FileCopy(target, 4), FileCopy(target, 4, 4), FileCopy(target, 4, 4, 4)]
    assert progress.file is None


@pytest.mark.parametrize("at", [1, 3], ids=["while it is copied", "while it is read back"])
def test_a_copy_is_stopped(pair: tuple[Path, Path], elsewhere: Path, at: int) -> None:
    """What it has written is removed, the source stays; later the move can be made."""
    content = os.urandom(2 * COPY_BYTES)
    pair[0].write_bytes(content)

    def stop() -> None:
        assert len(list(elsewhere.iterdir())) == 1
        progress.stop()

    progress = Progress(stop, at=at)
    with pytest.raises(CopyStopped):
        move_no_clobber(pair[0], elsewhere / "film", part=".part", progress=progress)
    assert pair[0].read_bytes() == content
    assert list(elsewhere.iterdir()) == []
    move_no_clobber(pair[0], elsewhere / "film", part=".part")
    assert (elsewhere / "film").read_bytes() == content


def test_holes_stay_holes_elsewhere(pair: tuple[Path, Path], elsewhere: Path) -> None:
    """A file of terabytes that is all holes but for a few bytes is moved at once."""
    source = pair[0]
    with source.open("r+b") as file:
        for offset in (3 * COPY_BYTES + 5, (1 << 42) - 9):
            file.seek(offset)
            file.write(b"data")
    target = elsewhere / "target"
    move_no_clobber(source, target, part=".part")
    assert not source.exists()
    status = target.stat()
    assert status.st_size == (1 << 42) - 5
    assert status.st_blocks * 512 <= 4 * COPY_BYTES
    with target.open("rb") as file:
        assert file.read(8) == b"film" + bytes(4)
        file.seek(-5, os.SEEK_END)
        assert file.read() == b"\0data"


def test_attributes_that_are_refused_elsewhere(
    pair: tuple[Path, Path], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move is not held up by times, mode or attributes that a filesystem does not take."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOTSUP, "not here")

    for name in ("utime", "setxattr", "chmod"):
        monkeypatch.setattr(os, name, refuse)
    move_no_clobber(pair[0], elsewhere / "target", part=".part")
    assert (elsewhere / "target").read_text() == "film"
    assert not pair[0].exists()


def test_a_copy_that_is_not_what_was_copied(pair: tuple[Path, Path], elsewhere: Path) -> None:
    """A disk that gives back other bytes than it was given costs no film: the source stays."""
    content = os.urandom(COPY_BYTES + 1)  # read in two pieces
    pair[0].write_bytes(content)

    def change() -> None:
        (part,) = elsewhere.iterdir()
        os.truncate(part, COPY_BYTES)

    progress = Progress(change, at=3)  # two for the copy; one for the piece of it that is right
    with pytest.raises(OSError, match="the copy differs"):
        move_no_clobber(pair[0], elsewhere / "film", part=".part", progress=progress)
    assert pair[0].read_bytes() == content
    assert list(elsewhere.iterdir()) == []


def test_move_again_after_a_crash(pair: tuple[Path, Path], elsewhere: Path) -> None:
    """A copy that was complete before a crash is not made again under another name."""
    (elsewhere / "film").write_text("film")
    (elsewhere / ".part-0.part").write_text("fi")
    move_no_clobber(pair[0], elsewhere / "film", part=".part")
    assert not pair[0].exists()
    assert [one.name for one in elsewhere.iterdir()] == ["film"]


def test_move_overwrites_nothing_elsewhere(pair: tuple[Path, Path], elsewhere: Path) -> None:
    """Another file of that name stays, and so does ours."""
    (elsewhere / "film").write_text("another")
    with pytest.raises(FileExistsError):
        move_no_clobber(pair[0], elsewhere / "film", part=".part")
    assert pair[0].exists()
    assert (elsewhere / "film").read_text() == "another"


def test_write_whole(tmp_path: Path) -> None:
    """New content replaces the old at once, and no part is left."""
    for text in (b"one", b"two"):
        write_whole(tmp_path / "file", text)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"two")]


def test_write_whole_from_two_processes(tmp_path: Path) -> None:
    """Daemons that share a state folder write the same file at the same time, and neither fails."""
    code = (
        "import sys; from pathlib import Path\n"
        "from erasecore.system.atomic_files import write_whole\n"
        "for _ in range(400): write_whole(Path(sys.argv[1]), b'x' * 9, durable=False)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "file")]
    writers = [subprocess.Popen(argv) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"x" * 9)]


@pytest.mark.parametrize("error", ["EINVAL", "ENOSYS", "EOPNOTSUPP", "ENOTSUP"])
def test_folders_that_cannot_be_synced(
    tmp_path: Path, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filesystem that cannot fsync folders is written to all the same; other errors count."""
    fsync, code = os.fsync, getattr(errno, error)

    def refuse_folders(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    make_folder(tmp_path / "folder")
    write_whole(tmp_path / "folder" / "daemon", b"one")
    with whole_file(tmp_path / "folder" / "pipeline") as part:
        part.write_bytes(b"two")
    assert sorted(one.name for one in (tmp_path / "folder").iterdir()) == ["daemon", "pipeline"]
    code = errno.EIO
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        sync_folder(tmp_path)


def test_nothing_is_left_of_a_write_that_failed(tmp_path: Path) -> None:
    """No temporary file stays behind, and the error names the file."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_whole(tmp_path / "taken", b"content")
    assert "taken" in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["taken"]


def test_make_folder(tmp_path: Path) -> None:
    """Missing folders are made; a file in the way is not mistaken for a taken name."""
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "b")


def test_requeue_overwrites_nothing(tmp_path: Path) -> None:
    """A film in the inbox is not replaced by one from failed/."""
    inbox, failed = tmp_path / "inbox", tmp_path / "failed"
    for folder in (inbox, failed):
        folder.mkdir()
        (folder / "film.mp4").write_text(folder.name)
    with pytest.raises(FileExistsError):
        requeue(failed / "film.mp4", failed, inbox)
    assert (inbox / "film.mp4").read_text() == "inbox"


# --- history ------------------------------------------------------------------------------------


def entry(job_id: str, outcome: str = "done") -> Entry:
    """A job that ended."""
    return Entry(job_id, "film\udcff.mp4", outcome, "film.mp4", 5.0, 1, 2.0, 3, 4, "")


def open_history(root: Path, kept_entries: int = 100) -> History:
    """A history below ``root``."""
    for name in ("done", "failed"):
        (root / name).mkdir(exist_ok=True)
    folders = FolderSettings(state=root, done=root / "done", failed=root / "failed")
    return History(folders, kept_entries=kept_entries)


def is_complete(root: Path) -> bool:
    """Whether a history below ``root`` needs no rebuild."""
    uri = f"file:{root}/history.sqlite3?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            return bool(database.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:  # not there yet, or not yet set aside
        return False


def publish_report(folder: Path, film: str, **changes: object) -> None:
    """Put a report beside a film that is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {name: getattr(entry(film), name) for name in Entry.__slots__}
    history = {**fields, "name": film, **changes}
    (folder / f"{film}.report.json").write_text(json.dumps({"history": history}))


def test_history(tmp_path: Path) -> None:
    """Jobs are remembered once, the newest first, across restarts."""
    for _ in range(2):
        history = open_history(tmp_path)
        history.record(entry("a"))
        history.record(replace(entry("b", "failed"), stopped_at=6.0))
        history.close()
    past = read_history(tmp_path, 1)
    assert past.counts == {"done": 1, "failed": 1}
    assert [(one.job_id, one.name) for one in past.recent] == [("b", r"film\xff.mp4")]


def test_history_is_made_anew(tmp_path: Path) -> None:
    """A damaged file is set aside, and what was published is enough to make it again."""
    publish_report(tmp_path / "done" / "a", "film.mp4")
    (tmp_path / "history.sqlite3").write_bytes(b"no database" * 1000)
    history = open_history(tmp_path)
    wait_for(lambda: is_complete(tmp_path))
    history.close()
    assert [one.published_as for one in read_history(tmp_path, 9).recent] == ["a/film.mp4"]
    assert (tmp_path / "history.broken").exists()


def test_a_rebuild_takes_no_stranger_at_its_word(
    tmp_path: Path, log_records: list[EventDict]
) -> None:
    """Reports that somebody has changed are skipped, with one warning for all of them."""
    done = tmp_path / "done"
    publish_report(done, "good.mp4")
    changed: dict[str, object] = {"job_id": ["a"], "attempts": 2**70, "frames": {"a": 1}}
    changed |= {"stopped_at": 1e300, "events": True, "seconds": float("nan"), "name": "\ud800"}
    for key, value in changed.items():
        publish_report(done, f"{key}.mp4", **{key: value})
    (done / "deep.report.json").write_text("[" * 200_000)
    (done / "list.report.json").write_text("[]")
    (done / "link.report.json").symlink_to(done / "good.mp4.report.json")
    (done / "folder.report.json").mkdir()
    os.mkfifo(done / "fifo.report.json")
    with (done / "sparse.report.json").open("wb") as file:
        file.truncate(30 << 30)
    history = open_history(tmp_path)
    wait_for(lambda: is_complete(tmp_path))
    history.close()
    names = {one.name for one in read_history(tmp_path, 99).recent}
    assert names == {"good.mp4", r"\ud800"}
    (warning,) = (one for one in log_records if one["event"] == "history.unreadable")
    assert warning["files"] == 11


def test_an_entry_of_ours_is_not_replaced_by_a_report(tmp_path: Path) -> None:
    """A rebuild adds what is missing and changes nothing."""
    publish_report(tmp_path / "done", "film.mp4", job_id="a", sentence="forged")
    history = open_history(tmp_path)
    history.record(entry("a"))
    wait_for(lambda: is_complete(tmp_path))
    history.record(entry("a"))
    history.close()
    assert [one.sentence for one in read_history(tmp_path, 9).recent] == [""]


def test_an_interrupted_rebuild_is_repeated(tmp_path: Path) -> None:
    """The database itself says whether its rebuild was finished."""
    for number in range(3 * REBUILD_BATCH):
        publish_report(tmp_path / "done", f"film{number:03}.mp4")
    history = open_history(tmp_path)
    history.close()  # at once: the thread stops at the next report
    assert not is_complete(tmp_path)
    history = open_history(tmp_path)
    wait_for(lambda: is_complete(tmp_path))
    history.close()
    assert read_history(tmp_path, 1).counts == {"done": 3 * REBUILD_BATCH}


def test_a_locked_history_is_not_damaged(tmp_path: Path) -> None:
    """While somebody's browser locks it nothing waits and nothing is renamed; lines come later."""
    history = open_history(tmp_path)
    wait_for(lambda: is_complete(tmp_path))
    browser = sqlite3.connect(tmp_path / "history.sqlite3", isolation_level=None)
    browser.execute("BEGIN EXCLUSIVE")
    begun = time.monotonic()
    for number in range(20):
        history.record(entry(f"job{number}"))
    assert time.monotonic() - begun < 2.0  # each waits 0.05 seconds at most
    wait_for(lambda: "locked by another program" in history.trouble)
    history.close()
    history = open_history(tmp_path)  # a start, too
    history.record(entry("late"))
    wait_for(lambda: "locked by another program" in history.trouble)
    assert not (tmp_path / "history.broken").exists()
    browser.close()
    wait_for(lambda: not history.trouble)
    history.close()
    assert read_history(tmp_path, 9).counts == {"done": 1}


def test_lines_that_find_no_room_come_from_the_reports(tmp_path: Path) -> None:
    """Of too many lines the oldest are dropped, and added from the reports later."""
    publish_report(tmp_path / "done", "dropped.mp4", job_id="dropped")
    history = open_history(tmp_path)
    wait_for(lambda: is_complete(tmp_path))
    browser = sqlite3.connect(tmp_path / "history.sqlite3", isolation_level=None)
    browser.execute("DELETE FROM entry")
    browser.execute("BEGIN EXCLUSIVE")
    history.record(entry("dropped"))
    wait_for(lambda: history.trouble)
    for number in range(MAX_PENDING):
        history.record(entry(f"job{number}"))
    browser.close()
    wait_for(lambda: not history.trouble)
    wait_for(lambda: is_complete(tmp_path))
    wait_for(lambda: read_history(tmp_path, 1).counts == {"done": MAX_PENDING + 1})
    history.close()


def test_a_history_that_is_taken_away(tmp_path: Path) -> None:
    """A database that is deleted while it is open is made anew, from the reports as well."""
    publish_report(tmp_path / "done", "film.mp4")
    history = open_history(tmp_path)
    wait_for(lambda: is_complete(tmp_path))
    for file in tmp_path.glob("history.sqlite3*"):
        file.unlink()
    history.record(entry("a"))
    history.record(entry("b"))
    wait_for(lambda: read_history(tmp_path, 1).counts == {"done": 3})
    history.close()


def test_history_forgets_the_oldest(tmp_path: Path) -> None:
    """It does not grow for ever: a start keeps the last so many jobs."""
    history = open_history(tmp_path)
    for number in range(5):
        history.record(replace(entry(f"job{number}"), stopped_at=float(number)))
    history.close()
    open_history(tmp_path, kept_entries=3).close()
    assert [one.job_id for one in read_history(tmp_path, 9).recent] == ["job4", "job3", "job2"]


def test_history_that_cannot_be_read(tmp_path: Path) -> None:
    """Whoever looks at it is told, and leaves it as it is; without one there is no past."""
    assert read_history(tmp_path / "none", 9) == HistorySummary()
    (tmp_path / "history.sqlite3").write_bytes(b"no database" * 1000)
    assert "cannot be read" in read_history(tmp_path, 9).complaint
    assert (tmp_path / "history.sqlite3").read_bytes() == b"no database" * 1000


def count_entries(file: Path) -> int:
    """How many jobs a history has that its daemon may just be making."""
    with closing(sqlite3.connect(file)) as reader:
        try:
            return int(reader.execute("SELECT COUNT(*) FROM entry").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_history_is_read_while_written(tmp_path: Path) -> None:
    """Status may look while the daemon writes."""
    history = open_history(tmp_path)
    history.record(entry("a"))
    wait_for(lambda: count_entries(tmp_path / "history.sqlite3") == 1)
    history.close()


# --- log and fault points -----------------------------------------------------------------------


def test_json_lines_and_job_log(tmp_path: Path) -> None:
    """A job's lines are JSON for machines, and readable in its own log while that is there."""
    stream, log = StringIO(), tmp_path / "log"
    log.touch()
    configure(LogSettings(LogLevel.INFO, LogFormat.JSON), stream)
    say = structlog.get_logger()
    with job_bound("id", log):
        say.info("attempt.started", film="a.mp4")
        say.debug("not.wanted")
        log.rename(tmp_path / "published.log")
        say.info("job.done")
    say.info("service.stopped")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [one["event"] for one in lines] == ["attempt.started", "job.done", "service.stopped"]
    assert [one.get("job_id") for one in lines] == ["id", "id", None]
    text = (tmp_path / "published.log").read_text()
    assert text.count("\n") == 1
    assert text.endswith("info    attempt.started film=a.mp4\n")
    assert not log.exists()


@pytest.mark.parametrize("level", [LogLevel.INFO, LogLevel.DEBUG])
def test_a_library_logs_among_our_lines(level: LogLevel, capfd: pytest.CaptureFixture[str]) -> None:
    """What watchdog says is for who looks for a mistake; ``once`` does not print it."""
    stream = StringIO()
    configure(LogSettings(level, LogFormat.JSON), stream)
    logging.getLogger("watchdog.observers.inotify").error("called when %s is inactive", "it")
    assert capfd.readouterr() == ("", "")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    said = [] if level is LogLevel.INFO else ["called when it is inactive"]
    assert [one["text"] for one in lines] == said


def test_failpoints() -> None:
    """Only the armed point acts, and only points that exist can be armed."""
    acted: list[str] = []
    arm("publish.after_link", lambda: acted.append("here"))
    for point in FAILPOINTS:
        failpoint(point)
    arm("")
    failpoint("publish.after_link")
    assert acted == ["here"]
    with pytest.raises(ConfigError, match="no failpoint"):
        arm("publish.after_lunch")


def test_every_failpoint_is_passed() -> None:
    """Whoever adds a fault point has to name it in the list, from which the tests are made."""
    modules = [one for house in ("daemon", "erasecore") for one in Path(house).rglob("*.py")]
    called = {
        name for one in modules for name in re.findall(r'failpoint\("(.*?)"', one.read_text())
    }
    assert called <= set(FAILPOINTS)
    rest = {point.partition(".after_")[2] for point in set(FAILPOINTS) - called}
    assert rest == {*AFTER_MOVE.values(), "plan", "sidecars", "link", "original"}
