"""Kinds of burned-in text: a record each, drawn on three scenes.

Numbers in ``finding`` are those of the list of what earlier versions made of other people's films;
0 is a kind that was always erased well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from bench.wild import captions as c
from bench.wild.scenes import Scene, variants
from bench.wild.script import BOLD, CJK, PLAIN, PLATE, Canvas, Line, Look

Write = Callable[[Canvas], list[Line]]


@dataclass(frozen=True, slots=True)
class Coding:
    """Codec, FFmpeg options and suffix of both films of a case."""

    codec: str = "libx264"
    options: str = "-crf 16 -preset medium"
    suffix: str = ".mp4"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of captions, and what happens to the pictures before and after they are drawn."""

    name: str
    scene: Scene
    write: Write
    look: Look = field(default_factory=Look)
    before: str = ""  # FFmpeg filters of the clean picture
    after: str = ""  # FFmpeg filters of both films, after the captions are drawn
    rate_after: Fraction | None = None  # frames a second that ``after`` makes
    upscaled: tuple[int, int] | None = None  # width and height; encoded small before, as web rips
    jitter: bool = False  # the text weaves, as optical titles on film do
    emoji: bool = False  # drawn by Pillow, ``write`` is not used
    coding: Coding = field(default_factory=Coding)
    finding: int = 0
    stays: bool = False  # marks, tickers and the like: erased whole or left whole, both is right

    @property
    def needs_cjk(self) -> bool:
        """True if the captions need Noto Sans CJK."""
        lines = [] if self.emoji else self.write(Canvas(self.scene.width, self.scene.height, 5.0))
        return any(line.style == CJK for line in lines)


def drawn_on(kind: Kind) -> list[tuple[str, Kind]]:
    """Return the kind on its own scene and on two others, with a name for each."""
    scenes = variants(kind.scene, kind.name)
    return [(f"{kind.name}-{k}", replace(kind, scene=scene)) for k, scene in enumerate(scenes)]


def _scene(clip: str, width: int, height: int, frames: int, bar_px: int = 0) -> Scene:
    return Scene((clip,), width, height, frames, bar_px)


CAR = _scene("pp_sample2", 432, 240, 80)
CAR_CUTS = _scene("bigbuckbunny", 960, 540, 110)
BIKES = _scene("pp_sample1", 640, 360, 90)
WIDE = _scene("pp_sample1", 576, 324, 70, 40)
FISH = _scene("mm_cartoon0", 854, 480, 81)
CHASE = _scene("mm_cartoon1", 854, 480, 75)
FLOWER = _scene("mm_normal5", 960, 540, 81)
KIDS = _scene("de_ex1", 854, 480, 70)
PHONE = _scene("pp_sample1", 352, 288, 90)
TINY = _scene("pp_sample1", 176, 144, 90)
PORTRAIT = _scene("bigbuckbunny", 360, 640, 90)
LETTERBOX = _scene("pp_sample2", 640, 480, 80, 60)
LETTERBOX_720 = _scene("bigbuckbunny", 960, 720, 90, 90)
STILL = Scene(("de_ex1",), 640, 360, 144, montage="still")
SMOKE = Scene((), 640, 360, 75, montage="smoke")
TWO_SHOTS = Scene(("pp_sample2", "bigbuckbunny"), 640, 360, 90, montage="twoshots")
# TWO_SHOTS and this one have their cut at 1.8 s; captions hang over it by 2 or 5 frames.
OVER_CUT = Scene(("pp_sample1", "mm_cartoon0"), 640, 360, 90, montage="twoshots")
DISSOLVE = Scene(("de_ex1", "bigbuckbunny"), 640, 360, 100, montage="dissolve")
CUTS = Scene(
    (
        *("pp_sample2", "pp_sample2", "de_ex1", "mm_cartoon1"),
        *("pp_sample1", "mm_normal5", "mm_cartoon0"),
    ),
    640,
    360,
    86,
    montage="cuts",
)

