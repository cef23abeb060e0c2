"""The two halves of the material: the engine may be tuned on one, figures are told for both."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from random import Random

CLIPS = (
    "bigbuckbunny",
    "de_ex1",
    "mm_cartoon0",
    "mm_cartoon1",
    "mm_normal5",
    "pp_sample1",
    "pp_sample2",
)
TUNED_CLIPS = frozenset({"bigbuckbunny", "de_ex1", "mm_cartoon0", "pp_sample1"})
TUNED_FILMS = frozenset({"drama_halo", "ytshorts", "rvocr_2"})  # real films, subtitled by others


class Half(StrEnum):
    """Half of the material that a case belongs to."""

    TUNED = "tuned"
    HELD = "held"


def half_of(clips: Iterable[str]) -> Half:
    """Return ``HELD`` if none of the clips or real films belongs to the tuned half."""
    is_tuned = (TUNED_CLIPS | TUNED_FILMS).intersection(clips)
    return Half.TUNED if is_tuned else Half.HELD


def other_clips(kind: str, clip: str) -> tuple[str, str]:
    """Return one clip of each half, neither of them ``clip``; the kind's name decides which."""
    chance = Random(kind)
    tuned = [name for name in CLIPS if name in TUNED_CLIPS and name != clip]
    held = [name for name in CLIPS if name not in TUNED_CLIPS and name != clip]
    return chance.choice(tuned), chance.choice(held)
