"""What is burned in: looks of subtitles, their words, and when they appear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.ass import head, stamp

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
CHINESE = ("我从来没有见过这样的人", "你最好现在就离开这里", "门外好像有人在说话")
CYRILLIC = ("Он никогда не вернётся домой.", "Где ты был всё это время?", "Мы найдём другой путь.")
ARABIC = ("لا أحد يعرف أين ذهب", "سنعود قبل غروب الشمس", "هل أنت متأكد من ذلك؟")
THAI = ("ฉันไม่เคยเห็นที่นี่มาก่อน\\Nเราควรกลับบ้านกันเถอะ", "คุณแน่ใจหรือเปล่า")
JAPANESE = ("彼は何処へ行ったのか", "もう時間がない")
BELOW = ("This line stays where it is",)
ABOVE = ("First you hear it,", "then you see it", "and it is gone")
SHORT_LATIN = ("Stay close to me.", "It is not far now.", "Look over there!")
BOTTOM, LEFT, CENTRE, TOP = 2, 4, 5, 8  # ASS alignments, as on a numeric keypad
WHITE, YELLOW, AMBER = "&H00FFFFFF", "&H0000E6FF", "&H0000C8FF"
CYAN, PINK, GREY, DARK_GREY = "&H00E8D020", "&H00C88CFF", "&H00A8A8A8", "&H00606060"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long texts are shown, and the pauses between them, in seconds, again and again."""

    seconds: tuple[float, ...]
    gaps: tuple[float, ...]


LONG_FILM = Pace((1.6, 2.2, 1.9, 2.6), (0.24, 0, 0.4, 0))
SHORT_FILM = Pace((1.1, 1.2), (0, 0.2))
NO_PAUSES = Pace((1.1, 0.9, 1.3), (0,))
ALWAYS = Pace((10_000,), (0,))


@dataclass(frozen=True, slots=True)
class Style:
    """How subtitles look; lengths are shares of the picture's height, colours are ASS's."""

    font: str = "DejaVu Sans"
    size: float = 0.062
    color: str = WHITE
    outline: float = 0.0038
    outline_color: str = "&H00000000"
    shadow: float = 0.0
    align: int = BOTTOM
    margin: float = 0.045  # from the picture's upper or lower edge
    at: tuple[float, float] | None = None  # shares of width and height, instead of a margin
    spacing: float = 0.0  # between letters
    bold: bool = False
    italic: bool = False
    plate: str = ""  # colour of a translucent box behind the text
    unsung: str = ""  # colour of karaoke words before their turn
    effect: str = ""  # ASS override in front of every text
    words: Sequence[str] = LATIN
    pace: Pace | None = None  # None: by the film's length

    @property
    def fades(self) -> bool:
        """Whether texts come and go bit by bit."""
        return r"\fad" in self.effect


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
    "thin": Style(
        font="DejaVu Sans Light", size=0.050, outline=0.0016, spacing=0.012, words=SHORT_LATIN
    ),
    "grey": Style(color=GREY, outline=0.0016, outline_color=DARK_GREY, words=SHORT_LATIN),
    "arabic": Style(
        font="Noto Sans Arabic",
        size=0.095,
        bold=True,
        color=CYAN,
        outline=0,
        shadow=0.006,
        effect=r"{\blur2}",
        words=ARABIC,
    ),
    "thai": Style(font="Noto Sans Thai", size=0.075, outline=0.008, outline_color=PINK, words=THAI),
    "cyrillic": Style(size=0.085, outline=0.010, bold=True, italic=True, words=CYRILLIC),
    "vertical": Style(
        font="@Noto Sans CJK JP",  # the @ asks for glyphs that stand upright once turned
        size=0.075,
        bold=True,
        align=LEFT,
        at=(0.92, 0.1),
        effect=r"{\frz-90}",
        words=JAPANESE,
    ),
    "portrait": replace(CJK_STYLE, size=0.042, align=CENTRE, words=CHINESE, pace=NO_PAUSES),
    "always": Style(size=0.075, words=("It has been here all along",), pace=ALWAYS),
    "below": Style(words=BELOW, pace=ALWAYS),
    "above": Style(words=ABOVE, margin=0.125, pace=NO_PAUSES),
    "plates": Style(
        size=0.058,
        outline=0.010,
        plate="&H80000000",
        words=(LATIN[2], "This is what I was told\\Nby the man at the door."),
    ),
    "opaque": Style(size=0.055, outline=0.009, plate="&H00202020", color=YELLOW),
    "glow": Style(
        color=WHITE,
        outline=0.007,
        outline_color="&H00FF6030",
        effect=r"{\blur6\fad(400,400)}",
        bold=True,
        words=SHORT_LATIN,
    ),
    "small": Style(size=0.036, outline=0.0028, pace=NO_PAUSES),
    "large": replace(
        CJK_STYLE, size=0.115, outline=0, shadow=0.006, effect=r"{\blur1.5}", words=CHINESE
    ),
    "dense": Style(
        font="Noto Sans CJK SC",
        size=0.070,
        color=PINK,
        unsung=WHITE,
        bold=True,
        align=TOP,
        words=CHINESE,
    ),
}


