"""When each frame of a film is shown, and where decoding may begin."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from erasecore.system.atomic_files import whole_file


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The stamps of all frames, in presentation order, as one full decode found them.

    Stamps are in the video stream's time base and strictly increasing.
    """

    pts: NDArray[np.int64]
    keyframes: NDArray[np.int64]  # indices of frames at which decoding may begin
    key_sums: NDArray[np.uint32]  # checksum of each keyframe's first plane
    last_duration: int  # of the last frame, time base units; 0 unknown
    seekable: bool  # False: some stamps were missing and had to be made up
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pts)

    def key_before(self, index: int) -> int | None:
        """The last keyframe at or before frame ``index``, ``None`` if there is none."""
        place = int(np.searchsorted(self.keyframes, index, side="right")) - 1
        return int(self.keyframes[place]) if place >= 0 else None

    def sum_of(self, keyframe: int) -> int:
        """The checksum that frame ``keyframe`` must have."""
        return int(self.key_sums[int(np.searchsorted(self.keyframes, keyframe))])

    def usual_step(self) -> int:
        """The commonest distance between two frames, time base units; at least 1."""
        if len(self.pts) < 2:
            return max(1, self.last_duration)
        return max(1, int(np.median(np.diff(self.pts))))

    def stamp_of(self, frame: int) -> int:
        """When ``frame`` is shown, time base units; the film's end for the frame after the last."""
        if frame < len(self.pts):
            return int(self.pts[frame])
        return int(self.pts[-1]) + (self.last_duration or self.usual_step())

    def save(self, path: Path) -> None:
        """Store it whole at ``path`` (npz)."""
        with whole_file(path) as part, part.open("wb") as file:
            np.savez(
                file,
                pts=self.pts,
                keyframes=self.keyframes,
                key_sums=self.key_sums,
                facts=np.array([self.last_duration, self.seekable], dtype=np.int64),
                warnings=np.array(self.warnings, dtype=np.str_),
            )

    @staticmethod
    def load(path: Path) -> Timeline:
        """The timeline that was saved at ``path``."""
        # Read at once: what reads archives takes a disk that fails for a file that is damaged.
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return Timeline(
                pts=stored["pts"],
                keyframes=stored["keyframes"],
                key_sums=stored["key_sums"],
                last_duration=int(stored["facts"][0]),
                seekable=bool(stored["facts"][1]),
                warnings=tuple(str(w) for w in stored["warnings"]),
            )
