"""A timeline for records that need one."""

from __future__ import annotations

import numpy as np

from erasecore.video.timeline import Timeline

TIMELINE = Timeline(
    pts=np.arange(100, dtype=np.int64),
    keyframes=np.array([0], np.int64),
    key_sums=np.array([0], np.uint32),
    last_duration=1,
    seekable=True,
    warnings=(),
)
"""A hundred frames, one tick each."""
