"""One film's trouble never stops another: each with a good film behind it that has to come out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.errno_mount import Disk, ErrnoMount, Film
from tests.process.errno_steps import Duration, Fault, Kind, Outcome
from tests.process.house import BESIDE_STATE, QUICK, Daemon, House, problems
from tests.process.mounts import SickShare
from tests.process.orders import Orders
from tests.process.test_daemon_life import run_command
from tests.process.test_poison import moment

pytestmark = pytest.mark.process

FILM = "segments 1\n"
NOBODY = 65534
TWO_TRIES = {"retry": {"delay_seconds": 0.1, "pause_seconds": 0.1, "max_attempts": 2}}


@pytest.fixture
def nobodys_house() -> Iterator[House]:
    """A house that belongs to a user without rights, and can be entered by everybody."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("becoming another user takes root and setpriv")
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        house = House(Path(root))
        for path in (house.root, *house.root.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        yield house
        house.close()


_OPEN = """
mount --bind "$2" "$3" && mount -t tmpfs -o mode=755 tmpfs "$1" && mkdir -p "$2" &&
mount --move "$3" "$2" && shift 3 && exec "$@"
"""
"""Shows the folder $2 alone of the closed folder $1, by way of $3, in a mount namespace."""


def start_as_nobody(house: House) -> Daemon:
    """A daemon that runs without rights, but for that to run our Python."""
    argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    argv += [sys.executable, "-m", "tests.process.quick_daemon", "run"]
    argv += ["--config", str(house.config)]
    python = Path(sys.executable).resolve().parents[1]
    closed = [path for path in python.parents if not path.stat().st_mode & 0o001]
    if closed:
        (house.root / "python").mkdir()
        shown = [str(closed[-1]), str(python), str(house.root / "python")]
        argv = ["unshare", "--mount", "sh", "-c", _OPEN, "-", *shown, *argv]
    daemon = Daemon(argv, house.root / "daemon.log", {})
    house.daemons.append(daemon)
    return daemon


def check_a_good_film_comes_out(house: House, daemon: Daemon) -> None:
    """A film that is dropped now is done, by a daemon that ends in order and met nothing odd."""
    house.drop("good.mp4", FILM)
    house.wait(lambda: "good.mp4" in house.films("done"))
    assert daemon.stop() == 0
    assert not daemon.said("turn.failed")
    assert not daemon.said("turn.hindered")


# --- a: something else has the name of a folder ---------------------------------------------


def test_a_film_has_the_name_of_a_folder(house: House) -> None:
    """The usual scene layout after a film of that name: the folder is numbered, for all of it."""
    house.drop("Movie.mkv", FILM)
    daemon = house.start()
    house.wait(lambda: house.films("originals") == ["Movie.mkv"])
    house.drop("Movie.mkv/Movie.mkv", FILM)
    house.wait(lambda: "Movie.mkv (2)/Movie.mkv" in house.films("originals"))
    house.drop("Movie.mkv/extra.mkv", FILM)
    house.wait(lambda: "Movie.mkv (2)/extra.mkv" in house.films("originals"))
    check_a_good_film_comes_out(house, daemon)
    names = ["Movie.mkv", "Movie.mkv (2)/Movie.mkv", "Movie.mkv (2)/extra.mkv", "good.mp4"]
    assert house.films("done") == house.films("originals") == names
    assert "Movie.mkv (2)/Movie.mkv.report.json" in house.files("done")
    assert not problems(daemon)


def test_a_users_file_has_the_name_of_a_folder(house: House) -> None:
    """The folder is numbered in done/ alone; the user's file stays as it is."""
    (house.done / "shows").write_text("a list")
    daemon = house.start()
    house.drop("shows/e1.mp4", FILM)
    house.wait(lambda: house.films("done") == ["shows (2)/e1.mp4"])
    check_a_good_film_comes_out(house, daemon)
    assert house.films("originals") == ["good.mp4", "shows/e1.mp4"]
    assert (house.done / "shows").read_text() == "a list"


def test_a_folder_turns_into_a_file_while_publishing(house: House) -> None:
    """What was planned is planned anew, and nothing of it is left where it cannot be."""
    house.drop("shows/e1.mp4", FILM)
    daemon = house.start(FAULT_AT="publish.after_plan", FAULT_DOES="freeze")
    wait_until_frozen(house, daemon)
    (house.done / "shows").write_text("a list")

    def is_done() -> bool:
        daemon.process.send_signal(signal.SIGCONT)  # it plans, and is frozen, once more
        return house.films("done") == ["shows (2)/e1.mp4"]

    house.wait(is_done)
    daemon.process.kill()


# --- b: long paths --------------------------------------------------------------------------


def test_paths_at_the_limit(house: House) -> None:
    """Where a sidecar's path or the one in originals/ would be too long, it is made shorter."""
    house.place(originals=house.root / "a longer name of the folder of originals")
    deep = house.inbox
    while len(str(deep)) < 3700:
        deep = deep / ("d" * 199)
    deep.mkdir(parents=True)
    name = "n" * (4090 - len(str(deep)) - len("/.mp4"))
    film = deep / f"{name[:240]}.mp4"
    film.write_text(FILM)
    daemon = house.start()
    house.wait(lambda: len(house.films("originals")) == 1)
    check_a_good_film_comes_out(house, daemon)
    assert house.films("done") == house.films("originals")
    assert any(one.endswith(".report.json") and "/" in one for one in house.files("done"))
    assert house.films("failed") == []
    shutil.rmtree(house.inbox)


# --- c: published files are touched ---------------------------------------------------------


def wait_until_frozen(house: House, daemon: Daemon) -> None:
    """Return once the daemon has stopped itself at its failpoint."""
    status = Path(f"/proc/{daemon.process.pid}/stat")
    house.wait(lambda: status.read_text().rpartition(")")[2].split()[0] == "T")


@pytest.mark.parametrize("theirs", ["", "a report of mine"])
def test_a_report_vanishes_while_a_name_is_taken(house: House, theirs: str) -> None:
    """While results are moved a user takes the film's name, and removes or replaces the report."""
    house.drop("a.mp4", FILM)
    daemon = house.start(FAULT_AT="publish.after_report", FAULT_DOES="freeze")
    wait_until_frozen(house, daemon)
    (house.done / "a.mp4").write_text("a stranger's film")
    (house.done / "a.mp4.report.json").unlink()
    if theirs:
        (house.done / "a.mp4.report.json").write_text(theirs)
    daemon.process.send_signal(signal.SIGCONT)
    house.wait(lambda: house.films("originals") == ["a (2).mp4"])
    assert (house.done / "a.mp4").read_text() == "a stranger's film"
    assert (house.done / "a (2).mp4").read_text() == FILM
    assert daemon.said("undo.not_ours" if theirs else "undo.file_gone")
    assert not theirs or (house.done / "a.mp4.report.json").read_text() == theirs
    daemon.process.kill()


# --- e: masks -------------------------------------------------------------------------------


def test_a_mask_with_an_endless_name(house: House) -> None:
    """A name of 300 letters is the sender's to correct, at once."""
    house.drop("bad.mp4.erase.yaml", f"mask: {'m' * 300}/a.png\n")
    house.drop("bad.mp4", FILM)
    daemon = house.start()
    house.wait(lambda: house.films("failed") == ["bad.mp4"])
    check_a_good_film_comes_out(house, daemon)
    told = house.explanation("bad.mp4")
    assert (told["error"], told["remedy"]) == ("BadSidecar", "fix-input")
    assert "no file can have" in told["sentence"]


def test_a_mask_that_may_not_be_read(nobodys_house: House) -> None:
    """It is the sender's to give the rights; run by a user who has none of his own."""
    house = nobodys_house
    mask = house.drop("mask.png", b"a mask")
    mask.chmod(0o600)
    os.chown(mask, 0, 0)
    house.drop("bad.mp4.erase.yaml", "mask: mask.png\n")
    house.drop("bad.mp4", FILM)
    daemon = start_as_nobody(house)
    house.wait(lambda: house.films("failed") == ["bad.mp4"])
    check_a_good_film_comes_out(house, daemon)
    told = house.explanation("bad.mp4")
    assert (told["error"], told["remedy"]) == ("BadSidecar", "fix-input")
    assert f"may not be read by user {NOBODY}" in told["sentence"]


# --- f: the source vanishes -----------------------------------------------------------------


def source_of(house: House) -> Path:
    """The only source in work/."""
    (source,) = house.work.rglob("source.mp4")
    return source


def check_source_gone(house: House, daemon: Daemon) -> None:
    """It is told at once, not at the next restart."""
    house.wait(lambda: daemon.said("job.failed"))
    check_a_good_film_comes_out(house, daemon)
    told = house.explanation("bad.mp4")
    assert (told["error"], told["remedy"]) == ("SourceGone", "fix-host")
    assert told["sentence"].startswith("bad.mp4: its source was removed from work/")
    assert house.work_is_empty()


def test_a_source_vanishes_between_two_attempts(house: House) -> None:
    """A cleaner empties work/ while a film waits for its next attempt."""
    house.configure(retry={"delay_seconds": 2.0})
    house.drop("bad.mp4", "raise RETRY\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.failed"))
    source_of(house).unlink()
    check_source_gone(house, daemon)
    assert len(daemon.said("attempt.started")) == 2  # one of each film


