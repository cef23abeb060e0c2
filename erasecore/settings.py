"""What may be asked of one job: plain frozen records, standard library only.

The daemon reads them from ``config.yaml`` and from the settings files beside films; everything
below ``erasecore`` receives them as values. Every field's default is the product's default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

BUILT_IN_ENGINES = ("auto", "propagate", "diffueraser")
"""What ``EraseSettings.engine`` may name, beside a module and factory of the operator's own."""


class Codec(StrEnum):
    """Which codec the result's video is encoded with."""

    SOURCE = "source"  # the source's own family
    H264 = "h264"
    HEVC = "hevc"
    AV1 = "av1"


class OnResidual(StrEnum):
    """What becomes of a film in which text is still seen after the second pass."""

    DONE = "done"  # it is published, with a warning in its report
    FAILED = "failed"  # it is not; the original goes to failed/


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of the stored picture, in fractions of its width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, x: float, y: float) -> bool:
        """Whether a place, in the same fractions, lies in it."""
        return self.left <= x <= self.right and self.top <= y <= self.bottom


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A half-open range of the film, in seconds on the clock that players show."""

    start_seconds: float
    stop_seconds: float


@dataclass(frozen=True, slots=True)
class DetectSettings:
    """Where, when and how text is looked for."""

    every_seconds: float = 0.25  # between two frames that are searched for text
    side_px: int = 640  # longer side of the picture the detector sees
    min_seconds: float = 0.4  # shorter appearances are not subtitles
    regions: tuple[Region, ...] = ()  # empty: everywhere a caption may be
    times: tuple[TimeRange, ...] = ()  # lines that show then are erased whole; empty: all lines


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """How the result is encoded."""

    codec: Codec = Codec.SOURCE
    crf: float = 16.0  # constant rate factor; lower is better and larger
    preset: str = "medium"  # the x264/x265 name; mapped for other encoders
    threads: int = 0  # 0: as many as the worker may use


class Precision(StrEnum):
    """The type that the diffusion networks compute in."""

    AUTO = "auto"  # float16 on a GPU, float32 on a CPU
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True)
class DiffusionSettings:
    """How the diffusion engine works, and where."""

    min_invented_share: float = 0.05  # of a window's ink; up to it propagate's fill stays
    min_error_levels: float = 4.0  # invented pixels that err less, as expected, count as recovered
    steps: int = 2  # of denoising
    seed: int = 20  # of the noise; another one makes other pixels up
    require_gpu: bool = False  # films wait for a GPU rather than be worked on by the CPU
    precision: Precision = Precision.AUTO
    channels_last: bool = False  # the order of the networks' memory; faster on some GPUs
    compile: bool = False  # torch.compile: minutes at the first film of a size, faster from then on
    allow_propagate: bool = True  # where nothing fits into memory, propagate's fill stays


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What a film may be; beyond it the film is refused, never half done."""

    max_width_px: int = 8192
    max_height_px: int = 8192
    max_streams: int = 100
    max_hours: float = 12.0
    max_frames: int = 2_600_000  # 12 hours at 60 frames a second


@dataclass(frozen=True, slots=True)
class EraseSettings:
    """Everything that may differ from job to job."""

    engine: str = "auto"
    priority: int = 0  # higher goes first
    segment_seconds: float = 15.0  # one resumable unit; a cut nearby moves its border
    mask: str = ""  # a file beside the settings file that names it; see ``Companions``
    srt: bool = True  # whether the erased text is read and kept as a subtitle file
    on_residual: OnResidual = OnResidual.DONE
    detect: DetectSettings = field(default_factory=DetectSettings)
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)


@dataclass(frozen=True, slots=True)
class Companions:
    """Files that say more about one film: absolute paths, empty where there is none."""

    cues: str = ""  # a subtitle file: when text may appear
    mask: str = ""  # a picture or a film: what is to be erased, in place of what is found


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What a worker is told of the machine it runs on; empty where there is none."""

    models: str = ""  # the folder of weights, an absolute path; see ``erasecore.weights``
    state: str = ""  # a folder for what is remembered from film to film, an absolute path
    threads: int = 0  # for everything that splits its work; 0: as many as there are cores
