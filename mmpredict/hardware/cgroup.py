"""What a container or a service may use of the machine: the limits of Linux control groups, versions 1 and 2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_UNLIMITED_BYTES = 1 << 60  # version 1 writes the largest page-aligned number for "no limit"


@dataclass(frozen=True, slots=True)
class Limits:
    """The tightest limits on the way from this process's group up to the root.

    Attributes:
        cpus: processor time per time [1]; None: no limit.
        memory_bytes: memory [bytes]; None: no limit.
        free_bytes: what is left of the memory; pages that the system would give up for it count as free [bytes].
    """

    cpus: float | None = None
    memory_bytes: int | None = None
    free_bytes: int | None = None


def read_limits(root: Path = Path("/")) -> Limits:
    """Limits of this process.

    Args:
        root: of the file system.
    """
    groups = parse_groups(_read(root / "proc/self/cgroup"))
    mount = root / "sys/fs/cgroup"
    cpus: list[float] = []
    memory: list[tuple[int, int]] = []
    unified = groups.get("")
    if unified is not None:
        for group in _upwards(mount, unified):
            cpus += parse_cpu_max(_read(group / "cpu.max"))
            memory += _memory(group, "memory.max", "memory.current", "inactive_file")
    for controller, directories in (("cpu", ("cpu", "cpu,cpuacct", "cpuacct,cpu")), ("memory", ("memory",))):
        if controller not in groups:
            continue
        for directory in directories:
            for group in _upwards(mount / directory, groups[controller]):
                if controller == "cpu":
                    cpus += parse_cpu_max(f"{_read(group / 'cpu.cfs_quota_us')} {_read(group / 'cpu.cfs_period_us')}")
                else:
                    memory += _memory(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return Limits(
        cpus=min(cpus, default=None),
        memory_bytes=min((limit for limit, _ in memory), default=None),
        free_bytes=min((limit - used for limit, used in memory), default=None),
    )


def parse_groups(text: str) -> dict[str, str]:
    """Read ``/proc/self/cgroup``: controller → path of the group; version 2 has the empty controller."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and path.startswith("/") and ".." not in path.split("/"):
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def parse_cpu_max(text: str) -> list[float]:
    """Read a quota and its period: ``150000 100000`` is 1.5 processors; nothing where there is no limit."""
    quota, period = ([*text.split(), "", ""])[:2]
    if not quota.isdecimal() or not period.isdecimal() or not int(quota) or not int(period):
        return []
    return [int(quota) / int(period)]


def _memory(group: Path, limit_name: str, usage_name: str, given_up: str) -> list[tuple[int, int]]:
    """(limit, used) of a group, or nothing where it has no limit."""
    limit = _read(group / limit_name)
    if not limit.isdecimal() or int(limit) >= _UNLIMITED_BYTES:
        return []
    usage = _read(group / usage_name)
    statistics = dict(line.split(" ", 1) for line in _read(group / "memory.stat").splitlines() if " " in line)
    inactive = statistics.get(given_up, "0")
    used = (int(usage) if usage.isdecimal() else 0) - (int(inactive) if inactive.isdecimal() else 0)
    return [(int(limit), min(int(limit), max(0, used)))]


def _upwards(mount: Path, path: str) -> list[Path]:
    """The group and those above it. In a container only the mount itself may exist, whatever the path says."""
    group = mount / path.strip("/")
    return [group, *(parent for parent in group.parents if parent == mount or parent.is_relative_to(mount))]


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", errors="replace").strip()
    except (OSError, ValueError):
        return ""
