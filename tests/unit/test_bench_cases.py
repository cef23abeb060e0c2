"""How cases are drawn up and what is known of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.cases import Masks, changed_pixels
from bench.styles import STYLES, Cue, Lane, Style, ass_script, schedule


def test_cues_follow_each_other() -> None:
    """Cues never overlap, and the last one leaves a bare end unless it is asked to stay."""
    for seconds in (2.7, 3.3, 5.3, 20.0):
        cues = schedule(seconds, 0.4, False, Style())
        ends = [cue.stop_seconds for cue in cues]
        assert all(ended <= cue.start_seconds for ended, cue in zip(ends, cues[1:], strict=False))
        assert ends[-1] <= seconds - 0.3
    assert schedule(3.3, 0.0, True, Style())[-1].stop_seconds == 3.3


def test_script_has_a_line_for_each_cue() -> None:
    """The ASS file speaks of hours, minutes and hundredths, and scales with the picture."""
    script = ass_script(640, 360, [Lane(Style(), [Cue(0.4, 3661.25, "a"), Cue(4000, 4001, "b")])])
    assert "Dialogue: 0,0:00:00.40,1:01:01.25,S0,,0,0,0,,a\n" in script
    assert script.count("Dialogue:") == 2
    assert "PlayResY: 360" in script
    assert "Style: S0,DejaVu Sans,22.3," in script


def test_karaoke_words_share_the_time() -> None:
    """Each karaoke word gets its part of the cue, in hundredths of a second."""
    script = ass_script(640, 360, [Lane(STYLES["karaoke"], [Cue(0, 2, "one two")])])
    assert r"{\k100}one {\k100}two" in script


def test_masks_come_back_from_the_disk(tmp_path: Path) -> None:
    """Masks are the same after they were saved, also at widths that fill no byte."""
    pixels = np.random.default_rng(1).random((3, 6, 13)) < 0.3
    pixels[1] = False
    Masks(np.packbits(pixels, -1), 13).save(tmp_path / "masks.npz")
    masks = Masks.load(tmp_path / "masks.npz")
    assert len(masks) == 3
    assert all((masks[frame] == pixels[frame]).all() for frame in range(3))
    assert [masks.any_at(frame) for frame in range(3)] == [True, False, True]
    assert (masks.union(0, 3) == pixels.any(0)).all()


def test_colour_changes_count_for_four_pixels() -> None:
    """A change of one colour sample marks its four pixels; coding noise of 2 marks none."""
    clean = np.full((6, 4), 100, np.uint8)  # 4 x 4 pixels
    burned = clean.copy()
    burned[0, 0] += 2
    burned[5, 3] += 9  # last sample of the last plane: the lower right corner
    changed = changed_pixels(clean, burned)
    assert changed.sum() == 4
    assert changed[2:, 2:].all()
