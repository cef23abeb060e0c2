"""Removal of burned-in (hard-coded) subtitles from a film; independent of the daemon."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from erasecore.version import __version__

if TYPE_CHECKING:
    from erasecore import errors
    from erasecore.api import detect, erase, inpaint
    from erasecore.detected_text import DetectedText, Detection
    from erasecore.errors import EraseError, FolderError, HostError, InputError, OutOfMemory, Remedy
    from erasecore.loaded_models import Models, load_models
    from erasecore.reports import (
        EraseReport,
        EventReport,
        LeftText,
        Progress,
        ResidueReason,
        ResidueReport,
        Stage,
    )
    from erasecore.settings import (
        Codec,
        DetectSettings,
        DiffusionSettings,
        EncodeSettings,
        EraseSettings,
        LimitSettings,
        OnResidual,
        PictureFrame,
        Precision,
        Region,
        RegionUnit,
        Script,
        TimeRange,
    )

__all__ = [
    "Codec",
    "DetectSettings",
    "DetectedText",
    "Detection",
    "DiffusionSettings",
    "EncodeSettings",
    "EraseError",
    "EraseReport",
    "EraseSettings",
    "EventReport",
    "FolderError",
    "HostError",
    "InputError",
    "LeftText",
    "LimitSettings",
    "Models",
    "OnResidual",
    "OutOfMemory",
    "PictureFrame",
    "Precision",
    "Progress",
    "Region",
    "RegionUnit",
    "Remedy",
    "ResidueReason",
    "ResidueReport",
    "Script",
    "Stage",
    "TimeRange",
    "__version__",
    "detect",
    "erase",
    "errors",
    "inpaint",
    "load_models",
]

# Where these names are defined; the first three load the standard library only.
_MODULES = ("errors", "reports", "settings", "detected_text", "loaded_models", "api")


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562): ``import erasecore`` loads no numpy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _MODULES:
        return import_module(f"erasecore.{name}")
    modules = (import_module(f"erasecore.{module}") for module in _MODULES)
    found = next(vars(module)[name] for module in modules if name in vars(module))
    globals()[name] = found
    return cast("object", found)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
