"""What the diffusion engine takes from its painter, what it leaves alone, and what it shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from erasecore.engines.base import Filled, Origin, check_filled
from erasecore.engines.diffueraser.engine import DiffuEraser, InpaintPipeline
from erasecore.engines.diffueraser.rgb import U16_PER_LEVEL, to_rgb
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.errors import OutOfMemory
from erasecore.memory.ladder import Ladders
from erasecore.model.inpaint_input import ContextCrop, InpaintInput, NearbyText, reduce_mask
from erasecore.settings import DiffusionSettings
from erasecore.video.color import Plane, PlaneLayout, as_plane
from tests.painters import PatternPainter, TruthPainter

LAYOUTS = [
    PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False),
    PlaneLayout("yuv420p10le", 10, 1, 1, 3, full_range=False, matrix=9),
    PlaneLayout("yuv422p", 8, 1, 0, 3, full_range=True),
    PlaneLayout("yuv444p12le", 12, 0, 0, 3, full_range=False),
    PlaneLayout("gbrp", 8, 0, 0, 3, full_range=True, rgb=True),
    PlaneLayout("gray", 8, 0, 0, 1, full_range=True),
]
COLOUR, GRAY = LAYOUTS[0], LAYOUTS[-1]
FRAMES, HEIGHT, WIDTH = 12, 48, 96
CUTS = (4, 8)
SHOTS = range(0, 4), range(4, 8), range(8, 12)
INK = np.s_[16:26, 24:60]


def texture(layout: PlaneLayout, height: int, width: int, seed: int = 7) -> list[Plane]:
    """Planes of a random scene."""
    random = np.random.default_rng(seed)
    planes: list[Plane] = []
    for plane in range(layout.planes):
        rows, columns = layout.plane_size(plane, width, height)
        coarse = random.uniform(40, 210, (rows // 4 + 2, columns // 4 + 2))
        wide = coarse.repeat(4, axis=0).repeat(4, axis=1) * layout.scale
        planes.append(as_plane(wide[:rows, :columns], layout))
    return planes


def make_strip(layout: PlaneLayout = COLOUR) -> InpaintInput:
    """Three shots that stand still; in the second the ink is never away, in the others it is.

    So the propagate engine recovers the first and the last shot, and makes up the middle one.
    """
    scenes = [texture(layout, HEIGHT, WIDTH, seed) for seed in range(3)]
    planes = tuple(
        as_plane(
            np.stack([scene[plane].astype(np.int32) for scene in scenes for _ in range(4)]), layout
        )
        for plane in range(layout.planes)
    )
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[1][INK] = True
    mask_of = np.array([int(2 <= frame < 10) for frame in range(FRAMES)], np.intp)
    for frame in range(2, 10):
        planes[0][frame][INK] = layout.peak
    return InpaintInput(
        planes=planes,
        masks=masks,
        mask_of=mask_of,
        fill_start=1,
        fill_stop=11,
        cuts=CUTS,
        thumbnails=np.zeros((FRAMES, 8, 16), np.float32),
        thumbnail_scale=6.0,
        layout=layout,
    )


def surrounded(strip: InpaintInput, *, text: bool = False) -> InpaintInput:
    """``strip`` as a part of a larger picture, in which there may be other text."""
    left, top, height, width = 200, 60, 300, 500
    wide = []
    for index, stack in enumerate(strip.planes):
        rows, columns = strip.layout.plane_size(index, width, height)
        x = left >> (strip.layout.shift_x if index else 0)
        y = top >> (strip.layout.shift_y if index else 0)
        whole = texture(strip.layout, height, width, 9)[index]
        large = as_plane(np.stack([whole.astype(np.int32)] * FRAMES), strip.layout)
        assert large.shape[1:] == (rows, columns)
        large[:, y : y + stack.shape[1], x : x + stack.shape[2]] = stack
        wide.append(large)
    texts: tuple[NearbyText, ...] = ()
    if text:
        wide[0][3:9, 120:140, 220:300] = strip.layout.peak
        texts = (NearbyText(3, 9, (220, 120, 300, 140)),)
    return replace(strip, context=ContextCrop(tuple(wide), left, top, texts))


def fill(
    strip: InpaintInput,
    pipeline: InpaintPipeline,
    *,
    ladders: Ladders | None = None,
    **settings: float,
) -> Filled:
    """What the engine makes of ``strip``."""
    wished = replace(DiffusionSettings(min_error_levels=0.0), **settings)  # type: ignore[arg-type]
    engine = DiffuEraser(wished, pipeline, ladders or Ladders())
    filled = engine.fill(strip, None, lambda _: None)
    check_filled("diffueraser", strip, filled)
    return filled


def same(one: Filled, other: Filled) -> bool:
    """Whether two fills are equal in every sample and origin."""
    return all(
        all(map(np.array_equal, a.planes, b.planes)) and np.array_equal(a.origin, b.origin)
        for a, b in zip(one.frames, other.frames, strict=True)
    )


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.pix_fmt)
@pytest.mark.parametrize("wide", [False, True], ids=["strip alone", "with surroundings"])
def test_recovered_pixels_stay_bit_for_bit(layout: PlaneLayout, wide: bool) -> None:
    """Only what the propagate engine made up changes, and all of it does; the rest is its own."""
    strip = surrounded(make_strip(layout)) if wide else make_strip(layout)
    prior = PropagateEngine().fill(strip, None, lambda _: None)
    filled = fill(strip, PatternPainter())
    for frame, (before, after) in enumerate(zip(prior.frames, filled.frames, strict=True), start=1):
        invented = before.origin == Origin.INVENTED
        assert invented.all() == (frame in SHOTS[1]) or not invented.size
        assert np.array_equal(after.origin == Origin.DIFFUSED, invented)
        changed = before.planes[0] != after.planes[0]
        assert not (changed & ~invented).any()
        assert changed[invented].mean() > 0.9 if invented.any() else not changed.any()
        for one, other in zip(before.planes[1:], after.planes[1:], strict=True):
            assert invented.any() or np.array_equal(one, other)
        assert np.array_equal(before.error, after.error)


@pytest.mark.parametrize("transfer", [1, 16, 18], ids=["SDR", "PQ", "HLG"])
@pytest.mark.parametrize("steps", [U16_PER_LEVEL, 1], ids=["as painted", "in 8 bits"])
def test_a_film_of_ten_bits_gets_ten_bits(transfer: int, steps: int) -> None:
    """A sky whose light changes slowly is painted without bands, each sample within one level.

    In 8 bits it would have bands: several samples of one level, then a step.
    """
    layout = replace(LAYOUTS[1], transfer=transfer)
    ramp = np.tile(500 + np.arange(WIDTH), (HEIGHT, 1))
    colours = [np.full(layout.plane_size(1, WIDTH, HEIGHT), 512)] * 2
    sky = tuple(as_plane(np.stack([plane] * FRAMES), layout) for plane in (ramp, *colours))
    truth = to_rgb(tuple(plane[0].astype(np.float32) / layout.scale for plane in sky), layout)
    picture = (np.rint(truth * steps) * (U16_PER_LEVEL // steps)).astype(np.uint16)
    strip = replace(make_strip(layout), planes=sky)
    filled = fill(strip, TruthPainter(picture))
    for frame in SHOTS[1]:
        found = np.zeros((HEIGHT, WIDTH), int)
        found[strip.mask(frame)] = filled.frames[frame - strip.fill_start].planes[0]
        sky_rows = found[INK][2:-2, 2:-2]
        levels = len(np.unique(sky_rows))
        if steps == U16_PER_LEVEL:
            assert np.abs(found[INK] - ramp[INK]).max() <= 1
            assert levels >= sky_rows.shape[1]
        else:
            assert levels < sky_rows.shape[1]


def test_a_colour_sample_between_recovered_and_made_up_is_mixed() -> None:
    """Colour samples change only where made-up luma lies under them."""
    strip = make_strip()
    prior = PropagateEngine().fill(strip, None, lambda _: None)
    frame = prior.frames[5 - strip.fill_start]
    half = frame.origin.copy()
    half[: half.size // 2] = Origin.PROPAGATED  # the upper half of the ink
    frames = list(prior.frames)
    frames[5 - strip.fill_start] = replace(frame, origin=half)
    engine = DiffuEraser(DiffusionSettings(min_error_levels=0.0), PatternPainter(), Ladders())
    filled = engine.fill(strip, Filled(tuple(frames)), lambda _: None).frames[5 - strip.fill_start]
    lower = strip.mask(5).copy()
    lower[:21] = False
    small, hole = reduce_mask(lower, strip.layout), reduce_mask(strip.mask(5), strip.layout)
    for before, after in zip(frame.planes[1:], filled.planes[1:], strict=True):
        assert np.array_equal(before[~small[hole]], after[~small[hole]])
        assert (before != after)[small[hole]].mean() > 0.8


def test_up_to_the_share_the_painter_is_not_asked() -> None:
    """Where little enough is made up the result is the propagate engine's, and it costs nothing."""
    strip, pipeline = make_strip(), PatternPainter()
    filled = fill(strip, pipeline, min_invented_share=1.0)
    assert same(filled, PropagateEngine().fill(strip, None, lambda _: None))
    assert pipeline.plans == []