_SHORT_BAR = ("I told you not to come", "Where have you been", "Nobody saw him")
_TWO_ROWS = (r"I told you not to\Ncome back here", r"Where have you been\Nall this time?")
_WORDS = ("WHEN", "YOU", "NEVER", "STOP", "DRIVING", "ON", "SNOW")
_PHRASES = ("when you never", "stop driving on", "snow and ice", "in the dark", "of the night")
_BOXED = (f"{c.FIRST}\\N{c.THIRD}", f"{c.SECOND}\\N{c.FIRST}")
_COLOURS = (
    r"{\c&H00FFFF&}Where is she?\N{\c&HFFFF00&}She left an hour ago.",
    r"{\c&H00FF00&}Wait for me!\N{\c&HFF80FF&}No time.",
)
_SHAKE = "crop=w=iw-64:h=ih-36:x='32+30*sin(n*2.1)*cos(n*0.7)':y='18+17*sin(n*1.7+1)',scale=960:540"
_FLASH = "eq=brightness='0.9*max(0,1-abs(mod(t,1.2)-0.6)/0.22)':eval=frame"
_WEAVE = (
    "crop=w=iw-16:h=ih-16:x='8+2.2*sin(n*1.3)+1.2*sin(n*3.7)':y='8+1.8*sin(n*0.9+2)',"
    "scale=854:480:flags=bicubic"
)
_ZOOM = "zoompan=z='1+0.0016*on':d=1:x='iw/2-(iw/zoom/2)':y='ih/2-(ih/zoom/2)':s=960x540:fps=15"
_INTERLACE = "setpts=N/50/TB,fps=50,tinterlace=interleave_top"
_INTERLACED = "-crf 18 -flags +ildct+ilme -x264-params interlaced=1:tff=1"


def _sentences(style: str = PLAIN, effect: str = "", each: float = 1.1) -> Write:
    return lambda canvas: c.sentences(canvas, style=style, effect=effect, each=each)


def _texts(
    texts: tuple[str, ...], style: str = PLAIN, effect: str = "", each: float = 1.1
) -> Write:
    return lambda canvas: c.sentences(canvas, style=style, effect=effect, texts=texts, each=each)


def _span(style: str, start: float, before_end: float, text: str) -> Write:
    """Return captions of one object, from ``start`` to ``before_end`` seconds before the end."""
    return lambda canvas: c.at_times([(start, canvas.seconds - before_end, text)], style=style)


def _at(*spans: tuple[float, float, str]) -> Write:
    return lambda canvas: c.at_times(spans)


def _placed(effect: str, x: float, y: float, texts: tuple[str, ...], style: str = PLAIN) -> Write:
    def write(canvas: Canvas) -> list[Line]:
        place = rf"{{\an5\pos({canvas.width * x:.0f},{canvas.height * y:.0f}){effect}}}"
        return c.sentences(canvas, style=style, effect=place, texts=texts)

    return write


def _end_cut(canvas: Canvas) -> list[Line]:
    """Captions that the film's first and last frames cut off, and a whole one between them."""
    end = canvas.seconds
    return c.at_times([(0, 0.3, c.FIRST), (1, 2.2, c.SECOND), (end - 0.35, end + 1, c.THIRD)])


def _marked_sentences(canvas: Canvas) -> list[Line]:
    return [*c.logo(canvas), *c.sentences(canvas)]


_SHORT = ("No!", "Wait!", "Stop!", "Run!")


def _short(canvas: Canvas) -> list[Line]:
    return c.sentences(canvas, texts=_SHORT, each=0.32, gap=0.5)


