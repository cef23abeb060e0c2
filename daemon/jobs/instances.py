"""Instance folders: each daemon owns one below ``work/`` and shows by a heartbeat that it lives.

``work/<instance>/owner.json`` identifies the process, its boot and its host. The heartbeat is the
modification time of that file. While the owner runs it holds a lock on it (``owner_lock``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from daemon.config.parsing import as_json, read_record
from daemon.folders.mount_table import filesystem_of, is_network, mounts
from daemon.jobs.owner_lock import (
    LockState,
    is_file_of,
    lock_state,
    open_locked,
    write_locked,
)
from daemon.storage.failpoints import failpoint
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.system.atomic_files import sync_folder

OWNER_FILE = "owner.json"
"""Identity of the owner; its modification time is the heartbeat."""
STATUS_FILE = "status.json"
"""Snapshot for the command ``status``."""
WORKER_LOGS = "worker*.log"
"""Pattern of the workers' logs in the instance folder."""
INSTANCE_NAME = re.compile(r".+-[0-9a-z]{10}")
"""Names of instance folders: the host's name, or ``claims.instance``, and a random token."""
JOB_RECORDS = "*/job.json"
"""Pattern of the records of jobs in an instance folder."""
EVENT_FILES = "events*.jsonl"
"""Pattern of the files with events in the instance folder; see ``daemon.runtime.event_log``."""
ASKED_FOLDER = "asked"
"""Requests of people, e.g. to cancel a film; see ``daemon.control``."""
REQUESTS_FOLDER = "requests"
"""Records of the requests that were read, and their answers."""
NEW_ENDING = ".new"
"""Ending of the hidden name of an instance folder that is being created."""


@dataclass(frozen=True, slots=True)
class InstanceId:
    """Globally unique identity of a daemon process, past ones included."""

    host: str  # host name, or ``claims.instance`` of the configuration
    boot_id: str  # random id of the boot, from the kernel; "" where there is none
    pid_namespace: int  # inode number; differs between containers; 0 where there is none
    pid: int
    start_time: int  # of the process, in clock ticks since boot; 0 where there is no /proc
    machine_id: str = ""  # from /etc/machine-id: two machines may have the same host name
    locked: bool = False  # True: the process holds the lock on its owner file; not part of identity

    @property
    def is_known(self) -> bool:
        """True if ``/proc`` could be read, so that the process differs from all others."""
        return bool(self.boot_id and self.pid_namespace and self.start_time)

    def is_process_of(self, other: InstanceId) -> bool:
        """Return True if both are the same process."""
        return replace(self, locked=False) == replace(other, locked=False)


class Liveness(StrEnum):
    """Relation of an instance's owner to this process, and whether it runs."""

    SELF = "self"
    ALIVE = "alive"
    DEAD = "dead"
    FOREIGN = "foreign"  # on another host or in another container: only its heartbeat is known


class NoInstanceId(Exception):
    """An instance folder without a readable ``owner.json``."""


class UnownedInstance(NoInstanceId):
    """An instance folder without ``owner.json``: a takeover is in progress or was interrupted."""


def this_process(host: str = "") -> InstanceId:
    """Return the identity of this process; an empty ``host`` means the system's host name."""
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    machine_id = Path("/etc/machine-id")
    namespace = Path("/proc/self/ns/pid")
    return InstanceId(
        host=host or os.uname().nodename,
        boot_id=boot_id.read_text().strip() if boot_id.exists() else "",
        pid_namespace=namespace.stat().st_ino if namespace.exists() else 0,
        pid=os.getpid(),
        start_time=start_time_of(os.getpid()) or 0,
        machine_id=machine_id.read_text().strip() if machine_id.exists() else "",
    )


def start_time_of(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot; None if it has ended.

    None as well if ``/proc`` hides it. Together with the boot id it distinguishes a process from a
    later one with the same process id.
    """
    try:
        return _start_time_in(_stat_text(pid))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def _stat_text(pid: int) -> str:
    """Return the content of ``/proc/pid/stat``."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")


def _start_time_in(stat_text: str) -> int | None:
    """Return field 22 of ``/proc/pid/stat`` (proc(5)); None for a zombie, which has ended."""
    # The second field is the command in parentheses, which may contain spaces and parentheses.
    fields_from_state = stat_text.rpartition(")")[2].split()
    return None if fields_from_state[0] in "ZX" else int(fields_from_state[19])


def _is_running(owner: InstanceId) -> bool | None:
    """Return True if the process of ``owner`` runs, False if it has ended, None if it is hidden.

    ``/proc`` may hide the processes of other users (mount option hidepid, systemd's ProtectProc=).
    Their start times are unknown then; only that some process has this id can be found out.
    """
    try:
        return _start_time_in(_stat_text(owner.pid)) == owner.start_time
    except PermissionError:  # hidepid=1
        return None
    except (FileNotFoundError, ProcessLookupError):  # it has ended, or hidepid=2
        return None if _exists(owner.pid) else False


