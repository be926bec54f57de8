"""Finding profiles by name: those that ship with the project, files of the user, and this machine."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.hardware.detect import THIS_MACHINE, detect, may_have_gpu
from mmpredict.hardware.profile import HardwareProfile, load_profile
from mmpredict.hardware.quantity import LONGEST_PROFILE_NAME, NAME_PATTERN
from mmpredict.hardware.spelling import slug, spellings, squash

MAX_NAME = 200
MAX_NEAREST = 8
_SEE = "(mmpredict hardware list)"


def profiles_directory() -> Path:
    """Where the shipped profiles are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "hardware_profiles"
    return installed if installed.is_dir() else package.parent / "hardware_profiles"


def profile_names() -> list[str]:
    """Every name that ``find_profile`` knows, without aliases and modes."""
    return [THIS_MACHINE, *sorted(path.stem for path in profiles_directory().glob("*.toml"))]


def find_profile(name: str = THIS_MACHINE, gpus: bool = False) -> HardwareProfile:
    """The profile called ``name``, in its default power mode unless the name ends in ``:mode``.

    A name is ``this-machine``, that of a shipped profile, one of its aliases, or a path to a TOML file. Case, spaces, hyphens,
    underscores and makers' names do not matter.

    Args:
        name: of the machine.
        gpus: whether this machine's GPUs are looked for, which takes up to a second; the embedded engine uses none.

    Raises:
        UnknownNameError: no such profile, or no such mode; the message carries the nearest.
        InputError: several profiles could be meant, or the file cannot be read.
        FileFormatError: a file that is no profile.
    """
    wanted, mode = split_mode(name)
    profile = _find(wanted, gpus)
    return profile.in_mode(mode or profile.default_mode)


def split_mode(name: str) -> tuple[str, str | None]:
    """``jetson-orin-nano:7w`` as name and mode; the mode is None where the name has no colon.

    Raises:
        InputError: nothing follows the colon.
    """
    wanted, colon, mode = name.rpartition(":")
    if not colon or name.lower().endswith(".toml"):  # a path may have a drive's colon
        return name, None
    if not mode.strip():
        raise InputError(f"hardware {name[:MAX_NAME]!r} names no power mode after ':'; leave out the colon for the default mode")
    return wanted, mode.strip()


def resolve_name(name: str) -> str:
    """The name of the shipped profile that a name or alias means, or ``this-machine``.

    Raises:
        UnknownNameError: none; the message carries the nearest.
        InputError: several could be meant.
    """
    if len(name) > MAX_NAME:
        raise InputError(f"hardware name {name[:40]!r}… has {len(name)} characters; at most {MAX_NAME} are read {_SEE}")
    names, wanted = profile_names(), spellings(name)
    found = next((known for known in names if wanted & spellings(known)), None)
    if found is not None:
        return found
    aliases = shipped_aliases()
    found = next((profile for alias, profile in aliases.items() if wanted & spellings(alias)), None)
    if found is not None:
        return found
    raise _not_found(name, names, aliases)


def check_name(name: str) -> str:
    """A name for a profile of one's own, as it is typed.

    Raises:
        InputError: it is not of the form of names, or a shipped profile has it.
    """
    wanted = name.lower()
    if not re.fullmatch(NAME_PATTERN, wanted) or len(wanted) > LONGEST_PROFILE_NAME:
        example = slug(name)[:LONGEST_PROFILE_NAME] or "my-machine"
        raise InputError(f"{name[:MAX_NAME]!r} is no name for a profile; use letters, digits, '-', '_' and '.', as in {example!r}")
    if wanted in profile_names():
        raise InputError(f"{wanted!r} is the name of another profile {_SEE}; choose another")
    return wanted


def recognise(name: str) -> str | None:
    """The shipped profile whose name or alias is exactly this one, as hardware gives it of itself."""
    wanted = spellings(name[:MAX_NAME])
    known = {one: one for one in profile_names() if one != THIS_MACHINE} | shipped_aliases()
    return next((profile for spelling, profile in known.items() if wanted & spellings(spelling)), None)


def shipped_aliases() -> dict[str, str]:
    """Alias → name of the shipped profile that has it."""
    found: dict[str, str] = {}
    for path in sorted(profiles_directory().glob("*.toml")):
        found.update(dict.fromkeys(read_aliases(path.read_text("utf-8")), path.stem))
    return found


def read_aliases(text: str) -> list[str]:
    """The aliases in the text of a shipped profile.

    Only their table is parsed: parsing every profile whole would take many times as long, for a name that needs one of them.
    """
    _, found, rest = f"\n{text}".partition("\n[aliases]\n")
    return list(tomllib.loads(rest.partition("\n[")[0])) if found else []


def _find(wanted: str, gpus: bool) -> HardwareProfile:
    if wanted.lower().endswith(".toml"):
        return load_profile(Path(wanted))
    path = profiles_directory() / f"{slug(wanted)}.toml"
    found = path.stem if len(wanted) <= MAX_NAME and path.is_file() else resolve_name(wanted)
    if found == THIS_MACHINE:
        from mmpredict.hardware.survey import seen_machine

        return seen_machine() if gpus and may_have_gpu() else detect()
    return load_profile(profiles_directory() / f"{found}.toml")


def _not_found(name: str, names: list[str], aliases: dict[str, str]) -> InputError:
    wanted, words = squash(name), set(re.findall(r"[a-z0-9]+", name.lower()))
    known = {one: one for one in names} | aliases
    holding = sorted({of for spelling, of in known.items() if len(wanted) > 1 and _holds(spelling, wanted, words)})
    if len(holding) > 1:
        shown = ", ".join(holding[:MAX_NEAREST]) + (", …" if len(holding) > MAX_NEAREST else "")
        return InputError(f"hardware {name!r} could be {shown}; choose one {_SEE}")
    close = difflib.get_close_matches(wanted, {squash(one): one for one in known}, n=3, cutoff=0.6)
    near = {*holding, *(spelling for spelling in known if squash(spelling) in close)}
    return UnknownNameError("hardware", name, near or names, _SEE)


def _holds(spelling: str, wanted: str, words: set[str]) -> bool:
    """Whether a name has another in it, or all its words in another order."""
    return wanted in squash(spelling) or words <= set(re.findall(r"[a-z0-9]+", spelling.lower()))
