"""The drawn films are what they claim to be: otherwise no other test means anything."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.clips import Caption, draw, small_film
from tests.media.journeys import look


def test_text_is_where_and_when_the_truth_says() -> None:
    """Outside the alpha, and outside the caption's span, shown and clean pictures are equal."""
    film = draw(320, 180, 20, captions=[Caption("Two lines\nof text", 4, 15, plate_alpha=0.5)])
    bare = film.alpha == 0
    assert np.array_equal(film.shown[bare], film.clean[bare])
    inked = [t for t in range(20) if film.alpha[t].max() > 0]
    assert inked == list(range(4, 15))
    assert 0.99 < film.alpha.max() <= 1.0
    assert np.isclose(film.alpha[film.alpha > 0], 0.5, atol=0.01).mean() > 0.4


def test_fades_rise_and_fall() -> None:
    """Opacity grows over the fade, holds, and falls again."""
    caption = Caption("Fading", 5, 25, fade_frames=4)
    opacities = [caption.opacity_at(t) for t in range(30)]
    assert opacities[4] == opacities[25] == 0
    assert opacities[5:10] == sorted(opacities[5:10])
    assert opacities[9:21] == [1.0] * 12


def test_the_same_seed_draws_the_same_film_and_cuts_change_the_scene() -> None:
    """Films are reproducible; a cut shows another scene, a pan the same one moved."""
    first, again = draw(160, 96, 12, seed=3, cuts=[6]), draw(160, 96, 12, seed=3, cuts=[6])
    assert np.array_equal(first.shown, again.shown)
    step = np.abs(np.diff(first.clean.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert step[5] > 2 * max(np.delete(step, 5))
    assert np.array_equal(first.clean[1][:-1, :-2], first.clean[0][1:, 2:])


def test_the_small_film_is_the_one_described(tmp_path: Path) -> None:
    """320x180, 38 frames at 25 a second: what the process tests count on."""
    film = small_film(tmp_path / "film.mp4")
    video, timeline = look(tmp_path / "film.mp4")
    assert (video.width, video.height, len(timeline)) == (320, 180, 38)
    assert video.rate == Fraction(25)
    assert film.frames == 38
    assert (film.captions[0].start, film.captions[0].stop) == (8, 30)