_ALL = (
    Kind("plain", CAR, _sentences()),
    Kind("tiktok_pop", CAR, c.word_pops, finding=3),
    Kind("words45", CAR, lambda canvas: c.words(canvas, _WORDS, each=0.45, size=0.12), finding=1),
    Kind("words3", CAR_CUTS, lambda canvas: c.words(canvas, _PHRASES, each=0.7, size=0.09)),
    Kind("tiktok_box", KIDS, c.word_boxes, finding=12),
    Kind("rollup", KIDS, c.roll_up, finding=12),
    Kind("leftshort", PORTRAIT, c.left_aligned, finding=5),
    Kind("slide_up", KIDS, c.slide_up, finding=6),
    Kind("slide3", FLOWER, c.slide_in, finding=7),
    Kind("weave", KIDS, _sentences(), after=_WEAVE, finding=8),
    Kind("weave_sub", KIDS, _sentences(), jitter=True, finding=8),
    Kind("zoom", FLOWER, _sentences(), after=_ZOOM, finding=9),
    Kind("overhang", OVER_CUT, _at((0.4, 1.88, c.FIRST), (2.1, 3.3, c.SECOND)), finding=10),
    Kind("over5", OVER_CUT, _at((0.3, 2.0, c.FIRST), (2.2, 3.2, c.SECOND)), finding=10),
    Kind("over2two", TWO_SHOTS, _at((0.5, 2.0, c.FIRST), (2.3, 3.2, c.SECOND)), finding=10),
    Kind("over2car", TWO_SHOTS, _at((0.3, 1.5, c.FIRST), (1.72, 3.2, c.SECOND)), finding=10),
    Kind("endcut", KIDS, _end_cut, finding=11),
    Kind("logo", CAR, c.logo, finding=13, stays=True),
    Kind("logo_sub", KIDS, _marked_sentences, finding=13),
    Kind("halfalpha", KIDS, _sentences(BOLD, r"{\bord0\1a&H80&}"), finding=14),
    Kind(
        "bar_text",
        WIDE,
        _texts(("I told you not to come back", "Where have you been", "Nobody saw him leave")),
        Look(size=0.055, margin=3 / 324),
    ),
    Kind(
        "bar_half",
        WIDE,
        _texts(
            (
                r"I told you not to come back\Nto this old house again",
                r"Where have you been\Nall this time, my friend",
            )
        ),
        Look(size=0.055, margin=5 / 324),
        finding=15,
    ),
    Kind("bar480", LETTERBOX, _texts(_SHORT_BAR), Look(size=0.05), finding=15),
    Kind("bar480_2", LETTERBOX, _texts(_TWO_ROWS), Look(size=0.05, margin=4 / 480), finding=15),
    Kind("bar720_2", LETTERBOX_720, _texts(_TWO_ROWS), Look(size=0.05, margin=8 / 720), finding=15),
    Kind("barfade", LETTERBOX, _texts(_SHORT_BAR, effect=r"{\fad(300,300)}"), finding=15),
    Kind("softglow", CAR, c.soft_halo, finding=16),
    Kind("bilingual", CAR, c.bilingual, finding=16),
    Kind("vertical", FLOWER, c.vertical, finding=17),
    Kind("rotsign", KIDS, c.tilted_sign, finding=18),
    Kind("variety", _scene("mm_normal5", 960, 540, 81), c.variety_show, finding=19),
    Kind("lower3", KIDS, c.lower_thirds, finding=20),
    Kind(
        "webrip_up",
        TINY,
        _texts(("Where are you?", "I am on the way", "Good morning")),
        Look(size=0.095, outline=0.8),
        upscaled=(528, 432),
        finding=21,
    ),
    Kind("ticker", FLOWER, c.ticker, finding=22, stays=True),
    Kind("danmaku", FISH, c.danmaku, finding=22, stays=True),
    Kind("bounce", FLOWER, c.bouncing_mark, finding=22, stays=True),
    Kind("credits", FLOWER, c.credits_roll, finding=22, stays=True),
    Kind("static_all", STILL, _span(PLAIN, 0, -1, c.FIRST), finding=23, stays=True),
    Kind("static_12s", STILL, _span(PLAIN, 0.6, 0.4, c.FIRST)),
    Kind("glow", KIDS, c.glow),
    Kind("gradient3d", FLOWER, c.gradient_titles),
    Kind("small480", KIDS, _sentences(), Look(size=0.028, outline=1)),
    Kind("crf38", KIDS, _sentences(), coding=Coding(options="-crf 38 -preset medium")),
    Kind("mpeg2low", CAR, _sentences(), coding=Coding("mpeg2video", "-b:v 500k -g 12", ".mpg")),
    Kind(
        "interlaced", CAR_CUTS, _sentences(), after=_INTERLACE, coding=Coding(options=_INTERLACED)
    ),
    Kind(
        "grain",
        KIDS,
        _sentences(),
        before="noise=alls=22:allf=t:all_seed=7",
        coding=Coding(options="-crf 20"),
    ),
    Kind(
        "grain_dark",
        BIKES,
        _sentences(),
        before="eq=brightness=-0.25,noise=alls=18:allf=t:all_seed=7",
        coding=Coding(options="-crf 22"),
    ),
    Kind("shake", FLOWER, _sentences(), before=_SHAKE),
    Kind("cuts", CUTS, _span(PLAIN, 0.3, 0.3, f"{c.FIRST}\\N{c.SECOND}")),
    Kind("flash", KIDS, _sentences(each=1.6), before=_FLASH),
    Kind("fadewhite", FLOWER, _sentences(each=2.0), before="fade=t=out:st=1.2:d=0.8:c=white"),
    Kind("dissolve", DISSOLVE, _span(PLAIN, 0.4, 0.4, c.FIRST)),
    Kind("spancut", TWO_SHOTS, _span(PLAIN, 0.5, 0.5, f"{c.FIRST}\\N{c.THIRD}")),
    Kind(
        "face",
        PHONE,
        _placed("", 0.5, 0.573, ("Where are you?", "On the way")),
        Look(size=0.08, outline=1.5),
    ),
    Kind("smoke", SMOKE, _sentences()),
    Kind("twocolor", KIDS, _texts(_COLOURS, BOLD, each=1.6)),
    Kind("ruby", FISH, c.ruby),
    Kind("typewriter", FLOWER, c.typewriter),
    Kind("blacktext", CHASE, _sentences(BOLD, r"{\c&H000000&\bord0}")),
    Kind("blackwhite", CAR, _sentences(BOLD, r"{\c&H000000&\3c&HFFFFFF&\bord3}")),
    Kind("opaquebox", KIDS, _sentences(PLATE)),
    Kind("opaque2", KIDS, _texts(_BOXED, PLATE, each=1.8)),
    Kind("opaque2car", CAR, _texts(_BOXED, PLATE, each=1.4)),
    Kind("longfade", FLOWER, _sentences(effect=r"{\fad(700,700)}", each=2.2)),
    Kind("frameblend", BIKES, _sentences(), after="framerate=fps=30", rate_after=Fraction(30)),
    Kind("mirror", CAR, _sentences(), after="hflip"),
    Kind("huge", FLOWER, _texts(("NO WAY", "COME ON", "RUN"), BOLD), Look(size=0.2, outline=5)),
    Kind("yellowthin", CAR, _sentences(effect=r"{\c&H00FFFF&\bord0\shad0}")),
    Kind("whiteonsnow", CAR_CUTS, _sentences(effect=r"{\bord0\shad0}")),
    Kind("emoji", FLOWER, c.sentences, emoji=True),
    Kind("short", CAR, _short),
    Kind(
        "comic",
        CHASE,
        _placed(
            r"\frz-4\c&H0000E0&\3c&H00FFFF&\bord4",
            0.3,
            0.2,
            ("BANG!!", "Get me out!", "Oh no"),
            BOLD,
        ),
        Look(size=0.1),
    ),
)
KINDS = {kind.name: kind for kind in _ALL}
