"""Captions by chance: any look, place, movement, length and clip; a seed is always one film."""

from __future__ import annotations

from random import Random

from bench.wild.captions import SENTENCES
from bench.wild.halves import CLIPS
from bench.wild.kinds import Coding, Kind
from bench.wild.scenes import Scene
from bench.wild.script import CJK_FONT, MONO_FONT, PLAIN, PLATE, Canvas, Line, Look

MOVEMENTS = (
    *("still", "still", "still", "fade", "rise", "slide", "pop", "typewriter", "karaoke"),
    *("drift", "two places"),
)
_LATIN_FONTS = ("DejaVu Sans", "DejaVu Serif", MONO_FONT, "DejaVu Sans Condensed")
_CHINESE = ("我从来没有见过这样的人", "你最好现在就离开这里", "门外好像有人在说话", "快跑")
_SHORT = ("Stay close to me.", "Look over there!", "No!", "It is not far now.")
_TWO = (r"I told you not to come back\Nto this old house.", r"- Are you sure?\N- Absolutely.")
_TEXTS = (SENTENCES, _SHORT, _TWO, _CHINESE)
_COLOURS = ("FFFFFF",) * 5 + ("00E6FF", "E8D020", "C88CFF", "B4B4B4", "50C850", "2020E0")
_EDGES = ("000000",) * 4 + ("404040", "602000", "200060", "FFFFFF")
_TONES = (
    *("", "", "", "eq=contrast=0.5", "eq=contrast=0.4:brightness=0.15", "gblur=sigma=3"),
    *("eq=brightness=-0.2", "noise=alls=10:allf=t:all_seed=4", "negate"),
)
_SIZES = ((640, 360), (854, 480), (960, 540), (1280, 720))
_TALL_SIZES = ((360, 640), (480, 854), (540, 960))


def drawn_kind(seed: int) -> Kind:
    """Return the film of a seed as a kind of its own, named by its movement."""
    chance = Random(f"draw {seed}")
    portrait = chance.random() < 0.2
    width, height = chance.choice(_TALL_SIZES if portrait else _SIZES)
    frames = chance.randint(55, 80)
    scene = Scene((chance.choice(CLIPS),), width, height, frames, start=chance.uniform(0, 0.5))
    size = chance.uniform(0.03, 0.05) if portrait else chance.uniform(0.04, 0.11)
    outline = chance.choice((0.0, 0.0015, 0.003, 0.004, 0.006, 0.009)) * height
    movement = chance.choice(MOVEMENTS)
    lines = _Writer(chance, movement, size)
    return Kind(
        name=movement,
        scene=scene,
        write=lines,
        look=Look(size=size, outline=round(outline, 2), margin=chance.uniform(0.02, 0.12)),
        before=",".join(filter(None, (_pan(chance, width, height), chance.choice(_TONES)))),
        coding=Coding(options=f"-crf {chance.choice((14, 18, 18, 23))} -preset medium"),
    )


def _pan(chance: Random, width: int, height: int) -> str:
    """Return filters that scale the picture up and let a window wander over it, or none."""
    if chance.random() < 0.5:
        return ""
    room = chance.choice((1.1, 1.25, 1.5))
    large = f"scale={round(width * room / 2) * 2}:{round(height * room / 2) * 2}"
    x = f"(iw-ow)*(0.5+{chance.uniform(-0.5, 0.5):.3f}*sin(n/{chance.randint(25, 60)}))"
    y = f"(ih-oh)*(0.5+{chance.uniform(-0.5, 0.5):.3f}*sin(n/{chance.randint(25, 60)}))"
    return f"{large},crop={width}:{height}:x='{x}':y='{y}'"


