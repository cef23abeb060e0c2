"""Films that were tampered with, by the hundred, through the real daemon and its real worker.

``python -m tests.process.mutants N [SEED]`` (``make mutants N=500``) makes N broken films out of
whole ones of every container and drops them all. No film may crash the daemon, hang it, be lost, be
meet an error without a class, or leave a process, a handle or memory behind.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from erasecore import errors as fault_classes
from tests.clips import ffmpeg, small_film
from tests.conftest import wait_for
from tests.process.house import Daemon, House
from tests.process.waiting import comes_true

RECIPES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("film.mp4", ("-c:v", "copy", "-c:a", "aac")),
    ("fast.mp4", ("-c:v", "copy", "-c:a", "aac", "-movflags", "faststart")),
    ("pieces.mp4", ("-c:v", "copy", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov")),
    ("film.mov", ("-c:v", "mpeg4", "-c:a", "pcm_s16le")),
    ("film.mkv", ("-c:v", "copy", "-c:a", "flac")),
    ("film.webm", ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus")),
    ("film.ts", ("-c:v", "copy", "-c:a", "aac")),
    ("film.mpg", ("-c:v", "mpeg2video", "-c:a", "mp2")),
    ("film.avi", ("-c:v", "mpeg4", "-c:a", "libmp3lame")),
    ("film.flv", ("-c:v", "copy", "-c:a", "aac")),
    ("film.wmv", ("-c:v", "wmv2", "-c:a", "wmav2")),
    ("film.mxf", ("-c:v", "mpeg2video", "-c:a", "pcm_s16le")),
)
WARM_SHARE = 0.3
"""The share of films after which caches are full and leaks begin to show."""
HANDLES_MORE = 2
MEGABYTES_MORE = 60


def whole_films(folder: Path) -> list[Path]:
    """The same film of a second and a half with a subtitle and sound, in every container."""
    small_film(folder / "plain.mp4")
    sound = ("-f", "lavfi", "-i", "sine=d=1.5:r=48000")
    for name, options in RECIPES:
        ffmpeg("-i", folder / "plain.mp4", *sound, *options, folder / name)
    return [folder / name for name, _ in RECIPES]


# --- what is done to films --------------------------------------------------------------------


def _flip(data: bytearray, chance: random.Random, reach: int) -> None:
    for _ in range(chance.randint(1, 40)):
        data[chance.randrange(min(reach, len(data)))] = chance.randrange(256)


def flip_anywhere(data: bytearray, chance: random.Random) -> None:
    """Bytes changed all over."""
    _flip(data, chance, len(data))


def flip_head(data: bytearray, chance: random.Random) -> None:
    """Bytes changed where containers describe themselves."""
    _flip(data, chance, 2048)


def flip_tail(data: bytearray, chance: random.Random) -> None:
    """Bytes changed where indexes lie."""
    data.reverse()
    _flip(data, chance, 4096)
    data.reverse()


def cut(data: bytearray, chance: random.Random) -> None:
    """The end is missing."""
    del data[chance.randrange(1, len(data)) :]


def cut_out(data: bytearray, chance: random.Random) -> None:
    """A piece in the middle is missing."""
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 20_000)]


def blank(data: bytearray, chance: random.Random) -> None:
    """A piece is zeros, as after a hole in a copy."""
    start = chance.randrange(len(data))
    stop = min(len(data), start + chance.randrange(1, 20_000))
    data[start:stop] = bytes(stop - start)


def repeat(data: bytearray, chance: random.Random) -> None:
    """A piece comes twice."""
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randrange(1, 20_000)]
    data[start:start] = piece


def insert(data: bytearray, chance: random.Random) -> None:
    """Noise in the middle."""
    start = chance.randrange(len(data))
    data[start:start] = chance.randbytes(chance.randrange(1, 5000))


def huge_number(data: bytearray, chance: random.Random) -> None:
    """A length that cannot be, somewhere in the head."""
    start = chance.randrange(min(1024, len(data) - 8))
    data[start : start + 4] = chance.choice(
        [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0"]
    )


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip_anywhere,
    flip_head,
    flip_tail,
    cut,
    cut_out,
    blank,
    repeat,
    insert,
    huge_number,
)


def mutants(films: list[Path], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of ``count`` broken films, of each container and kind of damage in turn."""
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        film = films[number % len(films)]
        data = bytearray(film.read_bytes())
        kinds = [MUTATIONS[number % len(MUTATIONS)]]
        if chance.random() < 0.3:
            kinds.append(chance.choice(MUTATIONS))
        for mutate in kinds:
            if len(data) > 16:
                mutate(data, chance)
        name = f"{number:04d}-{'-'.join(kind.__name__ for kind in kinds)}{film.suffix}"
        yield name, bytes(data)


