"""Power cuts under load, on a real filesystem: every film comes out exactly once.

``python -m tests.process.power_cuts --cuts 50 --seed 1`` (``make power-cuts N=50``). A daemon is at
work on a disk of its own, of which copies are taken at random moments. Each copy is then mounted,
which replays its journal, and drained by a new daemon. A film that its sender had synced before the
cut has to be there once, with its result if it was done, and so must be what came along with it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daemon.folders.mount_guard import MARK
from tests.process.chaos import SIDECARS, files_below, films_below
from tests.process.house import BESIDE_STATE, House
from tests.process.loop_disk import LoopDisk

CUTS_PER_DISK = 10
PENDING = 6  # films that wait while we cut
LONGEST_SECONDS = 0.6  # between two cuts
DRAIN_SECONDS = 90.0
SOURCES = ("inbox", "work", "originals", "failed")
KINDS = ("xfs", "ext4")
WORKER = "tests.process.careful_worker"


@dataclass
class Tally:
    """What came of the cuts."""

    cuts: int = 0
    films: int = 0  # in all cuts together
    done: int = 0
    failed: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"power cuts {self.cuts}   films {self.films}   done {self.done}   "
            f"failed {self.failed}   wrong {len(self.wrong)}"
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """A disk as it was at one moment."""

    image: Path
    synced: frozenset[str]  # digests of what senders had synced by then


class Load:
    """A sender of films, each unlike any other, some with files that come along."""

    def __init__(self, inbox: Path, chosen: random.Random) -> None:
        self._inbox, self._random = inbox, chosen
        self.films: dict[str, str] = {}  # names by the digests of their contents
        self.companions: dict[str, str] = {}

    def drop(self) -> None:
        """Put films into the inbox until enough wait there."""
        while len(films_below(self._inbox)) < PENDING:
            number = len(self.films) + 1
            folder = self._random.choice(("", "a", "a/b"))
            name = f"{folder}/film {number}.mp4".lstrip("/")
            if self._random.random() < 0.3:
                own, cues = f"{name}.erase.yaml", name.replace(".mp4", ".srt")
                self._put(own, f"encode: {{crf: 20}}\n# {number}\n", self.companions)
                self._put(cues, f"cues of {number}\n", self.companions)
            orders = self._random.choices(
                (f"segments {self._random.randint(1, 8)}", "die", "raise FIX_INPUT"), (80, 5, 15)
            )[0]
            padding = " " * self._random.choice((0, 10, 5_000, 300_000))
            self._put(name, f"film {number}\n{orders}\n{padding}", self.films)

    def _put(self, name: str, text: str, known: dict[str, str]) -> None:
        """Write a file as a careful sender does: whole, and synced with its folders."""
        path = self._inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(".dropped.part")
        with part.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        os.sync()
        known[hashlib.sha256(text.encode()).hexdigest()] = name


class PowerCuts:
    """A house on a disk that is cut off again and again."""

    def __init__(self, root: Path, kind: str, seed: int) -> None:
        self._disk = LoopDisk(root, kind)
        self._house = House(root)
        places = {name: self._disk.point / name for name in (*BESIDE_STATE, "state")}
        self._house.place(**places)
        self._house.configure(
            retry={"delay_seconds": 0.05, "max_attempts": 4}, log={"level": "info"}
        )
        self._random = random.Random(seed)
        self._load = Load(self._house.inbox, self._random)

    def close(self) -> None:
        """Leave nothing mounted and nothing at work."""
        self._house.close()
        self._disk.close()

    def run(self, count: int, tally: Tally) -> None:
        """Cut ``count`` times, and add to ``tally`` what comes of it."""
        cuts = list(self._take(count))
        self._house.close()
        self._disk.unmount()
        for cut in cuts:
            self._disk.mount(cut.image)
            tally.cuts += 1
            try:
                self._drain(tally)
                self._judge(cut, tally)
            finally:
                self._house.close()
                self._disk.unmount()
                cut.image.unlink()

    def _take(self, count: int) -> Iterator[Cut]:
        """Yield so many cuts of a disk with a daemon at work on it, the first from its start on."""
        self._load.drop()
        self._house.start(worker=WORKER)
        for _ in range(count):
            time.sleep(self._random.uniform(0.0, LONGEST_SECONDS))  # the moment is the test
            yield Cut(self._disk.cut(), frozenset((*self._load.films, *self._load.companions)))
            self._load.drop()

    def _drain(self, tally: Tally) -> None:
        """Let a daemon do all that the power cut has left."""
        daemon = self._house.start("once", worker=WORKER)
        try:
            code = daemon.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            code = -1
        if code not in (0, 1) or daemon.said("turn.failed"):
            tally.wrong.append(f"not drained, exit code {code}: {self._house.tell()[-2000:]}")
        tally.wrong += [f"left over: {one}" for one in self._left()]

    def _left(self) -> list[str]:
        """Return what is left over of copies, jobs and films.

        Trial files of a proof that the cut met do not count: they are swept when they are old.
        """
        hidden = [
            one
            for folder in ("done", "failed", "originals")
            for one in self._house.files(folder)
            if Path(one).name.startswith(".")
        ]
        hidden += [str(one) for one in self._house.work.iterdir() if one.name != MARK]
        left = hidden + self._house.films("inbox")
        return [one for one in left if not Path(one).name.startswith(".prove-")]

    def _judge(self, cut: Cut, tally: Tally) -> None:
        """Count where each film lies, and its result."""
        sources = self._places(SOURCES)
        results = self._places(("done",))
        for digest, name in self._load.films.items():
            found = sources.get(digest, [])
            tally.films += bool(found)
            tally.done += found == ["originals"]
            tally.failed += found == ["failed"]
            known = digest in cut.synced
            tally.wrong += _complaints(name, found, len(results.get(digest, [])), known=known)
        for digest, name in self._load.companions.items():
            if digest in cut.synced and digest not in sources:
                tally.wrong.append(f"{name}: lost")
        tally.wrong += self._torn()

    def _places(self, folders: tuple[str, ...]) -> Mapping[str, list[str]]:
        """Return in which folders the contents lie, by their digests."""
        places: dict[str, list[str]] = {}
        for folder in folders:
            for path in files_below(self._disk.point / folder):
                if not path.name.startswith("."):
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                    places.setdefault(digest, []).append(folder)
        return places

    def _torn(self) -> Iterator[str]:
        """Yield what can be seen in done/ and is not whole."""
        for film in films_below(self._house.done):
            if hashlib.sha256(film.read_bytes()).hexdigest() not in self._load.films:
                yield f"{film.name}: is no film of ours"
            for ending in SIDECARS:
                sidecar = film.with_name(film.name + ending)
                # The log's last lines are not worth a sync each.
                empty = ending != ".log" and sidecar.exists() and sidecar.stat().st_size == 0
                if empty or not sidecar.exists():
                    yield f"{film.name}: {ending} is missing or empty"


def _complaints(name: str, places: list[str], results: int, *, known: bool) -> Iterator[str]:
    """Yield what is wrong with one film after a cut; ``known``: whether it was synced before."""
    if known and not places:
        yield f"{name}: its source is nowhere"
    if len(places) > 1:
        yield f"{name}: its source is in {places}"
    if results != (places == ["originals"]):
        yield f"{name}: {results} results, its source in {places}"


def cut_power(cuts: int, seed: int, root: Path) -> Tally:
    """Return the tally of so many cuts, on disks below ``root``, of XFS and ext4 by turns."""
    tally = Tally()
    for number, start in enumerate(range(0, cuts, CUTS_PER_DISK)):
        place = root / str(number)
        place.mkdir()
        trial = PowerCuts(place, KINDS[number % len(KINDS)], seed + number)
        try:
            trial.run(min(CUTS_PER_DISK, cuts - start), tally)
        finally:
            trial.close()
        shutil.rmtree(place)
    return tally


def main() -> int:
    """Run, print the tally, and judge by the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="power-cuts-") as root:
        tally = cut_power(options.cuts, options.seed, Path(root))
    print(f"{tally}   seed {options.seed}   {time.monotonic() - began:.0f} s")
    for one in tally.wrong:
        print(f"  {one}")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
