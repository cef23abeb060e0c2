"""What one process loads once and keeps from film to film: detector, recogniser, engines."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2

from erasecore.detect.detector import Detector, RapidOcrDetector
from erasecore.detect.recognizer import RapidOcrRecognizer, Recognizer
from erasecore.engines.base import Engine
from erasecore.engines.registry import EngineContext, make_engine
from erasecore.memory.ladder import Ladders
from erasecore.memory.ladder_store import FileLadderStore
from erasecore.memory.malloc import free_memory, map_large_blocks
from erasecore.settings import DiffusionSettings, EraseSettings, HostSettings

_NOWHERE = HostSettings()


@dataclass(slots=True)
class ModelCache:
    """What is loaded once and stays loaded from film to film."""

    detector: Detector
    engines: dict[str, Engine] = field(default_factory=dict)
    recognizer: Recognizer | None = None  # loaded for the first film that has text to be read
    threads: int = 1  # for each network
    host: HostSettings = _NOWHERE
    ladders: Ladders = field(default_factory=Ladders)  # how much at once memory bears
    diffusion: DiffusionSettings | None = None  # what the engines were made with

    @classmethod
    def load(cls, host: HostSettings = _NOWHERE, *, threads: int = 0) -> ModelCache:
        """The text detector, ready for work; all else is made when first asked for."""
        map_large_blocks()
        cores = host.threads or os.cpu_count() or 1
        # The others encode meanwhile; threads of OpenCV's that find no core spin until they do.
        cv2.setNumThreads(max(1, cores // 2))
        threads = threads or cores
        ladders = Ladders(FileLadderStore(Path(host.state) if host.state else None))
        detector = RapidOcrDetector(threads=threads)
        return cls(detector, threads=threads, host=host, ladders=ladders)

    def capped(self, settings: EraseSettings) -> EraseSettings:
        """``settings`` with an encoder that uses no more threads than we may.

        Checkpoints go by the settings as asked for: threads change no pixel before the encoder.
        """
        encode, most = settings.encode, self.host.threads
        if not most or 0 < encode.threads <= most:
            return settings
        return replace(settings, encode=replace(encode, threads=most))

    def reader(self) -> Recognizer:
        """What reads lines of text."""
        if self.recognizer is None:
            self.recognizer = RapidOcrRecognizer(threads=self.threads)
        return self.recognizer

    def engine(self, settings: EraseSettings, tick: Callable[[], object]) -> Engine:
        """The engine that ``settings`` ask for, made for the first film and kept for the next ones.

        ``tick`` is called now and then while it is made.

        Raises:
            EngineMissing: there is none of that name, or this machine lacks what it needs.
            WeightsMissing, WeightsDamaged: the diffusion engine's weights are not all well.
        """
        if self.diffusion not in (None, settings.diffusion):
            self.engines.clear()
            free_memory()
        self.diffusion = settings.diffusion
        name = settings.engine
        if name not in self.engines:
            means = EngineContext(self.host, settings.diffusion, self.ladders, self.threads, tick)
            self.engines[name] = make_engine(name, means)
        return self.engines[name]