def test_the_painter_sees_one_crop_of_one_shot_without_ink() -> None:
    """At least 256 pixels a side, only frames of the shot, holes marked and filled by the prior."""
    strip, pipeline = surrounded(make_strip(GRAY)), PatternPainter()
    fill(strip, pipeline)
    (scene,), (wanted,) = pipeline.shown, pipeline.wanted
    assert scene.frames.shape == (4, 256, 256, 3)
    assert wanted == [0, 1, 2, 3]
    assert scene.holes.any(axis=(1, 2)).all()
    assert int(scene.frames.max()) < 250  # the ink, at the peak, is nowhere
    assert scene.holes[0].sum() < 0.05 * scene.holes[0].size
    known = ~scene.holes
    assert (scene.frames[0] == scene.frames[3])[known[0] & known[3]].all()  # it stands still


def test_other_text_in_the_surroundings_is_a_hole_too() -> None:
    """The networks are not to learn letters from a line that belongs to another clip."""
    strip, pipeline = surrounded(make_strip(GRAY), text=True), PatternPainter()
    plain = fill(surrounded(make_strip(GRAY)), PatternPainter())
    filled = fill(strip, pipeline)
    (scene,) = pipeline.shown
    assert int(scene.frames.max()) < 250
    assert scene.holes[0].sum() > 1500 + 300
    assert [f.origin.tolist() for f in filled.frames] == [f.origin.tolist() for f in plain.frames]


