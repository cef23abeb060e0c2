"""Loaded networks and engines, handed from call to call by a user of the Python interface."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

from erasecore.detection.detector import RapidOcrDetector
from erasecore.engines.base import Engine
from erasecore.engines.registry import EngineContext, make_engine
from erasecore.memory.ladder import Ladders
from erasecore.memory.ladder_store import FileLadderStore
from erasecore.resources import ModelCache
from erasecore.settings import DiffusionSettings, EraseSettings, HostSettings
from erasecore.system.progress import BrokenOff
from erasecore.weights.layout import locate

StrPath: TypeAlias = str | os.PathLike[str]


_MAX_THREADS = 256  # as encode.threads; guess
_in_callbacks = threading.local()  # .models: list of Models whose callback runs in this thread
_Told = TypeVar("_Told")


class Models:
    """Loaded networks and engines, for any number of calls; made by :func:`load_models`.

    Thread-safe: calls that share one ``Models`` take turns, calls with different ones run at the
    same time. A callback of a call must not use the same ``Models``. The memory is freed with the
    object.
    """

    def __init__(self, cache: ModelCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._owner: int | None = None  # identifier of the thread that holds the lock

    @contextmanager
    def borrowed(self) -> Iterator[ModelCache]:
        """Hold the models for one call; any other call waits.

        An exception of a ``guarded`` callback, which ends the call, leaves this block as it was.

        Raises:
            RuntimeError: they are held by the call whose callback we are in: it would never end.
        """
        if self._owner == threading.get_ident() or self in _models_of_callbacks():
            raise RuntimeError(
                "these models are in use by the call that this one is made from (a callback); "
                "pass other models=, or make the call when that one has returned"
            )
        with self._lock:
            self._owner = threading.get_ident()
            try:
                yield self._cache
            except BrokenOff as stopped:
                raise stopped.error from stopped.error.__cause__
            finally:
                self._owner = None

    def guarded(self, callback: Callable[[_Told], None]) -> Callable[[_Told], None]:
        """Return ``callback``, for a call that has borrowed these models.

        Inside it :meth:`borrowed` raises RuntimeError, in any thread. What it raises is wrapped, so
        that it is not taken for an error of one subtitle, which would not end the call.
        """

        def call(told: _Told) -> None:
            held = _models_of_callbacks()
            held.append(self)
            try:
                callback(told)
            except Exception as error:
                raise BrokenOff(error) from error
            finally:
                held.pop()

        return call


def _models_of_callbacks() -> list[Models]:
    """Return the models of the calls whose callbacks are running in this thread."""
    held: list[Models] = _in_callbacks.__dict__.setdefault("models", [])
    return held


def load_models(
    *, weights: StrPath | None = None, state: StrPath | None = None, threads: int = 0
) -> Models:
    """Load the text detector; recogniser and engines follow when a call first needs them.

    Changes nothing outside the returned object, with two exceptions that concern the diffusion
    engine alone: it sets ``OMP_WAIT_POLICY=PASSIVE`` in the environment unless that is set, and on
    a machine without a GPU calls ``torch.set_num_threads``.

    Args:
        weights: the folder of the diffusion engine's weights, as ``subtitle-eraser models fetch``
            fills it; without it, or without a GPU, engine ``auto`` is ``propagate``.
        state: a folder in which it is remembered how much work at once this machine's memory
            bears, and which weights are proven; without it, each process finds out anew.
        threads: for each network and for the encoder, 0 to 256; 0: one for each CPU core.

    Raises:
        TypeError, ValueError: ``threads`` is no such number.
        WeightsMissing: files are missing in ``weights``; FolderError: it cannot be read.
    """
    if not isinstance(threads, int) or isinstance(threads, bool):
        raise TypeError(f"threads: an int is needed, not {type(threads).__name__}")
    if not 0 <= threads <= _MAX_THREADS:
        raise ValueError(f"threads: is {threads}, must be from 0 to {_MAX_THREADS}")
    if weights is not None:
        locate(Path(weights).absolute())
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
