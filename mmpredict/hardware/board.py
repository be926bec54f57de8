"""The board that this machine is built on, and a Jetson's GPU and power mode."""

from __future__ import annotations

import re
from pathlib import Path

from mmpredict.hardware.found_gpu import FoundGpu, Sighting
from mmpredict.hardware.tool import ask, plain

# The kernel shows these placeholders where a maker left the fields of the firmware empty.
_EMPTY = ("", "default string", "to be filled by o.e.m.", "system product name", "none", "unknown", "not specified")


def board_names(root: Path = Path("/")) -> tuple[str, ...]:
    """What the firmware calls this machine: the device tree's model, or maker's product and board names.

    Args:
        root: of the file system.
    """
    paths = ("proc/device-tree/model", "sys/class/dmi/id/product_name", "sys/class/dmi/id/board_name")
    return tuple(name for name in (read_name(root / path) for path in paths) if name.lower() not in _EMPTY)


def read_name(path: Path) -> str:
    """A name from a file of the kernel, without the null character that ends it in a device tree; empty where there is none."""
    try:
        return plain(path.read_bytes()[:1000].split(b"\0")[0].decode("utf-8", errors="replace"))
    except OSError:
        return ""


def is_jetson(names: tuple[str, ...]) -> bool:
    """Whether one of the board's names is that of an NVIDIA Jetson."""
    return any("jetson" in name.lower() for name in names)


def look_for_jetson(names: tuple[str, ...]) -> Sighting:
    """The integrated GPU of a Jetson; nothing on other boards.

    Args:
        names: of the board.
    """
    if not is_jetson(names):
        return Sighting()
    model = next(name for name in names if "jetson" in name.lower())
    return Sighting((FoundGpu(model=f"GPU of {model}", source="device tree", backends=("cuda",), unified=True),))


def jetson_mode() -> tuple[str | None, str]:
    """The power mode that a Jetson is in, and why it is not known where it is not."""
    answer = ask("nvpmodel", "-q")
    mode = parse_nvpmodel(answer.text)
    return mode, "" if mode else f"Power mode: {answer.trouble or 'nvpmodel printed no mode'}."


def parse_nvpmodel(text: str) -> str | None:
    """Read what ``nvpmodel -q`` prints (``NV Power Mode: MODE_15W``): ``15w``; None where it names no mode."""
    found = re.search(r"NV Power Mode:[ \t]*([A-Za-z0-9_.+-]{1,40})", text[:10_000])
    return found[1].lower().removeprefix("mode_").replace("_", "-") if found else None
