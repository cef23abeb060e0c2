"""Mount check: the folders of the configuration are still the ones that were proved at start-up."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

import structlog
from ulid import ULID

from daemon.config.environment import Environment
from daemon.config.locations import film_folders
from daemon.config.schema import Config
from daemon.folders.bounded_calls import (
    LONG_ANSWER_SECONDS,
    BoundedCalls,
    silence_sentence,
)
from daemon.folders.checks import paths_of, prove, sweep_trials
from daemon.folders.mount_guard import MountGuard
from daemon.folders.name_limits import limited_roles
from daemon.folders.proofs import FolderProofs
from daemon.folders.state_folder import state_trouble
from daemon.lifecycle.status_publisher import PublicStatus, waiting_snapshot
from daemon.notify import pauses
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.systemd import Notifier
from daemon.runtime.wakeup import Wakeup
from daemon.storage.names import TRIAL_SECONDS
from erasecore.errors import FolderError, FolderGone, FolderSilent

log = structlog.get_logger(__name__)

CHECK_SECONDS = 1.0
"""Time between two mount checks, in seconds; a guess."""
FIRST_SWEEP_SECONDS = 2 * TRIAL_SECONDS
"""Time after the start until leftovers of the proof of a crashed daemon are old enough to go."""
SWEEP_SECONDS = 3600.0
"""Time between two sweeps of such leftovers, in seconds; a guess."""
AWAIT_SECONDS = 20.0
"""Longest time between two tries at start-up, in seconds; below the watchdog's interval."""


class FolderState(StrEnum):
    """State of the configured folders."""

    PRESENT = "present"  # unchanged since the last check
    RETURNED = "returned"  # present, but mounted again: watches on them are dead
    MISSING = "missing"  # at least one is unmounted or another one; none may be touched
    SILENT = "silent"  # at least one does not answer; whoever touches it hangs


