"""Captions of every kind, as lines for a canvas: each function writes one kind.

Lengths are shares of the picture's size, times are seconds. Colours are ASS's, ``BBGGRR``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from bench.wild.script import BOLD, CJK, MONO_FONT, PLAIN, PLATE, Canvas, Line

SENTENCES = (
    "I told you not to come back here.",
    "Where have you been all this time?",
    "Nobody saw him leave the house",
)
FIRST, SECOND, THIRD = SENTENCES


def sentences(
    canvas: Canvas,
    *,
    style: str = PLAIN,
    effect: str = "",
    texts: Sequence[str] = SENTENCES,
    each: float = 1.1,
    gap: float = 0.15,
) -> list[Line]:
    """Return texts one after another, ``each`` seconds long, from 0.3 s to 0.2 s before the end."""
    lines: list[Line] = []
    start = 0.3
    while start + 0.5 < canvas.seconds - 0.2:
        stop = min(start + each, canvas.seconds - 0.2)
        number = len(lines)
        lines.append(Line(start, stop, effect + texts[number % len(texts)], f"{number}", style))
        start = stop + gap
    return lines


def at_times(
    spans: Sequence[tuple[float, float, str]], *, style: str = PLAIN, effect: str = ""
) -> list[Line]:
    """Return one object for each ``(start, stop, text)``."""
    return [
        Line(start, stop, effect + text, f"{number}", style)
        for number, (start, stop, text) in enumerate(spans)
    ]


def lane(name: str, lines: Sequence[Line], layer: int = 0) -> list[Line]:
    """Return the lines as objects of their own, apart from those of other lanes."""
    return [
        Line(line.start, line.stop, line.text, f"{name}{line.owner}", line.style, layer)
        for line in lines
    ]


def rectangle(x0: float, y0: float, x1: float, y1: float, colour: str, alpha: str = "00") -> str:
    """Return the ASS drawing of a filled rectangle; ``alpha`` is hexadecimal, ``00`` opaque."""
    head = rf"{{\an7\pos(0,0)\bord0\shad0\1c&H{colour}&\1a&H{alpha}&\p1}}"
    return f"{head}m {x0:.0f} {y0:.0f} l {x1:.0f} {y0:.0f} {x1:.0f} {y1:.0f} {x0:.0f} {y1:.0f}"


_POPS = (
    *("THIS", "IS", "WHAT", "HAPPENS", "WHEN", "YOU"),
    *("NEVER", "STOP", "DRIVING", "FAST", "IN", "SNOW"),
)


def word_pops(canvas: Canvas) -> list[Line]:
    """Words of 0.28 s that pop up with scaling, each in another colour."""
    width, height = canvas.width, canvas.height
    lines, start = [], 0.1
    for number, word in enumerate(_POPS):
        stop = start + 0.28
        if stop > canvas.seconds - 0.1:
            break
        colour = ("FFFFFF", "00E6FF", "00FF3C")[number % 3]
        pop = (
            rf"{{\an5\pos({width / 2:.0f},{height * 0.68:.0f})\fs{height * 0.13:.0f}\bord5"
            rf"\c&H{colour}&\fscx60\fscy60\t(0,80,\fscx115\fscy115)\t(80,140,\fscx100\fscy100)}}"
        )
        lines.append(Line(start, stop, pop + word, f"{number}", BOLD))
        start = stop
    return lines


def words(canvas: Canvas, texts: Sequence[str], *, each: float, size: float) -> list[Line]:
    """Words or short phrases that replace one another at one place, without animation."""
    place = rf"\an5\pos({canvas.width / 2:.0f},{canvas.height * 0.68:.0f})"
    effect = rf"{{{place}\fs{canvas.height * size:.0f}\bord4}}"
    spans = [(0.1 + k * each, 0.1 + (k + 1) * each, text) for k, text in enumerate(texts)]
    return at_times(spans, style=BOLD, effect=effect)


def word_boxes(canvas: Canvas) -> list[Line]:
    """Phrases of three words; a coloured box stands behind the spoken one."""
    phrases = (("never", "stop", "driving"), ("fast", "on", "snow"), ("or", "you", "crash"))
    lines: list[Line] = []
    start = 0.15
    for number, phrase in enumerate(phrases):
        if start + 1.0 > canvas.seconds:
            break
        lines += _boxed_phrase(canvas, phrase, start, f"{number}")
        start += 1.0
    return lines


def _boxed_phrase(canvas: Canvas, phrase: Sequence[str], start: float, owner: str) -> list[Line]:
    size, middle = canvas.height * 0.085, canvas.height * 0.70
    letter = size * 0.62
    left = canvas.width / 2 - (sum(map(len, phrase)) + len(phrase) - 1) * letter / 2
    spans = []
    for word in phrase:
        spans.append((left, left + len(word) * letter))
        left += (len(word) + 1) * letter
    lines = []
    for turn, (x0, x1) in enumerate(spans):
        span = start + turn * 0.33, start + (turn + 1) * 0.33
        box = rectangle(x0 - 4, middle - size * 0.55, x1 + 4, middle + size * 0.55, "C814A0")
        lines.append(Line(*span, box, owner, BOLD))
        for word, (a, b) in zip(phrase, spans, strict=True):
            place = (
                rf"{{\an5\fn{MONO_FONT}\pos({(a + b) / 2:.0f},{middle:.0f})\fs{size:.0f}\bord3}}"
            )
            lines.append(Line(*span, place + word, owner, BOLD, 1))
    return lines


def ticker(canvas: Canvas) -> list[Line]:
    """News that run along a bar at 110 px a second."""
    text = (
        "BREAKING NEWS: storm hits the coast, thousands without power  +++  "
        "markets fall 3 percent  +++  mayor resigns after long debate"
    )
    width, height, stop = canvas.width, canvas.height, canvas.seconds + 1
    bar = rectangle(0, height * 0.90, width, height * 0.97, "801000")
    move = (
        rf"\move({width * 0.3:.0f},{height * 0.908:.0f},{width * 0.3 - 110 * stop:.0f},"
        rf"{height * 0.908:.0f},0,{stop * 1000:.0f})"
    )
    effect = rf"{{\an7\q2\bord0\fs{height * 0.05:.0f}{move}}}"
    return [Line(0, stop, bar, "ticker"), Line(0, stop, effect + text, "ticker", PLAIN, 1)]


_DANMAKU = (
    *("前方高能预警", "哈哈哈哈哈哈", "这个镜头太帅了吧", "2333333"),
    *("第一次看到这里", "弹幕护体", "awsl awsl"),
)


def danmaku(canvas: Canvas) -> list[Line]:
    """Viewers' comments that fly from right to left in four rows, 5 s each."""
    width, height, crossing = canvas.width, canvas.height, 5.0
    lines = []
    for number in range(12):
        start = -2 + number * 0.45
        text = _DANMAKU[number % len(_DANMAKU)]
        left, top = -len(text) * height * 0.06, height * (0.03 + 0.075 * (number % 4))
        begun_ms, ended_ms = min(0.0, start) * 1000, (crossing + min(0.0, start)) * 1000
        move = rf"\move({width},{top:.0f},{left:.0f},{top:.0f},{begun_ms:.0f},{ended_ms:.0f})"
        effect = rf"{{\an7\q2\bord1\fs{height * 0.055:.0f}{move}}}"
        lines.append(Line(max(0.0, start), start + crossing, effect + text, f"{number}", CJK))
    return [line for line in lines if line.start < canvas.seconds]


