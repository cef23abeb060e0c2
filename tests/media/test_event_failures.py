"""An error while one event is read, inked, recovered or checked costs that event, not the film."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structlog.typing import EventDict

from erasecore.detection.detector import Bgr, TextBox
from erasecore.engines.base import Engine, Filled, Tick
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.errors import NothingErased, OutOfMemory, Remedy, TextRemains
from erasecore.model.events import Reading
from erasecore.model.inpaint_input import InpaintInput
from erasecore.pipeline import SUBTITLES, erase
from erasecore.reports import EraseReport, Progress, Stage
from erasecore.resources import ModelCache
from erasecore.settings import EraseSettings, OnResidual
from tests.clips import Caption, DrawnFilm, draw, write
from tests.detectors import BrightTextDetector
from tests.engines.faulty import Faulty
from tests.media.erasing import planes_of

SHORT = Caption("Where now?", 8, 28)
LONG = Caption("It was over there when I came", 34, 54)
TOGETHER = Caption("It was over there when I came", 8, 28, bottom_share=0.3)
WIDE_PX = 250
"""Wider than the short caption, narrower than the long ones."""


class RaisingEngine:
    """Fills well, but raises an error where a hole is wide."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def make(self) -> Engine:
        """Return it as an engine."""

        def fill(strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
            for frame in range(strip.fill_start, strip.fill_stop):
                columns = np.flatnonzero(strip.mask(frame).any(axis=0))
                if columns.size and int(np.ptp(columns)) > WIDE_PX:
                    raise self._error
            return PropagateEngine().fill(strip, prior, tick)

        return Faulty("raising", fill)


class RaisingRecognizer:
    """Reads every line as "seen", but raises an error for a wide one."""

    def read(self, line: Bgr) -> Reading:
        """Read one line."""
        if line.shape[1] > WIDE_PX:
            raise IndexError("index 48 is out of bounds")
        return Reading("seen", 0.99, 0.99, 1.0)


class RaisingDetector:
    """Detects bright text; once ``armed`` raises an error for dark pictures."""

    def __init__(self) -> None:
        self.armed = False
        self._detector = BrightTextDetector()

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """Detect the bright lines."""
        if self.armed and float(np.median(bgr)) < 60:
            raise ValueError("too dark for me")
        return self._detector.detect(bgr)


def film(path: Path, *captions: Caption, dark_from: int = 60) -> DrawnFilm:
    """A dim film whose only bright pixels are the captions; darker from one frame on."""
    drawn = draw(480, 270, 60, captions=captions)
    clean = np.clip(drawn.clean, 70, 160)
    clean[dark_from:] //= 4
    shown = np.where(drawn.alpha[..., None] > 0, drawn.shown, clean).astype(np.uint8)
    write(path, shown)
    return replace(drawn, clean=clean, shown=shown)


def run(folder: Path, models: ModelCache, settings: EraseSettings | None = None) -> EraseReport:
    """Erase the film in ``folder``."""
    (folder / "job").mkdir(exist_ok=True)

    def observe(progress: Progress) -> None:
        if isinstance(models.detector, RaisingDetector):
            models.detector.armed = progress.stage is not Stage.DETECT

    settings = settings or EraseSettings(srt=False)
    return erase(folder / "film.mp4", folder / "job", settings, models=models, observe=observe)


def check_left(folder: Path, report: EraseReport, number: int, reason: str) -> None:
    """Event ``number`` is left and told; the other one is erased, and no pixel of the first."""
    events = report.events
    assert [event.left == reason for event in events] == [k == number for k in range(len(events))]
    assert [event.residual for event in events] == [k == number for k in range(len(events))]
    assert report.residual_events == 1
    assert any(reason in warning for warning in report.warnings)
    left, erased = events[number], events[1 - number]
    source, result = (planes_of(path) for path in (folder / "film.mp4", folder / "job/result.mp4"))
    for event, differs in ((left, False), (erased, True)):
        x0, y0, x1, y1 = event.box_xyxy
        middle = (event.start + event.stop) // 2
        before, after = (film[middle][0][y0:y1, x0:x1].astype(int) for film in (source, result))
        assert (float(np.abs(before - after).mean()) > 8) is differs


@pytest.mark.errors_logged
def test_an_engine_that_fails_for_one_event(tmp_path: Path, log_records: list[EventDict]) -> None:
    """Two lines one after the other, in one clip: the other one is erased all the same."""
    film(tmp_path / "film.mp4", SHORT, LONG)
    engine = RaisingEngine(ZeroDivisionError("division by zero")).make()
    report = run(tmp_path, ModelCache(BrightTextDetector(), {"auto": engine}))
    check_left(tmp_path, report, 1, "ZeroDivisionError: division by zero")
    failed = [record for record in log_records if record["event"] == "event.failed"]
    assert failed
    assert all(record["exc_info"] for record in failed)
    again = run(tmp_path, ModelCache(BrightTextDetector(), {"auto": engine}))
    assert again.events == report.events
    assert again.segments_resumed == again.segments


@pytest.mark.errors_logged
def test_a_line_that_cannot_be_read(tmp_path: Path) -> None:
    """Two lines at a time: the one that is read is erased, and the only one in the .srt."""
    film(tmp_path / "film.mp4", SHORT, TOGETHER)
    models = ModelCache(BrightTextDetector(), recognizer=RaisingRecognizer())
    report = run(tmp_path, models, EraseSettings())
    wide = [event.box_xyxy[2] - event.box_xyxy[0] > WIDE_PX for event in report.events]
    check_left(tmp_path, report, wide.index(True), "IndexError: index 48 is out of bounds")
    assert (tmp_path / "job" / SUBTITLES).read_text("utf-8").count("-->") == 1


@pytest.mark.errors_logged
def test_an_event_that_cannot_be_checked(tmp_path: Path) -> None:
    """The segment is made once more, without it."""
    film(tmp_path / "film.mp4", SHORT, LONG, dark_from=31)
    report = run(tmp_path, ModelCache(RaisingDetector()))
    check_left(tmp_path, report, 1, "ValueError: too dark for me")


@pytest.mark.errors_logged
def test_on_residual_failed_refuses_a_film_with_an_event_left(tmp_path: Path) -> None:
    """An event that was left is text that is left."""
    film(tmp_path / "film.mp4", SHORT, LONG)
    engine = RaisingEngine(ZeroDivisionError("division by zero")).make()
    settings = EraseSettings(srt=False, on_residual=OnResidual.FAILED)
    with pytest.raises(TextRemains, match="in 1 place"):
        run(tmp_path, ModelCache(BrightTextDetector(), {"auto": engine}), settings)


@pytest.mark.errors_logged
def test_a_film_whose_every_event_fails_is_not_published(tmp_path: Path) -> None:
    """Nothing was erased, so there is no result; a person must see to it."""
    film(tmp_path / "film.mp4", LONG)
    engine = RaisingEngine(ZeroDivisionError("division by zero")).make()
    with pytest.raises(NothingErased, match=r"its only subtitle \(ZeroDivisionError") as caught:
        run(tmp_path, ModelCache(BrightTextDetector(), {"auto": engine}))
    assert caught.value.remedy is Remedy.FIX_CODE
    assert not (tmp_path / "job" / "result.mp4").exists()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(5, "Input/output error"), OSError),  # a disk
        (MemoryError(), OutOfMemory),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), RuntimeError),
    ],
    ids=["disk", "memory", "card"],
)
def test_what_concerns_all_events_ends_the_attempt(
    tmp_path: Path, error: Exception, raised: type[Exception]
) -> None:
    """Disks, memory and graphics cards are not one event's."""
    film(tmp_path / "film.mp4", SHORT, LONG)
    with pytest.raises(raised):
        run(tmp_path, ModelCache(BrightTextDetector(), {"auto": RaisingEngine(error).make()}))
