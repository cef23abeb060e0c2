"""Rules of the command ``once``: no working hours; an end when all is done, or nothing can be."""

from __future__ import annotations

from dataclasses import replace

import structlog

from daemon.config.schedule import ScheduleSettings
from daemon.config.schema import Config
from daemon.lifecycle.instance_parts import InstanceParts, SharedParts

log = structlog.get_logger(__name__)


def without_hours(config: Config) -> Config:
    """Return ``config`` without working hours, which ``once`` ignores."""
    return replace(config, schedule=ScheduleSettings())


def exit_code_of_once(parts: InstanceParts, shared: SharedParts, *, paused: bool) -> int | None:
    """Return the exit code of ``once``: 0 or 1 if it is to end now, None if it goes on.

    Args:
        parts: the parts of our instance folder.
        shared: the inbox queue and the host problems.
        paused: the queue waits for the operator, so nothing more can be done.
    """
    store, isolation, queue = parts.jobs.store, parts.jobs.isolation, shared.queue
    idle = all(map(isolation.is_set_aside, store.jobs)) and queue.empty()
    if store.has_orphans:
        idle = idle and parts.jobs.adopter.is_stuck()
    if parts.jobs.publisher.busy:
        return None
    left_over = queue.held or store.jobs or store.has_orphans
    if paused or (idle and left_over):
        log.error("service.stopped", sentence=shared.problems.sentence())
        return 1
    if not idle:
        return None
    failed = parts.jobs.publisher.failed_count
    return 1 if failed else 0
