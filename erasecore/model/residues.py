"""Residue: what the self-check finds wrong with an erased segment, in frames and boxes."""

from __future__ import annotations

from dataclasses import dataclass

from erasecore.model.events import BoxXyxy
from erasecore.reports import ResidueReason


@dataclass(frozen=True, slots=True)
class Residue:
    """One thing in a result that should not be there.

    Attributes:
        start: first film frame in which it may show.
        stop: first film frame after it.
        box_xyxy: where it is, pixels of the stored picture.
        reason: why it is taken for residue.
        evidence: the measure that ``reason`` is decided by; see ``ResidueReason``.
        text: letters that were read there; empty for none.
    """

    start: int
    stop: int
    box_xyxy: BoxXyxy
    reason: ResidueReason
    evidence: float
    text: str = ""
