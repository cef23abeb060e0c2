"""Reload of the configuration on SIGHUP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from daemon.config.schema import Config
from erasecore.errors import ConfigError

log = structlog.get_logger(__name__)


def reloaded(load: Callable[[], Config], current: Config) -> Config | None:
    """Return the configuration as it is on disk now; None if it is wrong.

    The folders stay those of ``current``: other folders need a restart.

    Args:
        load: reads and checks the configuration.
        current: the configuration in use.
    """
    try:
        config = load()
    except ConfigError as error:
        log.error("config.refused", sentence=str(error))  # noqa: TRY400 - no traceback
        return None
    if config.folders != current.folders:
        log.warning("config.restart_needed", key="folders")
    return replace(config, folders=current.folders)
