"""An HDR film through the pipeline with the diffusion engine: what its painter sees, what stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from erasecore.engines.diffueraser.conditioning import Conditioning
from erasecore.engines.diffueraser.engine import NAME, DiffuEraser
from erasecore.engines.diffueraser.tone_mapping import PQ, tone_map
from erasecore.memory.ladder import Ladders
from erasecore.pipeline import erase
from erasecore.resources import ModelCache
from erasecore.settings import DiffusionSettings, EraseSettings, LimitSettings
from erasecore.video.probe import probe
from tests.clips import Caption, Coding, DrawnFilm, draw, write
from tests.detectors import BrightTextDetector
from tests.painters import PatternPainter


def test_networks_see_pq_as_on_an_ordinary_screen(tmp_path: Path) -> None:
    """The same signal, called PQ, is shown along the curve; ten bits and PQ come out again."""
    film = draw(frames=36, captions=[Caption("All of a shot", 6, 30)], pan=(0, 0), cuts=(12, 24))
    plain, bright = painted(tmp_path / "sdr", film, 1), painted(tmp_path / "hdr", film, PQ)
    assert np.array_equal(plain.holes, bright.holes)
    expected = 255 * tone_map(plain.frames.astype(np.float32) / np.float32(255), PQ)
    assert np.abs(bright.frames - expected).max() < 2
    assert np.abs(bright.frames - plain.frames.astype(np.float32)).mean() > 5


def painted(folder: Path, film: DrawnFilm, transfer: int) -> Conditioning:
    """What the painter was shown of ``film``, of which it had to make up the middle shot."""
    folder.mkdir()
    coding = Coding(codec="ffv1", pix_fmt="yuv420p10le", color=(9, transfer, 9), options={})
    source = write(folder / "film.mkv", film.shown, coding)
    settings = EraseSettings(
        engine=NAME, srt=False, diffusion=DiffusionSettings(min_error_levels=0.0)
    )
    pipeline, tools = (
        PatternPainter(),
        ModelCache(BrightTextDetector(), diffusion=settings.diffusion),
    )
    tools.engines[NAME] = DiffuEraser(settings.diffusion, pipeline, Ladders())
    report = erase(source, folder, settings, models=tools, observe=lambda _: None)
    assert report.frames_diffused == 12
    result = probe(folder / report.result, LimitSettings()).layout
    assert (result.bits, result.transfer) == (10, transfer)
    (scene,) = pipeline.shown
    return scene
