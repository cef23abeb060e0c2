"""Takes: the part of a clip that a case is made of, cropped, scaled and with a logo, if asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.media import run_ffmpeg
from bench.styles import Cue, Lane, Style, ass_script

PORTRAIT_CROP = "crop=trunc(ih*9/32)*2:ih,scale=540:960"
_LOGO = Style(size=0.05, outline=0.002, bold=True, align=9, margin=0.03)  # the upper right corner
_LOGO_CUE = Cue(0, 36_000, "KANAL 7")


@dataclass(frozen=True, slots=True)
class Take:
    """What is taken of a clip before subtitles are burned in; the clean film has it too."""

    start_seconds: float = 0.0
    seconds: float | None = None  # None: to the clip's end
    filters: str = ""  # FFmpeg's: a crop, a scale
    logo: bool = False  # a static one in a corner, which must stay

    @property
    def whole(self) -> bool:
        """Whether the clip is used as it is."""
        return self == Take()


def make_take(clip: Path, take: Take, folder: Path) -> Path:
    """The film that ``take`` makes of ``clip``, without loss, in ``folder``."""
    film = folder / "take.mkv"
    filters = ["setpts=PTS-STARTPTS", *filter(None, [take.filters]), "setsar=1"]
    if take.logo:
        script = folder / "logo.ass"
        # FFmpeg's ass filter scales to the picture; the script's own size only sets the units.
        script.write_text(ass_script(1280, 720, [Lane(_LOGO, [_LOGO_CUE])]), encoding="utf-8")
        filters.append(f"ass={script}")
    span = ["-ss", f"{take.start_seconds:g}"] if take.start_seconds else []
    span += ["-t", f"{take.seconds:g}"] if take.seconds else []
    lossless = ["-c:v", "ffv1", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough"]
    run_ffmpeg(*span, "-i", clip, "-an", "-vf", ",".join(filters), *lossless, film)
    return film
