"""What is burned in: seven looks of subtitles, their words, and when they appear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.media import Film

LATIN = (
    "I told you not to come back here.",
    "Where have you been all this time?",
    "Nobody saw him leave the house\\Nafter the storm, did they?",
    "- Are you sure?\\N- Absolutely.",
    "We will find another way out.",
)
CJK = (
    "他到底去了什么地方？\\N我们一直在这里等着",  # noqa: RUF001 - a full-width mark is meant
    "请不要再回到这里来\\NPlease don't come back",
    "昨天晚上下了一场大雨\\N道路全部被淹没了",
    "走吧，时间不多了\\N後で説明するから",  # noqa: RUF001 - a full-width mark is meant
)
BOTTOM, TOP = 2, 8  # ASS alignments, as on a numeric keypad
WHITE, YELLOW, AMBER = "&H00FFFFFF", "&H0000E6FF", "&H0000C8FF"


@dataclass(frozen=True, slots=True)
class Style:
    """How subtitles look; lengths are shares of the picture's height, colours are ASS's."""

    font: str = "DejaVu Sans"
    size: float = 0.062
    color: str = WHITE
    outline: float = 0.0038
    shadow: float = 0.0
    align: int = BOTTOM
    bold: bool = False
    italic: bool = False
    plate: str = ""  # colour of a translucent box behind the text
    unsung: str = ""  # colour of karaoke words before their turn
    effect: str = ""  # ASS override in front of every text
    words: Sequence[str] = LATIN


@dataclass(frozen=True, slots=True)
class Cue:
    """One text and when it is shown."""

    start_seconds: float
    stop_seconds: float
    text: str


CJK_STYLE = Style(
    font="Noto Sans CJK SC", size=0.060, outline=0.0034, shadow=0.001, bold=True, words=CJK
)
STYLES = {
    "white": Style(),
    "cjk": CJK_STYLE,
    "yellow": Style(color=YELLOW, outline=0, shadow=0.005, bold=True),
    "box": Style(size=0.055, outline=0.008, plate="&H70000000"),
    "top": Style(
        font="DejaVu Serif", size=0.060, outline=0.0036, shadow=0.002, align=TOP, italic=True
    ),
    "fade": Style(effect=r"{\fad(240,240)}"),
    "karaoke": Style(color=AMBER, unsung=WHITE),
}


def schedule(
    film_seconds: float, start_seconds: float, to_end: bool, words: Sequence[str]
) -> list[Cue]:
    """Cues of 1.1 to 2.6 s with short gaps, or none, between them."""
    long_film = film_seconds > 4
    durations = (1.6, 2.2, 1.9, 2.6) if long_film else (1.1, 1.2)
    gaps = (0.24, 0, 0.4, 0) if long_film else (0, 0.2)
    last = film_seconds if to_end else film_seconds - 0.3
    start, cues = start_seconds, list[Cue]()
    while last - start > 0.7:
        stop = min(start + durations[len(cues) % len(durations)], last)
        if last - stop < 0.7:
            stop = last
        gap = gaps[len(cues) % len(gaps)]
        cues.append(Cue(start, stop, words[len(cues) % len(words)]))
        start = stop + gap
    return cues


def ass_script(film: Film, style: Style, cues: Sequence[Cue]) -> str:
    """The ASS file that draws ``cues`` on a film of this size."""
    height = film.height
    fields = (
        "S",
        style.font,
        f"{style.size * height:.1f}",
        style.color,
        style.unsung or style.color,
        style.plate or "&H00000000",
        "&H40000000",
        f"{-int(style.bold)},{-int(style.italic)},0,0,100,100,0,0",
        "3" if style.plate else "1",
        f"{style.outline * height:.2f}",
        f"{style.shadow * height:.2f}",
        f"{style.align},20,20,{int(0.045 * height)},1",
    )
    lines = [_HEAD.format(width=film.width, height=height, style=",".join(fields))]
    for cue in cues:
        start, stop = _stamp(cue.start_seconds), _stamp(cue.stop_seconds)
        lines.append(f"Dialogue: 0,{start},{stop},S,,0,0,0,,{_body(style, cue)}\n")
    return "".join(lines)


_HEAD = """[Script Info]
ScriptType: v4.00+
PlayResX: {width}
PlayResY: {height}
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, \
Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: {style}

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def _stamp(seconds: float) -> str:
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 100:02d}.{rest % 100:02d}"


def _body(style: Style, cue: Cue) -> str:
    if not style.unsung:
        return style.effect + cue.text
    words = cue.text.replace("\\N", " \\N").split(" ")
    each = int((cue.stop_seconds - cue.start_seconds) * 100 / len(words))
    return " ".join(rf"{{\k{each}}}{word}" for word in words)
