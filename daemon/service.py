"""The daemon's life: build the parts, take turns, drain when asked to leave.

One turn looks at everything once: what the workers say, what is to be published, what lies in the
inbox, what the workers can be given. No turn waits; between turns the loop sleeps until something
happens. Of the modules that decide, only this one reads the clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog
from ulid import ULID

from daemon.config.environment import Environment
from daemon.config.schema import Config
from daemon.dispatcher import Dispatcher
from daemon.folders.checks import prove
from daemon.folders.mount_guard import MountGuard
from daemon.inbox.blocked_paths import BlockedPaths
from daemon.inbox.candidate_queue import CandidateQueue
from daemon.jobs import claims, instances
from daemon.jobs.history import History
from daemon.jobs.job import JobState
from daemon.jobs.store import JobStore
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.logs import configure
from daemon.runtime.systemd import Notifier
from daemon.runtime.wakeup import Wakeup
from daemon.status.snapshot import Snapshot, WorkerView, write_snapshot
from daemon.storage.os_errors import hint_for
from daemon.workers.host_resources import inspect_host
from daemon.workers.pool import WorkerPool, slots_for, works_on_gpu
from daemon.workers.process import WORKER_COMMAND, WorkerSlot, WorkerState
from erasecore.errors import ConfigError, FolderError, FolderGone

log = structlog.get_logger(__name__)

MAX_FAILED_TURNS = 20
BUSY_SLEEP_SECONDS = 1.0
CLAIMED_SLEEP_SECONDS = 0.5
MOUNT_CHECK_SECONDS = 1.0
"""Between two looks at whether the folders are still there."""
AWAIT_FOLDERS_SECONDS = 20.0
"""Between two looks while we wait: the watchdog wants to hear from us."""


def await_folders(config: Config, environment: Environment) -> bool:
    """Return once every folder can be used; False if we were asked to leave while we waited.

    Raises:
        ConfigError: one of them never can.
    """
    wake = Wakeup()
    notifier = Notifier(environment.notify_socket, environment.watchdog_seconds)
    said = ""
    try:
        with wake.signals():
            while not wake.stops:
                try:
                    MountGuard(config.folders)
                    prove(config.folders, token=str(ULID()))
                except FolderError as error:
                    if said != str(error):
                        said = str(error)
                        log.error("host.trouble", what="folders", sentence=said)  # noqa: TRY400
                    notifier.ready()  # so that nobody restarts us for waiting
                    notifier.status(f"Paused: {said}")
                    notifier.alive(now=time.monotonic())
                    wake.sleep(min(config.retry.pause_seconds, AWAIT_FOLDERS_SECONDS))
                else:
                    return True
    finally:
        notifier.close()
        wake.close()
    return False


class Service:
    """One daemon, from its start to its end."""

    def __init__(
        self,
        config: Config,
        environment: Environment,
        reload: Callable[[], Config],
        *,
        worker_command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._mount_guard = MountGuard(config.folders)
        prove(config.folders, token=str(ULID()))
        self._mount_guard.record()
        self._config = config
        self._reload = reload
        self._worker_command = worker_command
        self._wake = Wakeup()
        self._problems = HostProblems()
        self._history = History(config.folders.state)
        if self._history.is_new:
            self._history.rebuild(config.folders.done, config.folders.failed)
        self._notifier = Notifier(environment.notify_socket, environment.watchdog_seconds)
        self._me = instances.this_process(config.claims.instance)
        self._leases = instances.Leases(config.claims.lease_seconds)
        self._machine = inspect_host(environment.visible_devices)
        self._blocked = BlockedPaths(self._problems)
        self._queue = CandidateQueue(config, self._wake, self._blocked)
        self._scheduled = True
        self._open_instance()
        self._drain_until: float | None = None
        self._failed_turns = 0
        self._anchors_at = float("-inf")

    def _open_instance(self) -> None:
        """Take a folder of our own below work/, and everything in it that goes with it."""
        token = str(ULID())[-10:].lower()
        self._instance = instances.open_instance(self._config.folders.work, self._me, token)
        self._store = JobStore(self._instance, self._config, self._history)
        self._workers = WorkerPool(self._instance, self._worker_command)
        self._workers.configure(self._config.worker, self._config.host(), self._slots())
        self._dispatch = Dispatcher(
            self._config, self._store, self._workers, self._queue, self._problems
        )
        self._dispatch.scheduled = self._scheduled
        self._beat_at = self._leases_at = self._snapshot_at = float("-inf")

    def _slots(self) -> tuple[WorkerSlot, ...]:
        return slots_for(self._config.worker, self._machine, on_gpu=works_on_gpu(self._config))

    # --- life -------------------------------------------------------------------------------

    def run(self, *, until_drained: bool = False) -> int:
        """Serve until asked to leave, or until there is nothing left to do; the exit code."""
        self._dispatch.eager = not until_drained  # a daemon shows at its start if it can work
        self._scheduled = self._dispatch.scheduled = not until_drained
        try:
            with self._wake.signals():
                log.info(
                    "service.started",
                    instance=self._instance.name,
                    inbox=str(self._config.folders.inbox),
                    filesystem=self._queue.inbox.filesystem,
                    watch=self._queue.watching,
                    workers=len(self._slots()),
                )
                self._notifier.ready()
                return self._loop(until_drained=until_drained)
        finally:
            self._close()

    def _loop(self, *, until_drained: bool) -> int:
        while True:
            if not self._safe_turn(time.monotonic()):
                return 1
            if self._drained(time.monotonic()):
                return 0
            if until_drained and (code := self._nothing_left()) is not None:
                return code
            self._wake.sleep(self._pause_seconds(time.monotonic()), *self._workers.handles())

    def _safe_turn(self, now: float) -> bool:
        """One turn, whatever happens in it; False if there have been too many bad ones."""
        try:
            self._turn(now)
        except OSError as error:
            # A disk, a share, a right: the operator mends it, nothing fails for it.
            log.debug("turn.hindered", exc_info=True)
            place = error.filename or self._config.folders.work
            self._on_host_error(f"{place} {hint_for(error)}", now)
        except FolderError as error:  # between two looks
            self._on_host_error(str(error), now)
        except Exception:
            log.exception("turn.failed", count=self._failed_turns + 1)
            self._failed_turns += 1
            self._recover_turn()
            self._wake.sleep(1.0)
        else:
            self._failed_turns = 0
            self._problems.clear("host")
            self._notifier.alive(now=now)
        return self._failed_turns < MAX_FAILED_TURNS

    def _on_host_error(self, sentence: str, now: float) -> None:
        """Wait for the operator; who waits is well."""
        if self._recover_turn():
            self._report_problem("host", sentence, now)
        self._notifier.status(self._snapshot().sentence())
        self._notifier.alive(now=now)

    def _recover_turn(self) -> bool:
        """Make sure that we still own our folder, and hold all that lies in it.

        Returns:
            Whether the folders are there at all.
        """
        self._anchors_at = float("-inf")
        if not self._folders_there(time.monotonic()):
            return False
        try:
            if instances.beat(self._instance):
                self._kill_lost_workers(self._store.forget_lost())
                self._store.reattach_orphans(wall=time.time())
            else:
                self._start_over()
        except (OSError, FolderError):
            log.debug("turn.not_recovered", exc_info=True)
        return True

    def _kill_lost_workers(self, lost: set[str]) -> None:
        """End the workers whose jobs another daemon has now."""
        for worker in self._workers:
            if worker.job_id in lost:
                worker.kill()

    def _turn(self, now: float) -> None:
        wall = time.time()
        if self._wake.reload:
            self._reload_config()
        if not self._folders_there(now):
            self._notifier.status(self._snapshot().sentence())
            return
        self._keep_claims(now, wall)
        self._dispatch.process_reports(now=now, wall=wall)
        if not self._problems.blocked(now=now):
            self._publish(now)
        self._scan_inbox(now)
        self._store.admit(settle_seconds=self._queue.settle_seconds, now=now, wall=wall)
        if self._drain_until is None and not self._problems.blocked(now=now):
            self._dispatch.assign(now=now, wall=wall)
        self._publish_status(now)

    def _folders_there(self, now: float) -> bool:
        """Whether every folder is the one that was proved; if one is not, none is touched."""
        if now < self._anchors_at:
            return "folders" not in self._problems
        try:
            same = self._mount_guard.verify()
        except FolderGone as error:
            pause_seconds = min(MOUNT_CHECK_SECONDS, self._config.retry.pause_seconds)
            self._problems.report("folders", str(error), now=now, pause_seconds=pause_seconds)
            self._anchors_at = self._problems.until_of("folders")
            return False
        self._anchors_at = now + MOUNT_CHECK_SECONDS
        if "folders" in self._problems or not same:
            self._problems.clear("folders")
            self._renew_intake()  # what watched the share before is deaf
        return True

    # --- claims -----------------------------------------------------------------------------

    def _keep_claims(self, now: float, wall: float) -> None:
        """Show that we live; take over what the dead have left."""
        settings = self._config.claims
        if now - self._beat_at >= settings.heartbeat_seconds:
            self._beat_at = now
            if not instances.beat(self._instance):
                self._start_over()
        if now - self._leases_at >= settings.lease_seconds / 4:
            self._leases_at = now
            work = self._config.folders.work
            for abandoned in instances.abandoned(work, self._me, self._leases, now=now):
                taken = claims.take_over(abandoned, self._instance)
                log.info("claims.taken_over", instance=abandoned.name, jobs=len(taken))
                self._store.adopt(taken, wall=wall)

    def _start_over(self) -> None:
        """Another daemon has held us for dead and has our jobs now: let go of all of them."""
        self._mount_guard.verify()  # a share that is gone looks the same
        log.warning("claims.lost", instance=self._instance.name)
        self._workers.kill()
        self._open_instance()

    # --- the inbox --------------------------------------------------------------------------

    def _scan_inbox(self, now: float) -> None:
        try:
            looked = self._queue.scan_if_due(time.monotonic)
        except OSError as error:
            inbox = self._config.folders.inbox
            self._report_problem("inbox", f"folders.inbox: {inbox} {hint_for(error)}", now)
        else:
            if looked:
                self._problems.clear("inbox")

    # --- out --------------------------------------------------------------------------------

    def _publish(self, now: float) -> None:
        try:
            self._store.publish_finished(tick=self._heartbeat)
        except OSError as error:
            place = error.filename2 or error.filename or "a folder of results"
            self._report_problem("publish", f"{place} {hint_for(error)}", now)
        else:
            self._problems.clear("publish")

    def _heartbeat(self) -> None:
        """A sign of life from the middle of a long copy."""
        now = time.monotonic()
        self._notifier.alive(now=now)
        if now - self._beat_at >= self._config.claims.heartbeat_seconds:
            self._beat_at = now
            instances.beat(self._instance)
            self._store.shorten_logs()

    def _report_problem(self, what: str, sentence: str, now: float) -> None:
        pause_seconds = self._config.retry.pause_seconds
        self._problems.report(what, sentence, now=now, pause_seconds=pause_seconds)

    # --- what others see --------------------------------------------------------------------

    def _publish_status(self, now: float) -> None:
        snapshot = self._snapshot()
        self._notifier.status(snapshot.sentence())
        if now - self._snapshot_at >= min(2.0, self._config.claims.heartbeat_seconds):
            self._snapshot_at = now
            write_snapshot(self._instance, snapshot)

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            pid=os.getpid(),
            workers=tuple(WorkerView.of(one, self._store.jobs) for one in self._workers),
            trouble=self._problems.sentence(),
            paused=self._stuck(),
            note=self._dispatch.idle_reason,
            leaving=self._drain_until is not None,
            queued=len(self._store.states(JobState.CLAIMED, JobState.QUEUED)),
            settled=len(self._queue.candidates) + self._queue.held,
            settling=self._queue.inbox.waiting,
            written_at=time.time(),
        )

    # --- leaving ----------------------------------------------------------------------------

    def _drained(self, now: float) -> bool:
        """Whether we were asked to leave and may: nothing runs, or it has had its time."""
        if not self._wake.stops:
            return False
        if self._drain_until is None:
            drain_seconds = self._config.worker.drain_seconds
            self._drain_until = now + drain_seconds
            self._notifier.stopping()
            self._notifier.extend(drain_seconds + 30)
            log.info("service.draining", seconds=drain_seconds)
        busy = self._workers.in_state(WorkerState.BUSY)
        if busy and now < self._drain_until and self._wake.stops == 1:
            return False
        for worker in busy:
            with suppress(OSError):  # then the next start sees that it was at work
                self._dispatch.hand_back(worker, wall=time.time())
        return True

    def _nothing_left(self) -> int | None:
        """The exit code of ``once``, when all is done or nothing more can be."""
        idle = not self._store.jobs and self._queue.empty()
        if self._stuck() or (idle and (self._queue.held or self._store.orphans)):
            log.error("service.stopped", sentence=self._problems.sentence())
            return 1
        if not idle:
            return None
        failed = [job for job in self._store.ended if job.state is JobState.FAILED]
        return 1 if failed else 0

    def _stuck(self) -> bool:
        """Whether the queue waits for the operator."""
        return self._problems.pausing() or not self._workers.able(now=time.monotonic())

    def _pause_seconds(self, now: float) -> float:
        """How long nothing needs to be looked at, if nothing happens."""
        if "folders" in self._problems:
            return max(0.02, self._anchors_at - now)
        moments = [
            self._queue.next_scan_at(),
            self._beat_at + self._config.claims.heartbeat_seconds,
            self._leases_at + self._config.claims.lease_seconds / 4,
        ]
        if (until := self._problems.until(now=now)) is not None:
            moments.append(until)
        if (due_in := self._store.due_in(wall=time.time())) is not None:
            moments.append(now + due_in)
        if (next_try := self._workers.next_try(now=now)) is not None:
            moments.append(next_try)
        if self._workers.in_state(WorkerState.BUSY, WorkerState.LOADING):
            moments.append(now + BUSY_SLEEP_SECONDS)
        if self._store.states(JobState.CLAIMED):
            moments.append(now + CLAIMED_SLEEP_SECONDS)
        return max(0.02, min(moments) - now)

    def _reload_config(self) -> None:
        """Go by the configuration as it is now; the old one stays if the new one is wrong."""
        self._wake.reload = False
        self._notifier.reloading()
        try:
            config = self._reload()
        except ConfigError as error:
            log.error("config.refused", sentence=str(error))  # noqa: TRY400 - no traceback
        else:
            if config.folders != self._config.folders:
                log.warning("config.restart_needed", key="folders")
            self._config = replace(config, folders=self._config.folders)
            configure(self._config.log)
            self._store.config = self._config
            self._leases.lease_seconds = self._config.claims.lease_seconds
            for worker in self._workers:
                worker.backoff_until = float("-inf")
                self._problems.clear(worker.slot.name)
            self._workers.configure(self._config.worker, self._config.host(), self._slots())
            self._renew_intake()
            log.info("config.reloaded")
        self._notifier.ready()

    def _renew_intake(self) -> None:
        """Look at the inbox as if for the first time."""
        self._queue.stop()
        self._queue = CandidateQueue(self._config, self._wake, self._blocked)
        self._dispatch.config, self._dispatch.queue = self._config, self._queue

    def _close(self) -> None:
        """Leave nothing behind: no process, no thread, no handle, no empty folder."""
        self._notifier.stopping()
        self._queue.stop()
        self._workers.dismiss()
        try:
            claims.release_claim(self._instance)
        except (OSError, FolderError):
            log.debug("service.left_folder", exc_info=True)
        self._history.close()
        self._notifier.close()
        self._wake.close()
        log.info("service.stopped")
