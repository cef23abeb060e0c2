"""The daemon's life: build the parts, take turns, drain when asked to leave.

One turn looks at everything once: what the worker says, what is to be published, what lies in the
inbox, what the worker can be given. No turn waits; between turns the loop sleeps until something
happens. Of the modules that decide, only this one reads the clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
from ulid import ULID

from daemon import claims, owners
from daemon.config import Config, Environment
from daemon.faults import arm, fault_point
from daemon.folders import advice, free_bytes, prove
from daemon.history import History
from daemon.holdings import Holdings, with_config
from daemon.inbox import Candidate
from daemon.intake import Intake
from daemon.jobs import JobState
from daemon.logs import configure
from daemon.notify import Notifier
from daemon.retry import Next
from daemon.status import Current, Snapshot, write_snapshot
from daemon.supervisor import WORKER_COMMAND, Report, Supervisor, WorkerBroken, WorkerState
from daemon.troubles import Troubles
from daemon.wake import Wake
from daemon.wire import Failed, Finished, Hello
from erasecore.errors import ConfigError, FolderError

log = structlog.get_logger(__name__)

MAX_FAILED_TURNS = 20
BUSY_SLEEP_SECONDS = 1.0
CLAIMED_SLEEP_SECONDS = 0.5


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
        arm(environment.fault_at)
        prove(config.folders, token=str(ULID()))
        self._config = config
        self._reload = reload
        self._worker_command = worker_command
        self._wake = Wake()
        self._troubles = Troubles()
        self._history = History(config.folders.state)
        if self._history.is_new:
            self._history.rebuild(config.folders.done, config.folders.failed)
        self._notifier = Notifier(environment.notify_socket, environment.watchdog_seconds)
        self._me = owners.this_process(config.claims.instance)
        self._leases = owners.Leases(config.claims.lease_seconds)
        self._settle_in()
        self._intake = Intake(config, self._wake)
        self._drain_until: float | None = None
        self._failed_turns = 0
        self._greeted = self._eager = False

    def _settle_in(self) -> None:
        """Take a folder of our own below work/, and everything in it that goes with it."""
        self._instance = owners.open_instance(
            self._config.folders.work, self._me, str(ULID())[-10:].lower()
        )
        self._holdings = Holdings(self._instance, self._config, self._history)
        worker_log = self._instance / owners.WORKER_LOG
        self._supervisor = Supervisor(
            self._config.worker, self._config.host(), worker_log, self._worker_command
        )
        self._beat_at = self._leases_at = self._snapshot_at = float("-inf")

    # --- life -------------------------------------------------------------------------------

    def run(self, *, until_drained: bool = False) -> int:
        """Serve until asked to leave, or until there is nothing left to do; the exit code."""
        self._eager = not until_drained  # a daemon shows at its start whether it can work
        log.info(
            "service.started",
            instance=self._instance.name,
            inbox=str(self._config.folders.inbox),
            filesystem=self._intake.inbox.filesystem,
            watch=self._intake.watching,
        )
        try:
            with self._wake.signals():
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
            self._wake.sleep(self._pause_seconds(time.monotonic()), self._supervisor.fileno())

    def _safe_turn(self, now: float) -> bool:
        """One turn, whatever happens in it; False if there have been too many bad ones."""
        try:
            self._turn(now)
        except OSError as error:
            # A disk, a share, a right: the operator mends it, nothing fails for it.
            place = error.filename or self._config.folders.work
            self._trouble("host", f"{place} {advice(error)}", now)
            log.debug("turn.hindered", exc_info=True)
            self._recover_turn()
        except Exception:
            log.exception("turn.failed", count=self._failed_turns + 1)
            self._failed_turns += 1
            self._recover_turn()
            self._wake.sleep(1.0, None)
        else:
            self._failed_turns = 0
            self._troubles.clear("host")
            self._notifier.alive(now=now)
        return self._failed_turns < MAX_FAILED_TURNS

    def _recover_turn(self) -> None:
        """Make sure that we still own our folder, and hold all that lies in it."""
        try:
            if owners.beat(self._instance):
                self._holdings.adopt_strays(wall=time.time())
            else:
                self._start_over()
        except OSError:
            log.debug("turn.not_recovered", exc_info=True)

    def _turn(self, now: float) -> None:
        wall = time.time()
        if self._wake.reload:
            self._reread()
        self._keep_claims(now, wall)
        for report in self._supervisor.step(now=now):
            self._hear(report, now, wall)
        if not self._troubles.blocked(now=now):
            self._publish(now)
        self._look(now)
        self._admit(now, wall)
        if self._drain_until is None and not self._troubles.blocked(now=now):
            self._give_work(now, wall)
        self._tell(now)

    # --- claims -----------------------------------------------------------------------------

    def _keep_claims(self, now: float, wall: float) -> None:
        """Show that we live; take over what the dead have left."""
        settings = self._config.claims
        if now - self._beat_at >= settings.heartbeat_seconds:
            self._beat_at = now
            if not owners.beat(self._instance):
                self._start_over()
        if now - self._leases_at >= settings.lease_seconds / 4:
            self._leases_at = now
            work = self._config.folders.work
            for abandoned in owners.abandoned(work, self._me, self._leases, now=now):
                taken = claims.take_over(abandoned, self._instance)
                log.info("claims.taken_over", instance=abandoned.name, jobs=len(taken))
                self._holdings.adopt(taken, wall=wall)

    def _start_over(self) -> None:
        """Another daemon has held us for dead and has our jobs now: let go of all of them."""
        log.warning("claims.lost", instance=self._instance.name)
        self._supervisor.kill()
        self._settle_in()

    # --- the worker -------------------------------------------------------------------------

    def _hear(self, report: Report, now: float, wall: float) -> None:
        if isinstance(report, Hello):
            log.info("worker.ready", pid=self._supervisor.pid)
            self._greeted = True
            self._troubles.clear("worker")
        elif isinstance(report, WorkerBroken):
            if not report.loaded:
                self._trouble("worker", f"the worker cannot start: {report.sentence}", now)
            else:
                log.warning("worker.lost", sentence=report.sentence)
        elif isinstance(report, Finished):
            self._holdings.finish(report, self._supervisor.versions, wall=wall)
            self._troubles.clear("film")
        elif isinstance(report, Failed):
            decision = self._holdings.fail(report.job_id, report.fault, wall=wall)
            if decision.next is Next.PAUSE:
                self._trouble("film", report.fault.sentence, now)
            else:
                self._troubles.clear("film")

    def _give_work(self, now: float, wall: float) -> None:
        job = self._holdings.due(wall=wall)
        idle = job is None and not self._intake.candidates
        if idle and (self._greeted or not self._eager):
            return
        if self._supervisor.state is WorkerState.ABSENT:
            self._supervisor.spawn(now=now)
        if idle or self._supervisor.state is not WorkerState.IDLE:
            return
        candidate = self._intake.best()
        if candidate and (job is None or self._intake.priority(candidate) > job.settings.priority):
            self._take(candidate, now, wall)
            job = self._holdings.due(wall=wall)
        if job is not None:
            start = self._holdings.begin(job, wall=wall)
            self._supervisor.begin(start, now=now)
            fault_point("attempt.after_start")

    # --- the inbox --------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        try:
            looked = self._intake.look_if_due(now=now)
        except OSError as error:
            inbox = self._config.folders.inbox
            self._trouble("inbox", f"folders.inbox: {inbox} {advice(error)}", now)
        else:
            if looked:
                self._troubles.clear("inbox")

    def _take(self, candidate: Candidate, now: float, wall: float) -> None:
        if not self._room_for(candidate, now):
            return
        self._intake.take(candidate)
        job_id = str(ULID()).lower()
        if self._holdings.claim(candidate, job_id, now=now, wall=wall) is None:
            self._intake.look_again()

    def _room_for(self, candidate: Candidate, now: float) -> bool:
        """Whether there is space for what will be made of a film; if not, the queue waits."""
        folders = self._config.folders
        needed = (folders.min_free_mb << 20) + int(folders.free_factor * candidate.stamp.size_bytes)
        for role, path in (("work", folders.work), ("done", folders.done)):
            free = free_bytes(path)
            if free < needed:
                sentence = (
                    f"folders.{role}: {path} has {free >> 20} MB free, the next film needs "
                    f"{needed >> 20} MB; free some space, the queue goes on by itself."
                )
                self._trouble("space", sentence, now)
                return False
        self._troubles.clear("space")
        return True

    def _admit(self, now: float, wall: float) -> None:
        settle_seconds = self._intake.inbox.settling.settle_seconds
        self._holdings.admit(settle_seconds=settle_seconds, now=now, wall=wall)

    # --- out --------------------------------------------------------------------------------

    def _publish(self, now: float) -> None:
        try:
            self._holdings.settle_up(tick=self._tick)
        except OSError as error:
            place = error.filename2 or error.filename or "a folder of results"
            self._trouble("publish", f"{place} {advice(error)}", now)
        else:
            self._troubles.clear("publish")

    def _tick(self) -> None:
        """A sign of life from the middle of a long copy."""
        now = time.monotonic()
        self._notifier.alive(now=now)
        if now - self._beat_at >= self._config.claims.heartbeat_seconds:
            self._beat_at = now
            owners.beat(self._instance)

    def _trouble(self, what: str, sentence: str, now: float) -> None:
        pause_seconds = self._config.retry.pause_seconds
        self._troubles.report(what, sentence, now=now, pause_seconds=pause_seconds)

    # --- what others see --------------------------------------------------------------------

    def _tell(self, now: float) -> None:
        snapshot = self._snapshot()
        self._notifier.status(snapshot.sentence())
        if now - self._snapshot_at >= min(2.0, self._config.claims.heartbeat_seconds):
            self._snapshot_at = now
            write_snapshot(self._instance, snapshot)

    def _snapshot(self) -> Snapshot:
        job = self._holdings.jobs.get(self._supervisor.job_id)
        return Snapshot(
            pid=os.getpid(),
            worker=self._supervisor.state.value,
            trouble=self._troubles.sentence(),
            leaving=self._drain_until is not None,
            current=Current.of(job, self._supervisor.progress) if job else None,
            queued=len(self._holdings.states(JobState.CLAIMED, JobState.QUEUED)),
            settled=len(self._intake.candidates),
            settling=self._intake.inbox.waiting,
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
        busy = self._supervisor.state is WorkerState.BUSY
        if busy and now < self._drain_until and self._wake.stops == 1:
            return False
        if busy:
            job_id = self._supervisor.job_id
            self._supervisor.kill()
            self._holdings.hand_back(job_id, wall=time.time())
        return True

    def _nothing_left(self) -> int | None:
        """The exit code of ``once``, when all is done or nothing more can be."""
        if sentence := self._troubles.sentence():
            log.error("service.stopped", sentence=sentence)
            return 1
        if self._holdings.jobs or not self._intake.empty():
            return None
        failed = [job for job in self._holdings.ended if job.state is JobState.FAILED]
        return 1 if failed else 0

    def _pause_seconds(self, now: float) -> float:
        """How long nothing needs to be looked at, if nothing happens."""
        moments = [
            self._intake.next_look_at(),
            self._beat_at + self._config.claims.heartbeat_seconds,
            self._leases_at + self._config.claims.lease_seconds / 4,
        ]
        if (until := self._troubles.until()) is not None and until > now:
            moments.append(until)
        if (due_in := self._holdings.due_in(wall=time.time())) is not None:
            moments.append(now + due_in)
        if self._supervisor.state in (WorkerState.BUSY, WorkerState.LOADING):
            moments.append(now + BUSY_SLEEP_SECONDS)
        if self._holdings.states(JobState.CLAIMED):
            moments.append(now + CLAIMED_SLEEP_SECONDS)
        return max(0.02, min(moments) - now)

    def _reread(self) -> None:
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
            with_config(self._holdings, self._config)
            self._supervisor.settings = self._config.worker
            self._supervisor.host = self._config.host()
            self._leases.lease_seconds = self._config.claims.lease_seconds
            self._intake.stop()
            self._intake = Intake(self._config, self._wake)
            log.info("config.reloaded")
        self._notifier.ready()

    def _close(self) -> None:
        """Leave nothing behind: no process, no thread, no handle, no empty folder."""
        self._notifier.stopping()
        self._intake.stop()
        self._supervisor.dismiss()
        try:
            claims.leave(self._instance)
        except (OSError, FolderError):
            log.debug("service.left_folder", exc_info=True)
        self._history.close()
        self._notifier.close()
        self._wake.close()
        log.info("service.stopped")
