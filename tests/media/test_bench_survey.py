"""The survey of the bench: a film goes through, and what would be diffused is written down."""

from __future__ import annotations

from pathlib import Path

from bench.cases import Case
from bench.survey import run_survey
from tests.clips import small_film


def test_a_film_is_surveyed(tmp_path: Path) -> None:
    """Each frame with ink counts once; ours diffuses no more of them, at no more than they cost."""
    film = small_film(tmp_path / "hardsub.mp4")
    row = run_survey(Case("small", tmp_path, 320, 180, film.frames, ()))
    (caption,) = film.captions
    assert abs(row.inked_frames - (caption.stop - caption.start)) <= 2
    assert row.sizes == "256x256"
    assert row.diffused_frames <= row.inked_frames
    assert row.selective_tflop <= row.strip_tflop
    assert 0 < row.strip_share < 0.45