def credits_roll(canvas: Canvas) -> list[Line]:
    """Names that roll up at 45 px a second; all of them are one object."""
    names = (
        *("Directed by", "JOHN SMITH", "Written by", "ANNA MEYER"),
        *("Music", "PAUL KLEIN", "Camera", "EVA STONE"),
    )
    lines, stop = [], canvas.seconds + 1
    for number, name in enumerate(names):
        low = canvas.height * (0.55 + 0.11 * number)
        middle = canvas.width / 2
        move = rf"\move({middle:.0f},{low:.0f},{middle:.0f},{low - 45 * stop:.0f})"
        effect = rf"{{\an5\fs{canvas.height * 0.06:.0f}\bord1{move}}}"
        lines.append(Line(0, stop, effect + name, "roll"))
    return lines


def glow(canvas: Canvas) -> list[Line]:
    """White letters in a pink neon glow."""
    halo = sentences(canvas, style=BOLD, effect=r"{\blur6\bord6\3c&HFF30E0&\c&HFFFFFF&}")
    letters = sentences(canvas, style=BOLD, effect=r"{\bord1\3c&HFF30E0&}")
    return [*halo, *lane("", letters, layer=1)]


def gradient_titles(canvas: Canvas) -> list[Line]:
    """Titles with a gradient from yellow to red, and depth drawn by ten shifted copies."""
    lines = []
    size, middle, low = canvas.height * 0.09, canvas.width / 2, canvas.height * 0.82
    spans = ((0.3, 1.3, "GOLDEN HOUR"), (1.5, 2.6, "LAST CHANCE"))
    for number, (start, stop, text) in enumerate(spans):
        for depth in range(10, 0, -1):
            place = rf"\an5\pos({middle + depth:.0f},{low + depth:.0f})\fs{size:.0f}"
            effect = rf"{{{place}\bord2\c&H003C78&\3c&H002040&}}"
            lines.append(Line(start, stop, effect + text, f"{number}", BOLD))
        for step in range(10):
            top = low - size * 0.5 + step * size / 10
            clip = rf"\clip(0,{top:.0f},{canvas.width},{top + size / 10 + 1:.0f})"
            place = rf"\an5\pos({middle:.0f},{low:.0f})\fs{size:.0f}\bord0"
            effect = rf"{{{place}\c&H00{230 - step * 16:02X}FF&{clip}}}"
            lines.append(Line(start, stop, effect + text, f"{number}", BOLD, 1))
    return lines


