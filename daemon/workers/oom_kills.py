"""Detection of kills by the kernel's out-of-memory (OOM) killer, from its counters.

The kernel counts OOM kills per control group (cgroup) and for the whole machine. If a count has
grown since an attempt began, memory ran out; if not, the SIGKILL came from a person, or from a
program that watches the memory, e.g. earlyoom or systemd-oomd.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
"""Root of the control groups (cgroups(7))."""
MEMBERSHIP = Path("/proc/self/cgroup")
"""File that names the control groups of this process; workers are started in the same ones."""
MACHINE = Path("/proc/vmstat")
"""File with the counters of the whole machine (proc(5), vmstat)."""
_COUNTER = "oom_kill"
"""Name of the counter in all of these files."""


@dataclass(frozen=True, slots=True)
class OomKillCount:
    """Numbers of processes that the kernel's OOM killer has ended; None if it does not tell."""

    in_group: int | None  # in our control group, since that was made
    on_machine: int | None  # on the whole machine, since it was started

    def cause(self, before: OomKillCount) -> str:
        """Return the likely cause of a death by SIGKILL, as the end of a sentence.

        Args:
            before: the counts from before the process died; ``self`` holds those from after.
        """
        if _grown(before.in_group, self.in_group) or _grown(before.on_machine, self.on_machine):
            return "the system ended it because memory ran out"
        if self.in_group is None and self.on_machine is None:
            return "as the system does when memory runs out"
        return "by hand or by a program that watches the memory; the kernel has counted no kill"


def count_oom_kills(
    groups: Path = GROUPS, membership: Path = MEMBERSHIP, machine: Path = MACHINE
) -> OomKillCount:
    """Return the present counts of the control group and the machine."""
    return OomKillCount(_count_in_group(groups, membership), _count_in_file(machine))


def _count_in_group(groups: Path, membership: Path) -> int | None:
    """Return the count of our control group, of version 1 or 2; None if there is no counter."""
    for line in _read(membership).splitlines():
        hierarchy_id, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        relative = path.lstrip("/")
        if "memory" in controllers.split(","):  # version 1
            count = _count_in_file(groups / "memory" / relative / "memory.oom_control")
        elif hierarchy_id == "0":  # version 2
            count = _count_in_file(groups / relative / "memory.events")
        else:
            continue
        if count is not None:
            return count
    return None


def _count_in_file(file: Path) -> int | None:
    """Return the value of the OOM counter in a file of "name value" lines; None if not there."""
    for line in _read(file).splitlines():
        name, _, count = line.partition(" ")
        if name == _COUNTER and count.strip().isdigit():
            return int(count)
    return None


def _read(file: Path) -> str:
    """Return the text of a file; empty if it cannot be read."""
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""


def _grown(before: int | None, now: int | None) -> bool:
    """Return True if a counter has grown; an unknown earlier value counts as 0."""
    return now is not None and now > (before or 0)
