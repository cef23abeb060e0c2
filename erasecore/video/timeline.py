"""Timeline: the presentation timestamps (pts) and keyframes of a film."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from erasecore.system.atomic_files import whole_file


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Timestamps (pts) and keyframes of all frames, in presentation order, from one full decode."""

    pts: NDArray[np.int64]  # (N,), video stream's time base, strictly increasing
    keyframes: NDArray[np.int64]  # (K,), increasing indices of frames where decoding can start
    key_sums: NDArray[np.uint32]  # (K,), CRC-32 of each keyframe's first plane
    last_duration: int  # of the last frame, time base units; 0: unknown
    seekable: bool  # False: stamps in the file are missing or wrong, so a seek cannot be checked
    warnings: tuple[str, ...] = ()  # sentences for the report

    def __len__(self) -> int:
        return len(self.pts)

    def key_before(self, index: int) -> int | None:
        """Return the index of the last keyframe at or before frame ``index``, or ``None``."""
        place = int(np.searchsorted(self.keyframes, index, side="right")) - 1
        return int(self.keyframes[place]) if place >= 0 else None

    def checksum_of(self, keyframe: int) -> int:
        """Return the CRC-32 of the first plane of frame ``keyframe``, which must be a keyframe."""
        return int(self.key_sums[int(np.searchsorted(self.keyframes, keyframe))])

    def median_step(self) -> int:
        """Return the median distance between two frames, time base units; at least 1."""
        if len(self.pts) < 2:
            return max(1, self.last_duration)
        return max(1, int(np.median(np.diff(self.pts))))

    def stamp_of(self, frame: int) -> int:
        """Return the pts of ``frame``, in ticks; for ``frame == len(self)`` the film's end."""
        if frame < len(self.pts):
            return int(self.pts[frame])
        return int(self.pts[-1]) + (self.last_duration or self.median_step())

    def save(self, path: Path) -> None:
        """Write the timeline atomically to ``path``, in numpy's npz format."""
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
        """Return the timeline that was saved at ``path``."""
        # Read in one call, so that a failing disk raises OSError and not zipfile's BadZipFile.
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return Timeline(
                pts=stored["pts"],
                keyframes=stored["keyframes"],
                key_sums=stored["key_sums"],
                last_duration=int(stored["facts"][0]),
                seekable=bool(stored["facts"][1]),
                warnings=tuple(str(w) for w in stored["warnings"]),
            )