def test_ink_of_context_frames_is_a_hole() -> None:
    """Frames that another part of a long event fills are shown as context, not with their ink."""
    strip, pipeline = replace(make_strip(GRAY), fill_start=5, fill_stop=7), PatternPainter()
    fill(strip, pipeline)
    (scene,), (wanted,) = pipeline.shown, pipeline.wanted
    assert (len(scene.frames), wanted) == (4, [1, 2])
    assert scene.holes.any(axis=(1, 2)).all()
    assert int(scene.frames.max()) < 250


@pytest.mark.parametrize("most", [2, 1])
def test_the_result_does_not_depend_on_the_rung(most: int) -> None:
    """Fewer windows at once make the same pixels; the report tells how far down it went."""
    strip, ladders = make_strip(), Ladders()
    pipeline = PatternPainter(fits=lambda plan, _: plan.windows_per_batch <= most)
    assert same(fill(strip, pipeline, ladders=ladders), fill(strip, PatternPainter()))
    (report,) = ladders.close()
    expected = ("2 windows", 1) if most == 2 else ("1 window", 2)
    assert (report.rung, report.steps_down) == expected
    assert report.work == "diffueraser 256x256 cpu"


def test_rungs_of_smaller_pictures_still_fill_the_hole() -> None:
    """Where only half the size fits, what is painted is enlarged; all else holds as before."""
    strip = make_strip()
    pipeline = PatternPainter(fits=lambda _, size: size[0] <= 128)
    filled = fill(strip, pipeline)
    (scene,) = pipeline.shown
    assert scene.frames.shape[1:] == (128, 128, 3)
    assert scene.holes.any()
    large = fill(strip, PatternPainter())
    assert [f.origin.tolist() for f in filled.frames] == [f.origin.tolist() for f in large.frames]
    assert not same(filled, large)


def test_where_nothing_fits_the_prior_stays_if_that_is_allowed() -> None:
    """The last rung is the propagate engine's fill; without it, memory is what is short."""
    strip, nothing = make_strip(), PatternPainter(fits=lambda _plan, _size: False)
    filled = fill(strip, nothing)
    assert same(filled, PropagateEngine().fill(strip, None, lambda _: None))
    assert len(nothing.plans) == 8
    with pytest.raises(OutOfMemory):
        fill(strip, nothing, allow_propagate=False)


def test_it_shows_signs_of_life_in_order() -> None:
    """The share told rises from the prior's first frames to 1."""
    shares: list[float] = []
    engine = DiffuEraser(DiffusionSettings(min_error_levels=0.0), PatternPainter(), Ladders())
    engine.fill(make_strip(), None, shares.append)
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] == 1.0
