"""Killed at every fault point there is, the program goes on: nothing lost, doubled or torn.

A film's way is walked point by point: killed at the first, started again, killed at the second,
and so on; the last start is left alone. So each recovery is itself interrupted by the next kill.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest

from daemon.folders.checks import total_bytes
from daemon.storage.failpoints import FAILPOINTS
from tests.clips import Caption, Coding, clean_film, draw, write
from tests.process.house import REPOSITORY, House, armed
from tests.process.quick_worker import SRT

FILM = "companions\nsegments 4\n"
BAD_FILM = "raise FIX_INPUT\n"
BESIDE = ("film.mp4.erase.yaml", "film.mp4.plan.yaml", "film.srt")
PLACES = ("inbox", "work", "originals", "failed")

STARTING = ("instance.after_hidden", "instance.after_folder")
CLAIMING = (
    *("claim.after_mkdir", "claim.after_folder", "claim.after_rename", "claim.after_sidecar"),
    *("claim.after_cues", "claim.after_film_plan", "claim.after_claimed", "claim.after_mask"),
    "claim.after_queued",
)
TAKING_OVER = (
    *("takeover.after_owner", "takeover.after_job", "takeover.after_jobs", "leave.after_files"),
)
ATTEMPTING = (
    *("attempt.after_begin", "recover.after_save", "attempt.after_start", "worker.after_start"),
    *("worker.before_outcome", "attempt.after_report", "attempt.after_outcome"),
)
PUBLISHING = (
    *("publish.after_plan", "publish.after_report", "publish.after_log", "publish.after_preview"),
    *("publish.after_subtitles", "publish.after_sidecars", "publish.after_link"),
    *("publish.after_settings", "publish.after_cues", "publish.after_film_plan"),
    "publish.after_original",
    *("publish.after_done", "history.after_record", "discard.after_aside"),
)
REJECTING = (
    *("attempt.after_failure", "reject.after_explanation", "reject.after_plan"),
    *("reject.after_error", "reject.after_log", "reject.after_settings", "reject.after_cues"),
    *("reject.after_film_plan", "reject.after_sidecars", "reject.after_link"),
    *("reject.after_failed", "discard.after_removal"),
)
REQUEUEING = (
    *("requeue.after_settings", "requeue.after_cues", "requeue.after_film_plan"),
    *("requeue.after_film", "requeue.after_log"),
)
ACROSS = ("move.after_block", "move.after_copy", "move.after_rename", "move.after_unlink")
TAKING_BACK = ("undo.after_file", "undo.after_all")
RENEWING = ("attempt.after_products", "attempt.after_renewal")
HANDING_BACK = ("attempt.after_hand_back",)
SALVAGING = ("recover.after_salvage",)
REFUSING = ("attempt.after_refusal",)
DOUBTING = ("attempt.after_doubt",)
ERASING = (
    *("workspace.after_clearing", "workspace.after_stamp"),
    *("detect.after_timeline", "detect.after_events"),
    *("segment.after_video", "segment.after_second", "segment.after_previews"),
    *("segment.after_record", "assemble.after_part", "assemble.after_result"),
    *("assemble.after_preview", "verify.after_check", "subtitles.after_file"),
)
COPYING = ("copy.after_result",)
REQUESTING = (
    *("request.after_record", "takeover.after_request", "request.after_removal"),
    *("request.after_step", "request.after_answer"),
)
STEERING = (
    *("attempt.after_cancel", "attempt.after_preference", "pause.after_file", "resume.after_file"),
    *("left.after_file", "unclaim.after_intent", "unclaim.after_file"),
    *("redo.after_settings", "redo.after_film"),
)
"""These and ``REQUESTING`` are those of ``test_control.py``."""
ELSEWHERE = ("stop.after_copy", "withdraw.after_save")
"""Those of ``test_publishing.py`` and ``test_job_isolation.py``."""
NOTIFYING = (
    *("notify.after_event", "notify.after_publication", "notify.after_store"),
    *("notify.after_begin", "notify.after_send"),
)
"""Those of ``test_notify.py``."""
IN_UNIT_TESTS = ("move.after_reserve",)  # no filesystem here knows neither NOREPLACE nor links

KILLED_AT = (
    *(*STARTING, *CLAIMING, *TAKING_OVER, *ATTEMPTING, *PUBLISHING, *REJECTING, *REQUEUEING),
    *(
        *ACROSS,
        *TAKING_BACK,
        *RENEWING,
        *HANDING_BACK,
        *SALVAGING,
        *REFUSING,
        *DOUBTING,
        *ERASING,
        *COPYING,
        *REQUESTING,
        *STEERING,
        *ELSEWHERE,
    ),
    *NOTIFYING,
    *IN_UNIT_TESTS,
)


def test_no_failpoint_is_forgotten() -> None:
    """Every fault point of the program is one that a test here kills it at."""
    assert Counter(KILLED_AT) == Counter(FAILPOINTS)


# --- what must hold -------------------------------------------------------------------------------


def copies_of(house: House, content: bytes) -> list[str]:
    """In which of the places for sources a film of just this content lies."""
    found = []
    for place in PLACES:
        for path in (house.root / place).rglob("*"):
            hidden = path.name.startswith(".") or path.name.startswith("result")
            if path.is_file() and not hidden and path.read_bytes() == content:
                found.append(place)
    return found


def check_source(house: House, content: bytes, point: str) -> None:
    """The source lies in one place; in two only for the moment between copying and removing."""
    places = copies_of(house, content)
    assert len(places) == 1 or (point == "move.after_rename" and 1 <= len(places) <= 2), (
        point,
        places,
    )


def check_visible(house: House, content: bytes, point: str) -> None:
    """What can be seen in done/ under a film's name is a whole result, its sidecars beside it."""
    for name in house.films("done"):
        assert (house.done / name).read_bytes() == content, point
        for ending in (".report.json", ".log", ".preview.jpg"):
            assert (house.done / f"{name}{ending}").exists(), (point, ending)
        assert (house.done / name).with_suffix(".und.srt").exists(), point


