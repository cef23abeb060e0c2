"""Cases by chance: any look at any caption's place, over any clip, moved and toned at random.

The named cases are known to whoever works on the finder; these are not. A seed is one film, always
the same. Some have text in the scene: signs that move with it, credits that scroll, a ticker.

    python -m bench.draws --data ../shared/data --seeds 0:60
    python -m bench.draws --data ../shared/data --erase 200

The second line scores the whole erasing, fill included, of other films by chance; it is the set
``draws`` of the part ``wild`` (see ``bench.wild.part``), with a new seed in each run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench.cases import CLIPS, Case, Recipe, build_case, load_case
from bench.detection import DetectionRow, run_detection
from bench.fonts import check_fonts
from bench.media import BenchError
from bench.residual import TextJudge
from bench.styles import (
    ARABIC,
    BOTTOM,
    CENTRE,
    CHINESE,
    CJK,
    CYRILLIC,
    JAPANESE,
    LATIN,
    LEFT,
    SHORT_LATIN,
    THAI,
    TOP,
    Pace,
    Style,
)
from bench.takes import Take
from bench.wild import part as wild
from erasecore.detection.detector import RapidOcrDetector

FOLDER = Path("build/bench/draws")
SECONDS = 3.2
_SCRIPTS: tuple[tuple[Sequence[str], tuple[str, ...]], ...] = (
    (LATIN, ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "DejaVu Sans Light", "Noto Sans")),
    (SHORT_LATIN, ("DejaVu Sans", "Noto Sans", "Noto Sans Display", "DejaVu Sans Light")),
    (CJK, ("Noto Sans CJK SC", "Noto Serif CJK SC")),
    (CHINESE, ("Noto Sans CJK SC", "Noto Serif CJK SC")),
    (JAPANESE, ("Noto Sans CJK JP", "Noto Serif CJK JP")),
    (CYRILLIC, ("DejaVu Sans", "Noto Sans", "DejaVu Serif")),
    (ARABIC, ("Noto Sans Arabic", "Noto Naskh Arabic")),
    (THAI, ("Noto Sans Thai", "Noto Serif Thai")),
)
_COLORS = (
    *("&H00FFFFFF",) * 5,
    "&H0000E6FF",
    "&H00E8D020",
    "&H00C88CFF",
    "&H00B4B4B4",
    "&H0050C850",
)
_EDGES = ("&H00000000",) * 4 + ("&H00404040", "&H00602000", "&H00200060")
_SIGNS = ("OPEN ALL DAY", "EXIT 24", "HOTEL", "Bakery & Café", "PLATZ 7", "NO PARKING", "超市")


@dataclass(frozen=True, slots=True)
class Draw:
    """What a seed gives."""

    recipe: Recipe
    style: Style
    size: tuple[int, int]


def draw(seed: int) -> Draw:
    """The film of a seed; nothing but the seed decides."""
    chance = Random(seed)
    portrait = chance.random() < 0.2
    height = chance.choice((480, 640, 720, 960) if portrait else (360, 480, 540, 720))
    size = (height * 9 // 16 // 2 * 2, height) if portrait else (height * 16 // 9 // 2 * 2, height)
    take = Take(0, SECONDS, _filters(chance, size, seed), logo=chance.random() < 0.15)
    starts_at_once, to_end = chance.random() < 0.25, chance.random() < 0.25
    start = 0.0 if starts_at_once else chance.uniform(0.15, 0.8)
    recipe = Recipe(chance.choice(CLIPS), "drawn", start, to_end, take=take)
    return Draw(recipe, _style(chance, portrait=portrait), size)


def _style(chance: Random, *, portrait: bool) -> Style:
    words, fonts = chance.choice(_SCRIPTS)
    vertical = words is JAPANESE and chance.random() < 0.5
    size = chance.uniform(0.036, 0.05) if portrait else chance.uniform(0.042, 0.1)
    edge = chance.choice((0.0, 0.0015, 0.003, 0.004, 0.006, 0.009))
    shadow = 0.0 if edge and chance.random() < 0.6 else chance.uniform(0.003, 0.007)
    effect = chance.choice(("", "", r"{\blur0.8}", r"{\blur2}"))
    if chance.random() < 0.2:
        fade = chance.choice((120, 200, 300, 450))
        effect += rf"{{\fad({fade},{fade})}}"
    place: tuple[float, float] | None = None
    align = CENTRE if portrait and chance.random() < 0.5 else chance.choice((BOTTOM,) * 4 + (TOP,))
    if vertical:
        align, place = LEFT, (chance.choice((0.08, 0.92)), 0.12)
        effect += r"{\frz-90}"
    return Style(
        font=("@" if vertical else "") + chance.choice(fonts),
        size=size,
        color=chance.choice(_COLORS),
        outline=edge,
        outline_color=chance.choice(_EDGES),
        shadow=shadow,
        align=align,
        margin=chance.uniform(0.03, 0.1),
        at=place,
        spacing=0 if words in (ARABIC, THAI) else chance.choice((0, 0, 0, 0.004, 0.01)),
        bold=chance.random() < 0.5,
        italic=chance.random() < 0.2 and not vertical,
        plate=chance.choice(("",) * 6 + ("&H70000000", "&H00101010")) if not vertical else "",
        unsung=chance.choice(("",) * 9 + ("&H00FFFFFF",)),
        effect=effect,
        words=tuple(chance.sample(list(words), len(words))),
        pace=Pace(
            (chance.uniform(0.75, 1.4), chance.uniform(0.75, 2.2)), (chance.choice((0, 0.12, 0.5)),)
        ),
    )


def _filters(chance: Random, size: tuple[int, int], seed: int) -> str:
    """The scene: a window that may wander over the clip, its tones, and what is written in it."""
    width, height = size
    room = chance.choice((1.0, 1.15, 1.5, 2.0))
    large = (round(width * room) // 2 * 2, round(height * room) // 2 * 2)
    scale = f"scale={large[0]}:{large[1]}:force_original_aspect_ratio=increase"
    tone = chance.choice(
        ("", "", "eq=contrast=0.5", "eq=contrast=0.4:brightness=0.15", "gblur=sigma=4", "negate")
    )
    across, down = chance.uniform(-1, 1), chance.uniform(-0.4, 0.4)
    share = f"t/{SECONDS}"
    x = f"(iw-ow)*(0.5+{across / 2:.3f}*(2*{share}-1))"
    y = f"(ih-oh)*(0.5+{down / 2:.3f}*(2*{share}-1))"
    window = f"crop={width}:{height}:x='{x}':y='{y}'"
    kind = chance.choice(("", "", "", "sign", "sign", "credits", "ticker"))
    written = f"ass={_write_scene_text(chance, seed, kind)}" if kind else ""
    order = [scale, tone, written, window] if kind == "sign" else [scale, tone, window, written]
    return ",".join(filter(None, order))


def _write_scene_text(chance: Random, seed: int, kind: str) -> Path:
    """An ASS file with text of the scene; its own picture is 1000 x 1000."""
    lines = []
    if kind == "sign":
        for word in chance.sample(_SIGNS, 2):
            x, y = chance.randint(150, 850), chance.randint(100, 950)
            turn = chance.choice((0, 0, 3, -8))
            lines.append(rf"{{\an5\pos({x},{y})\frz{turn}\fs{chance.randint(40, 110)}}}{word}")
    elif kind == "credits":
        for k, word in enumerate((*_SIGNS, *SHORT_LATIN)):
            low = 300 + 110 * k
            gone = low - chance.choice((250, 450))
            lines.append(rf"{{\an5\move(500,{low},500,{gone})\fs60}}{word}")
    else:
        text = "  +++  ".join((*SHORT_LATIN, *_SIGNS))
        lines.append(rf"{{\an4\q2\move(900,960,-500,960)\fs60}}{text}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    script = FOLDER / f"scene{seed}.ass"
    rows = "".join(
        f"Dialogue: 0,0:00:00.00,0:00:{SECONDS + 1:05.2f},S,,0,0,0,,{line}\n" for line in lines
    )
    script.write_text(_SCENE_HEAD + rows, encoding="utf-8")
    return script


_SCENE_HEAD = """[Script Info]
ScriptType: v4.00+
PlayResX: 1000
PlayResY: 1000

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, Bold, BorderStyle, Outline, \
Alignment, Encoding
Style: S,Noto Sans CJK SC,60,&H00E0F0F0,&H00303030,-1,1,3,5,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def drawn_case(seed: int, clips_folder: Path) -> Case:
    """The case of a seed, built when it is not there yet."""
    drawn = draw(seed)
    folder = FOLDER / f"{seed:04d}"
    made_from = repr((drawn.recipe, [drawn.style]))
    facts = folder / "events.json"
    built = facts.is_file() and json.loads(facts.read_text("utf-8"))["made_from"] == made_from
    if not built:
        clip = clips_folder / f"{drawn.recipe.clip}.mp4"
        build_case(folder, clip, drawn.recipe, [drawn.style])
    return load_case(folder)


