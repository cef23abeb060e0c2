"""Sightings: lines of text as the detector has found them in one frame."""

from __future__ import annotations

from dataclasses import dataclass

from erasecore.detection.line_window import WorkBox


@dataclass(frozen=True, slots=True)
class Sighting:
    """A line of text in one sampled frame."""

    box: WorkBox
    score: float  # the detector's, 0 to 1
    tilt: float  # degrees
    averaged: int = 1  # number of frames in whose average it was found
    thickness: float = 0.0  # across the line, as it is tilted, working pixels; 0: as the box

    @property
    def line_height(self) -> float:
        """Working pixels across the line."""
        return self.thickness or shorter_side(self.box)


def shorter_side(box: WorkBox) -> float:
    """Return the shorter side of a box, in its own pixels."""
    return float(min(box[2] - box[0], box[3] - box[1]))
