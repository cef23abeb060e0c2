"""Small parts of the daemon, each alone, with times that are told."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemon.config.schema import Config, RetrySettings, load_config
from daemon.folders.bounded_calls import BoundedCalls
from daemon.jobs.instance_lease import InstanceLease
from daemon.jobs.instances import OWNER_FILE, Liveness, list_instances, this_process
from daemon.jobs.owner_lock import LockState, lock_state
from daemon.lifecycle.reload import reloaded
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.io_problems import io_problem
from daemon.runtime.wakeup import Wakeup
from daemon.workers.silence import SilenceWatch
from erasecore.errors import ConfigError, FolderSilent
from tests.conftest import wait_for


@pytest.fixture
def wake() -> Iterator[Wakeup]:
    """A wakeup that is closed after the test."""
    wake = Wakeup()
    yield wake
    wake.close()


def test_silence_is_counted_only_while_we_listen() -> None:
    """A gap between two reads delays the deadline by as much; a message ends the silence."""
    silence = SilenceWatch()
    silence.start(100.0)
    silence.listen(101.0)
    assert silence.seconds(101.0) == 1.0
    silence.listen(161.0)  # a minute of our own
    assert silence.seconds(161.0) == 1.0
    silence.listen(162.0)
    assert silence.seconds(162.0) == 2.0
    silence.heard(162.0)
    assert silence.seconds(162.5) == 0.5


def fail(error: Exception) -> None:
    """Raise ``error``."""
    raise error


@pytest.mark.errors_logged
def test_an_error_is_a_problem_until_the_step_succeeds() -> None:
    """The first pause is the configured one; other errors pass."""
    problems = HostProblems(RetrySettings(pause_seconds=7.0))
    with io_problem(problems, "publish", place="done", now=1.0):
        fail(OSError(errno.ENOSPC, "No space left on device"))
    assert problems.until_of("publish") == 8.0
    assert "done" in problems.sentence()
    with pytest.raises(KeyError), io_problem(problems, "publish", place="done", now=2.0):
        fail(KeyError())
    assert "publish" in problems
    with io_problem(problems, "publish", place="done", now=9.0):
        pass
    assert "publish" not in problems


def test_requests_are_taken_once(wake: Wakeup) -> None:
    """A reload that was asked for twice is one; a hint lasts until it is cleared."""
    with wake.signals():
        assert not wake.take_reload()
        for _ in range(2):
            signal.raise_signal(signal.SIGHUP)
        assert wake.take_reload()
        assert not wake.take_reload()
    wake.note_hint()
    assert wake.hinted
    wake.clear_hint()
    assert not wake.hinted


@pytest.mark.errors_logged
def test_a_wrong_configuration_is_refused() -> None:
    """The old one stays; of a good one all but the folders is used."""

    def wrong() -> Config:
        raise ConfigError("worker.count: is 0, must be at least 1, or auto.")

    current = Config()
    assert reloaded(wrong, current) is None
    changed = Config(retry=RetrySettings(max_attempts=9))
    assert reloaded(lambda: changed, current) == changed


def test_a_lease_is_renewed_in_time_and_can_be_lost(tmp_path: Path) -> None:
    """The heartbeat is due at once, then every few seconds; without owner.json it fails."""
    config = load_config(None, tmp_path)
    config.folders.work.mkdir()
    lease = InstanceLease(config)
    folder = lease.acquire("0000000001")
    heartbeat_seconds = config.claims.heartbeat_seconds
    assert lease.renewal_due(now=0.0)
    assert lease.renew(now=0.0)
    assert not lease.renewal_due(now=heartbeat_seconds - 0.1)
    assert lease.renewal_due(now=heartbeat_seconds)
    assert lease.abandoned_if_due(now=0.0) == []
    assert lease.next_due() == min(heartbeat_seconds, config.claims.lease_seconds / 4)
    (folder / OWNER_FILE).unlink()
    assert not lease.renew(now=heartbeat_seconds)
    other = lease.acquire("0000000002")
    assert other != folder
    assert lease.renewal_due(now=0.0)
    assert lease.abandoned_if_due(now=0.0) == [folder]
    lease.release()
    assert not other.exists()


def test_a_copy_of_the_owner_file_is_locked(tmp_path: Path) -> None:
    """Whoever puts the file back from a backup makes nobody believe that its daemon is dead."""
    config = load_config(None, tmp_path)
    config.folders.work.mkdir()
    lease = InstanceLease(config)
    folder = lease.acquire("0000000001")
    for number in range(2):
        copy = folder / "copy"
        shutil.copy2(folder / OWNER_FILE, copy)
        copy.rename(folder / OWNER_FILE)
        assert lock_state(folder / OWNER_FILE) is LockState.FREE
        # The process is seen to run all the same.
        me = replace(this_process(), pid=os.getppid(), start_time=1)
        assert dict(list_instances(config.folders.work, me))[folder] is Liveness.ALIVE
        with capture_logs() as said:
            assert lease.renew(now=10.0 * number)
            assert lease.renew(now=10.0 * number + 5)
        assert lock_state(folder / OWNER_FILE) is LockState.HELD
        assert [one["event"] for one in said] == ["claims.owner_file_replaced"]
    lease.release()
    assert not folder.exists()


def test_a_call_that_hangs_is_waited_for_once(tmp_path: Path) -> None:
    """The next of its name is refused at once, one of another name is made; then all is well."""
    calls, pipe = BoundedCalls(), tmp_path / "pipe"
    os.mkfifo(pipe)
    look = lambda: pipe.read_text()  # noqa: E731 - hangs until somebody writes
    began_at = time.monotonic()
    with pytest.raises(FolderSilent, match=r"pipe: does not answer; look at its server"):
        calls.run("look", look, place=pipe, seconds=0.05)
    with pytest.raises(FolderSilent):
        calls.run("look", look, place=pipe, seconds=60.0)
    assert calls.run("other", lambda: 3, place=tmp_path) == 3
    assert calls.silent({"inbox": tmp_path, "gone": tmp_path / "missing"}) == []
    assert time.monotonic() - began_at < 30.0
    pipe.write_text("late")
    wait_for(lambda: not any(one.name == "folder" for one in threading.enumerate()))
    with pytest.raises(FileNotFoundError):
        calls.run("look", (tmp_path / "missing").stat, place=pipe)
    assert calls.run("look", lambda: "now", place=pipe) == "now"


def test_foreign_folders_in_work_are_no_daemons(tmp_path: Path) -> None:
    """Neither shown nor taken over; a folder with a job in it is, whatever its name."""
    config = load_config(None, tmp_path)
    work = config.folders.work
    foreign = [work / name for name in ("#recycle", "photos/2020", "host-0123456789/")]
    ours = [work / "host-000000000a", work / "renamed/01job", work / "host-000000000b/01job"]
    for folder in (*foreign, *ours):
        folder.mkdir(parents=True)
    (work / "host-0123456789" / "film.mkv").write_text("a film")
    (work / "renamed" / "01job" / "job.json").write_text("{}")
    lease = InstanceLease(config)
    own = lease.acquire("0000000001")
    found = {work / "host-000000000a", work / "host-000000000b", work / "renamed"}
    assert set(lease.abandoned_if_due(now=0.0)) == found
    shown = {folder for folder, _ in list_instances(work, this_process())}
    assert shown == {*found, own}
    lease.release()
