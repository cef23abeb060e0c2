"""What happens where a first pass leaves text: a second one, and honesty about what stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from erasecore.detection.detector import Bgr, Detector, RapidOcrDetector, TextBox
from erasecore.errors import Remedy, TextRemains
from erasecore.pipeline import PREVIEW, erase
from erasecore.reports import Progress, Stage
from erasecore.resources import ModelCache
from erasecore.settings import EraseSettings, OnResidual
from tests.clips import U8, Caption, draw, make_film, write
from tests.engines.faulty import blind, careless
from tests.media.erasing import ink_psnr, run

CAPTION = Caption("Where were you?", 8, 30)


def test_text_left_by_the_first_pass_goes_in_the_second(
    tmp_path: Path, detector: RapidOcrDetector
) -> None:
    """The second file takes the first one's place, and its record says that it was a second."""
    source = tmp_path / "film.mp4"
    film = make_film(source, [CAPTION])
    tools = ModelCache(detector, {"auto": careless()})
    report = run(source, tmp_path / "job", tools)
    (event,) = report.events
    assert (event.passes, event.residual, report.residual_events) == (2, False, 0)
    assert report.warnings == ()
    assert ink_psnr(film, tmp_path / "job" / report.result) > 27
    parts = sorted(path.name for path in (tmp_path / "job" / "segments").glob("*.mkv"))
    assert parts == ["0000.mkv"]


class Stopped(Exception):
    """Stands for a crash in the middle of the work."""


def test_a_crash_in_the_second_pass_loses_nothing(
    tmp_path: Path, detector: RapidOcrDetector
) -> None:
    """A segment whose second pass was cut short is not taken for finished: it is done anew."""
    source, folder = tmp_path / "film.mp4", tmp_path / "job"
    make_film(source, [CAPTION])
    folder.mkdir()

    def stop(progress: Progress) -> None:
        if progress.stage is Stage.ERASE and (folder / "segments" / "0000.mkv").exists():
            raise Stopped  # the first pass is encoded, the second is under way

    tools = ModelCache(detector, {"auto": careless()})
    with pytest.raises(Stopped):
        erase(source, folder, EraseSettings(), models=tools, observe=stop)
    assert list((folder / "segments").glob("*.json")) == []
    report = run(source, folder, ModelCache(detector))
    assert (report.segments_resumed, report.residual_events) == (0, 0)


def test_text_that_no_pass_removes_is_told(tmp_path: Path, detector: RapidOcrDetector) -> None:
    """The report counts it and warns with its time; the preview shows it; a resumed run agrees."""
    source = tmp_path / "film.mp4"
    make_film(source, [CAPTION])
    tools = ModelCache(detector, {"auto": blind()})
    report = run(source, tmp_path / "job", tools)
    (event,) = report.events
    assert (event.passes, event.residual, report.residual_events) == (2, True, 1)
    assert report.warnings[0] == "text is still seen in the place of 1 subtitle (at 0:00:00.3)"
    assert (tmp_path / "job" / PREVIEW).exists()
    again = run(source, tmp_path / "job", tools)
    assert again.segments_resumed == again.segments
    assert (again.events, again.warnings) == (report.events, report.warnings)


def test_a_film_with_text_left_can_be_refused(tmp_path: Path, detector: RapidOcrDetector) -> None:
    """With ``on_residual: failed`` an error for the sender names the times and what to do."""
    source = tmp_path / "film.mp4"
    make_film(source, [CAPTION])
    settings = EraseSettings(on_residual=OnResidual.FAILED)
    folder = tmp_path / "job"
    with pytest.raises(TextRemains, match=r"at 0:00:00\.3.*mask or regions") as caught:
        run(source, folder, ModelCache(detector, {"auto": blind()}), settings)
    assert caught.value.remedy is Remedy.FIX_INPUT
    assert not (folder / "result.mp4").exists()
    assert run(source, folder, ModelCache(detector, {"auto": blind()})).residual_events == 1


def two_colours(clean: U8) -> U8:
    """A line that is half white and half black, with no outline, on frames 8 to 30."""
    shown, font = clean.copy(), ImageFont.load_default(24)
    for frame in range(8, 30):
        picture = Image.fromarray(shown[frame])
        pen, x = ImageDraw.Draw(picture), 120.0
        for text, shade in (("Where were ", 255), ("you now?", 0)):
            pen.text((x, 225), text, font=font, fill=(shade,) * 3)
            x += pen.textlength(text, font=font)
        shown[frame] = np.asarray(picture)
    return shown


def test_letters_of_two_colours_in_one_line(tmp_path: Path, detector: RapidOcrDetector) -> None:
    """A line whose strokes are brighter and darker than the scene is gone in the end.

    The first pass alone, which finds the strokes of one colour, leaves it at 25.6 dB.
    """
    source = tmp_path / "film.mp4"
    film = draw(480, 270, 40)
    shown = two_colours(film.clean)
    write(source, shown)
    report = run(source, tmp_path / "job", ModelCache(detector))
    alpha = (np.abs(shown.astype(int) - film.clean).max(axis=-1) > 24).astype(np.float32)
    assert report.residual_events == 0
    assert ink_psnr(replace(film, alpha=alpha), tmp_path / "job" / report.result) > 36


class Overlooking:
    """A detector that sees only the lowest line of a picture, until it is told to look well."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.looks_well = False

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """The lines in the picture, or the lowest."""
        boxes = sorted(self._detector.detect(bgr), key=lambda box: box.box_xyxy[3])
        return boxes if self.looks_well else boxes[-1:]


def test_a_line_that_detection_overlooked(tmp_path: Path, detector: RapidOcrDetector) -> None:
    """The upper of two lines comes to light when the lower one is gone, and goes as well."""
    source, folder = tmp_path / "film.mp4", tmp_path / "job"
    folder.mkdir()
    film = make_film(source, [Caption("Where were you\nwhen it happened?", 8, 30)])
    overlooking = Overlooking(detector)

    def watch(progress: Progress) -> None:
        overlooking.looks_well = progress.stage is not Stage.DETECT

    tools = ModelCache(overlooking)
    report = erase(source, folder, EraseSettings(), models=tools, observe=watch)
    assert [(event.passes, event.residual) for event in report.events] == [(2, False), (1, False)]
    upper, lower = (event.box_xyxy for event in report.events)
    assert upper[3] < lower[1] + 8
    assert ink_psnr(film, folder / report.result) > 28


def test_a_line_too_faint_for_any_ink_to_be_told(
    tmp_path: Path, detector: RapidOcrDetector
) -> None:
    """Found by the detector, but not by its strokes: then its whole box is taken for ink.

    The first pass changes nothing and leaves it at 25.8 dB.
    """
    source = tmp_path / "film.mp4"
    drawn = draw(480, 270, 50, captions=[Caption("Where were you?", 8, 40, outline_px=0)])
    soft = np.stack([cv2.GaussianBlur(picture, (0, 0), 6) for picture in drawn.clean])
    share = 0.2 * drawn.alpha[..., None]
    write(source, np.rint(soft * (1 - share) + 255 * share).astype(np.uint8))
    report = run(source, tmp_path / "job", ModelCache(detector))
    (event,) = report.events
    assert event.ink_found
    assert report.residual_events == 0
    film = replace(drawn, clean=soft.astype(np.uint8))
    assert ink_psnr(film, tmp_path / "job" / report.result) > 36
