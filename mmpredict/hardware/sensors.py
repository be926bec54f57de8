"""All sensors of this machine."""

from __future__ import annotations

from pathlib import Path

from mmpredict.hardware.gpu_sensors import look_for_amd_gpus, look_for_nvidia_gpus
from mmpredict.hardware.power import look_for_boards, look_for_rapl
from mmpredict.hardware.sensor import Sensor
from mmpredict.hardware.temperature import look_for_thermometers


def find_sensors(root: Path = Path("/")) -> list[Sensor]:
    """Sensors of power, temperature and GPU memory that can be read here.

    Args:
        root: of the file system; nvidia-smi is asked for the real one only.
    """
    found: list[Sensor] = [*look_for_rapl(root), *look_for_boards(root), *look_for_amd_gpus(root), *look_for_thermometers(root)]
    return [*found, *(look_for_nvidia_gpus() if root == Path("/") else ())]
