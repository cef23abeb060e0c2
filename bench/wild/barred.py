"""Captions on bars by chance: any bars, edges, grades and fades; a seed is always one film."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from bench.wild import captions as c
from bench.wild.halves import CLIPS
from bench.wild.kinds import Coding, Kind
from bench.wild.scenes import Scene
from bench.wild.script import PLAIN, PLATE, Canvas, Line, Look

LAYOUTS = (
    *("letter", "letter", "letter", "letter", "lower", "thin", "window", "pillar"),
    *("blurred", "switch", "none"),
)
"""Where the bars are; ``blurred`` ones are a blurred copy of the picture, so they are picture."""

_SIZES = ((640, 480), (640, 480), (854, 480), (720, 576), (960, 720), (1280, 720), (1920, 1080))
_COLOURS = ("black",) * 6 + ("0x020202", "0x050505", "0x101018", "0x203050", "white", "0x0a3010")
_PLACES = ("bar", "bar", "half", "half", "rows", "near", "top")
_TEXTS = (
    ("I told you not to come", "Where have you been", "Nobody saw him"),
    ("Look over there!", "No!", "It is not far now."),
    ("I told you not to come back here.", "Where have you been all this time?", "Stay close to me"),
)
_ROWS = (
    (r"I told you not to\Ncome back here", r"Where have you been\Nall this time?"),
    (r"- Are you sure?\N- Absolutely.", r"Look over there!\NIt is not far now."),
)
_TONES = ("",) * 4 + ("eq=brightness=-0.3", "eq=contrast=0.5:brightness=-0.35", "negate")
_FADES = (
    *("",) * 5,
    "fade=t=in:d=0.7",
    "fade=t=out:st=1.6:d=0.9",
    "fade=t=out:st=1.6:d=0.9:c=white",
)
_NOISES = ("",) * 4 + (
    "noise=alls=4:allf=t:all_seed=3",
    "noise=alls=9:allf=t:all_seed=3",
)


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of a film, px of the finished picture."""

    layout: str  # of LAYOUTS
    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0
    colour: str = "black"  # FFmpeg's
    scaled: float = 1.0  # the film was made so many times smaller, bars included

    def filters(self, width: int, height: int) -> str:
        """Return FFmpeg filters that put the bars around a picture of the film's size."""
        if self.layout == "none":
            return ""
        if self.layout == "switch":  # bars appear at the cut
            box = f"drawbox=w=iw:t=fill:color={self.colour}:enable='gte(n,45)'"
            return f"{box}:y=0:h={self.top},{box}:y=ih-{self.bottom}:h={self.bottom}"
        wide, high = _even(width / self.scaled), _even(height / self.scaled)
        left, top, right, bottom = (
            round(side / self.scaled) for side in (self.left, self.top, self.right, self.bottom)
        )
        inner = f"{wide - left - right}:{high - top - bottom}"
        # With full chroma any row or column may be an edge.
        fill = f"format=yuv444p,scale={inner}:force_original_aspect_ratio=increase,crop={inner}"
        up = f",scale={width}:{height}:flags=bicubic" if self.scaled > 1 else ""
        up += ",format=yuv420p"
        if self.layout == "blurred":
            behind = f"format=yuv444p,scale={wide}:{high},gblur=sigma={high / 24:.1f}"
            behind += ",eq=brightness=-0.15"
            return f"split[a][b];[a]{fill}[p];[b]{behind}[q];[q][p]overlay={left}:{top}{up}"
        return f"{fill},pad={wide}:{high}:{left}:{top}:color={self.colour}{up}"


def barred_kind(seed: int) -> Kind:
    """Return the film of a seed as a kind of its own, named by its bars."""
    chance = Random(f"bars {seed}")
    layout = chance.choice(LAYOUTS)
    width, height = chance.choice(_SIZES)
    bars = _bars(chance, layout, width, height)
    frames = chance.randint(60, 80) if height < 1080 else 50
    scene = Scene(
        (chance.choice(CLIPS),), width, height, frames, start=round(chance.uniform(0, 0.4), 3)
    )
    if layout == "switch":
        width, height = 640, 480
        clips = tuple(chance.sample(CLIPS, 2))
        scene = Scene(clips, width, height, 90, montage="twoshots")
        bars = Bars(layout, top=72, bottom=72, colour=bars.colour)
    place, size = chance.choice(_PLACES), chance.uniform(0.042, 0.065)
    chain = (chance.choice(_TONES), bars.filters(width, height), chance.choice(_NOISES))
    return Kind(
        name=f"bars_{layout}",
        scene=scene,
        write=_Writer(chance, place),
        look=Look(
            size=size,
            outline=round(chance.choice((0.0, 0.002, 0.004, 0.006)) * height, 2),
            margin=_margin(chance, place, bars.bottom / height, size),
        ),
        before=",".join(filter(None, chain)),
        after=chance.choice(_FADES),
        coding=Coding(options=f"-crf {chance.choice((14, 16, 18, 23, 28))} -preset medium"),
    )


def _bars(chance: Random, layout: str, width: int, height: int) -> Bars:
    """Return bars of a layout; ``none`` and ``switch`` have a height that places the text."""
    high = round(chance.uniform(0.07, 0.2) * height)
    wide = round(chance.uniform(0.08, 0.3) * width)
    colour = chance.choice(_COLOURS)
    scaled = chance.choice((1.0, 1.0, 1.0, 1.5, 2.0, 2.6))
    if layout == "thin":
        high = chance.randint(3, 14)
    if layout in ("letter", "thin", "none", "switch"):
        return Bars(layout, top=high, bottom=high, colour=colour, scaled=scaled)
    if layout == "lower":
        return Bars(layout, bottom=high, colour=colour, scaled=scaled)
    if layout == "window":
        return Bars(layout, wide // 2, high, wide // 2, high, colour, scaled)
    return Bars(layout, left=wide, right=wide, colour=colour, scaled=scaled)


def _even(length: float) -> int:
    return 2 * round(length / 2)


def _margin(chance: Random, place: str, bar: float, size: float) -> float:
    """Return the share of the height between the text and the lower edge (upper, if on top)."""
    if place in ("half", "rows"):
        return max(0.005, bar - chance.uniform(0.3, 1.1) * size)
    if place == "near":
        return bar + chance.uniform(0.002, 0.02)
    return max(0.005, (bar - size) * chance.uniform(0.1, 0.8))


class _Writer:
    """Writes the captions of one film; called twice it gives the same lines."""

    def __init__(self, chance: Random, place: str) -> None:
        self._texts = chance.choice(_ROWS if place == "rows" else _TEXTS)
        self._style = PLATE if chance.random() < 0.08 else PLAIN
        self._effect = chance.choice(("", "", r"{\fad(300,300)}", r"{\fad(150,250)}"))
        if place == "top":
            self._effect += r"{\an8}"
        self._effect += chance.choice(("", "", r"{\c&H00E6FF&}", r"{\c&HB4B4B4&}"))
        self._each = chance.choice((0.8, 1.1, 1.6))

    def __call__(self, canvas: Canvas) -> list[Line]:
        """Return the lines for a canvas."""
        return c.sentences(
            canvas,
            style=self._style,
            effect=self._effect,
            texts=self._texts,
            each=self._each,
        )
