"""ASS scripts of captions: lines that belong to objects, and lanes of objects that never meet.

An object is one caption as a viewer counts it: a word, a sentence of two lines, a name with its
plate. It may be drawn by many lines of the script, at any place and layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.ass import head, stamp

FONT = "DejaVu Sans"
MONO_FONT = "DejaVu Sans Mono"
CJK_FONT = "Noto Sans CJK SC"
PLAIN, BOLD, CJK, PLATE = "plain", "bold", "cjk", "plate"
PLATE_MARGIN_PX = 4  # of the opaque box around the text, style PLATE
_SIDE_MARGIN_PX = 20  # between the text and the picture's left and right edges


@dataclass(frozen=True, slots=True)
class Canvas:
    """Size and length of the film that captions are written for."""

    width: int
    height: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """Letter size, outline and lower margin of the styles, as shares of the picture's height."""

    size: float = 0.062
    outline: float | None = None  # in pixels; None: 0.0038 of the height
    margin: float = 0.045


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the script: ``text`` with its ASS overrides, from ``start`` to ``stop``."""

    start: float  # seconds
    stop: float  # seconds
    text: str
    owner: str  # name of the object that it is part of
    style: str = PLAIN
    layer: int = 0


@dataclass(frozen=True, slots=True)
class Caption:
    """One object, and the time in which any of its lines is shown."""

    name: str
    start: float  # seconds
    stop: float  # seconds


def captions(lines: Iterable[Line]) -> list[Caption]:
    """Return the objects of the lines, in order of their start."""
    found: dict[str, Caption] = {}
    for line in lines:
        old = found.get(line.owner, Caption(line.owner, line.start, line.stop))
        start, stop = min(old.start, line.start), max(old.stop, line.stop)
        found[line.owner] = replace(old, start=start, stop=stop)
    return sorted(found.values(), key=lambda caption: (caption.start, caption.name))


def lanes(lines: Sequence[Line]) -> list[list[Caption]]:
    """Split the objects into lanes; those of one lane are never on screen at the same time."""
    found: list[list[Caption]] = []
    for caption in captions(lines):
        free = (lane for lane in found if lane[-1].stop <= caption.start)
        lane = next(free, None)
        if lane is None:
            found.append([caption])
        else:
            lane.append(caption)
    return found


def ass_script(canvas: Canvas, look: Look, lines: Iterable[Line]) -> str:
    """Return the ASS file that draws the lines on a film of the canvas's size."""
    outline = round(0.0038 * canvas.height, 2) if look.outline is None else look.outline
    size, margin = round(look.size * canvas.height, 1), int(look.margin * canvas.height)
    styles = "\n".join(
        f"Style: {name},{font},{size},&H00FFFFFF,&H00FFFFFF,&H00000000,{back},{weight},0,0,0,"
        f"100,100,0,0,{border},{PLATE_MARGIN_PX if border == 3 else outline},0,2,"
        f"{_SIDE_MARGIN_PX},{_SIDE_MARGIN_PX},{margin},1"
        for name, font, back, weight, border in (
            (PLAIN, FONT, "&H40000000", 0, 1),
            (BOLD, FONT, "&H40000000", -1, 1),
            (CJK, CJK_FONT, "&H40000000", -1, 1),
            (PLATE, FONT, "&H00000000", 0, 3),
        )
    )
    return head(canvas.width, canvas.height, styles) + "".join(
        f"Dialogue: {line.layer},{stamp(line.start)},{stamp(line.stop)},{line.style},,0,0,0,,"
        f"{line.text}\n"
        for line in lines
        if line.stop > max(0.0, line.start)
    )
