"""The ladder: work that runs out of memory is done in smaller pieces, which is remembered."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from structlog.typing import EventDict

from erasecore.errors import OutOfMemory
from erasecore.memory.ladder import (
    SUCCESSES_AFTER_KILL,
    SUCCESSES_BEFORE_RETRY,
    Ladder,
    Ladders,
    Rung,
    WorkloadKey,
)
from erasecore.memory.ladder_store import FOLDER, FileLadderStore

REPOSITORY = Path(__file__).parents[2]
SITE = WorkloadKey("diffueraser", 640, 256, "cuda NVIDIA L4")
HOST = WorkloadKey("propagate", 640, 360)
RUNGS = [Rung(f"{count} at once", count) for count in (8, 4, 2, 1)]


def working_up_to(most: int, tried: list[int]) -> Callable[[int], int]:
    """Work that fits with at most ``most`` at once."""

    def work(count: int) -> int:
        tried.append(count)
        if count > most:
            raise MemoryError(f"no room for {count}")
        return count

    return work


def folder_of(book: FileLadderStore, folder: Path, deaths: int) -> FileLadderStore:
    """``book`` opened for a film."""
    folder.mkdir(exist_ok=True)
    book.begin(folder, deaths)
    return book


def test_steps_down_until_it_fits(log_records: list[EventDict]) -> None:
    """Work goes down rung by rung, stays where it fits, and every step is logged and reported."""
    tried: list[int] = []
    ladders = Ladders()
    ladder = ladders.ladder(SITE, RUNGS)
    assert ladder.run(working_up_to(2, tried)) == 2
    assert ladder.run(working_up_to(2, tried)) == 2
    assert tried == [8, 4, 2, 2]
    steps = [one for one in log_records if one["event"] == "memory.short"]
    assert [(one["rung"], one["next"]) for one in steps] == [
        ("8 at once", "4 at once"),
        ("4 at once", "2 at once"),
    ]
    assert "no room for 8" in steps[0]["error"]
    (report,) = ladders.close()
    assert (report.rung, report.position, report.rungs, report.steps_down) == ("2 at once", 2, 4, 2)


def test_nothing_of_the_failed_try_is_held() -> None:
    """When the next rung is tried, the arrays of the failed one are gone: none hangs in a frame."""
    held: list[weakref.ref[np.ndarray]] = []

    def work(count: int) -> bool:
        gone = all(one() is None for one in held)
        array = np.zeros(1000)
        itself: list[object] = [array]
        itself.append(itself)  # a cycle, as tracebacks make them
        held.append(weakref.ref(array))
        if count > 1:
            raise MemoryError
        return gone

    assert Ladder(SITE, RUNGS, FileLadderStore(None)).run(work) is True
    assert len(held) == 4


def test_end_of_the_ladder() -> None:
    """Where not even the last rung fits, the error names the work, the fault and the way out."""
    with pytest.raises(OutOfMemory, match=r"diffueraser 640x256 .*no room for 1.*more\.") as caught:
        Ladder(SITE, RUNGS, FileLadderStore(None)).run(working_up_to(0, []))
    assert caught.value.__context__ is None


def test_other_faults_pass(log_records: list[EventDict]) -> None:
    """What is no shortage of memory is raised as it is, from the first rung."""

    def work(_count: int) -> None:
        raise ValueError("wrong shape")

    with pytest.raises(ValueError, match="wrong shape"):
        Ladder(SITE, RUNGS, FileLadderStore(None)).run(work)
    assert not log_records


def test_next_film_starts_at_the_remembered_rung(tmp_path: Path) -> None:
    """What was enough is remembered for the same size on the same device, and for no other."""
    tried: list[int] = []
    Ladders(FileLadderStore(tmp_path)).ladder(SITE, RUNGS).run(working_up_to(2, tried))
    again = Ladders(FileLadderStore(tmp_path))  # another process
    again.ladder(SITE, RUNGS).run(working_up_to(8, tried))
    assert tried == [8, 4, 2, 2]
    (report,) = again.close()
    assert (report.rung, report.steps_down) == ("2 at once", 0)
    for other in (
        WorkloadKey("diffueraser", 1280, 256, SITE.device),
        WorkloadKey("diffueraser", 640, 256, "cuda NVIDIA H100"),
        WorkloadKey("other", 640, 256, SITE.device),
    ):
        assert Ladder(other, RUNGS, FileLadderStore(tmp_path)).rung.plan == 8


def test_the_rung_above_is_tried_now_and_then(tmp_path: Path) -> None:
    """After some successes the rung above is tried; each time in vain the wait is twice as long."""
    tried: list[int] = []
    ladder = Ladder(SITE, RUNGS, FileLadderStore(tmp_path))
    for _ in range(4 * SUCCESSES_BEFORE_RETRY):
        ladder.run(working_up_to(4, tried))
    assert tried == [
        8,
        *[4] * SUCCESSES_BEFORE_RETRY,
        8,
        *[4] * (2 * SUCCESSES_BEFORE_RETRY),
        8,
        *[4] * SUCCESSES_BEFORE_RETRY,
    ]


def test_up_again_when_there_is_room(tmp_path: Path) -> None:
    """Work that went down for want of memory goes up again, rung by rung, once there is enough."""
    tried: list[int] = []
    Ladder(SITE, RUNGS, FileLadderStore(tmp_path)).run(working_up_to(2, []))
    for _ in range(2 * SUCCESSES_BEFORE_RETRY + 1):
        ladders = Ladders(FileLadderStore(tmp_path))  # each in a process of its own
        ladders.ladder(SITE, RUNGS).run(working_up_to(8, tried))
        ladders.close()
    assert tried == [*[2] * (SUCCESSES_BEFORE_RETRY - 1), *[4] * SUCCESSES_BEFORE_RETRY, 8, 8]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"[]",
        b'{"version": 1}',
        b'{"version": 1, "site": "diffueraser 640x256 cuda NVIDIA L4", "rung": "2 at once"}',
        b'{"version": 1, "site": "diffueraser 640x256 cuda NVIDIA L4", "rung": "9 at once", '
        b'"successes": 0, "patience": 8}',  # of another version, say
        b'{"version": 1, "site": "other", "rung": "2 at once", "successes": 0, "patience": 8}',
    ],
)
def test_a_damaged_memory_is_started_anew(tmp_path: Path, content: bytes) -> None:
    """What cannot be understood counts as nothing, and is replaced."""
    Ladder(SITE, RUNGS, FileLadderStore(tmp_path)).run(working_up_to(2, []))
    (file,) = (tmp_path / FOLDER).iterdir()
    file.write_bytes(content)
    tried: list[int] = []
    Ladder(SITE, RUNGS, FileLadderStore(tmp_path)).run(working_up_to(4, tried))
    assert tried == [8, 4]
    assert json.loads(file.read_bytes())["rung"] == "4 at once"


def test_a_memory_that_cannot_be_written(tmp_path: Path) -> None:
    """Where nothing can be remembered the work is done all the same."""
    (tmp_path / FOLDER).write_bytes(b"in the way")
    assert Ladder(SITE, RUNGS, FileLadderStore(tmp_path)).run(working_up_to(2, [])) == 2


REMEMBER = """
import sys
from pathlib import Path
from erasecore.memory.ladder import RungState
from erasecore.memory.ladder_store import FileLadderStore
from tests.unit.test_ladder import RUNGS, SITE
for _ in range(30):
    FileLadderStore(Path(sys.argv[1])).write(SITE, RungState(RUNGS[int(sys.argv[2])].name))
