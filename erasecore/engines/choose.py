"""From an engine's name in the settings to the engine."""

from __future__ import annotations

import importlib

from erasecore.engines.base import Engine
from erasecore.engines.propagate import PropagateEngine
from erasecore.errors import EngineMissing

BUILT_IN = ("auto", "propagate", "diffueraser")


def make_engine(name: str) -> Engine:
    """The engine called ``name``; ``module:factory`` makes one that is not ours.

    The caller sees to it that only an operator, never a sender, names a module.

    Raises:
        EngineMissing: there is none of that name, or this machine lacks what it needs.
    """
    if name in ("auto", "propagate"):
        return PropagateEngine()
    if name == "diffueraser":
        raise EngineMissing(name, "this version does not have it yet; set engine: propagate.")
    if ":" in name:
        return _plugged_in(name)
    raise EngineMissing(name, f"no such engine; there are {', '.join(BUILT_IN)}.")


def _plugged_in(name: str) -> Engine:
    module_name, _, factory_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise EngineMissing(name, f"its module cannot be imported ({error}).") from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise EngineMissing(name, f"{module_name} has no {factory_name}.")
    engine: Engine = factory()
    return engine