def test_a_source_vanishes_in_an_attempt(house: House) -> None:
    """The worker's words about it count for nothing: nobody is asked to report a bug."""
    house.drop("bad.mp4", "wait\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    source_of(house).unlink()
    (house.root / "go").touch()
    check_source_gone(house, daemon)


# --- h: the clock ---------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-1, 1])
def test_the_clock_is_set(house: House, days: int) -> None:
    """A film that waits for its next attempt waits no longer, and no shorter, for that."""
    house.configure(retry={"delay_seconds": 3.0, "max_attempts": 2})
    house.drop("bad.mp4", "raise RETRY\n")
    clock = house.root / "clock"
    clock.write_text("0")
    daemon = house.start(CLOCK_FILE=str(clock))
    house.wait(lambda: daemon.said("attempt.failed"))
    clock.write_text(str(days * 86400))
    house.drop("good.mp4", FILM)
    house.wait(lambda: "good.mp4" in house.films("done"))
    house.wait(lambda: len(daemon.said("attempt.failed")) == 2)
    failed, _ = daemon.said("attempt.failed")
    _, again = (one for one in daemon.said("attempt.started") if one["film"] == "bad.mp4")
    assert moment(again) - moment(failed) > 2.5  # of three seconds
    assert daemon.said("clock.set")
    assert daemon.stop() == 0


def check_a_good_film_comes_out_first(house: House, daemon: Daemon) -> None:
    """A film that is dropped now is done before the other one is tried again."""
    house.drop("good.mp4", FILM)
    house.wait(lambda: "good.mp4" in house.films("done"))
    assert len(daemon.said("attempt.failed")) == 1


def test_the_clock_was_set_back_before_the_start(house: House) -> None:
    """A delay that seems to last a day is one of an hour at most, and told in the status."""
    house.configure(retry={"delay_seconds": 1000.0})
    house.drop("bad.mp4", "raise RETRY\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.failed"))
    assert daemon.stop() == 0
    (job_file,) = house.work.rglob("job.json")
    before = json.loads(job_file.read_bytes())["not_before"]
    clock = house.root / "clock"
    clock.write_text(str(-86400))
    daemon = house.start(CLOCK_FILE=str(clock))
    house.wait(lambda: daemon.said("job.recovered"))
    check_a_good_film_comes_out(house, daemon)
    (job_file,) = house.work.rglob("job.json")
    assert json.loads(job_file.read_bytes())["not_before"] <= before - 86400 + 3600