def main(words: list[str]) -> int:
    """Prints a line for each film with a fault, and the rates; 0 when there is none."""
    parser = argparse.ArgumentParser(prog="bench.draws", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the clips")
    parser.add_argument("--seeds", default="0:40", help="from:to, or one")
    parser.add_argument("--erase", type=int, default=0, help="score the erasing of so many films")
    parser.add_argument("--seed", type=int, help="of the films to be erased; default: a new one")
    asked = parser.parse_args(words)
    if asked.erase:
        return _erase(asked)
    first, _, last = asked.seeds.partition(":")
    check_fonts()
    detector, judge = RapidOcrDetector(threads=1), TextJudge()
    rows: list[DetectionRow] = []
    for seed in range(int(first), int(last or int(first) + 1)):
        try:
            case = drawn_case(seed, asked.data)
        except BenchError as error:  # a text that fell outside of the picture
            print(f"{seed}: left out, {error}", file=sys.stderr)
            continue
        row = run_detection(case, detector, judge)
        rows.append(row)
        off = max((*row.borders, *(border - 1 for border in row.fade_borders)), default=0)
        if row.missed or row.false or off > 1:
            told = f"missed {row.missed} of {row.events}, false {row.false}"
            borders = f"borders {row.borders} fades {row.fade_borders}"
            print(f"{row.film}: {told}, {borders} {' | '.join(row.notes)}", flush=True)
    print(summary(rows))
    return 0 if not any(row.missed or row.false for row in rows) else 1


def _erase(asked: argparse.Namespace) -> int:
    """Score the erasing of drawn films; return 1 if one of them crashed."""
    options = argparse.ArgumentParser()
    wild.add_options(options)
    seed = [] if asked.seed is None else ["--wild-seed", str(asked.seed)]
    plan = wild.wild_plan(
        options.parse_args(["--wild", "draws", "--draws", str(asked.erase), *seed])
    )
    return 1 if wild.run_wild(plan, asked.data) else 0


def summary(rows: Sequence[DetectionRow]) -> str:
    """The rates over all films."""
    events = sum(row.events for row in rows)
    missed, false = sum(row.missed for row in rows), sum(row.false for row in rows)
    borders = [error for row in rows for error in (*row.borders, *row.fade_borders)]
    exact = sum(error == 0 for error in borders) / max(1, len(borders))
    off = sum(error > 1 for row in rows for error in row.borders)
    off += sum(error > 2 for row in rows for error in row.fade_borders)
    return (
        f"{len(rows)} films, {events} events: missed {missed}, false {false}; borders exact "
        f"{exact:.0%}, off by more than allowed {off}; "
        f"CPU {sum(row.cpu_seconds for row in rows):.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
