"""Films with bars: what is erased on them and over their edges, from the film to the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from erasecore.resources import ModelCache
from tests.clips import U8, Caption, DrawnFilm, draw, write
from tests.media.erasing import ink_psnr, run

CAPTION = Caption("Where were you?", 8, 32, bottom_share=0.16)


def barred(film: DrawnFilm, bar: int, first: int) -> DrawnFilm:
    """The film with a black bar from row ``bar`` on in the frames from ``first`` on."""

    def under(pictures: U8, alpha: float) -> U8:
        framed = pictures.astype(np.float32)
        ink = film.alpha[first:, bar:, :, None] * alpha
        text = (film.shown[first:, bar:] - (1 - ink) * film.clean[first:, bar:]) * (alpha > 0)
        framed[first:, bar:] = text
        return np.clip(framed, 0, 255).astype(np.uint8)

    return replace(film, clean=under(film.clean, 0.0), shown=under(film.shown, 1.0))


def test_a_line_over_a_cut_at_which_a_bar_comes(tmp_path: Path, tools: ModelCache) -> None:
    """Its black outline is nothing on the bar, and is erased from the picture before."""
    film = barred(draw(320, 180, 40, captions=(CAPTION,), pan=(5, 3), cuts=(20,)), 128, 20)
    write(tmp_path / "film.mp4", film.shown)
    report = run(tmp_path / "film.mp4", tmp_path / "job", tools)
    assert len(report.events) == 1
    assert ink_psnr(film, tmp_path / "job" / report.result) > 43


def test_a_line_whose_outline_touches_a_black_bar(tmp_path: Path, tools: ModelCache) -> None:
    """The outline on the picture is ink as well as that which nothing is beside."""
    film = barred(draw(320, 180, 40, captions=(CAPTION,), pan=(12, 5)), 149, 0)
    write(tmp_path / "film.mp4", film.shown)
    report = run(tmp_path / "film.mp4", tmp_path / "job", tools)
    assert len(report.events) == 1
    assert ink_psnr(film, tmp_path / "job" / report.result) > 24
