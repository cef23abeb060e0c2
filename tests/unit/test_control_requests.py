"""Requests as values: what is understood, what is refused, and what the options mean."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.cli.context import WrongUsage
from daemon.cli.control_commands import pause_of
from daemon.control.journal import Journal, record_of
from daemon.control.mailbox import MAX_ENTRIES, Mailbox, owner_name
from daemon.control.requests import (
    MAX_REQUEST_BYTES,
    BadRequest,
    CancelFilm,
    HandBackFilm,
    Message,
    PauseQueue,
    PreferFilm,
    RedoFilm,
    Request,
    ResumeQueue,
    decode,
    encode,
)
from daemon.inbox.left_films import LeftFilm, LeftFilms
from daemon.inbox.scanner import signature_of
from daemon.inbox.settling import Candidate
from daemon.jobs.pause import Pause
from daemon.jobs.pause_switch import PauseSwitch
from daemon.jobs.request_folders import has_open_requests, make_request_folders, move_requests

NOW = datetime(2026, 12, 1, 12, 0)
REQUESTS: tuple[Request, ...] = (
    PauseQueue(for_seconds=5.0, at_once=True),
    ResumeQueue("nas"),
    CancelFilm("a/film\udcff.mp4"),
    PreferFilm("film.mp4"),
    HandBackFilm("film.mp4"),
    RedoFilm("film.mp4", "srt: false\n"),
)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_a_request_survives_its_file(request_: Request) -> None:
    """It is read as it was written, with names that are no UTF-8."""
    assert decode(encode(Message(request_, "nas"))) == Message(request_, "nas")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no JSON"),
        (b"[]", "no JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"schema": 2}', "schema"),
        (b'{"schema": 1, "command": "cancle"}', "Did you mean cancel?"),
        (b'{"schema": 1, "command": ["pause"]}', "none of the commands"),
        (b'{"schema": 1, "command": "cancel"}', "film: is missing"),
        (b'{"schema": 1, "command": "cancel", "body": []}', "body"),
        (b'{"schema": 1, "command": "cancel", "body": {"film": "../a"}}', "film"),
        (b'{"schema": 1, "command": "cancel", "body": {"film": "/etc/passwd"}}', "film"),
        (b'{"schema": 1, "command": "cancel", "body": {"film": ""}}', "film"),
        (b'{"schema": 1, "command": "cancel", "body": {"film": "a", "shell": "x"}}', "shell"),
        (b'{"schema": 1, "command": "pause", "body": {"for_seconds": NaN}}', "for_seconds"),
        (b'{"schema": 1, "command": "pause", "body": {"for_seconds": -1}}', "for_seconds"),
        (b'{"schema": 1, "command": "pause", "body": {"until": Infinity}}', "until"),
        (b'{"schema": 1, "command": "pause", "body": {"until": 1, "for_seconds": 1}}', "one"),
        (b" " * (MAX_REQUEST_BYTES + 1), "larger"),
    ],
)
def test_nonsense_is_refused(content: bytes, complaint: str) -> None:
    """Whatever somebody writes is understood or refused in words."""
    with pytest.raises(BadRequest, match=complaint):
        decode(content)


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(content: bytes) -> None:
    """Other exceptions than a refusal do not come."""
    with contextlib.suppress(BadRequest):
        decode(content)


@pytest.mark.parametrize(
    ("duration", "until", "pause"),
    [
        (None, None, PauseQueue()),
        ("2h", None, PauseQueue(for_seconds=7200.0)),
        ("1h30m", None, PauseQueue(for_seconds=5400.0)),
        ("1d", None, PauseQueue(for_seconds=86400.0)),
        (None, "13:00", PauseQueue(until=NOW.replace(hour=13).timestamp())),
        (None, "6:00", PauseQueue(until=datetime(2026, 12, 2, 6, 0).timestamp())),  # tomorrow
        (None, "2026-12-24T18:00", PauseQueue(until=datetime(2026, 12, 24, 18, 0).timestamp())),
    ],
)
def test_times_of_a_pause(duration: str | None, until: str | None, pause: PauseQueue) -> None:
    """A duration counts from the reading, a time of day is the next one."""
    assert pause_of(duration, until, now=NOW) == pause


@pytest.mark.parametrize(
    ("duration", "until"),
    [("", None), ("2", None), ("0s", None), ("400d", None), (None, "24:61"), (None, "soon")],
)
def test_times_that_are_none(duration: str | None, until: str | None) -> None:
    """What cannot be meant is wrong usage."""
    with pytest.raises(WrongUsage):
        pause_of(duration, until, now=NOW)


def test_a_pause_is_kept_and_ends(tmp_path: Path) -> None:
    """It is found again, holds until its end, and a damaged file is none."""
    file = tmp_path / "pause.json"
    PauseSwitch(file).begin(Pause("anna", 10.0, 20.0))
    switch = PauseSwitch(file)
    assert switch.current(wall=19.0) == Pause("anna", 10.0, 20.0)
    assert switch.current(wall=20.0) is None
    switch.end_if_over(wall=20.0)
    assert not file.exists()
    file.write_text('{"by": 5}')
    assert PauseSwitch(file).current(wall=0.0) is None


def test_another_film_of_that_name_is_taken(tmp_path: Path) -> None:
    """A film is left alone for as long as it is the one that was meant."""
    film = tmp_path / "film.mp4"
    film.write_text("a film")
    candidate = Candidate(tmp_path, "film.mp4", signature_of(film.lstat()), 0.0)
    size_bytes, mtime_ns = candidate.signature.size_bytes, candidate.signature.mtime_ns
    LeftFilms(tmp_path / "left").add(LeftFilm("film.mp4", size_bytes, mtime_ns, "anna"))
    left = LeftFilms(tmp_path / "left")
    assert left.without_left([candidate]) == []
    film.write_text("another film")
    changed = Candidate(tmp_path, "film.mp4", signature_of(film.lstat()), 0.0)
    assert left.without_left([changed]) == [changed]
    left.keep_only(())
    assert not (tmp_path / "left").exists()


def test_requests_are_taken_over(tmp_path: Path) -> None:
    """Unread and unanswered ones move to the next daemon; the folders have their modes."""
    old, new = tmp_path / "old", tmp_path / "new"
    for instance in (old, new):
        instance.mkdir()
        make_request_folders(instance)
    assert (old / "asked").stat().st_mode & 0o7777 == 0o2770
    assert not has_open_requests(old)
    (old / "asked" / f"{'0' * 26}.json").write_text("{}")
    Journal(old).save(record_of("1" * 26, CancelFilm("film.mp4"), by="anna", wall=5.0))
    assert has_open_requests(old)
    move_requests(old, new)
    assert not has_open_requests(old)
    journal = Journal(new)
    journal.reread()
    assert [one.request for one in journal.open()] == [CancelFilm("film.mp4")]
    (arrival,) = Mailbox(new).arrivals(wall=0.0)
    assert arrival.refusal == "its schema is not 1"
    assert arrival.by == owner_name(os.getuid())


def test_a_flood_is_bounded(tmp_path: Path) -> None:
    """Of a flood of requests a few are read at a time, and what is too much is removed."""
    (tmp_path / "asked").mkdir()
    for number in range(MAX_ENTRIES + 50):
        (tmp_path / "asked" / f"{number:026d}.json").touch()
    assert len(list(Mailbox(tmp_path).arrivals(wall=0.0))) == 32
    assert len(list((tmp_path / "asked").iterdir())) == MAX_ENTRIES


def test_a_name_that_no_user_has() -> None:
    """A file of a user whom this host does not know has his number."""
    assert owner_name(4_000_000_000) == "user 4000000000"
    assert json.loads(encode(Message(ResumeQueue())))["command"] == "resume"