def _exists(pid: int) -> bool:
    """Return True if there is a process with this id, whoever owns it."""
    try:
        os.kill(pid, 0)
    except PermissionError:  # another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def liveness_of(owner: InstanceId, me: InstanceId, lock: LockState = LockState.UNKNOWN) -> Liveness:
    """Return the liveness of ``owner`` as far as the process ``me`` can know it.

    Args:
        owner: the owner of an instance folder.
        me: this process.
        lock: state of the lock on its owner file. FREE only if that proves that it has ended.
    """
    if owner.is_process_of(me):
        return Liveness.SELF
    if (owner.host, owner.machine_id) != (me.host, me.machine_id):
        return Liveness.FOREIGN
    if lock is LockState.FREE:
        # Its daemon locks it anew if somebody puts a copy in the place of the owner file.
        return Liveness.ALIVE if _is_seen_running(owner, me) else Liveness.DEAD
    if owner.boot_id != me.boot_id and not me.machine_id:
        return Liveness.FOREIGN  # rebooted, or another machine of that name
    if lock is LockState.HELD:
        return Liveness.ALIVE
    return _liveness_by_process(owner, me)


def _is_seen_running(owner: InstanceId, me: InstanceId) -> bool:
    """Return True if ``/proc`` shows that the process of ``owner`` runs."""
    same_view = (owner.boot_id, owner.pid_namespace) == (me.boot_id, me.pid_namespace)
    return owner.is_known and same_view and _is_running(owner) is True


def _liveness_by_process(owner: InstanceId, me: InstanceId) -> Liveness:
    """Return the liveness of an owner on this host whose lock tells nothing.

    Two processes of one container may see different boot ids; process id, pid namespace and start
    time that agree are the same process all the same. A process that is hidden counts as the owner
    if the boot is the same; if it is a later one, the lease still expires. Without a readable
    ``/proc``, on either side, there is nothing to compare.
    """
    if not (owner.is_known and me.is_known):
        return Liveness.FOREIGN
    same_boot = owner.boot_id == me.boot_id
    if owner.pid_namespace != me.pid_namespace:
        return Liveness.FOREIGN if same_boot else Liveness.DEAD
    running = _is_running(owner)
    if running is None:
        return Liveness.ALIVE if same_boot else Liveness.FOREIGN
    return Liveness.ALIVE if running else Liveness.DEAD


def open_instance(
    work: Path, me: InstanceId, token: str, furnish: Callable[[Path], None]
) -> tuple[Path, int]:
    """Create our instance folder with its ``owner.json``, atomically and locked.

    It is created under a hidden name first, so that others see it with its owner or not at all.

    Args:
        work: the work folder.
        me: identity of this process.
        token: makes the folder's name unique; ten characters, see ``INSTANCE_NAME``.
        furnish: makes what else belongs into the folder.

    Returns:
        Its path, and the handle that holds the lock on ``owner.json``, to be kept open.
    """
    hidden, folder = work / f".{me.host}-{token}{NEW_ENDING}", work / f"{me.host}-{token}"
    hidden.mkdir()
    furnish(hidden)
    handle = write_locked(
        hidden / OWNER_FILE, lambda locked: as_json(replace(me, locked=locked)).encode()
    )
    try:
        failpoint("instance.after_hidden")
        hidden.rename(folder)
        sync_folder(work)
        failpoint("instance.after_folder")
    except BaseException:
        os.close(handle)  # else the lock says that somebody lives there
        raise
    return folder, handle


def owner_of(instance: Path) -> InstanceId:
    """Return the owner of an instance folder.

    Raises:
        UnownedInstance: there is no ``owner.json``.
        NoInstanceId: ``owner.json`` cannot be read.
    """
    try:
        raw = read_json(instance / OWNER_FILE)
    except FileNotFoundError as error:
        raise UnownedInstance(str(instance)) from error
    except (OSError, BadJson) as error:
        raise NoInstanceId(str(instance)) from error
    if not isinstance(raw, dict):
        raise NoInstanceId(str(instance))
    return read_record(InstanceId, raw, error=NoInstanceId, lenient=True)


def beat(instance: Path) -> bool:
    """Send a heartbeat; return False if another daemon has taken our folder over."""
    try:
        os.utime(instance / OWNER_FILE)
    except FileNotFoundError:
        return False
    return True


def lock_again(instance: Path, handle: int) -> int | None:
    """Lock the owner file again if it is not the one that is locked any more.

    A backup that is put back, or rsync, replaces the file by a copy of the same content, which
    nobody holds.

    Args:
        instance: our instance folder.
        handle: the open file that was locked; it is closed if the file was replaced.

    Returns:
        The handle to keep open; None if the file is gone: our folder was taken over.
    """
    try:
        if is_file_of(handle, instance / OWNER_FILE):
            return handle
        again = open_locked(instance / OWNER_FILE)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # close(2) tells of earlier errors
        os.close(handle)
    return again