"""


def test_several_workers_at_once(tmp_path: Path) -> None:
    """Workers that remember the same thing at once leave one whole file, and no rest."""
    workers = [
        subprocess.Popen([sys.executable, "-c", REMEMBER, str(tmp_path), rung]) for rung in "123"
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    (file,) = (tmp_path / FOLDER).iterdir()
    assert json.loads(file.read_bytes())["rung"] in {rung.name for rung in RUNGS[1:]}


def test_after_a_kill_the_next_attempt_begins_lower(tmp_path: Path) -> None:
    """A worker that was killed has noted its rung; later attempts begin below it, each by more."""
    job = tmp_path / "job"
    with pytest.raises(KeyboardInterrupt):  # the process ends here, so to speak
        Ladder(HOST, RUNGS, folder_of(FileLadderStore(tmp_path), job, 0)).run(killed)
    second = Ladder(HOST, RUNGS, folder_of(FileLadderStore(tmp_path), job, 1))
    assert second.rung.plan == 4
    with pytest.raises(KeyboardInterrupt):
        second.run(killed)
    third = Ladder(HOST, RUNGS, folder_of(FileLadderStore(tmp_path), job, 3))
    assert third.rung.plan == 1
    assert (third.report().rung, third.report().steps_down) == ("1 at once", 3)
    assert third.run(working_up_to(1, [])) == 1
    third.close()
    next_film = Ladder(HOST, RUNGS, folder_of(FileLadderStore(tmp_path), tmp_path / "next", 0))
    assert (next_film.rung.plan, next_film.report().steps_down) == (1, 0)
    standing = FileLadderStore(tmp_path).read(HOST)
    assert standing is not None
    assert standing.patience == SUCCESSES_AFTER_KILL


def killed(_plan: int) -> None:
    """What no ladder catches."""
    raise KeyboardInterrupt


def test_a_kill_while_the_rung_above_is_tried(tmp_path: Path) -> None:
    """It costs one attempt; then the remembered rung holds for twice as many films as before."""
    job = tmp_path / "job"
    Ladder(HOST, RUNGS, FileLadderStore(tmp_path)).run(working_up_to(4, []))
    for _ in range(SUCCESSES_BEFORE_RETRY - 1):
        ladder = Ladder(HOST, RUNGS, FileLadderStore(tmp_path))
        ladder.run(working_up_to(4, []))
        ladder.close()
    with pytest.raises(KeyboardInterrupt):
        Ladder(HOST, RUNGS, folder_of(FileLadderStore(tmp_path), job, 0)).run(killed)
    again = Ladder(HOST, RUNGS, folder_of(FileLadderStore(tmp_path), job, 1))
    tried: list[int] = []
    again.run(working_up_to(8, tried))
    assert tried == [4]
    standing = FileLadderStore(tmp_path).read(HOST)
    assert standing is not None
    assert (standing.rung, standing.patience) == ("4 at once", 2 * SUCCESSES_AFTER_KILL)


def test_a_kill_says_nothing_of_a_card(tmp_path: Path) -> None:
    """What the system kills a worker for is its own memory: work on a card goes on as it was."""
    job = tmp_path / "job"
    with pytest.raises(KeyboardInterrupt):
        Ladder(SITE, RUNGS, folder_of(FileLadderStore(tmp_path), job, 0)).run(killed)
    assert Ladder(SITE, RUNGS, folder_of(FileLadderStore(tmp_path), job, 1)).rung.plan == 8


@pytest.mark.parametrize("library", ["numpy", "cv2", "torch"])
def test_a_process_without_room(library: str) -> None:
    """Under a limit of its address space each library's own allocator fails; the work is equal."""
    child = [sys.executable, "-m", "tests.process.tight_process", library]
    ended = subprocess.run(child, check=True, capture_output=True, cwd=REPOSITORY)
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["equal"]
    assert told["tried"][:2] == [16, 8]
