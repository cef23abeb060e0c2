"""Model cache of a worker process: detector, recognizer and engines, loaded once for all films."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2

from erasecore.detection.detector import Detector, RapidOcrDetector
from erasecore.detection.recognizer import RapidOcrRecognizer, Recognizer
from erasecore.engines.base import Engine
from erasecore.engines.registry import EngineContext, make_engine
from erasecore.memory.ladder import Ladders
from erasecore.memory.ladder_store import FileLadderStore
from erasecore.memory.malloc import free_memory, map_large_blocks
from erasecore.settings import DiffusionSettings, EraseSettings, HostSettings

_DEFAULT_HOST = HostSettings()


@dataclass(slots=True)
class ModelCache:
    """Models that are loaded once and stay loaded from film to film.

    Attributes:
        detector: finds text in pictures.
        engines: inpainting engines by name, as far as films have asked for them.
        recognizer: reads text (OCR); loaded for the first film whose text is read.
        threads: of each network.
        host: settings of this machine.
        ladders: memory ladders, which remember how much fits into memory at once.
        diffusion: settings that ``engines`` were made with; ``None`` before the first one.
    """

    detector: Detector
    engines: dict[str, Engine] = field(default_factory=dict)
    recognizer: Recognizer | None = None
    threads: int = 1
    host: HostSettings = _DEFAULT_HOST
    ladders: Ladders = field(default_factory=Ladders)
    diffusion: DiffusionSettings | None = None

    @classmethod
    def load(cls, host: HostSettings = _DEFAULT_HOST, *, threads: int = 0) -> ModelCache:
        """Load the text detector; the recognizer and the engines are loaded on first use.

        Args:
            host: settings of this machine.
            threads: of each network; 0 for all cores that we may use.
        """
        map_large_blocks()
        cores = host.threads or os.cpu_count() or 1
        # Other cores encode meanwhile; OpenCV's threads spin while they wait for a free core.
        cv2.setNumThreads(max(1, cores // 2))
        threads = threads or cores
        ladders = Ladders(FileLadderStore(Path(host.state) if host.state else None))
        detector = RapidOcrDetector(threads=threads)
        return cls(detector, threads=threads, host=host, ladders=ladders)

    def limit_encoder_threads(self, settings: EraseSettings) -> EraseSettings:
        """Return ``settings`` with at most ``host.threads`` encoder threads.

        The fingerprint of checkpoints uses the settings before this limit, because threads change
        no pixel before the encoder.
        """
        encode, max_threads = settings.encode, self.host.threads
        if not max_threads or 0 < encode.threads <= max_threads:
            return settings
        return replace(settings, encode=replace(encode, threads=max_threads))

    def text_recognizer(self) -> Recognizer:
        """Return the text recognizer (OCR), loaded on first use."""
        if self.recognizer is None:
            self.recognizer = RapidOcrRecognizer(threads=self.threads)
        return self.recognizer

    def engine(self, settings: EraseSettings, tick: Callable[[], object]) -> Engine:
        """Return the engine that ``settings`` name, loaded on first use.

        Other diffusion settings than before unload all engines first.

        Args:
            settings: of the job.
            tick: called from time to time while the engine is loaded.

        Raises:
            EngineMissing: no engine has that name, or this machine lacks what it needs.
            WeightsMissing, WeightsDamaged: weights of the diffusion engine are missing or damaged.
        """
        if self.diffusion not in (None, settings.diffusion):
            self.engines.clear()
            free_memory()
        self.diffusion = settings.diffusion
        name = settings.engine
        if name not in self.engines:
            context = EngineContext(self.host, settings.diffusion, self.ladders, self.threads, tick)
            self.engines[name] = make_engine(name, context)
        return self.engines[name]
