"""The check of the picture outside the ink sees every plane: wrong chroma is not published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from erasecore.errors import VerifyFailed
from erasecore.model.events import Event
from erasecore.review.outside_mask_psnr import OutsideMaskPsnr, ReferenceFrames
from erasecore.video.color import Planes, as_plane
from erasecore.video.formats import layout_of
from tests.clips import Coding, draw, write
from tests.media.erasing import planes_of

EVENT = Event(2, 20, 2, 20, (120.0, 220.0, 360.0, 250.0), 20.0, 0.9)
Change = Callable[[Planes], Planes]


def check(tmp_path: Path, coding: Coding, change: Change, encoded: Coding | None = None) -> float:
    """PSNR of a drawn film's luma that was encoded once more, its planes changed by ``change``."""
    film = draw(480, 270, 24)
    source = planes_of(write(tmp_path / "source.mkv", film.shown, coding))
    made = planes_of(write(tmp_path / "made.mkv", film.shown, encoded or coding))
    references = ReferenceFrames(len(source), tmp_path)
    source_layout = layout_of(coding.pix_fmt, full_range=False)
    made_layout = layout_of((encoded or coding).pix_fmt, full_range=False)
    outside = OutsideMaskPsnr(references, (EVENT,), source_layout, made_layout)
    for index, (before, after) in enumerate(zip(source, made, strict=True)):
        references.keep(index, tuple(as_plane(plane, source_layout) for plane in before))
        outside.add_frame(index, change(after))
    psnr = outside.check(tmp_path / "made.mkv")
    assert psnr is not None
    return psnr


def mirrored(planes: Planes) -> Planes:
    """Both chroma planes the wrong way round."""
    return (planes[0], *(plane[:, ::-1] for plane in planes[1:]))


def swapped(planes: Planes) -> Planes:
    """Blue for red."""
    return planes[0], planes[2], planes[1]


def shifted(planes: Planes) -> Planes:
    """Both chroma planes eight samples to the side."""
    return (planes[0], *(np.roll(plane, 8, axis=1) for plane in planes[1:]))


def zeroed(planes: Planes) -> Planes:
    """One chroma plane lost."""
    return planes[0], planes[1], np.zeros_like(planes[2])


def neutral(planes: Planes) -> Planes:
    """One chroma plane without colour."""
    return planes[0], np.full_like(planes[1], 128 if planes[1].max() < 256 else 512), planes[2]


def unchanged(planes: Planes) -> Planes:
    """As encoded."""
    return planes


CODINGS = [
    Coding(pix_fmt="yuv420p"),
    Coding(pix_fmt="yuv422p"),
    Coding(pix_fmt="yuv444p"),
    Coding(pix_fmt="yuv420p10le"),
]


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.pix_fmt)
@pytest.mark.parametrize("change", [mirrored, swapped, shifted, zeroed, neutral])
def test_wrong_chroma_is_refused(tmp_path: Path, coding: Coding, change: Change) -> None:
    """The luma is 99 dB; the error names the plane."""
    with pytest.raises(VerifyFailed, match=r"chroma \(C[br]\) is \d+\.\d dB"):
        check(tmp_path, coding, change)


@pytest.mark.parametrize("crf", ["16", "30", "51"])
@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.pix_fmt)
def test_chroma_as_encoders_make_it_passes(tmp_path: Path, coding: Coding, crf: str) -> None:
    """At the best and at the worst quality that can be asked for."""
    lossy = Coding(pix_fmt=coding.pix_fmt, options={"crf": crf, "preset": "veryfast"})
    assert check(tmp_path, coding, unchanged, lossy) > 20


def test_another_subsampling_passes(tmp_path: Path) -> None:
    """An encoder that knows 4:2:0 only is given a 4:4:4 film."""
    assert check(tmp_path, CODINGS[2], unchanged, CODINGS[0]) > 40
    with pytest.raises(VerifyFailed):
        check(tmp_path, CODINGS[2], swapped, CODINGS[0])


def test_noise_that_an_encoder_loses_is_no_wrong_chroma(tmp_path: Path) -> None:
    """Noise of the chroma may be lost, since nobody sees it; not if it is another plane's."""
    layout = layout_of("yuv420p", full_range=False)
    random = np.random.default_rng(3)
    luma, flat = np.full((270, 480), 120, np.uint8), np.full((135, 240), 128.0)
    noisy = np.clip(flat + random.normal(0, 30, (2, *flat.shape)), 0, 255).astype(np.uint8)
    lost = np.clip(noisy + random.normal(0, 4, noisy.shape), 0, 255).astype(np.uint8)
    references = ReferenceFrames(1, tmp_path)
    references.keep(0, (luma, *noisy))
    for chroma, refused in ((lost, False), (noisy[:, :, ::-1], True)):
        outside = OutsideMaskPsnr(references, (EVENT,), layout, layout)
        outside.add_frame(0, (luma, *chroma))
        if refused:
            with pytest.raises(VerifyFailed):
                outside.check(tmp_path / "made.mkv")
        else:
            assert outside.check(tmp_path / "made.mkv") == 99.0