def logo(canvas: Canvas) -> list[Line]:
    """A translucent mark in the upper right corner, all film long."""
    effect = rf"{{\an9\pos({canvas.width - 14},12)\fs{canvas.height * 0.07:.0f}\bord0\1a&H78&}}"
    return [Line(0, canvas.seconds + 1, effect + "CINE+", "logo", BOLD)]


def bouncing_mark(canvas: Canvas) -> list[Line]:
    """A translucent name that wanders over the picture all film long."""
    shares = ((0.15, 0.2), (0.6, 0.75), (0.85, 0.4), (0.4, 0.15))
    places = [(canvas.width * x, canvas.height * y) for x, y in shares]
    each, lines = (canvas.seconds + 0.2) / 3, []
    for number, (a, b) in enumerate(pairwise(places)):
        move = rf"\move({a[0]:.0f},{a[1]:.0f},{b[0]:.0f},{b[1]:.0f})"
        effect = rf"{{\an5\fs{canvas.height * 0.06:.0f}\bord0\1a&H70&{move}}}"
        span = number * each, (number + 1) * each
        lines.append(Line(*span, effect + "@streamer_tv", "mark", BOLD))
    return lines


def lower_thirds(canvas: Canvas) -> list[Line]:
    """A name and a job on a translucent plate wider than the text, with a red stripe."""
    width, height = canvas.width, canvas.height
    people = (
        (0.3, 1.7, "Dr. Maria Jensen", "Climate researcher, Oslo"),
        (1.9, canvas.seconds - 0.2, "Peter Hall", "Eyewitness"),
    )
    lines = []
    left, top, low = width * 0.06, height * 0.72, height * 0.90
    for number, (start, stop, name, job) in enumerate(people):
        owner = f"{number}"
        stripe = rectangle(left, top, left + 6, low, "0000E0")
        plate = rectangle(left + 6, top, width * 0.52, low, "000000", "60")
        lines += [Line(start, stop, drawn, owner, BOLD) for drawn in (stripe, plate)]
        for text, row, size, style in ((name, 0.735, 0.065, BOLD), (job, 0.815, 0.05, PLAIN)):
            place = rf"{{\an7\pos({width * 0.075:.0f},{height * row:.0f})"
            effect = rf"{place}\fs{height * size:.0f}\bord0}}"
            lines.append(Line(start, stop, effect + text, owner, style, 1))
    return lines


