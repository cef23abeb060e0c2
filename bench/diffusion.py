"""Rows of what diffusion costs: arithmetic, memory, the walk. Without torch, as results are read.

``survey``, ``footprint`` and ``walk`` make them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SPARE_GIB = 0.8  # of a card: the CUDA context, workspaces of convolutions, fragments


@dataclass(frozen=True, slots=True)
class FlopsRow:
    """One case: what diffusing it costs, in TFLOP for all of its frames."""

    case: str
    frames: int
    inked_frames: int  # gone through by an engine that diffuses wherever there is ink
    diffused_frames: int  # by ours
    sizes: str  # of what the networks see
    published_tflop: float
    strip_tflop: float  # diffusing wherever there is ink, on the strip around it
    selective_tflop: float

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return self.case

    @property
    def strip_share(self) -> float:
        """What a diffused frame costs on its strip, of what the published recipe takes for one."""
        return self.strip_tflop / max(self.inked_frames, 1) / (self.published_tflop / self.frames)

    @property
    def selective_share(self) -> float:
        """What the engine takes for the case, of what the published recipe takes."""
        return self.selective_tflop / self.published_tflop


@dataclass(frozen=True, slots=True)
class FootprintRow:
    """Peak memory of one rung on the strip around two lines of a film, in float16."""

    film: str
    width: int
    height: int
    rung: str
    weights_gib: float
    denoise_gib: float
    encode_gib: float
    decode_gib: float

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return f"{self.film} {self.rung}"

    @property
    def total_gib(self) -> float:
        """What a card must have."""
        peak = max(self.denoise_gib, self.encode_gib, self.decode_gib)
        return self.weights_gib + peak + SPARE_GIB


@dataclass(frozen=True, slots=True)
class WalkRow:
    """CPU seconds of both walks over the same clip, the least of some runs."""

    windows_per_batch: int
    frames: int
    plain_seconds: float
    ours_seconds: float
    off: float  # greatest difference of the latents, relative

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return f"{self.windows_per_batch}"

    @property
    def ratio(self) -> float:
        """Ours by the plain one."""
        return self.ours_seconds / self.plain_seconds


def first_fitting(rows: Iterable[FootprintRow], card_gib: float) -> str:
    """The first rung of a film, the hungriest first, that a card bears; empty if none."""
    return next((row.rung for row in rows if row.total_gib <= card_gib), "")
