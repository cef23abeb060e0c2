"""Families of lines: one style at one place, which tells captions that are too brief to be judged.

A word of a tenth of a second looks like a glint on a window. But where several texts of one size
come and go by themselves in the same rows, with a common middle or edge, one of them shortly after
the other, they are words of captions, however brief each of them is.
"""

from __future__ import annotations

from collections.abc import Sequence

from erasecore.detection.verdict import FilmFacts, TextLine, in_caption_place, is_kin, overlap

_MIN_KIN = 2  # others of its family that a brief line needs; guess
_MIN_KIN_ELSEWHERE = 5  # the same where captions do not usually stand; guess
_NEAR_SECONDS = 3.0  # seconds to the nearest of them; guess


def brief_captions(lines: Sequence[TextLine], film: FilmFacts) -> list[TextLine]:
    """Return the brief lines that are words of captions.

    Args:
        lines: those that nothing speaks against, or only that they are brief.
        film: the film's facts.
    """
    still = [line for line in lines if line.keeps_still]
    evident = [line for line in still if _comes_alone(line)]
    brief = [line for line in still if film.seconds(line.span) < film.min_seconds]
    return [line for line in brief if _has_family(line, evident, film)]


def _has_family(line: TextLine, evident: Sequence[TextLine], film: FilmFacts) -> bool:
    """Return True if enough other lines of the same style stand where this one does."""
    kin = [other for other in evident if not overlap(line.span, other.span)]
    kin = [other for other in kin if is_kin(line, other, film)]
    least = _MIN_KIN if in_caption_place(line, film) else _MIN_KIN_ELSEWHERE
    return len(kin) >= least and any(_near(line, other, film) for other in kin)


def _comes_alone(line: TextLine) -> bool:
    """Return True if the line comes or goes at once, or in a fade, while its surroundings stay."""
    return line.span.plainly_alone or line.span.sharp_on or line.span.sharp_off


def _near(one: TextLine, other: TextLine, film: FilmFacts) -> bool:
    """Return True if a line is on screen shortly before or after another one."""
    first, second = sorted((one.span, other.span), key=lambda span: span.start)
    return film.clock[second.start] - film.clock[first.stop] < _NEAR_SECONDS