class FolderWatch:
    """Checks the mounts at most once a second; missing and silent folders pause the queue."""

    def __init__(self, config: Config, problems: HostProblems) -> None:
        """Prove every folder and record its mount.

        Raises:
            FolderError: a folder cannot be used; the text says what to change.
        """
        self._calls = BoundedCalls()
        self._guard = proved_mounts(config, self._calls)
        self.proofs = FolderProofs(config.folders, token=str(ULID()), check_mounts=self.verify)
        if roles := limited_roles(config.folders):
            log.warning("folders.names_limited", folders=roles, naming="as with portable_names")
        self._paths = paths_of(config.folders)
        self._film_folders = film_folders(config.folders)
        self._returned = False  # True: mounted again, as a proof has found
        self.silent: frozenset[str] = frozenset()  # roles of the folders that do not answer
        self._problems = problems
        self._sweep_at: float | None = None  # monotonic seconds; None: not before the first check
        self.next_check_at = float("-inf")  # monotonic seconds
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use ``retry.pause_seconds`` of ``config``; the folders stay as they are."""
        self._pause_seconds = min(CHECK_SECONDS, config.retry.pause_seconds)

    def check(self, *, now: float) -> FolderState:
        """Return the state of the folders, checked now or less than a second ago."""
        if now < self.next_check_at:
            return self._last_state()
        if self._are_silent(now):
            return FolderState.SILENT
        try:
            unchanged = self._guard.verify() and not self._returned
        except FolderGone as error:
            pause_seconds = self._pause_seconds
            self._problems.report("folders", str(error), now=now, pause_seconds=pause_seconds)
            self.next_check_at = self._problems.until_of("folders")
            return FolderState.MISSING
        self.next_check_at = now + CHECK_SECONDS
        self._returned = False
        self._sweep_if_due(now)
        if self.missing or not unchanged:
            self._problems.clear("folders")
            return FolderState.RETURNED
        return FolderState.PRESENT

    def _last_state(self) -> FolderState:
        """Return the state at the last check; a share that came back was told then."""
        if self.silent:
            return FolderState.SILENT
        return FolderState.MISSING if self.missing else FolderState.PRESENT

    def _are_silent(self, now: float) -> bool:
        """Return True if a folder does not answer; report it as a host problem."""
        silent = self._calls.silent(self._film_folders)
        self.silent = frozenset(silent)
        if not silent:
            self._problems.clear("silent folders")
            return False
        sentence = silence_sentence(silent, self._paths)
        pause_seconds = self._pause_seconds
        self._problems.report("silent folders", sentence, now=now, pause_seconds=pause_seconds)
        self.next_check_at = self._problems.until_of("silent folders")
        return True

    def call(self, name: str, action: Callable[[], None], *, role: str) -> None:
        """Make a call that may hang, and wait for it for a limited time.

        Args:
            name: distinguishes the call from others.
            action: the call.
            role: key of the folder that it touches.

        Raises:
            FolderSilent: it hangs, or the folder is known not to answer.
        """
        if role in self.silent:
            raise FolderSilent(self._paths[role])
        self._calls.run(name, action, place=self._paths[role])

    def _sweep_if_due(self, now: float) -> None:
        """Remove trial files that a crashed daemon has left; its proof took less than a minute."""
        if self._sweep_at is None:
            self._sweep_at = now + FIRST_SWEEP_SECONDS
        elif now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            for path in self._paths.values():
                with suppress(OSError):  # of no consequence, and met again by what needs the folder
                    sweep_trials(path)

    @property
    def missing(self) -> bool:
        """True if a folder was missing at the last check that could be made."""
        return "folders" in self._problems

    @property
    def untouchable(self) -> bool:
        """True if no folder may be touched before ``next_check_at``."""
        return self.missing or bool(self.silent)

    def invalidate(self) -> None:
        """Make the next ``check`` look at the mounts, e.g. after an I/O error."""
        self.next_check_at = float("-inf")

    def check_state(self, history_trouble: str, *, now: float) -> None:
        """Report the trouble with the state folder as a host problem that pauses nothing.

        Args:
            history_trouble: sentence on the history; "" while it can be written.
            now: monotonic time in seconds.
        """
        trouble = history_trouble
        if not self._guard.saved:
            if now < self._problems.until_of("state"):
                return
            self._guard.save()
            if not self._guard.saved:
                trouble = state_trouble(self._paths["state"], token=str(ULID())) or history_trouble
        if trouble:
            self._problems.report("state", trouble, now=now, pauses=False)
        else:
            self._problems.clear("state")

    def verify(self) -> None:
        """Check at once.

        Raises:
            FolderGone: a folder is missing.
        """
        if not self._guard.verify():
            self._returned = True


def proved_mounts(config: Config, calls: BoundedCalls) -> MountGuard:
    """Prove every folder and record its mount.

    Raises:
        FolderError: a folder cannot be used; FolderSilent: one hangs.
        ConfigError: a folder can never be used.
    """

    def proved() -> MountGuard:
        guard = MountGuard(config.folders)
        prove(config.folders, token=str(ULID()))
        guard.record()
        return guard

    paths = film_folders(config.folders)
    if silent := calls.silent(paths):
        raise FolderSilent(paths[silent[0]])
    work = config.folders.work
    return calls.run("proof", proved, place=work, seconds=LONG_ANSWER_SECONDS)


def await_folders(config: Config, environment: Environment) -> bool:
    """Wait until every folder can be used; return False if asked to stop meanwhile.

    Raises:
        ConfigError: a folder can never be used.
    """
    wake = Wakeup()
    notifier = Notifier(environment.notify_socket, environment.watchdog_seconds)
    public = PublicStatus(config, environment.runtime_folder)
    events = pauses.PauseEvents(config)
    sentence, calls = "", BoundedCalls()
    try:
        with wake.signals():
            while not wake.stops:
                try:
                    proved_mounts(config, calls)
                except FolderError as error:
                    if sentence != str(error):
                        sentence = str(error)
                        log.error("host.trouble", what="folders", sentence=sentence)  # noqa: TRY400
                    notifier.ready()  # else systemd restarts a daemon that only waits
                    notifier.status(f"Paused: {sentence}")
                    public.write(waiting_snapshot(config, sentence))
                    now = time.monotonic()
                    events.observe(pauses.HOST, sentence, now=now, wall=time.time())
                    notifier.alive(now=now)
                    wake.sleep(min(config.retry.pause_seconds, AWAIT_SECONDS))
                else:
                    return True
        public.remove()
    finally:
        events.close()
        notifier.close()
        wake.close()
    return False
