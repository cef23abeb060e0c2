"""A worker that speaks the real protocol and erases nothing: a film is a list of orders.

The film's text says what the attempt does, one order a line: ``hang``, ``die``, ``exit``,
``print``, ``garbage``, ``companions`` (note what came along), ``slot`` (note what the worker has
of the machine), ``raise RETRY`` ..., ``segments N`` (N files, resumed if there), ``wait NAME``
(until a file of that name, or ``go``, lies in the inbox's parent), ``spawn`` (a grandchild),
``large N`` (the film turns out to have N pixels), ``flood N`` (a program prints 0.9 N MB),
``card NAME`` (if that is its GPU, it is broken). What is left is copied. With the GPU ``broken``
it does not start. With ``needs N`` it is cut short if it has fewer bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from daemon.config.environment import read_environment
from daemon.storage.failpoints import arm_from
from daemon.workers.messages import Start
from daemon.workers.worker_loop import Channel, Observe, die_with_parent, serve
from erasecore import errors
from erasecore.reports import EraseReport, Progress, Stage

SRT = "1\n00:00:00,000 --> 00:00:01,000\nHello there\n"


def erase(start: Start, observe: Observe, answers: int) -> EraseReport:
    """Obey the film."""
    source, folder = Path(start.source), Path(start.folder)
    resumed = segments = pixels = 0
    text = source.read_bytes()

    def tell(progress: Progress) -> None:
        observe(replace(progress, pixels=pixels))

    if not text:
        raise errors.EmptyFile(source)
    for line in text.decode("utf-8", "replace").splitlines():
        order, _, rest = line.partition(" ")
        if order == "segments":
            segments = int(rest)
            resumed = _segments(folder, segments, tell)
        elif order == "large":
            pixels = int(rest)
        else:
            _obey(order, rest, start, tell, answers)
    result = folder / f"result{source.suffix}"
    shutil.copyfile(source, result)
    (folder / "preview.jpg").write_bytes(b"a picture")
    if start.settings.srt:
        (folder / "subtitles.srt").write_text(SRT)
    return EraseReport(
        untouched=False,
        result=result.name,
        engine=start.settings.engine,
        width=320,
        height=180,
        frames=25,
        duration_seconds=1.0,
        video_codec="h264",
        segments=segments,
        segments_resumed=resumed,
    )


def _segments(folder: Path, count: int, observe: Observe) -> int:
    """Finish the segments that are not, each with a sign of life; how many there were."""
    (folder / "segments").mkdir(exist_ok=True)
    resumed = 0
    for number in range(count):
        segment = folder / "segments" / f"{number:04d}.mkv"
        if segment.exists():
            resumed += 1
            continue
        time.sleep(0.02)
        segment.with_suffix(".part").write_bytes(b"segment")
        segment.with_suffix(".part").rename(segment)
        with (folder.parents[2] / "made").open("a") as made:
            made.write(f"{folder.name} {number}\n")
        observe(Progress(Stage.ERASE, number / count, number, count))
    return resumed


def _obey(order: str, rest: str, start: Start, observe: Observe, answers: int) -> None:
    orders: dict[str, Callable[[], object]] = {
        "hang": lambda: time.sleep(3600),
        "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "exit": lambda: os._exit(0),
        "print": lambda: print("a library says something", flush=True),  # noqa: T201 - the test
        "garbage": lambda: os.write(answers, b"this is no message\n"),
        "flood": lambda: _flood(int(rest)),
        "spawn": lambda: _spawn(Path(start.folder).parents[2] / "spawned"),
        "raise": lambda: _raise(rest, start),
        "needs": lambda: _need(int(rest), start),
        "companions": lambda: _tell_companions(start),
        "seat": lambda: _tell_seat(start),
        "card": lambda: _use_card(rest),
        "wait": lambda: _wait(Path(start.folder).parents[2], {"go", rest or "go"}, observe),
    }
    orders.get(order, lambda: None)()


def _tell_companions(start: Start) -> None:
    """Note in the house's root what came with the film: names in the job's folder, and content."""
    told = {
        Path(file).name: Path(file).read_text()
        for file in (start.companions.cues, start.companions.mask)
        if file
    }
    with (Path(start.folder).parents[2] / "companions").open("a") as companions:
        companions.write(json.dumps(told) + "\n")


def _tell_seat(start: Start) -> None:
    """Note in the house's root which worker is at a film, and what it may use."""
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
    told = {name: os.environ.get(name, "") for name in names}
    with (Path(start.folder).parents[2] / "seats").open("a") as slots:
        slots.write(json.dumps({**told, "film": start.shown_as, "pid": os.getpid()}) + "\n")


def _use_card(broken: str) -> None:
    """Say what CUDA says of a card that is not there any more."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == broken:
        raise RuntimeError("CUDA error: no CUDA-capable device is detected")


def _need(size: int, start: Start) -> None:
    if Path(start.source).stat().st_size < size:
        _raise("FIX_INPUT", start)


def _wait(root: Path, names: set[str], observe: Observe) -> None:
    while not any((root / name).exists() for name in names):
        observe(Progress(Stage.ERASE, 0.5, 1, 2))
        time.sleep(0.02)


def _flood(times: int) -> None:
    """Have another program print, without us, as FFmpeg does of frames it does not like."""
    line = "b'this frame is odd\\n' * 50_000"
    code = f"import os, sys\nfor _ in range(int(sys.argv[1])): os.write(1, {line})"
    subprocess.run([sys.executable, "-c", code, str(times)], check=True)


def _spawn(note: Path) -> None:
    """Leave a process behind that nobody but the supervisor can end, and note which."""
    process = subprocess.Popen(["sleep", "3600"])
    with note.open("a") as pids:
        pids.write(f"{process.pid}\n")


def _raise(what: str, start: Start) -> NoReturn:
    faults: dict[str, Exception] = {
        "RETRY": errors.OutOfMemory("memory ran out."),
        "FIX_INPUT": errors.TruncatedVideo(Path(start.source), "it ends early"),
        "FIX_HOST": errors.EngineMissing("none", "it is not installed."),
        "FIX_CODE": errors.VerifyFailed(Path(start.source), "frames are missing"),
        "MEMORY": MemoryError(),
        "SPACE": OSError(28, "No space left on device"),
        "UNKNOWN": ZeroDivisionError("division by zero"),
    }
    raise faults[what]


def main(arguments: list[str]) -> None:
    """Serve."""
    commands, answers, parent_pid, _nice = (int(one) for one in arguments[:4])
    die_with_parent(parent_pid)
    environment = read_environment()
    arm_from(environment.fault_at, environment.fault_does, parent_pid=parent_pid)
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "broken":
        sys.exit("this device has fallen off the bus")
    with os.fdopen(commands, "rb") as reader, os.fdopen(answers, "wb") as writer:
        serve(
            Channel(reader, writer),
            {"quick": "1"},
            lambda start, observe: erase(start, observe, answers),
        )


if __name__ == "__main__":
    main(sys.argv[1:])
