"""A mounted ``ErrnoShare``, the films that are dropped there, and where they lie in truth."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.process.errno_steps import Fault, Kind, Outcome
from tests.process.house import REPOSITORY, Daemon
from tests.process.waiting import comes_true


class ErrnoMount:
    """A folder shown by an ``ErrnoShare`` in a process of its own."""

    def __init__(self, root: Path, *, cached: bool = False) -> None:
        self.disk, self.point = root / "disk", root / "share"
        self._faults, self._hits = root / "faults", root / "hits"
        self._log = root / "errno-share.log"
        for path in (self.disk, self.point):
            path.mkdir(parents=True)
        argv = [sys.executable, "-m", "tests.process.errno_share"]
        argv += [str(one) for one in (self.disk, self.point, self._faults, self._hits)]
        argv += ["cached"] if cached else []
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(argv, cwd=REPOSITORY, stdout=log, stderr=log)
        comes_true(lambda: self.point.is_mount() or self._process.poll() is not None, 20)
        if not self.point.is_mount():
            raise RuntimeError(f"no FUSE here: {self._log.read_text().strip()}")

    def order(self, faults: Sequence[Fault]) -> None:
        """From now on calls fail as ``faults`` say."""
        part = self._faults.with_suffix(".part")
        part.write_text(json.dumps([asdict(one) for one in faults]))
        part.rename(self._faults)

    def lift(self) -> None:
        """From now on all is well."""
        self._faults.unlink(missing_ok=True)

    def hits(self) -> dict[str, list[str]]:
        """Return the calls that have failed, by film."""
        found: dict[str, list[str]] = {}
        for line in self._hits.read_text().split("\n")[:-1]:
            raw = json.loads(line)
            if "call" in raw:
                found.setdefault(raw["film"], []).append(raw["call"])
        return found

    def close(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "--lazy", self.point], check=False, capture_output=True)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # a process still has a file open there
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True, slots=True)
class Film:
    """A film of a batch, with the files that come along."""

    token: str
    kind: Kind = Kind.PLAIN

    @property
    def name(self) -> str:
        """Its path below the inbox."""
        deep = self.kind in (Kind.DEEP, Kind.BAD_DEEP)
        return f"{self.token}/{self.token}.mp4" if deep else f"{self.token}.mp4"

    @property
    def text(self) -> str:
        """Its content: orders for the quick worker."""
        bad = self.kind in (Kind.BAD, Kind.BAD_DEEP)
        return f"{self.token}\nsegments 1\n" + ("raise FIX_INPUT\n" if bad else "")

    def files(self) -> dict[str, str]:
        """Return all its files by their paths below the inbox, the film last."""
        mask = "" if "/" in self.name else f"mask: masks/{self.token}.png\n"
        return {
            f"masks/{self.token}.png": f"mask of {self.token}",
            f"{self.name}.erase.yaml": f"# {self.token}\nencode: {{crf: 20}}\n{mask}",
            self.name.replace(".mp4", ".srt"): f"cues of {self.token}",
            self.name: self.text,
        }

    def drop(self, inbox: Path) -> None:
        """Put the film into the inbox."""
        for name, text in self.files().items():
            path = inbox / name
            path.parent.mkdir(exist_ok=True)
            part = path.with_name(f".{self.token}.part")
            part.write_text(text)
            part.rename(path)


class Disk:
    """The folders as they are, past all faults."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk

    def contents(self, *places: str) -> list[tuple[Path, str]]:
        """Return all files below ``places``, by path from the disk, with a digest of each."""
        found = []
        for place in places:
            for path in (self._disk / place).rglob("*"):
                if path.is_file():
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                    found.append((path.relative_to(self._disk), digest))
        return found

    def outcome(self, film: Film) -> Outcome | None:
        """Return where a film's source is by its name alone, a quick look; ``None``: elsewhere."""
        name = film.name
        for place, outcome in (("originals", Outcome.DONE), ("failed", Outcome.FAILED)):
            found = (self._disk / place).glob(name.replace(".mp4", "*.mp4"))
            # A name may be reserved for a moment, by a file that is empty or says so.
            if any(film.token in path.read_text() for path in found):
                return outcome
        return Outcome.INBOX if (self._disk / "inbox" / name).exists() else None

    def explanation(self, film: Film) -> str:
        """Return the sentences of the film's ``error.json``; "" if there is none."""
        pattern = film.name.replace(".mp4", "*.mp4.error.json")
        files = list((self._disk / "failed").glob(pattern))
        return " ".join(str(json.loads(one.read_bytes())["sentence"]) for one in files)


def complaints_of(daemon: Daemon) -> list[str]:
    """Return what is wrong with a daemon that has only to be asked to leave."""
    if daemon.process.poll() is not None:
        return ["daemon died"]
    wrong = ["turn failed"] if daemon.said("turn.failed") else []
    try:
        return wrong if daemon.stop(seconds=30.0) == 0 else [*wrong, "exit code"]
    except subprocess.TimeoutExpired:
        return [*wrong, "deaf to SIGTERM"]
