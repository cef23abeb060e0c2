"""How much of a film is held in memory at once: the rungs of the pipeline's own ladder.

The first steps down cost time only; the last ones change what is encoded, or how far away a clip
may look for what is behind its text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from erasecore.memory.ladder import Rung
from erasecore.model.clips import CLIP_BYTES
from erasecore.settings import EraseSettings


@dataclass(frozen=True, slots=True)
class MemoryStep:
    """How much of a film is held at once.

    Attributes:
        overlap: whether one segment is encoded while the next is recovered.
        decoder_threads: each decodes a frame of its own; 0: as the film's record says.
        lean_encoder: whether the encoder has a single thread and looks ahead less.
        clip_bytes: the most that the pixels of a clip may take.
    """

    overlap: bool = True
    decoder_threads: int = 0
    lean_encoder: bool = False
    clip_bytes: int = CLIP_BYTES

    def capped(self, settings: EraseSettings) -> EraseSettings:
        """``settings`` with an encoder that has no more threads than this allows."""
        if not self.lean_encoder:
            return settings
        return replace(settings, encode=replace(settings.encode, threads=1))


WHOLE = MemoryStep()
_ONE_SEGMENT = MemoryStep(overlap=False, decoder_threads=1)
_LEAN = replace(_ONE_SEGMENT, lean_encoder=True)

RUNGS = (
    Rung("two segments at once", WHOLE),
    Rung("one segment at once", _ONE_SEGMENT),
    Rung("lean encoder", _LEAN),
    Rung("short clips", replace(_LEAN, clip_bytes=CLIP_BYTES // 4)),
)
"""From the usual way to the least memory."""