# --- what may not happen ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the daemon and its worker hold."""

    processes: int
    handles: int
    megabytes: float

    @classmethod
    def of(cls, daemon: Daemon) -> Footprint:
        """As it is now."""
        parent = psutil.Process(daemon.process.pid)
        family = [parent, *parent.children(recursive=True)]
        memory = sum(one.memory_info().rss for one in family)
        return cls(len(family), sum(one.num_fds() for one in family), memory / 1e6)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the daemon took it."""

    films: int
    done: int
    failed: int
    lost: int
    errors: dict[str, int]  # of the failed films, by class
    unexpected: tuple[str, ...]  # errors that have no class of ours
    workers: int  # processes that it took
    warm: Footprint
    end: Footprint

    @property
    def complaints(self) -> list[str]:
        """What went wrong; empty if all is well."""
        found = [f"lost {self.lost}"] if self.lost else []
        found += [f"not expected: {error}" for error in self.unexpected]
        if self.workers != 1:
            found.append(f"{self.workers - 1} workers were lost")
        if self.end.processes > self.warm.processes:
            found.append(f"processes: {self.warm.processes} -> {self.end.processes}")
        if self.end.handles > self.warm.handles + HANDLES_MORE:
            found.append(f"handles: {self.warm.handles} -> {self.end.handles}")
        if self.end.megabytes > self.warm.megabytes + MEGABYTES_MORE:
            found.append(f"megabytes: {self.warm.megabytes:.0f} -> {self.end.megabytes:.0f}")
        return found


def let_loose(house: House, films: list[Path], count: int, seed: int = 1) -> Verdict:
    """Drop ``count`` mutants on a real daemon and see what it makes of them."""
    names = []
    for name, data in mutants(films, count, seed):
        house.drop(name, data)
        names.append(name)
    daemon = house.start(quick=False)

    def ended() -> int:
        return len(daemon.said("job.done")) + len(daemon.said("job.failed"))

    patience = 120 + 10.0 * count
    wait_for(lambda: ended() >= WARM_SHARE * count, patience, tell=house.tell)
    warm = Footprint.of(daemon)
    wait_for(lambda: ended() >= count, patience, tell=house.tell)
    wait_for(lambda: not list(house.work.glob("*/*/job.json")), 120, tell=house.tell)
    # What the last film opened is closed a moment later.
    comes_true(lambda: Footprint.of(daemon).handles <= warm.handles + HANDLES_MORE, 30)
    end = Footprint.of(daemon)
    workers = len(daemon.said("worker.ready"))
    assert daemon.stop() == 0, house.tell()
    errors = [json.loads(one.read_bytes()) for one in sorted(house.failed.glob("*.error.json"))]
    originals, failed = house.files("originals"), house.files("failed")
    homes = Counter([*(one for one in originals if one in names), *failed])
    return Verdict(
        films=count,
        done=len(daemon.said("job.done")),
        failed=len(errors),
        lost=sum(homes[name] != 1 for name in names),
        errors=dict(Counter(str(one["error"]) for one in errors).most_common()),
        unexpected=tuple(
            f"{one['sentence']} {one['detail']}"
            for one in errors
            if not hasattr(fault_classes, str(one["error"]))
        ),
        workers=workers,
        warm=warm,
        end=end,
    )


def main(arguments: list[str]) -> int:
    """Let so many loose; the exit code."""
    count, seed = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 1
    with tempfile.TemporaryDirectory(prefix="subtitle-eraser-mutants-") as folder:
        films, root = Path(folder, "films"), Path(folder, "house")
        films.mkdir()
        root.mkdir()
        house = House(root)
        began = time.monotonic()
        try:
            verdict = let_loose(house, whole_films(films), count, seed)
        finally:
            house.close()
        seconds = time.monotonic() - began
    print(f"films {verdict.films}  done {verdict.done}  failed {verdict.failed}  ", end="")
    print(f"lost {verdict.lost}  {seconds:.0f} s")
    for error, times in verdict.errors.items():
        print(f"  {error:20} {times}")
    print(f"  after {WARM_SHARE:.0%}: {verdict.warm}\n  at the end: {verdict.end}")
    for complaint in verdict.complaints:
        print(f"WRONG: {complaint}")
    return 1 if verdict.complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
