"""Films that come over SMB: a real server, a real client, a real daemon behind it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.house import House
from tests.process.smb import Server, why_not

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be served"),
    pytest.mark.skipif(os.geteuid() != 0, reason="smbd is started by root"),
]

WHOLE = "segments 1\n" + "a line of the film\n" * 20_000
OTHER = "segments 1\n" + "a line of another\n" * 10_000


@pytest.fixture
def server(house: House, tmp_path: Path) -> Iterator[Server]:
    """A share whose folder is the inbox."""
    server = Server(tmp_path / "smb", house.inbox)
    yield server
    server.close()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The sender's own files."""
    made = {"whole": WHOLE, "other": OTHER}
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    return {name: tmp_path / name for name in made}


def start_sending(server: Server, name: str, text: str) -> subprocess.Popen[bytes]:
    """A sender that has written ``text`` and keeps the file open."""
    sender = server.sender(f"put - {name}")
    assert sender.stdin is not None
    sender.stdin.write(text.encode())
    sender.stdin.flush()
    return sender


def test_whole_and_slow(house: House, server: Server, files: dict[str, Path]) -> None:
    """A film is taken when its sender has closed it, however long he pauses in the middle."""
    daemon = house.start()
    half = len(WHOLE) // 2
    sender = start_sending(server, "slow.mp4", WHOLE[:half])
    house.wait(lambda: house.films("inbox") == ["slow.mp4"])
    server.send(f"put {files['other']} whole.mp4", "mkdir sub", f"put {files['other']} sub/b.mp4")
    house.wait(lambda: house.films("done") == ["sub/b.mp4", "whole.mp4"])
    assert house.films("inbox") == ["slow.mp4"]  # far beyond its settle time
    assert sender.stdin is not None
    sender.stdin.write(WHOLE[half:].encode())
    sender.stdin.close()
    assert sender.wait(30) == 0
    house.wait(lambda: "slow.mp4" in house.films("done"))
    assert (house.done / "slow.mp4").read_text() == WHOLE
    assert daemon.stop() == 0
    assert house.films("failed") == []


def test_interrupted_and_sent_again(house: House, server: Server, files: dict[str, Path]) -> None:
    """A sender that dies and sends the film again leaves one whole result."""
    house.configure(inbox={"settle_local_seconds": 4.0})
    daemon = house.start()
    sender = start_sending(server, "film.mp4", WHOLE[:200_000])
    house.wait(lambda: house.films("inbox") == ["film.mp4"])
    sender.kill()
    sender.communicate()
    server.send(f"put {files['whole']} film.mp4")
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert (house.done / "film.mp4").read_text() == WHOLE
    assert daemon.stop() == 0
    assert len(daemon.said("job.claimed")) == 1


def test_overwritten_deleted_renamed(house: House, server: Server, files: dict[str, Path]) -> None:
    """What the sender does to a film that waits is done to the film, not to a job."""
    house.configure(inbox={"settle_local_seconds": 5.0})
    daemon = house.start()
    server.send(
        f"put {files['whole']} overwritten.mp4",
        f"put {files['whole']} deleted.mp4",
        f"put {files['whole']} before.mp4",
        f"put {files['whole']} unfinished.mp4.part",
    )
    server.send(
        f"put {files['other']} overwritten.mp4",
        "del deleted.mp4",
        "rename before.mp4 after.mp4",
        "rename unfinished.mp4.part finished.mp4",
    )
    house.wait(lambda: house.films("done") == ["after.mp4", "finished.mp4", "overwritten.mp4"])
    assert (house.done / "overwritten.mp4").read_text() == OTHER
    assert daemon.stop() == 0
    assert len(daemon.said("job.claimed")) == 3
    assert house.files("inbox") == []


def test_names_of_senders(house: House, server: Server, files: dict[str, Path]) -> None:
    """Names from other systems come through as they are."""
    names = ["\N{CLAPPER BOARD} Film.mp4", "-dash.mp4", "u\u0308ber alles.mp4", "x" * 200 + ".mp4"]
    server.send(*(f'put {files["other"]} "{name}"' for name in names))
    assert house.once() == 0
    assert len(house.films("done")) == len(names)
    assert "\u00fcber alles.mp4" in house.films("done")