def slide_in(canvas: Canvas) -> list[Line]:
    """Names that slide in from the left edge within 0.3 s, then stand."""
    width, height = canvas.width, canvas.height
    move = (
        rf"\move({-width * 0.4:.0f},{height * 0.76:.0f},{width * 0.07:.0f},{height * 0.76:.0f},"
        r"0,300)"
    )
    effect = rf"{{\an7\fs{height * 0.07:.0f}\bord2{move}}}"
    spans = ((0.3, 1.9, "Dr. Maria Jensen"), (2.1, canvas.seconds - 0.2, "Peter Hall, Eyewitness"))
    return at_times(spans, style=BOLD, effect=effect)


def slide_up(canvas: Canvas) -> list[Line]:
    """Sentences that rise by 8 % of the height within 0.25 s while they fade in."""
    middle, low, high = canvas.width / 2, canvas.height * 0.95, canvas.height * 0.87
    move = rf"\move({middle:.0f},{low:.0f},{middle:.0f},{high:.0f},0,250)"
    spans = [
        (start, start + 1.5, text) for start, text in zip((0.3, 2.0, 3.7), SENTENCES, strict=True)
    ]
    return at_times(spans, style=BOLD, effect=rf"{{\fad(150,150){move}\an5}}")


def ruby(canvas: Canvas) -> list[Line]:
    """A Japanese sentence with its reading in small letters above."""
    size, middle, low = canvas.height * 0.075, canvas.width / 2, canvas.height * 0.87
    readings = ((-4.5, "こん"), (-3.5, "や"), (-1.5, "つき"), (0.5, "き"), (1.5, "れい"))
    lines = []
    for number, span in enumerate(((0.3, 1.6), (1.8, canvas.seconds - 0.2))):
        owner = f"{number}"
        place = rf"{{\an5\pos({middle:.0f},{low:.0f})\fs{size:.0f}\bord2}}"
        lines.append(Line(*span, place + "今夜の月は綺麗ですね", owner, CJK))
        for shift, reading in readings:
            x, y = middle + shift * size * 0.78, low - size * 0.62
            place = rf"{{\an5\pos({x:.0f},{y:.0f})\fs{size * 0.4:.0f}\bord1}}"
            lines.append(Line(*span, place + reading, owner, CJK))
    return lines


def vertical(canvas: Canvas) -> list[Line]:
    """Chinese verses from top to bottom at the right edge."""
    lines = []
    verses = ((0.3, 1.6, "昨夜雨疏风骤"), (1.8, canvas.seconds - 0.2, "浓睡不消残酒"))
    for number, (start, stop, verse) in enumerate(verses):
        for k, letter in enumerate(verse):
            place = rf"\pos({canvas.width * 0.92:.0f},{canvas.height * (0.15 + 0.11 * k):.0f})"
            effect = rf"{{\an5{place}\fs{canvas.height * 0.085:.0f}\bord2}}"
            lines.append(Line(start, stop, effect + letter, f"{number}", CJK))
    return lines


def typewriter(canvas: Canvas) -> list[Line]:
    """A sentence that gains a letter each 0.09 s, then stands for a second."""
    text, start, lines = "你还能见上孩子一面吧", 0.3, []
    place = rf"\pos({canvas.width * 0.2:.0f},{canvas.height * 0.82:.0f})"
    effect = rf"{{\an4{place}\fs{canvas.height * 0.07:.0f}\bord0\shad1}}"
    for count in range(1, len(text) + 1):
        stop = start + (0.09 if count < len(text) else 1.0)
        lines.append(Line(start, stop, effect + text[:count], "0", CJK))
        start = stop
    return lines


