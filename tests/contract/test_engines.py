"""What every engine promises, ours and those that tests plug in."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from erasecore.engines.base import Engine, Filled, FilledFrame, Origin, check_filled
from erasecore.engines.diffueraser.engine import DiffuEraser
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.engines.registry import EngineContext, choose_auto, make_engine
from erasecore.errors import EngineMisbehaved, EngineMissing, Remedy, WeightsMissing
from erasecore.memory.ladder import Ladders
from erasecore.model.inpaint_input import InpaintInput, reduce_mask
from erasecore.settings import DiffusionSettings, HostSettings
from erasecore.video.color import Plane, PlaneLayout, as_plane
from erasecore.weights.manifest import Manifest, write_manifest
from tests.painters import PatternPainter
from tests.tinyweights import write_tiny_weights

LAYOUTS = [
    PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False),
    PlaneLayout("yuv420p10le", 10, 1, 1, 3, full_range=False),
    PlaneLayout("yuv422p", 8, 1, 0, 3, full_range=False),
    PlaneLayout("yuv444p10le", 10, 0, 0, 3, full_range=True),
    PlaneLayout("gray", 8, 0, 0, 1, full_range=True),
]


def make_strip(
    layout: PlaneLayout,
    *,
    frames: int = 6,
    size: tuple[int, int] = (48, 96),
    hole: bool = True,
    cuts: tuple[int, ...] = (),
) -> tuple[InpaintInput, list[Plane]]:
    """A panning random scene with a hole that is open in the first and last frame; its truth."""
    height, width = size
    random = np.random.default_rng(7)
    truth: list[Plane] = []
    for plane in range(layout.planes):
        rows, columns = layout.plane_size(plane, width, height)
        coarse = random.uniform(40, 210, (rows // 4 + 8, columns // 4 + 8))
        wide = coarse.repeat(4, axis=0).repeat(4, axis=1) * layout.scale
        truth.append(as_plane(np.stack([wide[:rows, :columns]] * frames), layout))
    masks = np.zeros((2, height, width), bool)
    if hole:
        masks[1, height // 3 : height // 2, width // 4 : width // 2] = True
    mask_of = np.array([0, *[1] * (frames - 2), 0][:frames], np.intp)
    planes = tuple(plane.copy() for plane in truth)
    for frame in range(frames):
        planes[0][frame][masks[mask_of[frame]]] = layout.peak
    strip = InpaintInput(
        planes=planes,
        masks=masks,
        mask_of=mask_of,
        fill_start=min(1, frames - 1),
        fill_stop=max(1, frames - 1),
        cuts=cuts,
        thumbnails=np.zeros((frames, 8, 16), np.float32),
        thumbnail_scale=6.0,
        layout=layout,
    )
    return strip, truth


class Mean:
    """A test double: the mean of what surrounds the hole. It keeps the same contract."""

    traits = PropagateEngine.traits

    def fill(self, strip: InpaintInput, prior: Filled | None, tick: object) -> Filled:
        """One value for each plane."""
        del prior, tick
        frames = []
        for index in range(strip.fill_start, strip.fill_stop):
            mask = strip.mask(index)
            masks = [mask, *[reduce_mask(mask, strip.layout)] * (len(strip.planes) - 1)]
            planes = tuple(
                np.full(int(m.sum()), stack[index][~m].mean(), stack.dtype)
                for m, stack in zip(masks, strip.planes, strict=True)
            )
            count = int(mask.sum())
            origin = np.full(count, Origin.INVENTED, np.uint8)
            frames.append(FilledFrame(planes, origin, np.ones(count, np.float16)))
        return Filled(tuple(frames))


ENGINES = {
    "propagate": PropagateEngine(),
    "diffueraser": DiffuEraser(DiffusionSettings(), PatternPainter(), Ladders()),
    "double": Mean(),
}


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
class TestEngine:
    """The protocol, engine by engine."""

    @pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.pix_fmt)
    @pytest.mark.parametrize("size", [(48, 96), (49, 97)])
    def test_fits_the_strip(
        self, engine: Engine, layout: PlaneLayout, size: tuple[int, int]
    ) -> None:
        """Counts, types and planes fit, in every layout, at odd sizes too."""
        strip, _ = make_strip(layout, size=size)
        filled = engine.fill(strip, None, lambda _: None)
        check_filled(engine.traits.name, strip, filled)
        for frame in filled.frames:
            assert np.isfinite(frame.error).all()
            known = {Origin.PROPAGATED, Origin.INVENTED, Origin.DIFFUSED}
            assert set(np.unique(frame.origin)) <= known
            assert max(int(plane.max()) for plane in frame.planes) <= layout.peak

    def test_takes_a_single_frame(self, engine: Engine) -> None:
        """Without any other frame to look at the hole is filled all the same."""
        strip, _ = make_strip(LAYOUTS[0], frames=3)
        single = InpaintInput(
            planes=tuple(plane[1:2] for plane in strip.planes),
            masks=strip.masks,
            mask_of=strip.mask_of[1:2],
            fill_start=0,
            fill_stop=1,
            cuts=(),
            thumbnails=strip.thumbnails[1:2],
            thumbnail_scale=strip.thumbnail_scale,
            layout=strip.layout,
        )
        filled = engine.fill(single, None, lambda _: None)
        check_filled(engine.traits.name, single, filled)
        assert int(filled.frames[0].planes[0].max()) < 255

    def test_an_empty_hole_needs_nothing(self, engine: Engine) -> None:
        """Frames without ink come back with no samples."""
        strip, _ = make_strip(LAYOUTS[0], hole=False)
        filled = engine.fill(strip, None, lambda _: None)
        check_filled(engine.traits.name, strip, filled)
        assert all(frame.planes[0].size == 0 for frame in filled.frames)

    def test_same_strip_same_samples(self, engine: Engine) -> None:
        """Nothing is left to chance, and the strip is not touched."""
        strip, _ = make_strip(LAYOUTS[0])
        before = [plane.copy() for plane in strip.planes]
        first, second = (engine.fill(strip, None, lambda _: None) for _ in range(2))
        for one, other in zip(first.frames, second.frames, strict=True):
            assert all(map(np.array_equal, one.planes, other.planes))
        assert all(map(np.array_equal, before, strip.planes))


def test_propagate_copies_what_other_frames_show() -> None:
    """A still scene, the hole open before and after: the true pixels come back, and it says so."""
    strip, truth = make_strip(LAYOUTS[0])
    filled = PropagateEngine().fill(strip, None, lambda _: None)
    mask = strip.masks[1]
    for offset, frame in enumerate(filled.frames):
        assert np.abs(frame.planes[0].astype(int) - truth[0][1 + offset][mask]).max() <= 1
        assert (frame.origin == Origin.PROPAGATED).all()


def test_propagate_copies_nothing_across_a_cut() -> None:
    """With cuts on both sides of the hole nothing is seen elsewhere: all of it is invented."""
    strip, _ = make_strip(LAYOUTS[0], cuts=(1, 5))
    filled = PropagateEngine().fill(strip, None, lambda _: None)
    assert all((frame.origin == Origin.INVENTED).all() for frame in filled.frames)


def test_propagate_shows_signs_of_life() -> None:
    """The share told rises from near 0 to 1."""
    shares: list[float] = []
    strip, _ = make_strip(LAYOUTS[0])
    PropagateEngine().fill(strip, None, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_propagate_holds_a_few_frames_however_many_there_are() -> None:
    """What it holds beside the strip is that of a dozen frames: 330 bytes a pixel, not 430."""
    strip, _ = make_strip(LAYOUTS[0], frames=40, size=(160, 480))
    tracemalloc.start()
    try:
        PropagateEngine().fill(strip, None, lambda _: None)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 380 * strip.masks[0].size


def test_an_engine_that_breaks_its_contract_is_named() -> None:
    """Too few frames or samples of a wrong type are our fault, not the film's."""
    strip, _ = make_strip(LAYOUTS[0])
    good = Mean().fill(strip, None, None)
    with pytest.raises(EngineMisbehaved, match=r"propagate.* 3 frames for 4") as caught:
        check_filled("propagate", strip, Filled(good.frames[:-1]))
    assert caught.value.remedy is Remedy.FIX_CODE
    first = good.frames[0]
    wrong = FilledFrame(
        tuple(plane.astype(np.float32) for plane in first.planes),  # type: ignore[misc]
        first.origin,
        first.error,
    )
    with pytest.raises(EngineMisbehaved, match="float32"):
        check_filled("propagate", strip, Filled((wrong, *good.frames[1:])))


