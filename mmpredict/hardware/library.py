"""Finding profiles by name: those that ship with the project, files of the user, and this machine."""

from __future__ import annotations

from pathlib import Path

from mmpredict.errors import UnknownNameError
from mmpredict.hardware.detect import THIS_MACHINE, detect
from mmpredict.hardware.profile import HardwareProfile, load_profile


def profiles_directory() -> Path:
    """Where the shipped profiles are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "hardware_profiles"
    return installed if installed.is_dir() else package.parent / "hardware_profiles"


def profile_names() -> list[str]:
    """Every name that ``find_profile`` knows."""
    return [THIS_MACHINE, *sorted(path.stem for path in profiles_directory().glob("*.toml"))]


def find_profile(name: str = THIS_MACHINE) -> HardwareProfile:
    """The profile called ``name``: ``this-machine``, a shipped one, or a path to a TOML file.

    Raises:
        UnknownNameError: no such profile.
        FileFormatError: a file that is no profile.
    """
    if name.endswith(".toml"):
        return load_profile(Path(name))
    wanted = name.lower().replace("_", "-").replace(" ", "-")
    if wanted == THIS_MACHINE:
        return detect()
    path = profiles_directory() / f"{wanted}.toml"
    if wanted in profile_names():
        return load_profile(path)
    raise UnknownNameError("hardware", name, profile_names(), "(mmpredict hardware list)")
