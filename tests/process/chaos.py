"""Random SIGKILLs of daemons and workers under load, and a count of what that did to the films.

``python -m tests.process.chaos --kills 200 --seed 1 --real 20`` (``make chaos N=200``). Two
daemons, as if on two hosts, share one inbox, into which films of odd names and sizes come.
Nothing may be lost (a source or its result nowhere), doubled (twice), or torn (visible before it is
whole, or other than it must be), and no finished segment may be done again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from threading import Event, Thread

import av
import psutil

from daemon.folders.mount_guard import MARK
from tests.clips import Caption, Coding, draw, write
from tests.process.house import Daemon, House

HOSTS = ("one", "two")
PENDING = 6  # films that wait while we kill
PLACES = ("inbox", "work", "originals", "failed")
SIDECARS = (".report.json", ".log", ".preview.jpg")
FRAMES = 48
STEMS = (
    *("film", "a/film", "a/b/c/film", "-y", "new\nline", "\N{CLAPPER BOARD} take", " spaces "),
    *(os.fsdecode(b"latin \xe9"), "x" * 240, "ffconcat:a|b", "caf\u00e9", "cafe\u0301", "dots..."),
)
SUFFIXES = (".mp4", ".MKV", ".mov", ".ts")
FILM = re.compile(r"\.(mp4|mkv|mov|ts)$", re.IGNORECASE)


@dataclass
class Tally:
    """What was done to the films, and what came of it."""

    daemons_killed: int = 0
    workers_killed: int = 0
    films: int = 0
    attempts: int = 0
    done: int = 0
    failed: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)  # segments that were done twice

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return self.daemons_killed + self.workers_killed

    @property
    def wrong(self) -> list[str]:
        """Everything that must not be."""
        return [*self.lost, *self.doubled, *self.torn, *self.again]

    def __str__(self) -> str:
        return (
            f"kills {self.kills} (daemon {self.daemons_killed}, worker {self.workers_killed})   "
            f"films {self.films}   attempts {self.attempts}   done {self.done}   "
            f"failed {self.failed}   lost {len(self.lost)}   doubled {len(self.doubled)}   "
            f"torn {len(self.torn)}   segments again {len(self.again)}"
        )


def films_below(folder: Path) -> list[Path]:
    """The films in a folder that anybody would see as such."""
    return [
        path
        for path in files_below(folder)
        if FILM.search(path.name)
        and not path.name.startswith((".", "result"))
        # Nor what the daemon tries out in a hidden folder: which names a filesystem takes.
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def files_below(folder: Path) -> list[Path]:
    """The files in a folder, whatever comes and goes there meanwhile."""
    return [Path(root, name) for root, _, names in os.walk(folder) for name in names]


class Watcher(Thread):
    """Looks at done/ all the time: what is seen there must be whole from the first moment."""

    def __init__(self, done: Path, whole: Callable[[Path], str]) -> None:
        super().__init__(name="watcher", daemon=True)
        self.torn: list[str] = []
        self._done, self._whole = done, whole
        self._seen: set[tuple[Path, int]] = set()
        self._ended = Event()

    def run(self) -> None:
        """Look until it is ended."""
        while not self._ended.wait(0.01):
            for film in films_below(self._done):
                try:
                    key = film, film.stat().st_ino
                    if key not in self._seen:
                        self._seen.add(key)
                        self.torn += [told for told in [self._whole(film)] if told]
                except FileNotFoundError:
                    continue  # its name was taken back, since somebody else has it

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()


class Chaos:
    """A house full of films and two daemons that are killed, again and again."""

    def __init__(self, house: House, seed: int, *, quick: bool = True) -> None:
        self._house, self._quick = house, quick
        self._random = random.Random(seed)
        self._tally = Tally()
        self._contents: dict[str, str] = {}  # of each film, by the digest of its content
        self._daemons: dict[str, Daemon] = {}
        self._film = b"" if quick else _real_film(house.root)

    def run(self, kills: int) -> Tally:
        """The tally of a run with so many kills."""
        watcher = Watcher(self._house.done, self._torn)
        watcher.start()
        try:
            for host in HOSTS:
                self._start(host)
            while self._tally.kills < kills:
                self._drop()
                self._kill(self._random.choice(HOSTS))
            # Some films end their worker at each of their attempts, and wait in between.
            self._house.wait(self._all_ended, seconds=240 + 3.0 * kills)
            self._house.wait(self._all_started, seconds=90)
            codes = [daemon.stop() for daemon in self._daemons.values()]
            assert codes == [0] * len(HOSTS), codes
        finally:
            watcher.end()
            self._house.close()
        self._tally.torn += watcher.torn
        self._count()
        return self._tally

    # --- load and kills -----------------------------------------------------------------------

    def _start(self, host: str) -> None:
        self._daemons[host] = self._house.start(quick=self._quick, host=host)

    def _drop(self) -> None:
        """Put films into the inbox until enough wait there."""
        while len(films_below(self._house.inbox)) < (PENDING if self._quick else 2):
            name = self._random.choice(STEMS) + self._random.choice(SUFFIXES)
            if not self._quick:
                name = str(Path(name).with_suffix(".mp4"))
            if (self._house.inbox / name).exists():
                name = f"{self._tally.films} {name[-200:].replace('/', ' ')}"
            self._tally.films += 1
            content = self._content(self._tally.films)
            self._contents[hashlib.sha256(content).hexdigest()] = name
            self._house.drop(name, content)

    def _content(self, number: int) -> bytes:
        """A film unlike any other."""
        if not self._quick:
            return self._film + _free_box(number)
        orders = self._random.choices(
            (f"segments {self._random.randint(1, 12)}", "die", "raise FIX_INPUT", "raise RETRY"),
            (90, 4, 4, 2),
        )[0]
        padding = " " * self._random.choice((0, 10, 5_000, 300_000))
        return f"film {number}\n{orders}\n{padding}".encode()

    def _kill(self, host: str) -> None:
        """Kill a daemon or its worker, mostly at work, sometimes just started."""
        daemon = self._daemons[host]
        if self._random.random() < 0.8:
            self._house.wait(lambda: daemon.said("worker.ready"), seconds=90)
        time.sleep(self._random.uniform(0.0, 0.5 if self._quick else 4.0))
        assert daemon.process.poll() is None, self._house.tell()
        workers = psutil.Process(daemon.process.pid).children()
        if workers and self._random.random() < 0.4:
            with suppress(psutil.NoSuchProcess):  # it has just ended by itself
                self._random.choice(workers).kill()
            self._tally.workers_killed += 1
            return
        daemon.end()
        self._tally.daemons_killed += 1
        self._start(host)

    def _all_started(self) -> bool:
        """Whether each daemon listens to signals already."""
        return all(daemon.said("service.started") for daemon in self._daemons.values())

    def _all_ended(self) -> bool:
        house = self._house
        return not films_below(house.inbox) and not films_below(house.work)

    # --- what came of it ----------------------------------------------------------------------

    def _torn(self, film: Path) -> str:
        """What is wrong with a film in done/; nothing if it is whole and has its sidecars."""
        missing = [one for one in SIDECARS if not film.with_name(film.name + one).exists()]
        if missing:
            film.stat()  # else it was taken back just now
            return f"{film.name!r} was seen without {missing}"
        report = json.loads(film.with_name(film.name + ".report.json").read_bytes())
        content = film.read_bytes()
        if hashlib.sha256(content).hexdigest() != report["result_sha256"]:
            return f"{film.name!r} is not what was made"
        if self._quick and report["source_sha256"] != report["result_sha256"]:
            return f"{film.name!r} is not its source"
        if not self._quick and _frames_of(film) != FRAMES:
            return f"{film.name!r} does not decode to its end"
        return ""

    def _count(self) -> None:
        house, tally = self._house, self._tally
        for daemon in house.daemons:
            tally.attempts += len(daemon.said("attempt.started"))
        places: dict[str, list[str]] = {digest: [] for digest in self._contents}
        for place in PLACES:
            for path in films_below(house.root / place):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                places.setdefault(digest, []).append(place)
        results: Counter[str] = Counter()
        for film in films_below(house.done):
            report = json.loads(film.with_name(film.name + ".report.json").read_bytes())
            results[report["source_sha256"]] += 1
            tally.torn += [told for told in [self._torn(film)] if told]
        for digest, found in places.items():
            name = repr(self._contents.get(digest, digest))
            self._judge(name, found, results[digest])
        self._find_litter()
        self._find_repetitions()

    def _judge(self, name: str, places: list[str], results: int) -> None:
        tally = self._tally
        tally.done += results > 0
        tally.failed += places == ["failed"]
        if not places:
            tally.lost.append(f"{name}: its source is nowhere")
        if len(places) > 1:
            tally.doubled.append(f"{name}: its source is in {places}")
        if results > 1:
            tally.doubled.append(f"{name}: {results} results")
        if places == ["originals"] and not results:
            tally.lost.append(f"{name}: its result is nowhere")
        if places in (["inbox"], ["work"]) or (places == ["failed"] and results):
            tally.lost.append(f"{name}: {results} results, its source in {places}")

    def _find_litter(self) -> None:
        """Whatever is left over of copies, jobs and daemons."""
        house = self._house
        hidden = [
            one
            for folder in ("inbox", "done", "failed", "originals")
            for one in house.files(folder)
            if Path(one).name.startswith(".")
        ]
        hidden += [str(one) for one in house.work.iterdir() if one.name != MARK]
        self._tally.torn += [f"left over: {one}" for one in hidden]
        for film in films_below(house.failed):
            if not film.with_name(film.name + ".error.json").exists():
                self._tally.torn.append(f"{film.name!r} is in failed/ without a reason")

    def _find_repetitions(self) -> None:
        made = Path(self._house.root / "made")
        counts = Counter(made.read_text().splitlines() if made.exists() else [])
        for log in self._house.done.rglob("*.log"):
            for told in re.findall(
                r"segment\.stored number=\d+", log.read_text("utf-8", "replace")
            ):
                counts[f"{log} {told}"] += 1
        self._tally.again += [one for one, count in counts.items() if count > 1]


def _real_film(root: Path) -> bytes:
    """Four seconds with two subtitles."""
    captions = [Caption("Hello there", 6, 18), Caption("Second line", 26, 42)]
    film = draw(frames=FRAMES, captions=captions).shown
    return write(root / "film.mp4", film, Coding(rate=Fraction(12))).read_bytes()


def _free_box(number: int) -> bytes:
    """A box that players pass over; makes one film's bytes unlike another's."""
    return (24).to_bytes(4, "big") + b"free" + f"{number:016d}".encode()


def _frames_of(film: Path) -> int:
    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(video=0))


def run_chaos(kills: int, seed: int, root: Path, *, quick: bool = True) -> Tally:
    """The tally of ``kills`` kills in a house below ``root``."""
    house = House(root)
    house.configure(
        retry={"delay_seconds": 0.05, "max_attempts": 8},
        erase={"segment_seconds": 2.0},
        log={"level": "info"},
    )
    return Chaos(house, seed, quick=quick).run(kills)


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run, tell, and judge by the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--real", type=int, default=0, help="further kills, with the real worker")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    wrong = []
    for kills, quick in ((options.kills, True), (options.real, False)):
        if not kills:
            continue
        root = Path(tempfile.mkdtemp(prefix="chaos-"))
        begun = time.monotonic()
        tally = run_chaos(kills, options.seed, root, quick=quick)
        worker = "quick worker" if quick else "real worker"
        seconds = time.monotonic() - begun
        _tell(f"{worker}   seed {options.seed}   {seconds:.0f} s   {tally}")
        wrong += tally.wrong
        if tally.wrong:
            _tell(f"  see {root}")
        else:
            shutil.rmtree(root)
    for one in wrong:
        _tell(f"  {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