def check_tidy(house: House) -> None:
    """Nothing is left over: no job, no half of a copy."""
    assert house.work_is_empty()
    for folder in ("inbox", "done", "failed", "originals"):
        left = [one for one in house.files(folder) if Path(one).name.startswith(".")]
        assert left == [], folder


def drop_all(house: House, film: str) -> None:
    """A film with everything that may lie beside one."""
    house.drop("masks/logo.png", "a mask")
    house.drop(BESIDE[0], "encode: {crf: 20}\nmask: masks/logo.png")
    house.drop(BESIDE[1], "a plan")
    house.drop(BESIDE[2], "cues")
    house.drop("film.mp4", film)


def walk(house: House, points: tuple[str, ...], film: str = FILM) -> None:
    """Kill the program at one point after the other."""
    for point in points:
        house.configure(retry={"max_attempts": 100})
        code = house.once(FAULT_AT=point)
        assert code == -signal.SIGKILL, f"{point} was not reached; {house.tell()}"
        check_source(house, film.encode(), point)
        check_visible(house, film.encode(), point)


def check_done(house: House) -> None:
    """The film went to done/ once, whole, with all sidecars; its source went to originals/."""
    assert house.films("done") == house.films("originals") == ["film.mp4"]
    assert (house.done / "film.mp4").read_text() == FILM
    assert (house.done / "film.und.srt").read_text() == SRT
    assert house.files("originals") == ["film.mp4", *BESIDE]
    assert house.files("inbox") == ["masks/logo.png"]
    assert house.report("film.mp4")["source"] == "film.mp4"
    told = [json.loads(line) for line in (house.root / "companions").read_text().splitlines()]
    assert told
    assert all(one == {"cues.srt": "cues", "mask": "a mask"} for one in told)
    made = Counter((house.root / "made").read_text().splitlines())
    assert len(made) == 4
    assert set(made.values()) == {1}, "a finished segment was done again"
    check_tidy(house)