class _Writer:
    """Writes the captions of one draw; called twice it gives the same lines."""

    def __init__(self, chance: Random, movement: str, size: float) -> None:
        self._movement = movement
        self._size = size
        self._texts = chance.choice(_TEXTS)
        self._style = PLATE if chance.random() < 0.12 else PLAIN
        self._effect = _look(chance, chinese=self._texts is _CHINESE)
        self._place = (chance.uniform(0.3, 0.7), chance.choice((0.1, 0.5, 0.7, 0.85, 0.9, 0.93)))
        self._is_centred = chance.random() < 0.7
        self._each = chance.choice((0.28, 0.4, 0.7, 1.1, 1.6, 2.5))
        self._gap = chance.choice((0.0, 0.0, 0.1, 0.4))
        # A caption that stands from the first frame to the last is a kind of its own.
        self._first = chance.choice((0.0, 0.2, 0.5) if self._each < 1.2 else (0.2, 0.5))

    def __call__(self, canvas: Canvas) -> list[Line]:
        """Return the lines for a canvas."""
        lines: list[Line] = []
        start, number = self._first, 0
        while start + 0.15 < canvas.seconds and number < 8:
            stop = min(start + self._each, canvas.seconds + 0.5)
            lines += self._caption(canvas, start, stop, number)
            start, number = stop + self._gap, number + 1
        return lines

    def _caption(self, canvas: Canvas, start: float, stop: float, number: int) -> list[Line]:
        text, owner = self._texts[number % len(self._texts)], f"{number}"
        share = 0.5 if self._is_centred else self._place[0]
        x, y = share * canvas.width, self._place[1] * canvas.height
        if self._movement == "two places" and number % 2:
            y = 0.15 * canvas.height
        if self._movement == "typewriter" and r"\N" not in text:
            return self._typed(start, stop, text, owner, f"\\an5\\pos({x:.0f},{y:.0f})")
        moving = _movement(self._movement, x, y, canvas, stop - start)
        if self._movement == "karaoke":
            text = _karaoke(text, stop - start)
        return [Line(start, stop, f"{{\\an5{moving}{self._effect}}}{text}", owner, self._style)]

    def _typed(self, start: float, stop: float, text: str, owner: str, place: str) -> list[Line]:
        """Return the text letter by letter in the first half of its time; letters do not move."""
        step = (stop - start) / 2 / len(text)
        lines = []
        for count in range(1, len(text) + 1):
            begun = start + (count - 1) * step
            ended = begun + step if count < len(text) else stop
            hidden = r"{\alpha&HFF&}" + text[count:] if count < len(text) else ""
            shown = f"{{{place}{self._effect}}}{text[:count]}{hidden}"
            lines.append(Line(begun, ended, shown, owner, self._style))
        return lines


def _look(chance: Random, *, chinese: bool) -> str:
    """Return overrides of font, colour, edge, shadow, opacity, weight, slant and blur."""
    font = CJK_FONT if chinese else chance.choice(_LATIN_FONTS)
    look = rf"\fn{font}\1c&H{chance.choice(_COLOURS)}&\3c&H{chance.choice(_EDGES)}&"
    look += rf"\shad{chance.choice((0, 0, 1, 2, 3))}\b{chance.choice((0, 1))}"
    if chance.random() < 0.2:
        look += rf"\1a&H{chance.choice(('30', '60', '90'))}&"
    if chance.random() < 0.15 and not chinese:
        look += r"\i1"
    if chance.random() < 0.2:
        look += rf"\blur{chance.choice((0.6, 1.5, 3))}"
    if chance.random() < 0.1:
        look += rf"\frz{chance.choice((-6, -3, 4, 8))}"
    return look


def _movement(movement: str, x: float, y: float, canvas: Canvas, seconds: float) -> str:
    """Return overrides of place and movement; animations last 0.15 to 0.3 s, or all the time."""
    place = rf"\pos({x:.0f},{y:.0f})"
    low, left = y + 0.08 * canvas.height, x - 0.6 * canvas.width
    return {
        "fade": rf"{place}\fad(200,200)",
        "rise": rf"\move({x:.0f},{low:.0f},{x:.0f},{y:.0f},0,250)\fad(150,0)",
        "slide": rf"\move({left:.0f},{y:.0f},{x:.0f},{y:.0f},0,300)",
        "pop": rf"{place}\fscx60\fscy60\t(0,80,\fscx115\fscy115)\t(80,140,\fscx100\fscy100)",
        "drift": rf"\move({x:.0f},{y:.0f},{x + 20 * seconds:.0f},{y:.0f})",
    }.get(movement, place)


def _karaoke(text: str, seconds: float) -> str:
    """Return the text with words that turn from grey to their colour, one after another."""
    words = text.replace("\\N", " \\N").split(" ")
    each = max(1, int(seconds * 100 / len(words)))
    return r"{\2c&H808080&}" + " ".join(rf"{{\k{each}}}{word}" for word in words)
