"""How a daemon is judged from outside: by its process, and by the age of what it wrote."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config.parsing import as_json
from daemon.inbox.scanner import Ignored, WhyIgnored
from daemon.jobs.history_view import HistorySummary
from daemon.jobs.instances import Liveness, start_time_of
from daemon.jobs.pause import Pause
from daemon.status.failures import Failures, scan_failures
from daemon.status.public import public_files, read_public
from daemon.status.queue_view import FilmStanding, QueuedFilm, QueueView
from daemon.status.render import text_of
from daemon.status.snapshot import (
    HIDDEN,
    Current,
    DaemonState,
    HeldFilm,
    Moment,
    PublishingView,
    Snapshot,
    StatusReport,
    WorkerView,
    read_snapshot,
    view_of,
)

NOW = Moment(wall=1_000_000.0, monotonic=5000.0)
SNAPSHOT = Snapshot(
    pid=os.getpid(),
    workers=(WorkerView(1, "busy", current=Current("id", "secret.mp4", 1, 5.0)),),
    trouble="secret.mp4 cannot be moved",
    paused=False,
    note="",
    leaving=False,
    queued=0,
    settled=0,
    settling=0,
    written_at=NOW.wall,
    state=DaemonState.WORKING,
    start_time=start_time_of(os.getpid()) or 0,
    monotonic=NOW.monotonic,
    ignored=(Ignored(WhyIgnored.EXTENSION, 4, ("secret.rmvb",)),),
    held=(HeldFilm("secret.mp4", "id", "secret.mp4 is cut short", 1, 1_000_060.0),),
    held_count=1,
    failures=Failures(1, True, ("secret.mp4",)),
    publishing=(PublishingView("id", "secret.mp4"),),
    pause=Pause("secretary", 5.0),
    queue=QueueView((QueuedFilm("secret.mp4", FilmStanding.HELD, "secret.mp4 is cut short"),), 1),
)


@pytest.mark.parametrize(
    ("standing", "silent_seconds", "wall_seconds", "condition", "well"),
    [
        (Liveness.ALIVE, 30.0, 0.0, "alive", True),
        (Liveness.ALIVE, 30.1, 0.0, "stuck", False),
        (Liveness.ALIVE, 1.0, 86400.0, "alive", True),  # the clock was set
        (Liveness.ALIVE, 31.0, -86400.0, "stuck", False),  # back, too
        (Liveness.FOREIGN, 0.0, 119.0, "foreign", True),  # its monotonic clock is another
        (Liveness.FOREIGN, 0.0, 121.0, "stuck", False),
        (Liveness.DEAD, 0.0, 0.0, "dead", False),
    ],
)
def test_silence(
    standing: Liveness,
    silent_seconds: float,
    wall_seconds: float,
    condition: str,
    well: bool,
) -> None:
    """A daemon that lives and is silent for too long is stuck, whatever happens to the clock."""
    snapshot = replace(
        SNAPSHOT,
        monotonic=NOW.monotonic - silent_seconds,
        written_at=NOW.wall - wall_seconds,
    )
    patience = 120.0 if standing is Liveness.FOREIGN else 0.0
    view = view_of("a", standing, snapshot, None, now=NOW, patience_seconds=patience)
    assert (view.condition, view.well) == (condition, well)


def test_rare_snapshots_are_not_silence() -> None:
    """Three intervals are allowed, where they are longer than thirty seconds."""
    snapshot = replace(SNAPSHOT, interval_seconds=60.0, monotonic=NOW.monotonic - 179.0)
    assert view_of("a", Liveness.ALIVE, snapshot, None, now=NOW).well


def test_a_problem_of_the_host_is_not_well() -> None:
    """The exit code is 1 if any daemon waits for the operator, and if there is none."""
    good = view_of("a", Liveness.ALIVE, SNAPSHOT, None, now=NOW)
    paused = replace(SNAPSHOT, state=DaemonState.HOST_PROBLEM)
    bad = view_of("b", Liveness.ALIVE, paused, None, now=NOW)
    reports = [StatusReport(views, 0, HistorySummary()) for views in ([good], [good, bad], [])]
    assert [report.well for report in reports] == [True, False, False]


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (PublishingView("id", "a.mp4"), "a.mp4: publishing"),
        (
            PublishingView("id", "a.mp4", "copying", 12_500_000_000, 50_000_000_000, 34e6),
            "a.mp4: copying 12.5 of 50.0 GB, 34.0 MB/s",
        ),
        (
            PublishingView("id", "a.mp4", "checking", 0, 2_000_000),
            "a.mp4: checking 0.0 of 2.0 MB",
        ),
    ],
)
def test_a_film_on_its_way_out_is_shown(view: PublishingView, sentence: str) -> None:
    """One line says how far a copy is and how fast, for systemd and in ``status``."""
    assert view.sentence() == sentence
    snapshot = replace(SNAPSHOT, workers=(), trouble="", publishing=(view,))
    assert snapshot.sentence() == sentence
    daemon = view_of("a", Liveness.ALIVE, snapshot, None, now=NOW)
    assert sentence in text_of(StatusReport([daemon], 0, HistorySummary()))


def test_names_are_hidden() -> None:
    """Nothing that is private is left in a snapshot without names."""
    text = as_json(SNAPSHOT.without_names())
    assert "secret" not in text
    assert HIDDEN in text
    assert json.loads(text)["ignored"][0]["count"] == 4


def test_a_snapshot_comes_back(tmp_path: Path) -> None:
    """What is written is read as it was; a public one tells whether its process lives."""
    file = tmp_path / "status.json"
    file.write_text(as_json(SNAPSHOT))
    assert read_snapshot(file) == SNAPSHOT
    view = read_public(file, now=NOW)
    assert view is not None
    assert view.condition == "alive"
    for pid, start_time in ((2**70, 1), (os.getpid(), 1), (-1, 1)):
        file.write_text(as_json(replace(SNAPSHOT, pid=pid, start_time=start_time)))
        view = read_public(file, now=NOW)
        assert view is not None
        assert view.condition == "dead"


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"schema": [1]},
        {"workers": {}},
        {"pid": "1"},
        {"held": [[]]},
        {"state": "odd"},
        {"failures": None},
    ],
)
def test_a_forged_snapshot_is_none(tmp_path: Path, changes: dict[str, object]) -> None:
    """Values of other types are refused."""
    file = tmp_path / "status.json"
    file.write_text(json.dumps({**json.loads(as_json(SNAPSHOT)), **changes}))
    assert read_snapshot(file) is None


def test_odd_numbers_can_be_shown(tmp_path: Path) -> None:
    """Numbers that no daemon writes spoil no line."""
    held = replace(SNAPSHOT.held[0], retry_at=1e300, film="\ud800\x1b[31m")
    file = tmp_path / "status.json"
    odd = replace(SNAPSHOT, written_at=math.inf, monotonic=-1e308, interval_seconds=math.nan)
    file.write_text(as_json(replace(odd, held=(held,))))
    snapshot = read_snapshot(file)
    for standing in Liveness:
        view = view_of("a", standing, snapshot, None, now=NOW)
        text = text_of(StatusReport([view], None, HistorySummary()))
        assert "waits until ?" in text
        assert r"\ud800\x1b[31m" in text
        text.encode()


def test_failures_are_counted_to_a_limit(tmp_path: Path) -> None:
    """The newest are named; a huge folder is not looked through to its end."""
    (tmp_path / "a").mkdir()
    for number in range(5):
        file = tmp_path / "a" / f"film{number}.mp4.error.json"
        file.touch()
        os.utime(file, (number, number))
    names = ("a/film4.mp4", "a/film3.mp4", "a/film2.mp4")
    assert scan_failures(tmp_path) == Failures(5, True, names)
    assert not scan_failures(tmp_path, max_entries=3).complete
    assert scan_failures(tmp_path / "none") == Failures(0, False, ())


@pytest.mark.parametrize(
    ("configured", "runtime", "config", "found"),
    [
        ("/a/b.json", "/run/x", "/etc/films/config.yaml", "/a/b.json"),
        ("", "/run/x", "/etc/films/config.yaml", "/run/x/status.json"),
        ("", "", "/etc/films/config.yaml", "/run/films/status.json"),
        ("", "", "/home/me/config.yaml", "/run/subtitle-eraser/status.json"),
        ("", "", "", "/run/subtitle-eraser/status.json"),
    ],
)
def test_place_of_the_public_file(configured: str, runtime: str, config: str, found: str) -> None:
    """The configuration names it, else systemd, else the name of the service."""
    files = public_files(
        configured, Path(runtime) if runtime else None, Path(config) if config else None
    )
    assert [str(file) for file in files] == [found]
