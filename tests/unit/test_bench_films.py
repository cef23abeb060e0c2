"""The bench on films of its own making: cases, scores and joined films."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.baselines import METHODS
from bench.cases import Case, Recipe, build_case, load_case
from bench.fonts import DEMO_FONT, write_demo_font
from bench.media import I420, BenchError, FilmFile, open_film, read_pictures, write_film
from bench.pictures import save_side_by_side
from bench.score import score_result
from bench.speed import joined_film
from bench.styles import ALWAYS, Pace, Style
from bench.takes import Take

WIDTH, HEIGHT, FRAMES, RATE = 320, 180, 75, Fraction(25)
RECIPE = Recipe("film", "plain", 0.4)
STYLE = Style(font=DEMO_FONT, size=0.15, words=("Some text", "More of it"))


def pictures() -> Iterator[I420]:
    """A film of soft blobs that drift to the right."""
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 256, (HEIGHT * 3 // 2, WIDTH * 2), np.uint8)
    wide = cv2.GaussianBlur(noise, (0, 0), 4).astype(np.uint8, copy=False)
    for frame in range(FRAMES):
        yield wide[:, FRAMES - frame : FRAMES - frame + WIDTH]


def write_clip(path: Path) -> FilmFile:
    """Have that film on the disk."""
    like = FilmFile(path, WIDTH, HEIGHT, RATE, FRAMES, has_audio=False, color_options=())
    write_film(path, pictures(), like)
    return open_film(path)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A case burned into that film with the demo's own font."""
    folder = tmp_path_factory.mktemp("bench")
    write_clip(folder / "film.mp4")
    fonts = write_demo_font(folder / "fonts")
    build_case(folder / "case", folder / "film.mp4", RECIPE, [STYLE], fonts)
    return load_case(folder / "case")


def test_a_film_is_known_again(tmp_path: Path) -> None:
    """Size, rate and frame count come back, and each picture is the one that went in."""
    film = write_clip(tmp_path / "film.mp4")
    facts = (film.width, film.height, film.rate, film.frames_estimate)
    assert facts == (WIDTH, HEIGHT, RATE, FRAMES)
    pairs = zip(read_pictures(film.path), pictures(), strict=True)
    assert max(float(np.abs(a.astype(int) - b).mean()) for a, b in pairs) < 2


def test_events_begin_and_end_with_their_cues(case: Case) -> None:
    """Each event covers exactly the frames in which its cue is drawn, inside its box."""
    assert [(e.start, e.stop) for e in case.events] == [(10, 38), (38, 68)]
    masks = case.masks()
    for event in case.events:
        left, top, right, bottom = event.box
        drawn = masks.union(event.start, event.stop)
        assert drawn.sum() == drawn[top:bottom, left:right].sum() > 100
    inside = {frame for e in case.events for frame in range(e.start, e.stop)}
    assert {frame for frame in range(len(masks)) if masks.any_at(frame)} == inside


def test_two_subtitles_at_once_are_told_apart(tmp_path: Path) -> None:
    """A line that stays and one that changes above it are events with boxes of their own."""
    write_clip(tmp_path / "film.mp4")
    styles = [
        replace(STYLE, words=("It stays",), pace=ALWAYS),
        replace(STYLE, words=("One", "Other"), pace=Pace((1.0,), (0,)), margin=0.4),
    ]
    fonts = write_demo_font(tmp_path / "fonts")
    build_case(tmp_path / "case", tmp_path / "film.mp4", RECIPE, styles, fonts)
    both = load_case(tmp_path / "case")
    assert [(e.start, e.stop, e.text) for e in both.events] == [
        (10, 68, "It stays"),
        (20, 45, "One"),
        (45, 68, "Other"),
    ]
    low, high = both.events[0].box, both.events[1].box
    assert high[3] <= low[1]
    assert both.events_at(30) == both.events[:2]
    masks = both.masks()
    assert masks[30][: high[3]].any() and masks[30][low[1] :].any()


def test_a_case_can_be_part_of_a_clip(tmp_path: Path) -> None:
    """A take is cut and cropped as asked, and the clean film shows just that, frame for frame."""
    write_clip(tmp_path / "film.mp4")
    fonts = write_demo_font(tmp_path / "fonts")
    recipe = replace(RECIPE, take=Take(1.0, 1.6, "crop=160:180:80:0"))
    build_case(tmp_path / "case", tmp_path / "film.mp4", recipe, [STYLE], fonts)
    part = load_case(tmp_path / "case")
    assert (part.width, part.height, part.frames) == (160, 180, 40)
    wanted = list(read_pictures(tmp_path / "film.mp4"))[25:65]
    for picture, whole in zip(read_pictures(part.clean), wanted, strict=True):
        assert float(np.abs(picture[:180].astype(int) - whole[:180, 80:240]).mean()) < 2


def test_the_clean_film_is_perfect(case: Case) -> None:
    """The clean film scores as well as anything can, the subtitled one badly."""
    clean = score_result(case, case.clean, None)
    assert (clean.psnr_mask, clean.psnr_box, clean.flicker, clean.detail) == (99, 99, 0, 1)
    assert clean.ssim_box == pytest.approx(1)
    hardsub = score_result(case, case.hardsub, None)
    assert hardsub.psnr_mask < 20
    assert hardsub.psnr_out == 99


def test_oracle_is_better_than_nothing(case: Case, tmp_path: Path) -> None:
    """The baselines that need no detector give films to be scored, in their known order."""
    scores = {}
    for method in ("identity", "delogo", "oracle"):
        METHODS[method](case, tmp_path / f"{method}.mp4")
        scores[method] = score_result(case, tmp_path / f"{method}.mp4", None).psnr_mask
    assert scores["identity"] < 20 < scores["delogo"]
    assert scores["oracle"] > 25


def test_a_frame_too_few_is_an_error(case: Case, tmp_path: Path) -> None:
    """A result that lacks a frame has no score."""
    short = tmp_path / "short.mp4"
    write_film(short, list(read_pictures(case.hardsub))[:-1], open_film(case.hardsub))
    with pytest.raises(BenchError, match="not 75 frames"):
        score_result(case, short, None)


def test_joined_films_are_long_enough(case: Case, tmp_path: Path) -> None:
    """A film of a minute lasts a minute at least, scaled, and is made once only."""
    film = joined_film([case.hardsub, case.clean], 90, 1, tmp_path)
    found = open_film(film)
    assert (found.width, found.height) == (160, 90)
    assert 1500 <= found.frames_estimate < 1500 + 2 * FRAMES
    made = film.stat().st_mtime_ns
    assert joined_film([case.hardsub, case.clean], 90, 1, tmp_path).stat().st_mtime_ns == made
    assert [path.name for path in tmp_path.iterdir()] == ["90p_1min.mp4"]


def test_before_and_after_lie_side_by_side(case: Case, tmp_path: Path) -> None:
    """The picture shows both films, whole and close."""
    box = case.events[0].box
    save_side_by_side(case.hardsub, case.clean, 20, box, tmp_path / "picture.jpg")
    picture = cv2.imread(str(tmp_path / "picture.jpg"))
    assert picture is not None
    left, right = picture[:, :640].astype(int), picture[:, -640:].astype(int)
    assert picture.shape[1] == 1288
    assert np.abs(left - right).max() > 100
