"""What an engine is given, what it gives back, and what it must promise.

An engine sees arrays only. It gets a *strip*: the rectangle around the ink of a few events, cut
out of a run of frames with some context before and after, in the film's native planes. It fills
the hole and leaves everything else to the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from erasecore.errors import EngineMisbehaved
from erasecore.model.inpaint_input import ContextNeeds, InpaintInput, reduce_mask
from erasecore.video.color import Plane

Tick: TypeAlias = Callable[[float], None]
"""Called now and then with the share of the strip that is done, 0 to 1: a sign of life."""


def tick_of_part(tick: Tick, start: float, stop: float) -> Tick:
    """A tick for a part of the work: its 0 is ``start``, its 1 is ``stop``."""
    return lambda share: tick(start + share * (stop - start))


class Origin(IntEnum):
    """Where a pixel of the hole was taken from."""

    PROPAGATED = 1  # real pixels of other frames
    INVENTED = 2  # made up from the surroundings
    UNBLENDED = 3  # solved for, through ink that is translucent in this frame
    DIFFUSED = 4  # made up by a network that has learned what pictures look like


@dataclass(frozen=True, slots=True)
class FilledFrame:
    """The pixels of one frame's hole, in the order of ``np.flatnonzero`` of each plane's hole.

    Attributes:
        planes: per plane the new samples, ``(n,)``, same type as the strip's plane; a colour
            plane's hole is every sample that touches the luma hole.
        origin: uint8 ``(n,)`` of ``Origin`` values, one for each luma sample of the hole.
        error: float16 ``(n,)``; the expected error of each luma sample, in 8-bit levels.
    """

    planes: tuple[Plane, ...]
    origin: NDArray[np.uint8]
    error: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Filled:
    """What an engine made of a strip: one ``FilledFrame`` for each frame of the fill span."""

    frames: tuple[FilledFrame, ...]


@dataclass(frozen=True, slots=True)
class Traits:
    """What an engine needs from its caller."""

    name: str
    context_seconds: float  # how far before and after the hole it likes to look
    surroundings: ContextNeeds | None = None  # none: the strip alone will do
    device: str = "cpu"
    settings: dict[str, str] = field(default_factory=dict)  # shown in reports and by doctor


class Engine(Protocol):
    """Fills the hole of a strip."""

    @property
    def traits(self) -> Traits:
        """What it needs."""
        ...

    def fill(self, strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        """The hole's pixels, made from the strip and, where given, a prior's pixels.

        Args:
            strip: not modified.
            prior: what an earlier engine made of the same strip.
            tick: called at least about once a second.
        """
        ...


def check_filled(engine: str, strip: InpaintInput, filled: Filled) -> None:
    """Raise unless ``filled`` fits ``strip`` in every count and type.

    Raises:
        EngineMisbehaved: it does not.
    """
    expected = strip.fill_stop - strip.fill_start
    if len(filled.frames) != expected:
        raise EngineMisbehaved(engine, f"{len(filled.frames)} frames for {expected}")
    for offset, frame in enumerate(filled.frames):
        _check_frame(engine, strip, strip.fill_start + offset, frame)


def _check_frame(engine: str, strip: InpaintInput, index: int, frame: FilledFrame) -> None:
    """Raise unless ``frame`` fits the hole of the strip's frame ``index``."""
    mask = strip.mask(index)
    holes = [mask, *[reduce_mask(mask, strip.layout)] * (len(strip.planes) - 1)]
    if len(frame.planes) != len(holes):
        raise EngineMisbehaved(engine, f"{len(frame.planes)} planes for {len(holes)}")
    for stack, hole, samples in zip(strip.planes, holes, frame.planes, strict=True):
        if samples.shape != (int(hole.sum()),) or samples.dtype != stack.dtype:
            found = f"{samples.dtype}{samples.shape}"
            raise EngineMisbehaved(engine, f"frame {index}: {found} for {int(hole.sum())} samples")
