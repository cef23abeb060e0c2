"""Engine factory: creates the engine that the settings name, resolves ``auto``, loads plug-ins."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

from erasecore.engines.base import Engine
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.errors import DeviceBroken, EngineMissing, WeightsMissing
from erasecore.memory.ladder import Ladders
from erasecore.settings import BUILT_IN_ENGINES, DiffusionSettings, HostSettings
from erasecore.system.device import nvidia_driver
from erasecore.system.logger import get_logger
from erasecore.weights.layout import locate
from erasecore.weights.manifest import MANIFEST, proven

log = get_logger(__name__)

_LIBRARIES = ("torch", "diffusers", "transformers", "safetensors", "accelerate")
"""Packages that the diffusion engine imports."""
_INSTALL = "install subtitle-eraser[diffusion]"
"""Advice in error messages when one of them is missing."""


@dataclass(frozen=True, slots=True)
class EngineContext:
    """Arguments of engine factories."""

    host: HostSettings = field(default_factory=HostSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)
    ladders: Ladders = field(default_factory=Ladders)
    threads: int = 1  # CPU threads for torch
    tick: Callable[[], object] = lambda: None  # heartbeat, called while large files are read


@dataclass(frozen=True, slots=True)
class AutoChoice:
    """Engine that ``auto`` resolves to on this machine, with the reason."""

    engine: str
    reason: str


def make_engine(name: str, context: EngineContext | None = None) -> Engine:
    """Create the engine called ``name``: a built-in one, ``auto`` or a plug-in ``module:factory``.

    Plug-ins run arbitrary code: the caller must make sure that the name of a module comes from the
    operator, never from the sender of a film.

    Args:
        name: name of the engine, as in the settings.
        context: passed to built-in engines, and to plug-in factories that take an argument.

    Raises:
        EngineMissing: the name is unknown, or this machine lacks a package or folder it needs.
        WeightsMissing: files of the diffusion model are missing.
        WeightsDamaged: files of the diffusion model differ from what was downloaded.
        DeviceBroken: there is no GPU, and ``diffusion.require_gpu`` is set.
    """
    context = context or EngineContext()
    if name == "auto":
        choice = choose_auto(context.host)
        log.info("engine.chosen", engine=choice.engine, reason=choice.reason)
        name = choice.engine
    if name == "propagate":
        return PropagateEngine()
    if name == "diffueraser":
        return _make_diffueraser(context)
    if ":" in name:
        return _load_plugin(name, context)
    raise EngineMissing(name, f"no such engine; there are {', '.join(BUILT_IN_ENGINES)}.")


def choose_auto(host: HostSettings, has_driver: Callable[[], bool] = nvidia_driver) -> AutoChoice:
    """Resolve ``auto``: diffueraser if its weights and a CUDA device are present, else propagate.

    torch is imported only after all cheaper checks have passed, since that takes seconds.

    Raises:
        WeightsMissing: the manifest shows that weights were downloaded, the driver is present, but
            some files are gone. Falling back silently would lower the quality unnoticed.
    """
    driver = has_driver()
    try:
        missing = _missing_requirement(host)
    except WeightsMissing:
        if driver and Path(host.models, MANIFEST).exists():
            raise
        missing = "the weights are not all there (`subtitle-eraser models fetch`)."
    if missing is not None:
        return AutoChoice("propagate", missing)
    if not driver:
        return AutoChoice("propagate", "the weights are there, but no NVIDIA driver is.")
    gpu = _cuda_device()
    if gpu is None:
        return AutoChoice("propagate", "the weights are there, but torch finds no CUDA device.")
    return AutoChoice("diffueraser", f"the weights are there, and so is a CUDA device ({gpu}).")


def _missing_requirement(host: HostSettings) -> str | None:
    """Return the first requirement of the diffusion engine that is not met, apart from the GPU.

    Returns:
        A sentence for people; ``None`` if folder, weights and packages are all present.

    Raises:
        WeightsMissing: some weight files are missing.
    """
    if not host.models:
        return "there is no models folder; set models.folder (in Python: load_models(weights=...))."
    locate(Path(host.models))
    packages = [name for name in _LIBRARIES if find_spec(name) is None]
    return f"the package {packages[0]} is not there; {_INSTALL}." if packages else None


def _cuda_device() -> str | None:
    """Return the name of the GPU that torch would use, or ``None``; imports torch."""
    pipeline = importlib.import_module("erasecore.engines.diffueraser.pipeline")
    name: str | None = pipeline.cuda_device()
    return name


def _make_diffueraser(context: EngineContext) -> Engine:
    """Create the diffusion engine; weight files are checked now, models loaded at first use."""
    host, diffusion = context.host, context.diffusion
    weights = proven(host, now=time.time(), tick=context.tick) if host.models else None
    if (missing := _missing_requirement(host)) is not None:
        raise EngineMissing("diffueraser", missing)
    # Imported here: they import torch, which takes seconds and hundreds of megabytes.
    engines = importlib.import_module("erasecore.engines.diffueraser.engine")
    pipelines = importlib.import_module("erasecore.engines.diffueraser.pipeline")
    if diffusion.require_gpu and pipelines.cuda_device() is None:
        raise DeviceBroken("diffusion.require_gpu is set, and torch finds no CUDA device")
    state = Path(host.state) if host.state else None
    pipeline = pipelines.DiffusionPipeline(weights, diffusion, state, threads=context.threads)
    engine: Engine = engines.DiffuEraser(diffusion, pipeline, context.ladders)
    return engine


def _load_plugin(name: str, context: EngineContext) -> Engine:
    """Create an engine of the operator's own from a plug-in ``module:factory``."""
    module_name, _, factory_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise EngineMissing(name, f"its module cannot be imported ({error}).") from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise EngineMissing(name, f"{module_name} has no {factory_name}.")
    engine: Engine = factory(context) if signature(factory).parameters else factory()
    return engine