# --- the ways -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "points",
    [(*STARTING, *CLAIMING, *TAKING_OVER), ATTEMPTING, PUBLISHING],
    ids=["to the queue", "through the attempt", "to done"],
)
def test_killed_on_the_way_to_done(house: House, points: tuple[str, ...]) -> None:
    """A film that is well is done once, however often the power is cut on its way."""
    drop_all(house, FILM)
    walk(house, points)
    assert house.once() == 0
    check_done(house)


def test_killed_on_the_way_to_failed_and_back(house: House) -> None:
    """A film that cannot be done is in failed/ once, explained; requeued, it comes back whole."""
    drop_all(house, BAD_FILM)
    walk(house, REJECTING, BAD_FILM)
    assert house.once() == 0
    explained = ["film.mp4", *BESIDE, "film.mp4.error.json", "film.mp4.log"]
    assert house.files("failed") == sorted(explained)
    check_tidy(house)
    for point in REQUEUEING:
        assert requeue_film(house, FAULT_AT=point) == -signal.SIGKILL, point
        check_source(house, BAD_FILM.encode(), point)
    assert requeue_film(house) == 0
    assert house.files("failed") == []
    assert house.files("inbox") == sorted(["film.mp4", *BESIDE, "masks/logo.png"])


def requeue_film(house: House, **environment: str) -> int:
    """The exit code of ``requeue film.mp4``."""
    argv = [sys.executable, "-m", "daemon", "requeue", "film.mp4", "--config", str(house.config)]
    variables = {**os.environ, **armed(environment)}
    done = subprocess.run(
        argv, cwd=REPOSITORY, env=variables, capture_output=True, timeout=60, check=False
    )
    return done.returncode


@pytest.fixture
def elsewhere(house: House) -> Iterator[House]:
    """A house whose results and originals lie on another filesystem than its inbox."""
    far = Path(tempfile.mkdtemp(dir="/dev/shm"))
    assert far.stat().st_dev != house.root.stat().st_dev
    for name in ("done", "originals"):
        (far / name).mkdir()
        (house.root / name).rmdir()
        (house.root / name).symlink_to(far / name)
    yield house
    house.close()
    shutil.rmtree(far)


def test_killed_between_filesystems(elsewhere: House) -> None:
    """Results and originals that are copied to another disk are there whole, and only there."""
    drop_all(elsewhere, FILM)
    walk(elsewhere, ACROSS)
    walk(elsewhere, ("publish.after_link", *ACROSS))
    assert elsewhere.once() == 0
    check_done(elsewhere)


def test_killed_while_taking_back_a_name(house: House) -> None:
    """When another file takes the name half-way, all that was published gets another one."""
    drop_all(house, FILM)
    walk(house, ("publish.after_sidecars",))
    (house.done / "film.mp4").write_text("another")
    for point in TAKING_BACK:
        assert house.once(FAULT_AT=point) == -signal.SIGKILL, point
        check_source(house, FILM.encode(), point)
    assert house.once() == 0
    assert (house.done / "film.mp4").read_text() == "another"
    assert (house.done / "film (2).mp4").read_text() == FILM
    assert sorted(one for one in house.files("done") if not one.startswith("film (2)")) == [
        "film.mp4"
    ]
    check_tidy(house)


def test_killed_while_starting_anew(house: House) -> None:
    """A film that its sender changed under the attempt is done from its final state."""
    house.drop("film.mp4", "wait\n")
    for point in RENEWING:
        daemon = house.start("once", FAULT_AT=point)
        house.wait(partial(daemon.said, "attempt.started"))
        (source,) = house.work.rglob("source.mp4")
        source.write_text(FILM)
        (house.root / "go").touch()
        assert daemon.wait() == -signal.SIGKILL, point
        check_source(house, FILM.encode(), point)
    assert house.once() == 0
    assert house.films("done") == ["film.mp4"]
    assert (house.done / "film.mp4").read_text() == FILM
    check_tidy(house)


def test_killed_while_handing_back(house: House) -> None:
    """Killed while it leaves, a daemon loses nothing of the film that it puts back."""
    house.drop("film.mp4", "segments 2\nwait\nsegments 4\n")
    daemon = house.start(FAULT_AT=HANDING_BACK[0])
    house.wait(lambda: house.segments() == 2)
    daemon.process.terminate()
    house.wait(lambda: daemon.said("service.draining"))
    daemon.process.terminate()
    assert daemon.wait() == -signal.SIGKILL
    (house.root / "go").touch()
    assert house.once() == 0
    report = house.report("film.mp4")
    assert report["report"]["segments_resumed"] == 2
    assert [one["counted"] for one in report["attempts"]] == [False, True]
    check_tidy(house)


