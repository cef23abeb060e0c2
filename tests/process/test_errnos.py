"""One film's trouble never stops another film: a sample of all errnos, and rights that are refused.

``make errnos`` tries all combinations.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.errno_batch import MASK, PATIENCE_SECONDS, TINY
from tests.process.errno_mount import Disk, Film, complaints_of
from tests.process.errno_state import StateTrial
from tests.process.errno_steps import NOT_DONE, STATE_STEPS, STEPS, Case, Duration, Kind, Outcome
from tests.process.errnos import run_batch, sample
from tests.process.house import REPOSITORY, Daemon, House
from tests.process.mounts import Mounts
from tests.process.waiting import comes_true

pytestmark = pytest.mark.process

COMBINATIONS = 30
SEED = 20261129
STRANGER = 65534
POWERS = ("dac_override", "dac_read_search", "fowner", "chown")
POWERLESS = (
    *("setpriv", f"--bounding-set={','.join(f'-{power}' for power in POWERS)}"),
    "--inh-caps=-all",
)
"""Root without the capabilities that rights are passed by: an ordinary user in all but the number.
The interpreter may lie in root's home, where nobody else could start it."""


def test_a_sample_of_all_errnos(mounts: Mounts) -> None:
    """Films that each meet another error, and good films that come out all the same."""
    assert mounts  # else no share can be mounted
    verdicts = run_batch(sample(COMBINATIONS, SEED))
    wrong = [f"{one.case}: {one.outcome}; {', '.join(one.wrong)}" for one in verdicts if one.wrong]
    assert not wrong, "\n".join(wrong)


FOUND = (
    ("inbox.list", "ELOOP", Duration.ALWAYS),  # nothing was said
    ("publish.names", "ENOENT", Duration.ALWAYS),  # a failed film was published, too
    ("worker.result.create", "EISDIR", Duration.ONCE),  # it was taken for a bug of ours
)
"""Steps and errnos that have gone wrong."""


def test_errnos_that_went_wrong(mounts: Mounts) -> None:
    """They do so no more."""
    assert mounts  # else no share can be mounted
    steps = {one.name: one for one in STEPS}
    cases = [Case(steps[name], error, duration) for name, error, duration in FOUND]
    verdicts = run_batch(cases)
    assert [one.wrong for one in verdicts] == [()] * len(FOUND)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("state.all.running", "EIO"),
        ("state.all.running", "ENOSPC"),
        ("state.read.starting", "EMFILE"),  # of a file mapped into memory it killed the daemon
    ],
)
def test_a_state_folder_that_fails(mounts: Mounts, tmp_path: Path, name: str, error: str) -> None:
    """A history that cannot be written costs its lines; the daemon goes on or pauses."""
    assert mounts  # else no share can be mounted
    (step,) = (one for one in STATE_STEPS if one.name == name)
    trial = StateTrial(tmp_path, Case(step, error, Duration.ALWAYS))
    try:
        verdict = trial.run()
    finally:
        trial.close()
    assert verdict.wrong == ()


# --- rights that are refused, as they are to an ordinary user ------------------------------------


def start_powerless(house: House) -> Daemon:
    """Return a daemon at work that has to obey rights."""
    argv = [*POWERLESS, sys.executable, "-m", "tests.process.quick_daemon"]
    daemon = Daemon([*argv, "run", "--config", str(house.config)], house.root / "log", {})
    house.daemons.append(daemon)
    return daemon


def status_of(house: House) -> str:
    """Return what ``status`` tells whoever has to obey rights."""
    argv = [*POWERLESS, sys.executable, "-m", "daemon", "status", "--config", str(house.config)]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def told_of(film: Film, house: House) -> str:
    """Return the sentences about a film in failed/, else what ``status`` tells."""
    return Disk(house.root).explanation(film) or MASK.sub("", status_of(house))


def close_to_us(place: Path) -> None:
    """Let a file, or a folder that is made if need be, be a stranger's, who keeps it to himself."""
    if not place.exists():
        place.mkdir()
    os.chown(place, STRANGER, STRANGER)
    place.chmod(0o755 if place.is_dir() else 0o600)


def complained(daemon: Daemon) -> bool:
    """Return True once the daemon has logged that something is wrong."""
    return any(one["level"] in ("warning", "error") for one in daemon.events())


REFUSED = {
    "inbox/c0001.mp4": (Kind.PLAIN, (Outcome.INBOX, Outcome.FAILED)),
    "inbox/c0001": (Kind.DEEP, (Outcome.INBOX,)),
    "inbox/c0001.mp4.erase.yaml": (Kind.PLAIN, (Outcome.FAILED,)),
    "inbox/c0001.srt": (Kind.PLAIN, (Outcome.FAILED, Outcome.DONE)),
    "inbox/masks/c0001.png": (Kind.PLAIN, (Outcome.FAILED,)),
    "done/c0001": (Kind.DEEP, (Outcome.FAILED,)),
    "originals/c0001": (Kind.DEEP, NOT_DONE),
    "failed/c0001": (Kind.BAD_DEEP, NOT_DONE),
}
"""By what we have no rights to: the film that it is about, and where that may end."""


@pytest.mark.parametrize("place", REFUSED)
def test_rights_that_an_ordinary_user_lacks(house: House, place: str) -> None:
    """The film that they are lacking for waits or fails, and is named; a good one is done."""
    if os.geteuid() != 0:
        pytest.skip("giving files to others takes root")
    kind, right = REFUSED[place]
    film, good, disk = Film("c0001", kind), Film("g0001"), Disk(house.root)
    house.configure(inbox=TINY["inbox"], retry=TINY["retry"])
    film.drop(house.inbox)
    close_to_us(house.root / place)
    daemon = start_powerless(house)
    ended = (Outcome.DONE, Outcome.FAILED)
    comes_true(lambda: complained(daemon) or disk.outcome(film) in ended, PATIENCE_SECONDS)
    good.drop(house.inbox)
    house.wait(lambda: disk.outcome(good) is Outcome.DONE)
    house.wait(lambda: (disk.outcome(film) or Outcome.HELD) in right)
    house.wait(lambda: disk.outcome(film) is Outcome.DONE or film.token in told_of(film, house))
    assert "report this" not in told_of(film, house)
    assert complaints_of(daemon) == []
