"""The real worker on a machine whose memory holds one window at a time, not several.

Only that is not real: at larger plans torch's own allocator is asked for more than there is, and
its own error takes its way.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from daemon.worker import main
from erasecore.engines.base import Tick
from erasecore.engines.diffueraser import pipeline
from erasecore.engines.diffueraser.conditioning import Conditioning
from erasecore.engines.diffueraser.plan import BatchPlan

_MORE_THAN_THERE_IS = 1 << 60


class Hungry(pipeline.DiffusionPipeline):
    """The real painter, hungrier."""

    def inpaint(
        self, conditioning: Conditioning, wanted: Sequence[int], plan: BatchPlan, tick: Tick
    ) -> NDArray[np.uint16]:
        """Run out of memory at more than one window."""
        if plan.windows_per_batch > 1:
            torch.empty(_MORE_THAN_THERE_IS)
        return super().inpaint(conditioning, wanted, plan, tick)


if __name__ == "__main__":
    pipeline.DiffusionPipeline = Hungry  # type: ignore[misc]
    sys.exit(main(sys.argv[1:]))