def test_killed_while_salvaging(house: House) -> None:
    """A film whose job file is damaged is in failed/ once, even if that is interrupted."""
    house.drop("film.mp4", FILM)
    walk(house, ("claim.after_queued",))
    (job,) = house.work.rglob("job.json")
    job.write_text("{")
    walk(house, SALVAGING)
    assert house.once() == 1
    assert copies_of(house, FILM.encode()) == ["failed"]
    check_tidy(house)


def test_killed_while_refusing(house: House) -> None:
    """A film that no disk here could hold is in failed/ once, even if that is interrupted."""
    house.configure(folders={"free_factor": 2 * total_bytes(house.work) / len(FILM)})
    house.drop("film.mp4", FILM)
    for point in ("claim.after_queued", REFUSING[0]):
        assert house.once(FAULT_AT=point) == -signal.SIGKILL, point
        check_source(house, FILM.encode(), point)
    assert house.once() == 1
    assert copies_of(house, FILM.encode()) == ["failed"]
    check_tidy(house)


def test_killed_while_a_film_is_waited_for(house: House) -> None:
    """A film that may be unfinished is given its time, even if the power is cut meanwhile."""
    house.configure(inbox={"young_seconds": 4.0})
    house.drop("film.mp4", BAD_FILM)
    daemon = house.start("once", FAULT_AT=DOUBTING[0])
    assert daemon.wait() == -signal.SIGKILL
    check_source(house, BAD_FILM.encode(), DOUBTING[0])
    assert house.once() == 1
    assert copies_of(house, BAD_FILM.encode()) == ["failed"]
    check_tidy(house)


@pytest.mark.budget(240)
def test_killed_in_the_pipeline(house: House) -> None:
    """Real films: what is finished of them is never done again, whatever the worker dies at."""
    house.configure(
        erase={"segment_seconds": 2.0, "engine": "tests.engines.faulty:careless"},
        retry={"max_attempts": 100, "delay_seconds": 0.0},
    )
    captions = [Caption("Hello there", 6, 18), Caption("Second line", 26, 42)]
    film = house.root / "film.mp4"
    write(film, draw(frames=48, captions=captions).shown, Coding(rate=Fraction(12)))
    house.drop("film.mp4", film.read_bytes())
    for point in ERASING:
        kill_real_worker(house, point, film)
    clean_film(house.root / "clean.mp4")
    house.drop("clean.mp4", (house.root / "clean.mp4").read_bytes())
    kill_real_worker(house, COPYING[0], film)
    assert house.once(quick=False) == 0
    assert house.films("done") == house.films("originals") == ["clean.mp4", "film.mp4"]
    assert (house.done / "clean.mp4").read_bytes() == (house.root / "clean.mp4").read_bytes()
    told = (house.done / "film.mp4.log").read_text()
    report = house.report("film.mp4")["report"]
    assert report["segments"] == report["segments_resumed"] == 2
    assert all(told.count(f"segment.stored number={number} ") <= 1 for number in (0, 1))
    assert told.count("text.found") <= 2  # once more when killed before it was stored
    check_tidy(house)


def kill_real_worker(house: House, point: str, film: Path) -> None:
    """Let the real program die at a point of its pipeline."""
    code = house.once(quick=False, FAULT_AT=point)
    assert code == -signal.SIGKILL, f"{point} was not reached; {house.tell()}"
    check_source(house, film.read_bytes(), point)


def test_a_failpoint_needs_the_switch_that_no_service_has(house: House) -> None:
    """The variable alone, as it may come into a service's environment, arms nothing."""
    house.drop("film.mp4", FILM)
    assert house.once(SUBTITLE_ERASER_FAULT_AT="publish.after_plan") == 0
    assert house.films("done") == ["film.mp4"]
