"""A daemon with the rights of an ordinary user, as it should have: what it may not read or see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config.parsing import as_json
from daemon.jobs.instances import start_time_of, this_process
from tests.process.house import REPOSITORY, House, problems
from tests.process.ordinary import STRANGER, close_to_us, start_powerless
from tests.process.test_daemon_life import run_command

pytestmark = pytest.mark.process

FILM = "segments 1\n"


def test_films_that_may_not_be_read(house: House) -> None:
    """They wait, told once by folder, log and status; each is done once it may be read."""
    for number in range(2):
        house.drop(f"sub/secret-{number}.mp4", FILM)
    secrets = sorted((house.inbox / "sub").iterdir())
    daemon = start_powerless(house)
    for film in secrets:
        close_to_us(film)
    house.drop("good.mp4", FILM)
    house.wait(lambda: house.films("done") == ["good.mp4"])
    house.wait(lambda: problems(daemon))
    (sentence,) = problems(daemon)
    assert sentence.startswith(f"{secrets[0]} (and 1 more in its folder): cannot be read by user")
    assert sentence in run_command(house, "status")
    secrets[0].chmod(0o644)
    house.wait(lambda: "sub/secret-0.mp4" in house.films("done"))
    assert house.films("inbox") == ["sub/secret-1.mp4"]
    assert not daemon.said("host.mended")
    secrets[1].chmod(0o644)
    house.wait(lambda: len(house.films("done")) == 3)
    assert [one["what"] for one in daemon.said("host.mended")] == ["inbox: sub/ (unreadable)"]
    assert len(problems(daemon)) == 1
    assert daemon.stop() == 0
    assert house.work_is_empty()


@pytest.mark.parametrize("beside", [False, True], ids=["film", "subtitles"])
def test_a_claimed_film_that_may_no_longer_be_read(house: House, *, beside: bool) -> None:
    """It goes to failed/ with a sentence for its sender, not as a mistake of ours."""
    house.configure(retry={"delay_seconds": 3.0})
    house.drop("film.srt", "cues\n")
    house.drop("film.mp4", "companions\nraise RETRY\n")
    daemon = start_powerless(house)
    house.wait(lambda: daemon.said("attempt.failed"))
    (closed,) = house.work.rglob("cues.srt" if beside else "source.mp4")
    close_to_us(closed)
    house.drop("good.mp4", FILM)
    house.wait(lambda: house.films("failed") == ["film.mp4"])
    house.wait(lambda: house.films("done") == ["good.mp4"])
    explained = house.explanation("film.mp4")
    assert (explained["error"], explained["remedy"]) == ("UnreadableFile", "fix-input")
    what = "its .srt" if beside else "it"
    assert explained["sentence"].startswith(f"film.mp4: {what} cannot be read by user ")
    assert daemon.stop() == 0
    assert house.work_is_empty()


OTHERS_CODE = f"""
import os, sys
from pathlib import Path
from daemon.jobs.instances import list_instances, this_process
os.setgroups([])
os.setgid({STRANGER})
os.setuid({STRANGER})
for instance, liveness in list_instances(Path(sys.argv[1]), this_process()):
    print(instance.name, liveness)
"""
HIDE = 'mount -t proc -o "hidepid=$0" proc /proc && exec "$@"'


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder that each user gets to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("hidepid", ["0", "1", "2"])
def test_a_live_daemon_that_cannot_be_seen(work: Path, hidepid: str) -> None:
    """Another user's daemon behind a hidden /proc is alive, one whose process is gone is dead."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("hiding processes takes root and unshare")
    tried = ["unshare", "--mount", "--", "sh", "-c", HIDE, hidepid, "true"]
    if subprocess.run(tried, capture_output=True, check=False).returncode != 0:
        pytest.skip("this system hides no processes")
    with subprocess.Popen(["sleep", "60"]) as process:
        me = this_process()
        live = replace(me, pid=process.pid, start_time=start_time_of(process.pid) or 0)
        for name, owner in (("live", live), ("dead", replace(me, pid=2**22))):
            (work / name).mkdir()
            (work / name / "owner.json").write_text(as_json(owner))
        argv = [*tried[:-1], sys.executable, "-c", OTHERS_CODE, str(work)]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=REPOSITORY, check=True)
        process.terminate()
    assert done.stdout.split("\n")[:2] == ["dead dead", "live alive"]
