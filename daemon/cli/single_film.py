"""Films of the command line: their paths, settings and companions."""

from __future__ import annotations

import glob
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.cli.context import CommandContext, WrongUsage
from daemon.cli.option_values import region_of, time_ranges_of
from daemon.config.film_settings import ResolvedSettings, overridden
from daemon.config.schema import Config
from daemon.inbox.scanner import Rules
from daemon.storage.names import PLAN_SUFFIX
from erasecore.errors import InputError
from erasecore.settings import (
    Codec,
    Companions,
    DetectSettings,
    EraseSettings,
    PictureFrame,
    Script,
)
from erasecore.settings_check import check_erase


@dataclass(frozen=True, slots=True)
class NamedFilm:
    """One film of the command line."""

    path: Path
    below: Path  # its path below the folder that was named; its name if it was named itself


def named_films(names: list[str], config: Config) -> list[NamedFilm]:
    """Return the films that the arguments name: files, folders, and patterns the shell left.

    Raises:
        WrongUsage: a pattern or a folder has no film.
    """
    films: list[NamedFilm] = []
    for name in names:
        found = list(_films_of(name, config))
        if not found:
            raise WrongUsage(f"{name}: no film there; name a film, or a folder that has some.")
        films += found
    return films


def _films_of(name: str, config: Config) -> Iterator[NamedFilm]:
    """Yield the films of one argument; a file that does not exist is a film, too."""
    path = Path(name)
    if path.is_dir():
        yield from films_below(path, config)
    elif not path.exists() and glob.has_magic(name):
        # Unlike Path.glob it takes absolute patterns, too.
        for found in sorted(map(Path, glob.glob(name, recursive=True))):  # noqa: PTH207
            if found.is_dir():
                yield from films_below(found, config)
            elif Rules(config.inbox).film(found.name):
                yield NamedFilm(found, Path(found.name))
    else:
        yield NamedFilm(path, Path(path.name))


def films_below(folder: Path, config: Config) -> Iterator[NamedFilm]:
    """Yield the films in a folder and the folders below it, by their endings."""
    rules = Rules(config.inbox)
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if path.is_file() and rules.film(path.name) and not any(map(rules.ignored, below.parts)):
            yield NamedFilm(path, below)


def film_settings(context: CommandContext) -> tuple[EraseSettings, Companions]:
    """Return settings and companions: the configuration, ``--settings``, then the other options.

    Raises:
        InputError: a companion file does not exist.
        BadSidecar: the settings file is not valid.
        WrongUsage: an option has a value that is not allowed.
    """
    options, resolved = context.options, ResolvedSettings(context.config.erase)
    if options.settings is not None:
        resolved = overridden(resolved, options.settings, shown_as=options.settings)
    mask = resolved.mask if options.mask is None else options.mask
    files = {"cues": options.cues, "mask": mask, "plan": options.plan}
    for option, file in files.items():
        if file is not None and not Path(file).is_file():
            raise InputError(Path(file), f"there is no such {option} file; correct the path.")
    paths = {option: str(Path(file).resolve()) if file else "" for option, file in files.items()}
    settings = replace(resolved.settings, mask=Path(mask).name if mask else "")
    settings = _with_options(settings, options)
    check_erase(settings, prefix="", error=WrongUsage)
    return settings, Companions(**paths)


def _with_options(settings: EraseSettings, options: Namespace) -> EraseSettings:
    """Return ``settings`` with the values of the options that were given.

    Raises:
        WrongUsage: an option has a value that cannot be read.
    """
    encode = settings.encode
    if options.crf is not None:
        encode = replace(encode, crf=options.crf)
    if options.codec is not None:
        encode = replace(encode, codec=Codec(options.codec))
    return replace(
        settings,
        engine=options.engine or settings.engine,
        srt=settings.srt and not options.no_srt,
        encode=encode,
        detect=_detect_with_options(settings.detect, options),
    )


def _detect_with_options(detect: DetectSettings, options: Namespace) -> DetectSettings:
    """Return ``detect`` with the values of the options that were given."""
    if options.region:
        regions = tuple(region_of(text, "--region") for text in options.region)
        detect = replace(detect, regions=regions, regions_frame=PictureFrame.SEEN)
    if options.times:
        detect = replace(detect, times=time_ranges_of(options.times, "--times"))
    if options.script:
        detect = replace(detect, scripts=tuple(map(Script, options.script)))
    return detect


def with_plan_beside(companions: Companions, film: Path) -> Companions:
    """Return ``companions`` with the plan beside a film, unless another one is named."""
    plan = film.with_name(film.name + PLAN_SUFFIX)
    if companions.plan or companions.mask or not plan.is_file():
        return companions
    return replace(companions, plan=str(plan.resolve()))
