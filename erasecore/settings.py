"""Settings of a job: plain frozen records, standard library only.

The daemon reads them from ``config.yaml`` and from the settings files beside films; ``erasecore``
receives them as values. Each field's default is the product's default; its number is a guess unless
a source is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

BUILT_IN_ENGINES = ("auto", "propagate", "diffueraser")
"""Values of ``EraseSettings.engine``, besides a plug-in of the operator (module and factory)."""

PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
"""Values of ``EncodeSettings.preset``: the presets of x264 and x265, fastest first. For encoders of
other codecs they stand for speeds of theirs, so each of them is allowed with every codec."""


class Codec(StrEnum):
    """Video codec of the result."""

    SOURCE = "source"  # the source's own codec
    H264 = "h264"
    HEVC = "hevc"
    AV1 = "av1"


class OnResidual(StrEnum):
    """Treatment of a film in which text is still detected after the second pass."""

    DONE = "done"  # published, with a warning in its report
    FAILED = "failed"  # not published; the original goes to failed/


class PictureFrame(StrEnum):
    """Frame of reference of places in the picture; they differ in films with a rotation flag."""

    SEEN = "seen"  # the picture as players show it, turned
    STORED = "stored"  # the picture as the file holds it


class RegionUnit(StrEnum):
    """Unit of a region's sides."""

    SHARE = "share"  # of the picture's width and height, 0 to 1
    PERCENT = "percent"  # of the same, 0 to 100
    PIXELS = "pixels"  # from the left and top edge


class Script(StrEnum):
    """Script of a line of text, as far as it can be told: other scripts are not read."""

    HAN = "han"  # Chinese characters, without kana
    KANA = "kana"  # Japanese: hiragana or katakana among the letters
    LATIN = "latin"
    OTHER = "other"  # digits and signs only, other letters, or nothing that can be read


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open time range ``[start, stop)``, in seconds on the clock that players show."""

    start_seconds: float
    stop_seconds: float


@dataclass(frozen=True, slots=True)
class Region:
    """Rectangle of the picture, and the times at which it counts."""

    left: float
    top: float
    right: float
    bottom: float
    unit: RegionUnit = RegionUnit.SHARE
    times: tuple[TimeRange, ...] = ()  # lines visible then are erased; empty: at all times

    def holds(self, x: float, y: float) -> bool:
        """Return True if the point, in the same unit, lies inside; edges included."""
        return self.left <= x <= self.right and self.top <= y <= self.bottom


@dataclass(frozen=True, slots=True)
class DetectSettings:
    """Settings of text detection: sampling, resolution, regions and times."""

    every_seconds: float = 0.25  # distance between two frames that are searched for text
    side_px: int = 640  # longer side of the detector's input picture
    min_seconds: float = 0.4  # text shown for less time is not taken for a subtitle
    regions: tuple[Region, ...] = ()  # where subtitles may be; empty: the usual caption zones
    # The picture that ``regions`` and masks are places of; ``stored`` in files of schema 1.
    regions_frame: PictureFrame = PictureFrame.SEEN
    times: tuple[TimeRange, ...] = ()  # lines visible then are erased completely; empty: all lines
    scripts: tuple[Script, ...] = ()  # lines in these scripts are erased; empty: all lines


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """Settings of the result's video encoder."""

    codec: Codec = Codec.SOURCE
    crf: float = 16.0  # constant rate factor on x264's scale, 0 to 51; lower is better and larger
    preset: str = "medium"  # speed, an x264/x265 name; mapped for other encoders
    threads: int = 0  # 0: as many as the worker may use


class Precision(StrEnum):
    """Floating-point type (dtype) of the diffusion networks."""

    AUTO = "auto"  # float16 on a GPU, float32 on a CPU
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True)
class DiffusionSettings:
    """Settings of the diffusion engine."""

    # Share of a window's ink that is invented and uncertain; windows up to it are not diffused.
    min_invented_share: float = 0.05
    # Expected error, in 8-bit levels, above which invented pixels are uncertain; 4 levels: 36 dB.
    min_error_levels: float = 4.0
    steps: int = 2  # denoising steps; the PCM weights are made for 2
    seed: int = 20  # of the noise; other seeds give other pixels
    require_gpu: bool = False  # True: films wait for a GPU instead of running on the CPU
    precision: Precision = Precision.AUTO
    channels_last: bool = False  # torch.channels_last memory format; faster on some GPUs
    compile: bool = False  # torch.compile: minutes for the first film of a size, faster afterwards
    allow_propagate: bool = True  # keep propagate's fill if diffusion does not fit into memory


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Limits of a film; a larger one is refused before any work is done on it."""

    max_width_px: int = 8192
    max_height_px: int = 8192
    max_streams: int = 100  # of all kinds
    max_hours: float = 12.0  # duration
    max_frames: int = 2_600_000  # 12 hours at 60 frames a second


@dataclass(frozen=True, slots=True)
class EraseSettings:
    """All settings that may differ from job to job."""

    engine: str = "auto"  # one of BUILT_IN_ENGINES or a plug-in
    priority: int = 0  # -1000 to 1000; higher goes first
    segment_seconds: float = 15.0  # length of a segment (checkpoint); a nearby cut moves its border
    mask: str = ""  # file name, relative to the settings file; see ``Companions``; empty: none
    srt: bool = True  # recognise the erased text (OCR) and write it as a subtitle file
    on_residual: OnResidual = OnResidual.DONE
    detect: DetectSettings = field(default_factory=DetectSettings)
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)


@dataclass(frozen=True, slots=True)
class Companions:
    """Files beside a film that narrow the search for its subtitles; absolute paths, empty: none."""

    cues: str = ""  # subtitle file: the times at which text may appear
    mask: str = ""  # picture or film with the pixels to erase; replaces detection
    plan: str = ""  # plan file, obeyed instead of detection


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Settings of the machine that a worker runs on."""

    models: str = ""  # folder of the weights, absolute path, see ``erasecore.weights``; empty: none
    state: str = ""  # folder of data kept from film to film, absolute path; empty: none
    threads: int = 0  # of all parallel work; 0: one per CPU core