def test_an_unknown_engine_is_a_fault_of_the_host() -> None:
    """Its name and those that exist are in the sentence."""
    for name in ("magic", "diffueraser", "no_such_module:engine", "erasecore:engine"):
        with pytest.raises(EngineMissing, match=name) as caught:
            make_engine(name)
        assert caught.value.remedy is Remedy.FIX_HOST
    assert make_engine("auto").traits.name == "propagate"


def test_auto_says_why_it_does_not_diffuse(tmp_path: Path) -> None:
    """No folder, no weights; in each case the propagate engine, a reason, and no torch loaded."""
    for models, reason in (("", "models.folder"), (str(tmp_path), "models fetch")):
        choice = choose_auto(HostSettings(models=models))
        assert choice.engine == "propagate"
        assert reason in choice.reason


def test_auto_does_not_do_with_less_what_was_fetched(tmp_path: Path) -> None:
    """Weights that were fetched and are gone in part stop a host that has a card, and no other."""
    models = write_tiny_weights(tmp_path / "models")
    host = HostSettings(models=str(models), state=str(tmp_path))
    lora = models / "PCM_Weights/sd15/pcm_sd15_smallcfg_2step_converted.safetensors"
    lora.unlink()
    assert choose_auto(host, lambda: True).engine == "propagate"
    write_manifest(models, Manifest())
    assert choose_auto(host, lambda: False).engine == "propagate"
    with pytest.raises(WeightsMissing, match=lora.name):
        choose_auto(host, lambda: True)


def test_diffusion_without_weights_names_the_command_that_fetches_them(tmp_path: Path) -> None:
    """The operator mends it; the queue waits."""
    with pytest.raises(WeightsMissing, match="models fetch") as caught:
        make_engine("diffueraser", EngineContext(HostSettings(models=str(tmp_path))))
    assert caught.value.remedy is Remedy.FIX_HOST
