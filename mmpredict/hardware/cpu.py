"""The CPU of this machine as the operating system describes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FEATURES = (
    *("avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"),
)
"""Instruction sets that ggml has kernels for, by the names of Linux."""

# (implementer, part) of the MIDR_EL1 register → name, from Arm's Technical Reference Manuals: ARM kernels print no model name.
_ARM_PARTS = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4F): "Neoverse-V2",
}
MAX_CPUS = 8192  # the most that Linux supports; bounds "0-4000000000"


@dataclass(frozen=True, slots=True)
class CpuIdentity:
    """What the CPU is.

    Attributes:
        model: its name; empty where the text has none.
        features: those of ``FEATURES`` that it has.
        board: name of the board, where the text has one (Raspberry Pi).
    """

    model: str
    features: tuple[str, ...]
    board: str = ""


@dataclass(frozen=True, slots=True)
class CoreCount:
    """Cores that a server may use.

    Attributes:
        cores: physical cores of the fast kind within the allowed ones [1].
        efficiency_cores: of the slow kind, which llama.cpp leaves out [1].
        slower_cores: counted in ``cores``, but slower than the fastest (ARM) [1].
    """

    cores: int
    efficiency_cores: int = 0
    slower_cores: int = 0


def parse_cpuinfo(text: str) -> CpuIdentity:
    """Read ``/proc/cpuinfo``: the first CPU's model and features."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), " ".join(value.split()))
    flags = set(fields.get("flags", fields.get("features", "")).split())
    part = (_hexadecimal(fields.get("cpu implementer", "")), _hexadecimal(fields.get("cpu part", "")))
    board = fields.get("model", "")
    board = "" if board.isdigit() else board  # x86 numbers its models
    return CpuIdentity(fields.get("model name") or _ARM_PARTS.get(part, "") or board, _known(flags), board)


def parse_cpu_list(text: str) -> set[int]:
    """Read a list of CPUs as the kernel prints it: ``0-3,8`` is {0, 1, 2, 3, 8}; what is no number is left out."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.strip().isdecimal() and (not last or last.strip().isdecimal()):
            found.update(range(int(first), min(int(last or first), MAX_CPUS) + 1))
    return found


def count_cores(allowed: Iterable[int], root: Path = Path("/")) -> CoreCount | None:
    """Count physical cores within the CPUs that this process may use, as llama.cpp counts its default threads.

    llama.cpp takes one thread per physical core (``topology/thread_siblings``), and leaves out Intel's efficiency cores.

    Args:
        allowed: numbers of the CPUs.
        root: of the file system.

    Returns:
        The count; None where the system does not describe its cores.
    """
    system = root / "sys/devices/system/cpu"
    slow = parse_cpu_list(_read(root / "sys/devices/cpu_atom/cpus"))
    fast: dict[str, int] = {}
    efficient: set[str] = set()
    for cpu in sorted(allowed):
        topology = system / f"cpu{cpu}" / "topology"
        siblings = _read(topology / "core_cpus_list") or _read(topology / "thread_siblings_list")
        if not siblings:
            return None
        if cpu in slow:
            efficient.add(siblings)
        else:
            capacity = _read(system / f"cpu{cpu}" / "cpu_capacity")
            fast.setdefault(siblings, int(capacity) if capacity.isdecimal() else 0)
    if not fast:  # only efficiency cores are allowed: then they are what there is
        return CoreCount(len(efficient)) if efficient else None
    top = max(fast.values())
    return CoreCount(len(fast), len(efficient), sum(capacity < top for capacity in fast.values()))


def largest_cache_bytes(root: Path = Path("/")) -> int:
    """Size of the last cache before memory, all of them together [bytes]; 0 where unknown."""
    caches: dict[tuple[int, str], int] = {}
    for index in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cache/index[0-9]"):
        level, size, shared = (_read(index / name) for name in ("level", "size", "shared_cpu_list"))
        if level.isdecimal() and size[:-1].isdecimal():
            caches[int(level), shared] = int(size[:-1]) * {"K": 1024, "M": 1024**2}.get(size[-1], 1)
    last = max((level for level, _ in caches), default=0)
    return sum(size for (level, _), size in caches.items() if level == last)


def _known(flags: set[str]) -> tuple[str, ...]:
    return tuple(name for name in FEATURES if name in flags)


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return -1


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", errors="replace").strip()
    except OSError:
        return ""