class Leases:
    """Leases of the other instances: when each heartbeat last changed, by our monotonic clock.

    Clocks of other hosts are not compared with ours; only a change of the heartbeat counts.
    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._seen: dict[Path, tuple[int, float]] = {}

    def reconfigure(self, lease_seconds: float) -> None:
        """Use another lease time from now on; what was seen stays known."""
        self._lease_seconds = lease_seconds

    def expired(self, instance: Path, heartbeat_ns: int, *, now: float) -> bool:
        """Record a heartbeat; return True once it has not changed for ``lease_seconds``.

        Args:
            instance: the instance folder.
            heartbeat_ns: its heartbeat now, nanoseconds on any clock.
            now: monotonic time in seconds.
        """
        last = self._seen.get(instance)
        if last is None or last[0] != heartbeat_ns:
            self._seen[instance] = (heartbeat_ns, now)
            return False
        return now - last[1] >= self._lease_seconds


def heartbeat_of(instance: Path) -> int | None:
    """Return the heartbeat in nanoseconds, by the file server's clock; None if there is none."""
    try:
        return (instance / OWNER_FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def list_instances(work: Path, me: InstanceId) -> Iterator[tuple[Path, Liveness]]:
    """Yield every instance folder below ``work`` and the liveness of its owner."""
    trusted = _locks_are_trusted(work)
    for folder in sorted(work.iterdir()):
        if not folder.name.startswith(".") and folder.is_dir() and _is_instance(folder):
            yield folder, _instance_liveness(folder, me, trusted=trusted)


def _is_instance(folder: Path) -> bool:
    """Return True unless ``folder`` is somebody else's, which is left alone and not shown.

    Without ``owner.json`` it is an instance if it has records of jobs, or if its name says so and
    it has a folder or nothing in it: then a takeover was interrupted.
    """
    named = INSTANCE_NAME.fullmatch(folder.name) is not None
    try:
        if (folder / OWNER_FILE).exists() or any(folder.glob(JOB_RECORDS)):
            return True
        entries = list(folder.iterdir()) if named else []
        return named and (not entries or any(map(_is_left_over, entries)))
    except OSError:  # closed to us, or taken away meanwhile
        return named


def _is_left_over(entry: Path) -> bool:
    """Return True for a folder, or a file that a daemon leaves in its instance folder."""
    patterns = (STATUS_FILE, WORKER_LOGS, EVENT_FILES)
    return entry.is_dir() or any(map(entry.match, patterns))


def _locks_are_trusted(work: Path) -> bool:
    """Return True if a free lock below ``work`` proves that nobody holds it.

    It does not where the filesystem is unknown, since the mount table cannot be read.
    """
    filesystem = filesystem_of(work, mounts())
    return filesystem != "" and not is_network(filesystem)


def _instance_liveness(instance: Path, me: InstanceId, *, trusted: bool) -> Liveness:
    """Return the liveness of an instance's owner.

    Args:
        instance: the instance folder.
        me: this process.
        trusted: a free lock proves that its owner has ended.
    """
    try:
        owner = owner_of(instance)
        lock = lock_state(instance / OWNER_FILE)
        if lock is LockState.FREE and not (trusted and owner.locked):
            lock = LockState.UNKNOWN
        return liveness_of(owner, me, lock)
    except UnownedInstance:
        # It is being created, or taken over. In a takeover several daemons may take part: each job
        # goes to the one whose rename succeeds.
        being_created = instance.name.endswith(NEW_ENDING)
        return Liveness.FOREIGN if being_created else Liveness.DEAD
    except NoInstanceId:
        return Liveness.FOREIGN


def abandoned(work: Path, me: InstanceId, leases: Leases, *, now: float) -> list[Path]:
    """Return the instance folders whose owner is dead or whose lease has expired.

    Hidden folders whose creation was interrupted are among them.

    Args:
        work: the work folder.
        me: identity of this process, whose own folder is left out.
        leases: heartbeats seen so far; updated.
        now: monotonic time in seconds.
    """
    found = []
    trusted = _locks_are_trusted(work)
    unfinished = [
        (folder, _instance_liveness(folder, me, trusted=trusted))
        for folder in work.glob(f".*{NEW_ENDING}")
    ]
    for instance, liveness in (*list_instances(work, me), *unfinished):
        if liveness is Liveness.SELF:
            continue
        try:
            heartbeat_ns = heartbeat_of(instance) or 0
        except PermissionError:  # another user's; what is in it could not be taken either
            continue
        if leases.expired(instance, heartbeat_ns, now=now) or liveness is Liveness.DEAD:
            found.append(instance)
    return found
