"""Out of memory, for real: the real worker, arrays without room, and the kernel's own kills."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest

from tests.clips import Caption, Coding, draw, write
from tests.engines.faulty import AT_ONCE, BLOCK_BYTES
from tests.process.house import REPOSITORY, House
from tests.process.memorygroup import memory_group

ENGINE = "tests.engines.faulty:{}"
LOW = f"{AT_ONCE[1]} at once"
STARTS = 3
"""Of a daemon that the kernel may take for its worker."""
LOSSLESS = Coding("ffv1", "yuv420p", options={})
"""x264 does not always make the same of the same pictures."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A film with one subtitle."""
    pictures = draw(captions=[Caption("Hello there", 4, 20)], frames=24)
    path = write(tmp_path_factory.mktemp("film") / "text.mkv", pictures.shown, LOSSLESS)
    return path.read_bytes()


@pytest.fixture(scope="module")
def with_memory_to_spare(tmp_path_factory: pytest.TempPathFactory, film: bytes) -> str:
    """The result where memory never runs out, as a sum."""
    house = House(tmp_path_factory.mktemp("spare"))
    house.drop("text.mkv", film)
    try:
        assert house.once(quick=False, seconds=100) == 0
    finally:
        house.close()
    assert report_of(house, "text")["memory"] == []
    return sum_of(house, "text")


def configured(house: House, engine: str) -> House:
    """``house`` with an engine that goes short of memory."""
    house.configure(erase={"engine": ENGINE.format(engine)}, worker={"film_mb": 1})
    return house


def report_of(house: House, name: str) -> dict[str, Any]:
    """What the pipeline says of a film."""
    found: dict[str, Any] = house.report(f"{name}.mkv")["report"]
    return found


def sum_of(house: House, name: str) -> str:
    """The sum of a result's pixels."""
    pixels = hashlib.sha256()
    with av.open(str(house.done / f"{name}.mkv")) as container:
        for picture in container.decode(video=0):
            pixels.update(picture.to_ndarray().tobytes())
    return pixels.hexdigest()


def steps_of(house: House, name: str) -> dict[str, tuple[str, int]]:
    """For each kind of work in smaller pieces: the rung, and the steps down."""
    memory = report_of(house, name)["memory"]
    return {one["work"].split()[0]: (one["rung"], one["steps_down"]) for one in memory}


def errors_of(house: House, name: str) -> list[str | None]:
    """How each attempt at a film ended."""
    return [attempt["error"] for attempt in house.report(f"{name}.mkv")["attempts"]]


@pytest.mark.budget(240)
def test_arrays_without_room(house: House, film: bytes, with_memory_to_spare: str) -> None:
    """One attempt, one step down; an equal film; the next film starts at the remembered rung."""
    configured(house, "gluttonous")
    house.drop("one.mkv", film)
    house.drop("two.mkv", film)
    assert house.once(quick=False, seconds=200) == 0
    assert steps_of(house, "one") == {"gluttonous": (LOW, 1)}
    assert steps_of(house, "two") == {"gluttonous": (LOW, 0)}
    assert errors_of(house, "one") == errors_of(house, "two") == [None]
    assert sum_of(house, "one") == sum_of(house, "two") == with_memory_to_spare
    log = (house.done / "one.mkv.log").read_text("utf-8")
    assert "memory.short" in log
    assert "Unable to allocate" in log
    assert "memory.rung_remembered" in log


@pytest.mark.budget(240)
def test_short_of_memory_anywhere(house: House, film: bytes, with_memory_to_spare: str) -> None:
    """An engine without rungs: the whole film is done in smaller pieces, and comes out equal."""
    configured(house, "short_once")
    house.drop("one.mkv", film)
    house.drop("two.mkv", film)
    assert house.once(quick=False, seconds=200) == 0
    assert steps_of(house, "one") == {"once": ("one segment at once", 1)}
    assert steps_of(house, "two") == {"once": ("one segment at once", 0)}
    assert errors_of(house, "one") == [None]
    assert sum_of(house, "one") == sum_of(house, "two") == with_memory_to_spare


@pytest.mark.budget(240)
def test_killed_as_by_the_kernel(house: House, film: bytes, with_memory_to_spare: str) -> None:
    """The second attempt begins a rung lower in a fresh worker; the next film begins there."""
    configured(house, "mortal")
    for name in ("one.mkv", "two.mkv"):
        house.drop(name, film)
        assert house.once(quick=False, seconds=100) == 0
    assert errors_of(house, "one") == ["WorkerLost", None]
    assert errors_of(house, "two") == [None]
    lower = {"mortal": LOW}
    assert {key: rung for key, (rung, _) in steps_of(house, "one").items()} == lower
    assert steps_of(house, "two")["mortal"] == (LOW, 0)
    assert sum_of(house, "one") == sum_of(house, "two") == with_memory_to_spare
    assert "memory.rung_lowered" in (house.done / "one.mkv.log").read_text("utf-8")


def drain_in(group: Path, house: House) -> None:
    """Drain the inbox by a daemon that is a member of ``group``, started again where it is killed.

    A process with threads that the kernel has ended is hidden from its search for another one while
    the last of its threads gives the memory back; nobody is left then but the daemon. The service
    is exempt from that search, which takes a right that a test does not always have.
    """
    join = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group))
    drain = (sys.executable, "-m", "daemon", "once", "--config", str(house.config))
    ends: list[int] = []
    while not ends or (ends[-1] == -signal.SIGKILL and len(ends) < STARTS):
        done = subprocess.run([*join, *drain], cwd=REPOSITORY, check=False, timeout=100)
        ends.append(done.returncode)
    assert ends[-1] == 0, ends


@pytest.mark.budget(240)
def test_killed_by_the_kernel(house: House, film: bytes, with_memory_to_spare: str) -> None:
    """In a group with too little memory the kernel ends the worker: as above."""
    configured(house, "hungry")
    with memory_group(AT_ONCE[0] * BLOCK_BYTES - (64 << 20)) as group:
        for name in ("one.mkv", "two.mkv"):
            house.drop(name, film)
            drain_in(group, house)
    assert errors_of(house, "one")[-2:] == ["WorkerLost", None]
    assert errors_of(house, "two") == [None]
    assert steps_of(house, "one")["hungry"] == (LOW, 1)
    assert steps_of(house, "two")["hungry"] == (LOW, 0)
    assert sum_of(house, "one") == sum_of(house, "two") == with_memory_to_spare
    assert "the system ended it because memory ran out" in (house.done / "one.mkv.log").read_text()


@pytest.mark.budget(240)
def test_a_lost_card_ends_its_worker(house: House, film: bytes, with_memory_to_spare: str) -> None:
    """At once: a fresh one does the film, and the film behind it has nothing to do with it."""
    configured(house, "card_lost_once")
    house.drop("one.mkv", film)
    house.drop("two.mkv", film)
    daemon = house.start("once", quick=False)
    assert daemon.wait(200) == 0
    assert sorted(errors_of(house, name) == [None] for name in ("one", "two")) == [False, True]
    (unlucky,) = (name for name in ("one", "two") if len(errors_of(house, name)) > 1)
    assert errors_of(house, unlucky) == ["DeviceLost", None]
    assert len({one["pid"] for one in daemon.said("worker.ready")}) == 2
    assert daemon.said("worker.lost") == []
    assert sum_of(house, "one") == sum_of(house, "two") == with_memory_to_spare
