"""Loaded networks and engines, handed from call to call by a user of the Python interface."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from erasecore.detection.detector import RapidOcrDetector
from erasecore.engines.base import Engine
from erasecore.engines.registry import EngineContext, make_engine
from erasecore.memory.ladder import Ladders
from erasecore.memory.ladder_store import FileLadderStore
from erasecore.resources import ModelCache
from erasecore.settings import DiffusionSettings, EraseSettings, HostSettings

StrPath: TypeAlias = str | os.PathLike[str]


class Models:
    """Loaded networks and engines, for any number of calls; made by :func:`load_models`.

    Thread-safe: calls that share one ``Models`` take turns, calls with different ones run at the
    same time. The memory is freed with the object.
    """

    def __init__(self, cache: ModelCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()

    @contextmanager
    def borrowed(self) -> Iterator[ModelCache]:
        """Hold the models for one call; any other call waits."""
        with self._lock:
            yield self._cache


def load_models(
    *, weights: StrPath | None = None, state: StrPath | None = None, threads: int = 0
) -> Models:
    """Load the text detector; recogniser and engines follow when a call first needs them.

    Changes nothing outside the returned object, with two exceptions that concern the diffusion
    engine alone: it sets ``OMP_WAIT_POLICY=PASSIVE`` in the environment unless that is set, and on
    a machine without a GPU calls ``torch.set_num_threads``.

    Args:
        weights: the folder of the diffusion engine's weights, as ``subtitle-eraser models fetch``
            fills it; without it, engine ``auto`` is ``propagate``.
        state: a folder in which it is remembered how much work at once this machine's memory
            bears, and which weights are proven; without it, each process finds out anew.
        threads: for each network and for the encoder; 0: one for each CPU core.
    """
    host = HostSettings(
        models="" if weights is None else str(Path(weights).absolute()),
        state="" if state is None else str(Path(state).absolute()),
        threads=threads,
    )
    cores = threads or os.cpu_count() or 1
    return Models(
        ModelCache(
            RapidOcrDetector(threads=cores),
            threads=cores,
            host=host,
            ladders=Ladders(FileLadderStore(Path(host.state) if host.state else None)),
        )
    )


@contextmanager
def borrowed_engine(
    name: str, diffusion: DiffusionSettings, models: Models | None
) -> Iterator[Engine]:
    """Hold an engine for one call; of ``models``, if there are any."""
    if models is None:
        cores = os.cpu_count() or 1
        yield make_engine(name, EngineContext(diffusion=diffusion, threads=cores))
        return
    with models.borrowed() as cache:
        try:
            settings = EraseSettings(engine=name, diffusion=diffusion)
            yield cache.engine(settings, lambda: None)
        finally:
            cache.ladders.close()
