"""Whether it was the system that ended a process, because memory ran out.

The kernel counts such kills: for the control group that the victim was in, and for the whole
machine. A count that has grown since the attempt began tells the cause of a death by SIGKILL;
one that has not points to somebody's hand, or to a program that watches the memory in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")  # a worker is started in the daemon's own group
MACHINE = Path("/proc/vmstat")
_COUNT = "oom_kill"


@dataclass(frozen=True, slots=True)
class OomKillCount:
    """How often the kernel has ended a process for its memory; ``None``: it does not say."""

    in_group: int | None
    on_machine: int | None

    def cause(self, before: OomKillCount) -> str:
        """What a death by SIGKILL since ``before`` was due to, as the end of a sentence."""
        if _grown(before.in_group, self.in_group) or _grown(before.on_machine, self.on_machine):
            return "the system ended it because memory ran out"
        if self.in_group is None and self.on_machine is None:
            return "as the system does when memory runs out"
        return "by hand or by a program that watches the memory; the kernel has counted no kill"


def count_oom_kills(
    groups: Path = GROUPS, membership: Path = MEMBERSHIP, machine: Path = MACHINE
) -> OomKillCount:
    """The counts as they are now."""
    return OomKillCount(_in_group(groups, membership), _count_in(machine))


def _in_group(groups: Path, membership: Path) -> int | None:
    """Both versions of control groups are looked at: the counts are named alike."""
    for line in _text(membership).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        below = path.lstrip("/")
        if "memory" in controllers.split(","):
            found = _count_in(groups / "memory" / below / "memory.oom_control")
        elif number == "0":
            found = _count_in(groups / below / "memory.events")
        else:
            continue
        if found is not None:
            return found
    return None


def _count_in(file: Path) -> int | None:
    for line in _text(file).splitlines():
        name, _, count = line.partition(" ")
        if name == _COUNT and count.strip().isdigit():
            return int(count)
    return None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""


def _grown(before: int | None, now: int | None) -> bool:
    return now is not None and now > (before or 0)
