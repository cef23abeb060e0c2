"""Who owns a part of ``work/``, and whether that daemon is still alive.

Each daemon has a folder of its own, ``work/<instance>/``, with an ``owner.json`` that says which
process on which boot of which host it is. Its heartbeat is that file's time of change.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.config.parsing import as_json, read_record
from daemon.storage.atomic import sync_folder, write_whole
from daemon.storage.failpoints import failpoint

OWNER_FILE = "owner.json"
STATUS_FILE = "status.json"
WORKER_LOGS = "worker*.log"
NEW_ENDING = ".new"


@dataclass(frozen=True, slots=True)
class InstanceId:
    """A daemon process, unlike any other that ever was."""

    host: str
    boot_id: str
    pid_namespace: int
    pid: int
    start_time: int  # of the process, in ticks since boot
    machine_id: str = ""  # two machines may bear one name


class Liveness(StrEnum):
    """What is known of an owner."""

    SELF = "self"
    ALIVE = "alive"
    DEAD = "dead"
    FOREIGN = "foreign"  # on another host, or in another container: only its heartbeat tells


class NoInstanceId(Exception):
    """A folder without a readable ``owner.json``."""


class UnownedInstance(NoInstanceId):
    """A folder without any: somebody is taking it over, or died in the middle of that."""


def this_process(host: str = "") -> InstanceId:
    """Ourselves, on ``host`` or, without one, on the host of this name."""
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
    """When the process began, in ticks since boot; nothing if there is none (or it is a zombie)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command in parentheses, which may itself hold spaces and parentheses.
    after = text.rpartition(")")[2].split()
    return None if after[0] in "ZX" else int(after[19])


def liveness_of(owner: InstanceId, me: InstanceId) -> Liveness:
    """What is known of ``owner``, as seen from ``me``."""
    if owner == me:
        return Liveness.SELF
    if (owner.host, owner.machine_id) != (me.host, me.machine_id):
        return Liveness.FOREIGN
    if owner.boot_id != me.boot_id:
        # This host has been started anew since; or, where nothing else tells, another has its name.
        return Liveness.DEAD if me.machine_id else Liveness.FOREIGN
    if owner.pid_namespace != me.pid_namespace:
        return Liveness.FOREIGN
    alive = start_time_of(owner.pid) == owner.start_time
    return Liveness.ALIVE if alive else Liveness.DEAD


def open_instance(work: Path, me: InstanceId, token: str) -> Path:
    """A new folder below ``work``, ours alone, with our ``owner.json`` in it.

    It is made under a hidden name first: others see it with its owner, or not at all.
    """
    hidden, folder = work / f".{me.host}-{token}{NEW_ENDING}", work / f"{me.host}-{token}"
    hidden.mkdir()
    write_whole(hidden / OWNER_FILE, as_json(me).encode())
    failpoint("instance.after_hidden")
    hidden.rename(folder)
    sync_folder(work)
    failpoint("instance.after_folder")
    return folder


def owner_of(instance: Path) -> InstanceId:
    """Who owns an instance's folder.

    Raises:
        NoOwner: nobody says.
    """
    try:
        raw = json.loads((instance / OWNER_FILE).read_bytes())
    except FileNotFoundError as error:
        raise UnownedInstance(str(instance)) from error
    except (OSError, ValueError) as error:
        raise NoInstanceId(str(instance)) from error
    return read_record(InstanceId, raw, error=NoInstanceId)


def beat(instance: Path) -> bool:
    """Show the other daemons a sign of life; False if our folder has been taken from us."""
    try:
        os.utime(instance / OWNER_FILE)
    except FileNotFoundError:
        return False
    return True


class Leases:
    """Remembers when each other owner's heartbeat was last seen to change, on our own clock."""

    def __init__(self, lease_seconds: float) -> None:
        self.lease_seconds = lease_seconds
        self._seen: dict[Path, tuple[int, float]] = {}

    def expired(self, instance: Path, heartbeat_ns: int, *, now: float) -> bool:
        """Record one look at a heartbeat; True once it has been still for a whole lease."""
        last = self._seen.get(instance)
        if last is None or last[0] != heartbeat_ns:
            self._seen[instance] = (heartbeat_ns, now)
            return False
        return now - last[1] >= self.lease_seconds


def heartbeat_of(instance: Path) -> int | None:
    """When the owner last showed a sign of life, on some clock; nothing if it has left."""
    try:
        return (instance / OWNER_FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def list_instances(work: Path, me: InstanceId) -> Iterator[tuple[Path, Liveness]]:
    """Every daemon's folder below ``work``, and how its owner stands to us."""
    for instance in sorted(work.iterdir()):
        if not instance.name.startswith(".") and instance.is_dir():
            yield instance, _instance_liveness(instance, me)


def _instance_liveness(instance: Path, me: InstanceId) -> Liveness:
    try:
        return liveness_of(owner_of(instance), me)
    except UnownedInstance:
        # Being made, or being taken over: then whoever takes a job by its rename has it.
        new = instance.name.endswith(NEW_ENDING)
        return Liveness.FOREIGN if new else Liveness.DEAD
    except NoInstanceId:
        return Liveness.FOREIGN


def abandoned(work: Path, me: InstanceId, leases: Leases, *, now: float) -> list[Path]:
    """The instances' folders below ``work`` whose owner is dead, or silent for a whole lease.

    Those that were never finished are among them.
    """
    found = []
    unfinished = [(one, _instance_liveness(one, me)) for one in work.glob(f".*{NEW_ENDING}")]
    for instance, what in (*list_instances(work, me), *unfinished):
        if what is Liveness.SELF:
            continue
        heartbeat = heartbeat_of(instance) or 0
        if leases.expired(instance, heartbeat, now=now) or what is Liveness.DEAD:
            found.append(instance)
    return found