# --- i: links -------------------------------------------------------------------------------


def test_two_folders_that_lead_to_the_same_place(house: House) -> None:
    """Links below our folders are not followed, and names are not tried for ever."""
    elsewhere = house.root / "elsewhere"
    elsewhere.mkdir()
    for place in (house.done, house.originals):
        (place / "s").symlink_to(elsewhere)
    house.drop("s/film.mp4", FILM)
    daemon = house.start()
    house.wait(lambda: house.films("originals") == ["s (2)/film.mp4"])
    check_a_good_film_comes_out(house, daemon)
    assert house.films("done") == ["good.mp4", "s (2)/film.mp4"]
    assert list(elsewhere.iterdir()) == []


# --- n: filesystems that know no links ------------------------------------------------------


@pytest.mark.parametrize("error", ["EIO", "ENOTSUP", "EPERM", "EACCES", "ENOSYS"])
def test_a_share_without_links(house: House, share: SickShare, error: str) -> None:
    """Whatever ``link`` answers there, the way that works is tried, and nothing is overwritten."""
    share.fall_ill(Orders(error, ("link",)))
    daemon = house.start()
    (share.disk / "done" / "film.mp4").write_text("a stranger's film")
    (share.disk / "inbox" / "film.mp4").write_text(FILM)
    house.wait(lambda: house.films("originals") == ["film (2).mp4"])
    check_a_good_film_comes_out(house, daemon)
    assert (house.done / "film.mp4").read_text() == "a stranger's film"
    assert (house.done / "film (2).mp4").read_text() == FILM
    assert not problems(daemon)


