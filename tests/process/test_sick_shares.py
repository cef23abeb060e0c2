"""Shares that answer with errors, truly: a filesystem of our own says ESTALE, EIO and the like.

Nothing fails for it: the queue pauses and says why, and goes on by itself. Where only what belongs
to one film answers so, that film is tried again, and no other waits for it.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from tests.clips import small_film
from tests.process.house import BESIDE_STATE, QUICK, Daemon, House, problems
from tests.process.mounts import SickShare
from tests.process.orders import Orders
from tests.process.systemd import Systemd
from tests.process.test_begin import status_of
from tests.process.test_daemon_life import run_command

pytestmark = pytest.mark.process

ERRORS = ("ESTALE", "EIO", "EHOSTDOWN", "ENOTCONN", "EREMOTEIO", "ETIMEDOUT")


def words_of(error: str) -> str:
    """What the system calls an error."""
    return os.strerror(getattr(errno, error))


def attempts_of(house: House, film: str) -> list[bool]:
    """Which attempts at a film were counted, once it is done."""
    report = house.report(film)
    return [one["counted"] for one in report["attempts"]]


def wait_for_trouble(house: House, daemon: Daemon, systemd: Systemd, error: str) -> None:
    """Return once the daemon has said, to its log and to systemd, what is wrong."""
    house.wait(lambda: any(words_of(error) in one for one in problems(daemon)))
    house.wait(lambda: any(words_of(error) in one for one in systemd.heard("STATUS=Paused")))


def films_below(folder: Path) -> list[str]:
    """The films in a folder."""
    return sorted(one.name for one in folder.iterdir() if one.suffix == ".mp4")


PATIENT = {**QUICK, "retry": {"delay_seconds": 0.1, "pause_seconds": 0.1, "max_attempts": 1000}}
"""Configuration with which no film is given up, however often its files answer with an error."""


def is_not_the_films_fault(record: dict[str, object]) -> bool:
    """Whether a film is not given up for a failed attempt, for which the operator is asked."""
    return record["remedy"] == "fix-host" and record["next"] in ("pause", "requeue")


@pytest.mark.parametrize("error", ERRORS)
def test_a_share_that_answers_with_an_error(
    house: House, share: SickShare, systemd: Systemd, error: str
) -> None:
    """At rest, in mid-film and while a film is published: it pauses, says why, and goes on."""
    house.configure(**PATIENT)
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path))
    house.wait(lambda: daemon.said("worker.ready"))

    share.fall_ill(Orders(error))
    wait_for_trouble(house, daemon, systemd, error)
    (share.disk / "inbox" / "film.mp4").write_text("segments 1\nwait go\n")
    assert words_of(error) in run_command(house, "status", code=1)
    share.recover()
    house.wait(lambda: daemon.said("attempt.started"))

    share.fall_ill(Orders(error, ("getattr",), below="/go"))  # which the worker looks for
    house.wait(lambda: daemon.said("attempt.failed"))
    share.fall_ill(Orders(error))
    house.wait(lambda: [one["what"] for one in daemon.said("host.trouble")].count("folders") == 2)
    (share.disk / "go").touch()
    share.recover()
    house.wait(lambda: daemon.said("job.done"))

    share.fall_ill(Orders(error, ("rename", "link", "write"), below="/work"))
    (share.disk / "inbox" / "next.mp4").write_text("segments 1\n")
    house.wait(lambda: "folders.work" in [one["what"] for one in daemon.said("host.trouble")])
    share.recover()
    house.wait(lambda: house.films("done") == ["film.mp4", "next.mp4"])
    assert all(is_not_the_films_fault(one) for one in daemon.said("attempt.failed"))
    assert house.films("failed") == []
    assert daemon.stop() == 0
    assert house.films("originals") == ["film.mp4", "next.mp4"]
    assert house.work_is_empty()


def test_a_start_while_the_share_is_ill(house: House, share: SickShare, systemd: Systemd) -> None:
    """A daemon that is started then waits, tells systemd why, and begins when the share is well."""
    house.drop("film.mp4")
    share.fall_ill(Orders("EIO"))
    assert house.once() == 1  # who wants an end gets one
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path))
    wait_for_trouble(house, daemon, systemd, "EIO")
    share.fall_ill(Orders("ESTALE", ("create", "open")))  # looks well, is not
    wait_for_trouble(house, daemon, systemd, "ESTALE")
    share.recover()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.stop() == 0


def test_events_are_only_hints(house: House, share: SickShare) -> None:
    """What other machines put on a share raises no event here; a full look finds it anyhow."""
    house.configure(**{**QUICK, "inbox": {**QUICK["inbox"], "watch": "events"}})
    daemon = house.start()
    house.wait(lambda: daemon.said("worker.ready"))
    assert daemon.said("service.started")[0]["watch"] == "events"
    (share.disk / "inbox" / "film.mp4").write_text("segments 1\n")
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.stop() == 0


@pytest.mark.parametrize("role", ["work", "done", "originals"])
def test_a_quota(house: House, share: SickShare, systemd: Systemd, role: str) -> None:
    """A quota that is used up pauses the queue as a full disk does, and both ways out are told."""
    if role != "work":  # where the others lie, so that films are copied to it
        house.place(**{name: house.root / name for name in BESIDE_STATE if name != role})
        house.configure(**QUICK)
    house.drop("film.mp4", "wait go\n" + "x" * 10_000)
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path))
    house.wait(lambda: daemon.said("attempt.started"))
    share.fall_ill(Orders("EDQUOT", ("write",), below=f"/{role}/"))
    (house.work.parent / "go").touch()
    if role == "work":  # the status file, too, may be what finds no room
        house.wait(lambda: daemon.said("attempt.failed"))
    house.wait(lambda: systemd.heard("STATUS=Paused"))
    assert "raise the quota" in systemd.heard("STATUS=Paused")[0]
    assert str(share.point / role) in problems(daemon)[0]
    share.recover()
    house.wait(lambda: house.films("originals") == ["film.mp4"])
    assert house.films("done") == ["film.mp4"]
    assert house.films("failed") == []
    assert sum(attempts_of(house, "film.mp4")) == 1
    assert daemon.stop() == 0


@pytest.mark.parametrize("late", [0.0, 0.5], ids=["undone", "done"])
def test_errors_now_and_then(house: House, share: SickShare, late: float) -> None:
    """Whichever call fails, even one that was done and only its answer lost: all goes well."""
    house.configure(**PATIENT)
    daemon = house.start()
    names = [f"film {number}.mp4" for number in range(6)]
    house.wait(lambda: daemon.said("worker.ready"))
    share.fall_ill(Orders("EIO", share=0.01, late=late))
    for name in names:
        (share.disk / "inbox" / name).write_text(f"segments 2\n{name}\n")
    house.wait(lambda: len(films_below(share.disk / "done")) == len(names))
    share.recover()
    house.wait(lambda: len(films_below(share.disk / "originals")) == len(names))
    assert daemon.stop() == 0
    assert films_below(share.disk / "done") == names
    assert [(house.done / name).read_text() for name in names] == [
        f"segments 2\n{name}\n" for name in names
    ]
    assert films_below(share.disk / "originals") == names
    assert house.films("failed") == []
    assert all(is_not_the_films_fault(one) for one in daemon.said("attempt.failed"))


def test_a_claim_whose_answer_is_lost(house: House, share: SickShare) -> None:
    """A server that is asked twice says that there is no such film: we have it all the same."""
    share.fall_ill(Orders("ENOENT", ("rename",), below="/inbox/film", late=1.0))
    (share.disk / "inbox" / "film.mp4").write_text("segments 1\n")
    assert house.once() == 0
    assert house.films("done") == ["film.mp4"]
    assert house.films("originals") == ["film.mp4"]


def test_a_share_that_hangs(house: House, share: SickShare) -> None:
    """A share that answers nothing for longer than a stall costs no attempt: we hung as well."""
    house.configure(**QUICK, worker={"stall_seconds": 2.5})
    house.drop("film.mp4", "segments 1\nwait go\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    (owner,) = (share.disk / "work").glob("*/owner.json")
    share.fall_ill(Orders("", seconds=4.0))
    house.wait(lambda: time.time() - owner.stat().st_mtime > 3.2)  # it beats every 0.2 seconds
    share.recover()
    house.wait(lambda: time.time() - owner.stat().st_mtime < 1.0)
    (share.disk / "go").touch()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.said("attempt.failed") == []
    assert daemon.stop() == 0


HANGS_SECONDS = 6.5
"""Longer than a folder may take to answer."""


def test_a_share_that_does_not_answer(house: House, share: SickShare, systemd: Systemd) -> None:
    """The daemon waits without touching it, says why, lives, and ends when it is asked to."""
    # So seldom that each turn begins with a look at the folders.
    house.configure(
        inbox={"settle_network_seconds": 0.2, "poll_seconds": 2.0},
        claims={"heartbeat_seconds": 2.0, "lease_seconds": 60.0},
        status={"file": str(house.root / "public.json")},
    )
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="400000")
    house.wait(lambda: daemon.said("worker.ready"))
    house.wait(lambda: status_of(house)["state"] == "idle")
    share.fall_ill(Orders("", seconds=HANGS_SECONDS))
    house.wait(lambda: daemon.said("host.trouble"))
    said = f"{house.done}: does not answer; look at its server"
    house.wait(lambda: said in systemd.heard("STATUS=Paused: folders.inbox")[-1])
    beats = len(systemd.heard("WATCHDOG=1"))
    house.wait(lambda: len(systemd.heard("WATCHDOG=1")) > beats + 2)
    assert said in (house.root / "public.json").read_text()
    (share.disk / "inbox" / "film.mp4").write_text("segments 1\n")
    share.recover()
    house.wait(lambda: films_below(share.disk / "originals") == ["film.mp4"])
    assert not daemon.said("claims.lost")
    told = len(daemon.said("host.trouble"))
    share.fall_ill(Orders("", seconds=HANGS_SECONDS))
    house.wait(lambda: len(daemon.said("host.trouble")) > told)
    assert daemon.stop(seconds=30.0) == 0


def test_a_share_that_hangs_in_mid_turn(house: House, share: SickShare, systemd: Systemd) -> None:
    """The main loop is caught by a call; another thread says so as long as no folder answers."""
    house.configure(**QUICK)
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="1200000")
    house.wait(lambda: daemon.said("worker.ready"))
    (owner,) = (share.disk / "work").glob("*/owner.json")
    share.fall_ill(Orders("", ("utimens",), seconds=HANGS_SECONDS))  # the heartbeat
    house.wait(lambda: systemd.heard("STATUS=Paused: folders.inbox"))
    assert time.time() - owner.stat().st_mtime > 0.3
    assert not daemon.said("host.trouble")  # the loop does not know
    beats = len(systemd.heard("WATCHDOG=1"))
    house.wait(lambda: len(systemd.heard("WATCHDOG=1")) > beats)
    share.recover()
    house.wait(lambda: systemd.heard("STATUS=Waiting for films.")[1:])
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    "illnesses",
    [[("read", "source")], [("write", "segments"), ("read", "timeline")]],
    ids=["source", "products"],
)
def test_the_real_worker(
    house: House, share: SickShare, tmp_path: Path, illnesses: list[tuple[str, str]]
) -> None:
    """Where its source, or what was made of it, cannot be read or written, it is tried again."""
    house.configure(**PATIENT)
    small_film(tmp_path / "text.mp4")
    (share.disk / "inbox" / "text.mp4").write_bytes((tmp_path / "text.mp4").read_bytes())
    daemon = house.start(quick=False)
    house.wait(lambda: daemon.said("attempt.started"))
    (job,) = (path.parent for path in (share.disk / "work").glob("*/*/job.json"))
    for call, place in illnesses:
        failed = len(daemon.said("attempt.failed"))
        share.fall_ill(Orders("ESTALE", (call,), below=f"/{job.relative_to(share.disk)}/{place}"))
        house.wait(lambda failed=failed: len(daemon.said("attempt.failed")) > failed)  # type: ignore[misc]
    failures = daemon.said("attempt.failed")
    assert any(words_of("ESTALE") in one["sentence"] for one in failures)
    share.recover()
    house.wait(lambda: house.films("done") == ["text.mp4"])
    assert all(is_not_the_films_fault(one) for one in daemon.said("attempt.failed"))
    assert not any("folders." in one for one in problems(daemon))
    assert house.films("failed") == []
    assert daemon.stop() == 0


@pytest.mark.parametrize("error", ["EINVAL", "ENOSYS", "EOPNOTSUPP", "ENOTSUP"])
def test_folders_that_cannot_be_synced(
    house: House, share: SickShare, tmp_path: Path, error: str
) -> None:
    """A film comes through a share that cannot fsync folders, in daemon and pipeline alike."""
    share.fall_ill(Orders(error, ("fsyncdir",)))
    small_film(tmp_path / "text.mp4")
    (share.disk / "inbox" / "text.mp4").write_bytes((tmp_path / "text.mp4").read_bytes())
    assert house.once(quick=False) == 0
    assert house.films("failed") == []
    assert house.films("done") == ["text.mp4"]
    assert house.films("originals") == ["text.mp4"]
    assert sum(attempts_of(house, "text.mp4")) == 1
