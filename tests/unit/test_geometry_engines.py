"""Fills and motion on random strips: one pixel, one frame, holes of any kind and place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasecore.engines.base import Origin, check_filled
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.engines.propagate.holes import find_holes
from erasecore.model.inpaint_input import InpaintInput, UnblendedPixels
from erasecore.motion.flow import Motion
from erasecore.motion.inpaint_spatial import coherence_weights, membrane
from tests import geometry

pytestmark = pytest.mark.filterwarnings("error")


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_the_fill_of_any_strip(data: st.DataObject) -> None:
    """Every hole is filled with samples of the right number, type and range."""
    strip = data.draw(geometry.strips(frames=3))
    filled = PropagateEngine().fill(strip, None, lambda _: None)
    check_filled("propagate", strip, filled)
    for frame in filled.frames:
        assert set(frame.origin.tolist()) <= {origin.value for origin in Origin}
        assert np.isfinite(frame.error.astype(np.float32)).all()
        assert all(int(plane.max(initial=0)) <= strip.layout.peak for plane in frame.planes)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_fill_of_a_translucent_strip(data: st.DataObject) -> None:
    """Frames whose background was solved for are taken over, also at the crop's edges."""
    strip = data.draw(geometry.strips())
    seen = {
        frame: UnblendedPixels(tuple(stack[frame] for stack in strip.planes), strip.masks[1], 2.0)
        for frame in range(0, strip.frames, 2)
    }
    lit = InpaintInput(
        **{name: getattr(strip, name) for name in InpaintInput.__slots__ if name != "seen_through"},
        seen_through=seen,
    )
    check_filled("propagate", lit, PropagateEngine().fill(lit, None, lambda _: None))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_holes_of_any_mask(data: st.DataObject) -> None:
    """Zones lie in the strip and hold the hidden samples; lists agree in length."""
    strip = data.draw(geometry.strips())
    height, width = strip.masks.shape[1:]
    for hole in find_holes(strip):
        left, top, right, bottom = hole.zone
        assert 0 <= left <= right <= width
        assert 0 <= top <= bottom <= height
        assert not (hole.mask & ~hole.hidden).any()
        assert len(hole.zone_index[0]) == int(hole.hidden.sum()) == len(hole.inside)
        assert len(hole.zone_index[1]) == len(hole.colour_to_luma) == len(hole.colour_inside)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_motion_of_any_strip(data: st.DataObject) -> None:
    """Flow between two frames is finite, or there is none."""
    strip = data.draw(geometry.strips())
    motion = Motion(strip, strip.masks)
    frames = st.integers(0, strip.frames - 1)
    first = data.draw(frames)
    flow = motion.flow(first, data.draw(frames))
    if flow is not None:
        rows, columns = np.nonzero(strip.mask(first))
        for places in flow.warp_points(rows, columns):
            assert np.isfinite(places).all()


@settings(max_examples=50, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_membranes_over_any_hole(data: st.DataObject, size: tuple[int, int]) -> None:
    """A soap film keeps what is outside the hole, and stays within the picture's range."""
    hole = data.draw(geometry.masks(size))
    picture = np.random.default_rng(3).uniform(20, 200, size).astype(np.float32)
    for weights in (None, coherence_weights(picture, hole)):
        filled = membrane(picture, hole, weights=weights)
        assert filled.shape == picture.shape
        assert np.isfinite(filled).all()
