"""Prints a table of seldom kinds of films: ffprobe's view of each source and of its result.

usage: python -m tests.media.kinds_table [FILE ...]

Each film of ``film_kinds`` is made, erased by the real pipeline and probed; FILE picks some.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from erasecore.errors import EraseError
from erasecore.resources import ModelCache
from erasecore.settings import DetectSettings, EncodeSettings, EraseSettings
from tests.media.erasing import run
from tests.media.film_kinds import KINDS, Kind, drawn

# At 59.94 frames a second the line shows for 0.37 s only.
DETECT = DetectSettings(every_seconds=0.1, min_seconds=0.2)
SETTINGS = EraseSettings(detect=DETECT, encode=EncodeSettings(preset="veryfast"))


def probed(path: Path) -> str:
    """What ffprobe says of a film: one phrase per stream, and the number of programs."""
    found = _ffprobe(path, "-show_streams", "-show_programs")
    streams = sorted(found["streams"], key=lambda s: (s["codec_type"] != "video", s["index"]))
    programs = len(found["programs"])
    phrases = ["; ".join(" ".join(_facts(stream)) for stream in streams)]
    phrases += [f"pictures {fields}"] if (fields := _fields(path)) else []
    return ", ".join([*phrases, *([f"{programs} programs"] if programs > 1 else [])])


def _fields(path: Path) -> str:
    """Which field comes first in each of the first pictures, T or B; empty if not interlaced."""
    words = ("-show_frames", "-select_streams", "v:0", "-read_intervals", "%+#24")
    frames = _ffprobe(path, *words)["frames"]
    letters = ["BT"[frame["top_field_first"]] for frame in frames if frame["interlaced_frame"]]
    return " ".join(letters[:4])


def _ffprobe(path: Path, *words: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", *words, str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _facts(stream: dict[str, Any]) -> Iterator[str]:
    """What must not change in one stream, as far as ffprobe knows it."""
    yield str(stream.get("codec_name", stream["codec_type"]))
    if stream["codec_tag_string"].isalnum():
        yield str(stream["codec_tag_string"])
    if stream["codec_type"] == "video":
        yield f"{stream['width']}x{stream['height']}"
        yield f"SAR {stream.get('sample_aspect_ratio', '-')}"
        yield f"{stream.get('field_order', 'order unknown')}"
        yield f"{stream['r_frame_rate']} fps"
        yield from (f"turned {s['rotation']}" for s in _side_data(stream) if "rotation" in s)
    yield f"from {float(stream.get('start_time', 0)):.3f} s"
    if reel := stream.get("tags", {}).get("reel_name"):
        yield f"reel {reel}"


def _side_data(stream: dict[str, Any]) -> list[dict[str, Any]]:
    return list(stream.get("side_data_list", []))


def row(kind: Kind, folder: Path, models: ModelCache) -> str:
    """One row of the table; a film that fails has its error in place of a result."""
    source = folder / kind.file
    kind.make(drawn(folder), source)
    before = probed(source)
    try:
        report = run(source, folder / f"{kind.file}.job", models, SETTINGS)
        after = probed(folder / f"{kind.file}.job" / report.result)
        said = "; ".join([f"{len(report.events)} erased", *report.warnings])
    except EraseError as error:
        after, said = "-", f"{type(error).__name__}: {error}"
    return f"| {kind.about} | `{kind.file}` | {before} | {after} | {said} |"


def main(names: list[str]) -> int:
    """Print the table; 2 if ffprobe is not installed."""
    if shutil.which("ffprobe") is None:
        print("ffprobe is not installed; it comes with the package ffmpeg.", file=sys.stderr)
        return 2
    models = ModelCache.load(threads=1)
    print("| kind | film | source | result | report |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            if not names or kind.file in names:
                print(row(kind, Path(folder), models), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