def roll_up(canvas: Canvas) -> list[Line]:
    """Closed captions on opaque boxes: a line enters below, then moves up one row."""
    texts = (
        *("AND THE WEATHER TOMORROW WILL", "BE MOSTLY CLOUDY WITH A LITTLE"),
        *("RAIN IN THE AFTERNOON HOURS", "THANK YOU FOR WATCHING"),
    )
    left, low, lines, start = canvas.width * 0.12, canvas.height * 0.92, list[Line](), 0.2
    for number in range(len(texts)):
        stop = start + 0.8 if number < 3 else canvas.seconds
        stop = min(stop, canvas.seconds)
        for row, shown in enumerate((number, number - 1)):
            if shown >= 0:
                y = low - row * canvas.height * 0.085
                effect = rf"{{\an1\pos({left:.0f},{y:.0f})\fn{MONO_FONT}"
                effect += rf"\fs{canvas.height * 0.058:.0f}}}"
                lines.append(Line(start, stop, effect + texts[shown], f"{shown}", PLATE))
        start = stop
        if start > canvas.seconds - 0.3:
            break
    return lines


def variety_show(canvas: Canvas) -> list[Line]:
    """Large, tilted exclamations with a white and a dark outline."""
    shouts = (
        (0.2, 1.2, "太可怕了吧", "00D7FF", 8),
        (1.3, 2.3, "心跳加速中…", "B469FF", -6),
        (2.4, canvas.seconds - 0.1, "哈哈哈", "50FF50", 10),
    )
    lines = []
    for number, (start, stop, text, colour, turn) in enumerate(shouts):
        place = rf"\an5\pos({canvas.width * 0.5:.0f},{canvas.height * 0.6:.0f})"
        look = rf"{place}\fs{canvas.height * 0.14:.0f}\frz{turn}\c&H{colour}&"
        for layer, edge in enumerate((r"\bord9\3c&HFFFFFF&", r"\bord4\3c&H200000&")):
            lines.append(Line(start, stop, f"{{{look}{edge}}}{text}", f"{number}", CJK, layer))
    return lines


def soft_halo(canvas: Canvas) -> list[Line]:
    """White Chinese lines in a translucent, blurred dark halo."""
    texts = ("那不是纪家大少爷", "百亿集团总裁纪止渊吗")
    halo = r"{\blur5\bord5\3c&H000000&\3a&H60&}"
    below = sentences(canvas, style=CJK, effect=halo, texts=texts, each=1.4)
    letters = sentences(canvas, style=CJK, effect=r"{\bord0\shad0}", texts=texts, each=1.4)
    return [*below, *lane("", letters, layer=1)]


def left_aligned(canvas: Canvas) -> list[Line]:
    """Short lines of a portrait drama that share their left edge."""
    place = rf"\an4\pos({canvas.width * 0.1:.0f},{canvas.height * 0.67:.0f})"
    effect = rf"{{{place}\bord0\shad1\fs{canvas.height * 0.034:.0f}}}"
    spans = ((0.2, 0.9, "你说"), (1.0, 1.9, "我们早点做"), (2.0, 2.9, "顺利的话"))
    return at_times(spans, style=CJK, effect=effect)


def bilingual(canvas: Canvas) -> list[Line]:
    """English below and Chinese above, at the same times."""
    chinese = ("请不要再回到这里来", "你到底去了什么地方")
    upper = sentences(canvas, style=CJK, effect=r"{\an8}", texts=chinese, each=1.4)
    lower = sentences(canvas, texts=(FIRST, SECOND), each=1.4)
    return [*lane("lower", lower), *lane("upper", upper)]


def tilted_sign(canvas: Canvas) -> list[Line]:
    """A tilted brown inscription without outline, and ordinary sentences below."""
    place = rf"\an5\pos({canvas.width * 0.5:.0f},{canvas.height * 0.3:.0f})\frz18"
    effect = rf"{{{place}\fs{canvas.height * 0.06:.0f}\bord0\c&H3060A0&}}"
    sign = Line(0.3, canvas.seconds - 0.4, effect + "Temple school, est. 1952", "sign", BOLD)
    return [sign, *sentences(canvas)]
