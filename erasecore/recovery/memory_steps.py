"""Memory steps: the rungs of the pipeline's ladder, used after the host ran out of memory.

The first steps down cost time only. The lean encoder changes the encoded bits, and short clips have
less context, so that fewer pixels are found in other frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from erasecore.memory.ladder import Rung
from erasecore.model.clips import CLIP_BYTES
from erasecore.settings import EraseSettings


@dataclass(frozen=True, slots=True)
class MemoryStep:
    """Limits on how much of a film is held in memory at once.

    Attributes:
        overlap: True to encode one segment while the next one is recovered.
        decoder_threads: threads of each reader, one frame each; 0 for the default.
        lean_encoder: True for an encoder with one thread and a shorter lookahead.
        clip_bytes: largest size of the pixels of a clip.
    """

    overlap: bool = True
    decoder_threads: int = 0
    lean_encoder: bool = False
    clip_bytes: int = CLIP_BYTES

    def limit_encoder(self, settings: EraseSettings) -> EraseSettings:
        """Return ``settings`` with one encoder thread if the encoder is to be lean."""
        if not self.lean_encoder:
            return settings
        return replace(settings, encode=replace(settings.encode, threads=1))


FULL_MEMORY = MemoryStep()  # no limit beyond the usual clip size
_ONE_SEGMENT = MemoryStep(overlap=False, decoder_threads=1)
_LEAN = replace(_ONE_SEGMENT, lean_encoder=True)

RUNGS = (
    Rung("two segments at once", FULL_MEMORY),
    Rung("one segment at once", _ONE_SEGMENT),
    Rung("lean encoder", _LEAN),
    Rung("short clips", replace(_LEAN, clip_bytes=CLIP_BYTES // 4)),
)
"""Rungs from most to least memory. Their names are stored in reports and in the state folder."""
