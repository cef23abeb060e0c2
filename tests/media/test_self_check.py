"""The self-check sees what is wrong with a result, and the report names what was left knowingly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from erasecore.detection.detector import Bgr, Detector, RapidOcrDetector, TextBox
from erasecore.engines.base import Engine, Filled, FilledFrame, Tick
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.errors import TextRemains
from erasecore.model.inpaint_input import InpaintInput
from erasecore.pipeline import erase
from erasecore.reports import Progress, ResidueReason, Stage
from erasecore.resources import ModelCache
from erasecore.settings import DetectSettings, EraseSettings, OnResidual, Region
from tests.clips import Caption, draw, make_film, write
from tests.engines.faulty import Faulty
from tests.media.erasing import ink_psnr, run

LINE = Caption("Where were you?", 8, 30)
HIGH = Caption("Nobody saw this one", 12, 30, bottom_share=0.8)


def smearing() -> Engine:
    """An engine that fills every hole with one shade."""

    def fill(strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        filled = PropagateEngine().fill(strip, prior, tick)
        return replace(filled, frames=tuple(map(_smeared, filled.frames)))

    return Faulty("smearing", fill)


def _smeared(frame: FilledFrame) -> FilledFrame:
    planes = tuple(
        np.full_like(plane, 225 if k == 0 else 128) for k, plane in enumerate(frame.planes)
    )
    return replace(frame, planes=planes)


class Nearsighted:
    """A detector that sees nothing in the upper half of a whole picture, until it is told to."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.looks_well = False

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """The lines in the picture, or in its lower half."""
        boxes = self._detector.detect(bgr)
        return boxes if self.looks_well else [box for box in boxes if box.box_xyxy[1] > 90]


def test_a_good_result_is_not_spoken_of(tmp_path: Path, detector: RapidOcrDetector) -> None:
    """No residue and no warning: in a still scene, and where a plate was taken away."""
    plated = Caption("Where were you?", 8, 30, plate_alpha=0.5)
    for number, (caption, pan) in enumerate([(LINE, (0, 0)), (plated, (2, 1))]):
        source = tmp_path / f"film{number}.mp4"
        write(source, draw(480, 270, 40, captions=[caption], pan=pan).shown)
        report = run(source, tmp_path / f"job{number}", ModelCache(detector))
        assert (report.residue, report.warnings) == ((), ())
        assert [event.passes for event in report.events] == [1]


def test_a_smear_is_residue_though_it_is_no_text(
    tmp_path: Path, detector: RapidOcrDetector
) -> None:
    """It comes and goes with the line: a second pass is tried, and what stays is told."""
    source = tmp_path / "film.mp4"
    write(source, draw(480, 270, 40, captions=[LINE], pan=(1, 0)).shown)
    models = ModelCache(detector, {"auto": smearing()})
    report = run(source, tmp_path / "job", models)
    (event,) = report.events
    assert (event.residual, event.passes, report.residual_events) == (True, 2, 1)
    (step,) = [one for one in report.residue if one.reason is ResidueReason.STEP]
    assert (step.start, step.stop, step.box_xyxy) == (event.start, event.stop, event.box_xyxy)
    assert step.evidence > 2.2
    assert len(report.warnings) == 1
    again = run(source, tmp_path / "job", models)
    assert again.segments_resumed == again.segments
    assert (again.residue, again.left, again.events) == (report.residue, report.left, report.events)
    strict = EraseSettings(on_residual=OnResidual.FAILED)
    with pytest.raises(TextRemains, match=r"1 place \(at 0:00:00\.3\)"):
        run(source, tmp_path / "strict", models, strict)


def test_a_line_that_detection_never_saw_is_found_at_other_moments(
    tmp_path: Path, detector: RapidOcrDetector
) -> None:
    """Far from the erased line, it comes and goes: the second pass takes it."""
    source, folder = tmp_path / "film.mp4", tmp_path / "job"
    folder.mkdir()
    film = make_film(source, [LINE, HIGH], frames=50)
    nearsighted = Nearsighted(detector)

    def watch(progress: Progress) -> None:
        nearsighted.looks_well = progress.stage is not Stage.DETECT

    models = ModelCache(nearsighted)
    report = erase(source, folder, EraseSettings(), models=models, observe=watch)
    high, low = sorted(report.events, key=lambda event: event.box_xyxy[1])
    assert (high.start, high.stop, high.passes, low.passes) == (12, 30, 2, 1)
    assert report.residue == ()
    assert ink_psnr(film, folder / report.result) > 28


def test_text_that_always_stands_is_named_with_the_setting_that_takes_it(
    tmp_path: Path, detector: RapidOcrDetector
) -> None:
    """Kept where the picture is still, and the film comes back untouched; its region takes it."""
    source = tmp_path / "film.mp4"
    logo = Caption("CHANNEL NINE", 0, 50, bottom_share=0.85, size_px=18)
    film = draw(480, 270, 50, captions=[logo], pan=(0, 0))
    write(source, np.where(film.alpha[..., None] > 0, film.shown, 90).astype(np.uint8))
    report = run(source, tmp_path / "job", ModelCache(detector))
    assert report.untouched
    (left,) = report.left
    assert (left.start, left.stop, left.always) == (0, 50, True)
    assert (left.start_seconds, left.stop_seconds) == (0.0, 2.0)
    assert left.setting == "detect.regions"
    top = Region(0.0, 0.0, 1.0, 0.3)
    settings = EraseSettings(detect=DetectSettings(regions=(top,)))
    taken = run(source, tmp_path / "again", ModelCache(detector), settings)
    assert len(taken.events) == 1
    assert taken.left == ()
