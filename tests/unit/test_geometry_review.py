"""Residual text, previews and the PSNR outside the ink, on random geometry."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasecore.detection.detector import Bgr, TextBox
from erasecore.model.clips import EventShare, Picture
from erasecore.model.events import Detection
from erasecore.review.known_text import KnownText
from erasecore.review.outside_mask_psnr import OutsideMaskPsnr, ReferenceFrames
from erasecore.review.preview import Snapshots, save_preview
from erasecore.review.residual_text import ResidualTextChecker
from erasecore.review.self_check import CheckPlan, SelfCheck
from erasecore.review.text_probe import TextProbe
from erasecore.settings import Region
from erasecore.video.color import PlaneLayout
from tests import geometry
from tests.geometry import picture

pytestmark = pytest.mark.filterwarnings("error")


class EverywhereDetector:
    """Finds text in all of every picture, and in its left half; refuses empty pictures."""

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """Return both boxes."""
        assert min(bgr.shape) > 0
        height, width = bgr.shape[:2]
        boxes = (0.0, 0.0, float(width), float(height)), (0.0, 0.0, width / 2, float(height))
        return [TextBox(box, 0.9) for box in boxes]


class LineDetector:
    """Finds one line of text near the top of every picture."""

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """Return its box."""
        height, width = bgr.shape[:2]
        return [TextBox((0.02 * width, 0.03 * height, 0.9 * width, 0.17 * height), 0.9)]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts)
def test_residual_text(data: st.DataObject, size: tuple[int, int], layout: PlaneLayout) -> None:
    """Any events and any segment are checked; the findings name known events only."""
    events = tuple(data.draw(st.lists(geometry.events(size), max_size=4, unique=True)))
    frames = data.draw(st.integers(1, 12))
    start = data.draw(st.integers(0, frames - 1))
    stop = data.draw(st.integers(start + 1, frames))
    scene = tuple((event, "scene") for event in events[:1]) if data.draw(st.booleans()) else ()
    cuts = tuple(sorted(data.draw(st.sets(st.integers(1, 12), max_size=2))))
    checker = ResidualTextChecker(
        Picture(*size, layout),
        Detection(events, scene, cuts, frames),
        EverywhereDetector(),
        (start, stop),
        regions=(Region(0.0, 0.0, 1.0, 1.0),) if data.draw(st.booleans()) else (),
    )
    for frame in range(start, stop):
        checker.check_frame(frame, picture(layout, size, frame), picture(layout, size, frame + 1))
    findings = checker.findings()
    assert findings.residual <= set(findings.boxes_by_event) <= set(events)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts)
def test_self_check(data: st.DataObject, size: tuple[int, int], layout: PlaneLayout) -> None:
    """No check ends in an error (it would be logged), whatever is found, and wherever."""
    events = tuple(data.draw(st.lists(geometry.events(size), max_size=2, unique=True)))
    frames = data.draw(st.integers(4, 14))
    detection = Detection(events, (), (5,), frames)
    plan = CheckPlan(Picture(*size, layout), detection, (0, frames), rate=4.0)
    check = SelfCheck(plan, LineDetector())
    for frame in range(frames):
        text = (2, 4, 110, 20) if frame % 9 > 2 else None
        before = picture(layout, size, 0, text=text)
        check.check_frame(frame, before, picture(layout, size, frame % 2, text=text))
    findings = check.findings()
    assert set(findings.residues_by_event) <= set(events)
    assert not findings.failed


@settings(max_examples=100, deadline=None)
@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts)
def test_zones_lie_in_the_picture(
    data: st.DataObject, size: tuple[int, int], layout: PlaneLayout
) -> None:
    """The rows around an event are a part of the picture with at least one pixel."""
    event = data.draw(geometry.events(size))
    known = KnownText(Picture(*size, layout), Detection((event,), (), (), 10))
    left, top, right, bottom = known.zone(event)
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_probes_of_any_box(data: st.DataObject, size: tuple[int, int]) -> None:
    """Text is detected in the part of a probe that the box covers, if there is any."""
    width, height = size
    bgr = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    left, top = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 40))
    probe = TextProbe(bgr, left, top, data.draw(st.sampled_from((0.2, 0.5, 1.0))))
    box = data.draw(geometry.boxes(size))
    assert all(len(found) == 4 for found in probe.detect_text(EverywhereDetector(), box))
    assert probe.fine_structure(box, 12).ndim == 2


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_previews_of_any_event(data: st.DataObject, size: tuple[int, int]) -> None:
    """Every picture that is stored can be loaded again, also of events at or beyond the edges."""
    events = data.draw(st.lists(geometry.events(size), min_size=1, max_size=4, unique=True))
    shares = tuple(EventShare(event, 0, 0, 0, 0, 0.5) for event in events)
    snapshots = Snapshots.plan(shares, 0, 12)
    shown = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 90, np.uint8), format="bgr24")
    for frame in range(12):
        for snapshot in snapshots.at(frame):
            snapshot.take(shown, shown)
    with TemporaryDirectory() as name:
        folder = Path(name)
        names = snapshots.save_hardest([(True, 0.5)] * len(shares), folder, prefix="0000")
        save_preview([(folder / stored, "caption") for stored in names.values()], folder / "p.jpg")
        assert (folder / "p.jpg").exists() == bool(names)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts)
def test_the_picture_outside(
    data: st.DataObject, size: tuple[int, int], layout: PlaneLayout
) -> None:
    """An equal film passes, whatever the events cover; a film that is all ink is not compared."""
    events = tuple(data.draw(st.lists(geometry.events(size), max_size=3)))
    frames = data.draw(st.integers(1, 4))
    with TemporaryDirectory() as name:
        references = ReferenceFrames(frames, Path(name))
        outside = OutsideMaskPsnr(references, events, layout, layout)
        for frame in range(frames):
            references.keep(frame, picture(layout, size, frame))
            outside.add_frame(frame, picture(layout, size, frame))
        assert outside.check(Path(name)) in (None, 99.0)