def schedule(film_seconds: float, start_seconds: float, to_end: bool, style: Style) -> list[Cue]:
    """Cues at the style's pace; by default of 1.1 to 2.6 s with short gaps, or none."""
    words = style.words
    pace = style.pace or (LONG_FILM if film_seconds > 4 else SHORT_FILM)
    last = film_seconds if to_end else film_seconds - 0.3
    start, cues = start_seconds, list[Cue]()
    while last - start > 0.7:
        stop = min(start + pace.seconds[len(cues) % len(pace.seconds)], last)
        if last - stop < 0.7:
            stop = last
        gap = pace.gaps[len(cues) % len(pace.gaps)]
        cues.append(Cue(start, stop, words[len(cues) % len(words)]))
        start = stop + gap
    return cues


@dataclass(frozen=True, slots=True)
class Lane:
    """Texts of one look that never stand on screen together."""

    style: Style
    cues: Sequence[Cue]


def ass_script(width: int, height: int, lanes: Sequence[Lane]) -> str:
    """The ASS file that draws the lanes' cues on a film of this size."""
    styles = "\n".join(
        f"Style: S{number},{_fields(lane.style, height)}" for number, lane in enumerate(lanes)
    )
    lines = [head(width, height, styles)]
    for number, lane in enumerate(lanes):
        for cue in lane.cues:
            start, stop = stamp(cue.start_seconds), stamp(cue.stop_seconds)
            body = _place(lane.style, width, height) + _body(lane.style, cue)
            lines.append(f"Dialogue: {number},{start},{stop},S{number},,0,0,0,,{body}\n")
    return "".join(lines)


def _fields(style: Style, height: int) -> str:
    fields = (
        style.font,
        f"{style.size * height:.1f}",
        style.color,
        style.unsung or style.color,
        style.plate or style.outline_color,
        "&H40000000",
        f"{-int(style.bold)},{-int(style.italic)},0,0,100,100,{style.spacing * height:.1f},0",
        "3" if style.plate else "1",
        f"{style.outline * height:.2f}",
        f"{style.shadow * height:.2f}",
        f"{style.align},20,20,{int(style.margin * height)},1",
    )
    return ",".join(fields)


def _place(style: Style, width: int, height: int) -> str:
    return rf"{{\pos({style.at[0] * width:.0f},{style.at[1] * height:.0f})}}" if style.at else ""


def _body(style: Style, cue: Cue) -> str:
    if not style.unsung:
        return style.effect + cue.text
    words = cue.text.replace("\\N", " \\N").split(" ")
    each = int((cue.stop_seconds - cue.start_seconds) * 100 / len(words))
    return " ".join(rf"{{\k{each}}}{word}" for word in words)