# --- whatever it is -------------------------------------------------------------------------


@pytest.fixture
def errnos(house: House) -> Iterator[ErrnoMount]:
    """The five folders on a share that fails calls about one film; two tries each."""
    mount = ErrnoMount(house.root)
    house.place(**{name: mount.point / name for name in BESIDE_STATE})
    house.configure(**{**QUICK, **TWO_TRIES})
    yield mount
    mount.lift()
    house.close()
    mount.close()


def fault(film: Film, calls: str, error: str) -> Fault:
    """Each of these calls about a film fails."""
    return Fault(film.token, calls, error, Duration.ALWAYS, film.kind)


def snapshots_of(house: House) -> str:
    """What the daemons say of themselves."""
    return "".join(path.read_text() for path in house.work.glob("*/status.json"))


def test_a_film_that_cannot_be_published(house: House, errnos: ErrnoMount) -> None:
    """It alone is tried again, told of, and goes to failed/; nothing of it is left in done/."""
    film = Film("c0001")
    errnos.order([fault(film, r"(link|rename) .* done/film[^.]*\.mp4", "EACCES")])
    film.drop(errnos.disk / "inbox")
    daemon = house.start()
    house.wait(lambda: daemon.said("job.failed"))
    check_a_good_film_comes_out(house, daemon)
    told = house.explanation(film.name)
    assert (told["error"], told["remedy"]) == ("FilmBlocked", "fix-host")
    assert told["sentence"].startswith("c0001.mp4: cannot be published: ")
    assert len(daemon.said("job.hindered")) == 2
    assert [one for one in house.files("done") if "c0001" in one] == []
    assert not [one for one in problems(daemon) if "folders." in one]


def test_killed_when_a_film_has_been_withdrawn(house: House, errnos: ErrnoMount) -> None:
    """It goes to failed/ at the next start, although it was FINISHED in memory."""
    film = Film("c0001")
    errnos.order([fault(film, r"(link|rename) .* done/film[^.]*\.mp4", "EACCES")])
    film.drop(errnos.disk / "inbox")
    assert house.start(FAULT_AT="withdraw.after_save").wait() == -signal.SIGKILL
    assert house.once() == 1
    assert house.films("failed") == [film.name]
    assert [one for one in house.files("done") if "c0001" in one] == []
    assert house.work_is_empty()


def test_a_film_that_cannot_even_be_rejected(house: House, errnos: ErrnoMount) -> None:
    """It is set aside and shown until the cause is gone; ``once`` ends instead of waiting."""
    film = Film("c0001", Kind.BAD)
    errnos.order([fault(film, r"(link|rename) .* failed/film[^.]*\.mp4", "EIO")])
    film.drop(errnos.disk / "inbox")
    daemon = house.start()
    house.wait(lambda: daemon.said("job.set_aside"))
    house.wait(lambda: "It is set aside in" in snapshots_of(house))
    told = run_command(house, "status", code=1)
    assert "c0001.mp4: cannot be moved to failed/" in told
    assert "It is set aside in" in told
    check_a_good_film_comes_out(house, daemon)
    assert house.once() == 1
    daemon = house.start()
    house.wait(lambda: daemon.said("job.set_aside"))
    errnos.lift()
    house.wait(lambda: house.films("failed") == ["c0001.mp4"])
    house.wait(lambda: "It is set aside in" not in snapshots_of(house))
    run_command(house, "status", code=0)
    assert daemon.stop() == 0
    assert Disk(errnos.disk).outcome(film) is Outcome.FAILED


def test_a_folder_that_is_broken_pauses_the_queue(house: House, share: SickShare) -> None:
    """Where the proof fails no film is blamed; with the folder mended they all go on."""
    daemon = house.start()
    house.wait(lambda: daemon.said("worker.ready"))
    share.fall_ill(Orders("EIO", ("getattr",), below="/done/"))
    for name in ("a.mp4", "b.mp4"):
        (share.disk / "inbox" / name).write_text(FILM)
    house.wait(lambda: problems(daemon))
    (sentence, *_) = problems(daemon)
    assert "folders.done" in sentence
    assert "Paused" in run_command(house, "status", code=1)
    share.recover()
    house.wait(lambda: house.films("originals") == ["a.mp4", "b.mp4"])
    assert not daemon.said("job.hindered")
    assert house.films("failed") == []
    assert daemon.stop() == 0
