"""The judge of real films and the agreement of two labellings, on drawn pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.media import I420, BenchError, to_i420
from bench.wild import agreement
from bench.wild.build import encode
from bench.wild.imprint import BOTTOM, LEFT, RIGHT, TOP, Imprint, ImprintSum, free_sides
from bench.wild.kinds import Coding
from bench.wild.real import LABELS, Eye, Label, Labels, imprints, score_real
from bench.wild.scenes import Footage

WIDTH, HEIGHT, FRAMES = 320, 120, 4
LINE = Label("WHERE ARE YOU", "line", 0, FRAMES, (60, 60, 262, 96))
SIGN = Label("EXIT", "sign", 0, FRAMES, (8, 4, 80, 40))
FILM = Labels("film.mp4", WIDTH, HEIGHT, FRAMES, 2, True, (LINE,), (SIGN,))
Luma = NDArray[np.uint8]


def scene(frame: int) -> Luma:
    """Soft blobs that drift, without text."""
    noise = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH * 2), np.uint8)
    wide = cv2.GaussianBlur(noise, (0, 0), 4).astype(np.float32)
    wide = 40 + 120 * (wide - wide.min()) / np.ptp(wide)
    shown: Luma = wide[:, 9 * frame : 9 * frame + WIDTH].astype(np.uint8)
    return shown


def written(luma: Luma, text: str, at: tuple[int, int], level: int = 255) -> Luma:
    """A copy with a text, its lower left corner ``at`` (x, y)."""
    made = luma.copy()
    cv2.putText(made, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.8, level, 2, cv2.LINE_AA)
    return made


def captioned(frame: int) -> Luma:
    """The scene with the line."""
    return written(scene(frame), LINE.text, (64, 86))


def stored(luma: Luma) -> I420:
    """The picture as it is read from a film."""
    return to_i420(cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR).astype(np.uint8))


def gone(result: Callable[[int], Luma], labels: Labels = FILM) -> int:
    """The number of frames, of 4, in which the line is gone from a result."""
    source = [stored(captioned(frame)) for frame in range(FRAMES)]
    eye = Eye(labels, imprints(labels, source))
    for frame, before in enumerate(source):
        eye.add(frame, before, stored(result(frame)))
    (line,) = eye.score().lines
    assert line[:2] == (LINE, FRAMES)
    return line[2]


def test_an_erased_line_is_gone_and_an_untouched_one_left() -> None:
    """The clean scene has no line, the source has it in every frame."""
    assert gone(scene) == FRAMES
    assert gone(captioned) == 0


def test_a_line_in_another_grey_is_left() -> None:
    """What was changed but can still be read is left."""
    assert gone(lambda frame: written(scene(frame), LINE.text, (64, 86), 230)) == 0


@pytest.mark.parametrize(("share", "frames"), [(0.02, FRAMES), (0.4, 0), (-0.4, 0)])
def test_a_ghost_is_left_while_it_can_be_seen(share: float, frames: int) -> None:
    """A faint ghost passes, a plain one does not, be it bright or dark."""

    def ghost(frame: int) -> Luma:
        clean = scene(frame).astype(float)
        made: Luma = np.clip(clean + share * (captioned(frame) - clean), 0, 255).astype(np.uint8)
        return made

    assert gone(ghost) == frames


def test_one_letter_of_many_is_left() -> None:
    """A line of which the last letter stands is not gone."""

    def result(frame: int) -> Luma:
        made = scene(frame)
        made[:, 236:] = captioned(frame)[:, 236:]
        return made

    assert gone(result) == 0


def test_text_of_the_scene_on_the_place_is_no_caption() -> None:
    """The detector's box on a labelled sign is the sign's; without its label it is a line left."""

    def result(frame: int) -> Luma:
        return written(scene(frame), "OPEN", (130, 86), 20)

    sign = replace(SIGN, box=(124, 58, 214, 96))
    assert gone(result) < FRAMES
    assert gone(result, replace(FILM, scene=(sign,))) == FRAMES


def test_letters_of_another_time_are_counted() -> None:
    """An erased line whose place was filled from a frame with another line shows its letters."""
    other = replace(LINE, text="NOBODY SAW HIM", start=FRAMES, stop=2 * FRAMES)
    labels = replace(FILM, frames=2 * FRAMES, captions=(LINE, other))
    source = [stored(captioned(frame)) for frame in range(FRAMES)]
    foreign = [written(scene(frame), other.text, (64, 86)) for frame in range(2 * FRAMES)]
    source += [stored(picture) for picture in foreign[FRAMES:]]
    eye = Eye(labels, imprints(labels, source))
    eye.add(0, source[0], stored(scene(0)))
    assert eye.score().letters_frames == 0
    eye.add(1, source[1], stored(foreign[1]))
    eye.add(2, source[2], source[2])  # the line itself is no other line
    assert eye.score().letters_frames == 1


def test_a_smear_that_cannot_be_read_is_no_line() -> None:
    """A dark cloud of 2 px grain on the place is ugly, but no text."""

    def result(frame: int) -> Luma:
        made = scene(frame)
        noise = np.random.default_rng(frame).integers(0, 40, (36, 202))
        made[60:96, 60:262] = np.clip(made[60:96, 60:262].astype(int) - noise, 0, 255)
        return made

    assert gone(result) == FRAMES


def test_changed_scene_text_is_harmed() -> None:
    """A sign that was painted over is counted, one that stayed is not."""
    source = [stored(captioned(frame)) for frame in range(FRAMES)]
    eye = Eye(FILM, imprints(FILM, source))
    eye.add(0, source[0], source[0])
    flat = captioned(1)
    flat[4:40, 8:80] = 128
    eye.add(1, source[1], stored(flat))
    score = eye.score()
    assert (score.scene_frames, score.scene_harmed) == (2, 1)


@pytest.mark.parametrize("frames", [FRAMES - 1, FRAMES + 1])
def test_a_result_of_another_length_cannot_be_judged(tmp_path: Path, frames: int) -> None:
    """A frame too few or too many is an error, not a line that is gone."""
    for name, count in (("source", FRAMES), ("result", frames)):
        pictures = np.stack([stored(captioned(frame % FRAMES)) for frame in range(count)])
        encode(tmp_path / f"{name}.mp4", Footage(pictures, Fraction(15)), Coding())
    with pytest.raises(BenchError, match="not the 4 frames"):
        score_real(FILM, tmp_path / "source.mp4", tmp_path / "result.mp4")


PLATE = (60, 50, 262, 96)


def plated(frame: int, level: int = 0) -> Luma:
    """The scene with a plate and no letters."""
    made = scene(frame)
    left, top, right, bottom = PLATE
    made[top:bottom, left:right] = level
    return made


def plate_imprint(*sides: int) -> Imprint:
    """The imprint of a line on a plate."""
    total = ImprintSum(PLATE, sides)
    for frame in range(FRAMES):
        total.add(written(plated(frame), LINE.text, (64, 86)))
    return total.mean()


def test_a_plate_without_its_letters_is_left() -> None:
    """The slab that an eraser leaves when it takes only the letters is seen by its edges."""
    own, source = (
        plate_imprint(TOP, BOTTOM, LEFT, RIGHT),
        written(plated(0), LINE.text, (64, 86)),
    )
    assert own.left(source, plated(0)) > 0.8
    assert own.left(source, scene(0)) < 0.25
    assert plate_imprint().left(source, scene(0)) < 0.25


def test_a_plate_on_black_has_no_edges() -> None:
    """Where the surroundings are as dark as the plate no side is measured."""
    total = ImprintSum(PLATE, (TOP, BOTTOM))
    total.add(np.zeros((HEIGHT, WIDTH), np.uint8))
    assert total.mean().steps == ()


def test_sides_that_touch_another_line_are_not_measured() -> None:
    """The next row begins where the plate ends: its letters would be taken for an edge."""
    assert free_sides((60, 40, 160, 60), []) == [TOP, BOTTOM, LEFT, RIGHT]
    assert free_sides((60, 40, 160, 60), [(50, 60, 170, 80)]) == [TOP, LEFT, RIGHT]


def test_the_first_frame_of_a_fade_is_not_judged() -> None:
    """A line with a tenth of its contrast is too faint to measure what is left of it."""
    total = ImprintSum(LINE.box)
    for frame in range(FRAMES):
        total.add(captioned(frame))
    faint = (scene(0) + 0.1 * (captioned(0).astype(float) - scene(0))).astype(np.uint8)
    assert total.mean().left(faint, faint) == 0


def test_two_labellings_are_paired_by_time_and_place() -> None:
    """Equal places at other times and equal times at other places are other objects."""
    later = replace(LINE, start=10, stop=20)
    moved = replace(LINE, box=(62, 60, 262, 96), stop=FRAMES + 2)
    found = agreement.agreement([LINE, later], [later, moved, SIGN])
    assert found.pairs == ((LINE, moved), (later, later))
    assert (found.first_only, found.second_only) == ((), (SIGN,))
    assert found.border_frames == 0
    assert found.overlap == pytest.approx((1 + 200 / 202) / 2)
    assert (found.same_words, found.same_kinds) == (2, 2)


def test_differences_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed word, a shifted border and a missing object are named."""
    first, second = tmp_path / "first", tmp_path / "second"
    text = (LABELS / "drama_left.yaml").read_text("utf-8")
    for folder, words in ((first, text), (second, text.replace("stop: 42", "stop: 44"))):
        folder.mkdir()
        (folder / "drama_left.yaml").write_text(words, "utf-8")
    assert agreement.main([str(first), str(second)]) == 0
    printed = capsys.readouterr().out
    assert "6 found by both, 0 and 0 found by one only" in printed
    assert "30:42" in printed and "30:44" in printed
    assert printed.count("\n") == 4
