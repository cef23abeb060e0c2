"""From an engine's name in the settings to the engine."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import structlog

from erasecore.engines.base import Engine
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.errors import DeviceBroken, EngineMissing, WeightsMissing
from erasecore.memory.ladder import Ladders
from erasecore.settings import BUILT_IN_ENGINES, DiffusionSettings, HostSettings
from erasecore.system.device import nvidia_driver
from erasecore.weights.layout import locate
from erasecore.weights.manifest import MANIFEST, proven

log = structlog.get_logger(__name__)

_LIBRARIES = ("torch", "diffusers", "transformers", "safetensors", "accelerate")
_INSTALL = "install subtitle-eraser[diffusion]"


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What engines are made with, besides their name."""

    host: HostSettings = field(default_factory=HostSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)
    ladders: Ladders = field(default_factory=Ladders)
    threads: int = 1  # for networks that are worked on by the CPU
    tick: Callable[[], object] = lambda: None  # a sign of life, while large files are read


@dataclass(frozen=True, slots=True)
class AutoChoice:
    """What ``auto`` stands for on this machine, and why."""

    engine: str
    reason: str


def make_engine(name: str, means: EngineContext | None = None) -> Engine:
    """The engine called ``name``; ``module:factory`` makes one that is not ours.

    A factory that takes an argument is given ``means``.

    The caller sees to it that only an operator, never a sender, names a module.

    Raises:
        EngineMissing: there is none of that name, or this machine lacks what it needs.
        WeightsMissing: the diffusion engine's weights are not all there.
        WeightsDamaged: they are not what was fetched.
        DeviceBroken: there is no GPU, and one is required.
    """
    means = means or EngineContext()
    if name == "auto":
        choice = choose_auto(means.host)
        log.info("engine.chosen", engine=choice.engine, reason=choice.reason)
        name = choice.engine
    if name == "propagate":
        return PropagateEngine()
    if name == "diffueraser":
        return _diffueraser(means)
    if ":" in name:
        return _plugged_in(name, means)
    raise EngineMissing(name, f"no such engine; there are {', '.join(BUILT_IN_ENGINES)}.")


def choose_auto(host: HostSettings, has_driver: Callable[[], bool] = nvidia_driver) -> AutoChoice:
    """Which engine ``auto`` stands for: diffueraser where weights and a CUDA device are there.

    Torch is asked only where everything else is there: whoever has no use for it never loads it.

    Raises:
        WeightsMissing: weights were fetched for the driver that is there, and some are gone. Films
            are not to be done worse from one day to the next without anybody noticing.
    """
    driver = has_driver()
    try:
        lacking = _lacking(host)
    except WeightsMissing:
        if driver and Path(host.models, MANIFEST).exists():
            raise
        lacking = "the weights are not all there (`subtitle-eraser models fetch`)."
    if lacking is not None:
        return AutoChoice("propagate", lacking)
    if not driver:
        return AutoChoice("propagate", "the weights are there, but no NVIDIA driver is.")
    gpu = _cuda_device()
    if gpu is None:
        return AutoChoice("propagate", "the weights are there, but torch finds no CUDA device.")
    return AutoChoice("diffueraser", f"the weights are there, and so is a CUDA device ({gpu}).")


def _lacking(host: HostSettings) -> str | None:
    """What the diffusion engine lacks here, the device aside; ``None`` if it is all there.

    Raises:
        WeightsMissing: not all weights are there.
    """
    if not host.models:
        return "there is no models folder; set models.folder."
    locate(Path(host.models))
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    return f"the package {missing[0]} is not there; {_INSTALL}." if missing else None


def _cuda_device() -> str | None:
    pipeline = importlib.import_module("erasecore.engines.diffueraser.pipeline")
    name: str | None = pipeline.cuda_device()
    return name


def _diffueraser(means: EngineContext) -> Engine:
    """The diffusion engine, its weights proven; networks are loaded when first needed."""
    weights = proven(means.host, now=time.time(), tick=means.tick) if means.host.models else None
    if (lacking := _lacking(means.host)) is not None:
        raise EngineMissing("diffueraser", lacking)
    # Imported here: they load torch, which takes seconds and hundreds of megabytes.
    engines = importlib.import_module("erasecore.engines.diffueraser.engine")
    painters = importlib.import_module("erasecore.engines.diffueraser.pipeline")
    if means.diffusion.require_gpu and painters.cuda_device() is None:
        raise DeviceBroken("diffusion.require_gpu is set, and torch finds no CUDA device")
    state = Path(means.host.state) if means.host.state else None
    pipeline = painters.NetworkPainter(weights, means.diffusion, state, threads=means.threads)
    engine: Engine = engines.DiffuEraser(means.diffusion, pipeline, means.ladders)
    return engine


def _plugged_in(name: str, means: EngineContext) -> Engine:
    """An engine of the operator's own, from ``module:factory``."""
    module_name, _, factory_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise EngineMissing(name, f"its module cannot be imported ({error}).") from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise EngineMissing(name, f"{module_name} has no {factory_name}.")
    engine: Engine = factory(means) if signature(factory).parameters else factory()
    return engine
