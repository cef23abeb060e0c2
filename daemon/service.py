"""Main loop of the daemon: build the parts, take turns, drain when asked to stop.

Read this module first. In one turn every part does what is due: the heartbeat, people's requests,
the workers' reports, publication, the scan of the inbox, the assignment of films. No step waits;
between turns the loop sleeps until a signal, a pipe, a file system event or the next due time. The
parts are told the time; for decisions only this module reads the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from daemon.config.environment import Environment
from daemon.config.schema import Config
from daemon.inbox.blocked_paths import BlockedPaths
from daemon.inbox.candidate_queue import CandidateQueue
from daemon.jobs.history import History
from daemon.lifecycle.drain import Drain
from daemon.lifecycle.folder_watch import FolderState, FolderWatch
from daemon.lifecycle.instance_keeper import InstanceKeeper
from daemon.lifecycle.instance_parts import SharedParts, steering_parts
from daemon.lifecycle.once import exit_code_of_once, without_hours
from daemon.lifecycle.reload import reloaded
from daemon.lifecycle.status_publisher import PublicStatus, StatusPublisher
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.logs import configure
from daemon.runtime.systemd import Notifier
from daemon.runtime.wakeup import Wakeup
from daemon.storage.os_errors import hint_for
from daemon.workers.host_resources import inspect_host
from daemon.workers.process import WORKER_COMMAND
from erasecore.errors import FolderError

log = structlog.get_logger(__name__)

MAX_FAILED_TURNS = 20
"""Unexpected exceptions in a row after which the process exits, and systemd restarts it; guess."""
FAILED_TURN_SECONDS = 1.0
"""Sleep after an unexpected exception, in seconds; a guess."""
MIN_SLEEP_SECONDS = 0.02
"""Shortest sleep between two turns, in seconds: an overdue step must not make a busy loop."""


class Service:
    """One daemon, from its start to its end.

    Args:
        config: the configuration.
        environment: what the process environment says.
        reload: returns the configuration as it is on disk now.
        until_drained: end once the inbox is empty and every job has ended (``once``).
        worker_command: command line of a worker process.
    """

    def __init__(
        self,
        config: Config,
        environment: Environment,
        reload: Callable[[], Config],
        *,
        until_drained: bool = False,
        worker_command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._until_drained = until_drained
        self._load_config = (lambda: without_hours(reload())) if until_drained else reload
        self._config = config = without_hours(config) if until_drained else config
        self._problems = HostProblems(config.retry)
        self._folders = folders = FolderWatch(config, self._problems)
        self._wake = Wakeup()
        history = History(config.folders)  # a thread of its own: the loop never waits for it
        self._notifier = Notifier(environment.notify_socket, environment.watchdog_seconds)
        host, proofs = inspect_host(environment.visible_devices), folders.proofs
        steering = steering_parts(config, self._wake.wake, lasting=not until_drained)
        queue = CandidateQueue(config, self._wake, BlockedPaths(self._problems, steering.left))
        self._shared = SharedParts(
            queue, self._problems, proofs, history, host, worker_command, steering
        )
        self._instance = InstanceKeeper(config, self._shared, folders, preload=not until_drained)
        self._drain = Drain(self._wake, self._notifier, config)
        public = PublicStatus(config, environment.runtime_folder, enabled=not until_drained)
        self._status = StatusPublisher(self._notifier, self._shared, self._drain, config, public)
        self._failed_turns = 0

    def run(self) -> int:
        """Take turns until asked to stop, or until drained; return the exit code."""
        try:
            with self._wake.signals():
                log.info(
                    "service.started",
                    instance=self._instance.lease.folder.name,
                    inbox=str(self._config.folders.inbox),
                    filesystem=self._shared.queue.inbox.filesystem,
                    watch=self._shared.queue.watching,
                    workers=len(list(self._instance.parts.workers)),
                )
                self._notifier.ready()
                return self._loop()
        finally:
            self._close()

    def _loop(self) -> int:
        hang_watch = self._status.hang_watch
        hang_watch.start()
        hang_watch.turn_begins()
        while self._safe_turn(time.monotonic()):
            now, wall = time.monotonic(), time.time()
            if (code := self._exit_code(now, wall)) is not None:
                return code
            seconds = self._sleep_seconds(now, wall)
            hang_watch.turn_ends()
            self._wake.sleep(seconds, *self._instance.parts.workers.handles())
            hang_watch.turn_begins()
        return 1

    # --- one turn ---------------------------------------------------------------------------

    def _turn(self, now: float) -> None:
        wall = time.time()
        if not self._folders.silent and self._wake.take_reload():
            self._reload_config()
        if not self._folders_present(now):
            self._refresh_status()
            return
        self._folders.check_state(self._shared.history.trouble, now=now)
        self._instance.keep(now=now, wall=wall)
        parts = self._instance.parts
        parts.controller.look_if_due(now=now, wall=wall)
        parts.reports.process_reports(now=now, wall=wall)
        parts.jobs.publisher.collect(now=now, wall=wall)
        if not self._problems.blocked(now=now):
            parts.jobs.publisher.publish_finished(now=now, wall=wall)
        parts.scan_inbox(time.monotonic, time.thread_time, now=now)
        settle_seconds = self._shared.queue.settle_seconds
        parts.jobs.claimer.queue_settled(settle_seconds=settle_seconds, now=now, wall=wall)
        if not self._drain.begun and not self._problems.blocked(now=now):
            parts.dispatcher.assign(now=now, wall=wall)
        self._status.publish(parts, now=now, wall=time.time())

    def _folders_present(self, now: float) -> bool:
        """Return True if every folder is there; watch the inbox anew if it was mounted again.

        If one is missing, threads are stopped, which could write beside the mount. Those that hang
        at a silent one go on when it answers.
        """
        state = self._folders.check(now=now)
        if state is FolderState.RETURNED:
            self._shared.queue.reconfigure(self._config)
        elif state is FolderState.MISSING:
            self._instance.parts.jobs.stop_threads()
        return state not in (FolderState.MISSING, FolderState.SILENT)

    def _refresh_status(self) -> None:
        """Publish the status while no folder may be touched but by a call that may hang."""
        to_work = partial(self._folders.call, "status", role="work")
        now, wall = time.monotonic(), time.time()
        self._status.refresh(self._instance.parts, now=now, wall=wall, to_work=to_work)

    def _reload_config(self) -> None:
        """Pass the new configuration to every part; keep the old one if the new one is wrong."""
        self._notifier.reloading()
        if (config := reloaded(self._load_config, self._config)) is not None:
            self._config = config
            configure(config.log)
            self._problems.reconfigure(config.retry)
            parts = (self._folders, self._instance, self._drain, self._status, self._shared.queue)
            for part in parts:
                part.reconfigure(config)
            log.info("config.reloaded")
        self._notifier.ready()

    # --- errors of a turn -------------------------------------------------------------------

    def _safe_turn(self, now: float) -> bool:
        """Take one turn and handle every exception; return False after too many failed ones."""
        try:
            self._turn(now)
        except OSError as error:  # a disk, a mount or a permission: the operator's to mend
            log.debug("turn.hindered", exc_info=True)
            place = error.filename or self._config.folders.work
            self._on_host_error(f"{place} {hint_for(error)}", now)
        except FolderError as error:  # a folder went between two mount checks
            self._on_host_error(str(error), now)
        except Exception:
            log.exception("turn.failed", count=self._failed_turns + 1)
            self._failed_turns += 1
            self._recover_turn()
            self._wake.sleep(FAILED_TURN_SECONDS)
        else:
            self._failed_turns = 0
            self._problems.clear("host")
            self._notifier.alive(now=now)
        return self._failed_turns < MAX_FAILED_TURNS

    def _on_host_error(self, sentence: str, now: float) -> None:
        """Record a host problem. Keeps the watchdog alive: waiting for the operator is no hang."""
        if self._recover_turn():
            self._problems.report("host", sentence, now=now)
        self._refresh_status()
        self._notifier.alive(now=now)

    def _recover_turn(self) -> bool:
        """Make jobs, workers and disk agree after a failed turn; False if a folder is missing."""
        self._folders.invalidate()
        now = time.monotonic()
        if not self._folders_present(now):
            return False
        self._instance.recover(now=now, wall=time.time())
        return True

    def _exit_code(self, now: float, wall: float) -> int | None:
        """Return the exit code once the daemon may end; None while it goes on."""
        parts, shared = self._instance.parts, self._shared
        if self._wake.stops and "work" in self._folders.silent:
            return 0  # no film can be handed back; each goes on from what is on disk
        if self._drain.is_over(parts, now=now, wall=wall):
            return 0
        if not self._until_drained:
            return None
        return exit_code_of_once(parts, shared, paused=self._status.is_paused(parts, now=now))

    def _sleep_seconds(self, now: float, wall: float) -> float:
        """Return the time until the next step is due, if nothing happens before."""
        if self._folders.untouchable:  # then no folder may be touched
            due_times = [self._folders.next_check_at]
        else:
            due_times = [
                self._shared.queue.next_scan_at(),
                self._instance.lease.next_due(),
                *self._instance.parts.due_times(now=now, wall=wall),
            ]
        return max(MIN_SLEEP_SECONDS, min(due_times) - now)

    def _close(self) -> None:
        """End every process and thread, close every handle, and remove our folder if empty."""
        self._notifier.stopping()
        self._shared.queue.stop()
        self._instance.close()
        self._status.close()
        self._shared.history.close()
        self._notifier.close()
        self._wake.close()
        log.info("service.stopped")
