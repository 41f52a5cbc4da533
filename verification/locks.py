"""The hash-pinned locks of the release: each package with version, digests and what needs it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verification.findings import ProjectError

__all__ = ["RUN_TIME", "Pinned", "read_lock", "read_locks"]

RUN_TIME: Final = ("base", "node")
"""Locks of what the device and its node need at run time; every other lock is for development."""
_PIN: Final = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)"
)
_HASH: Final = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})\b")


@dataclass(frozen=True, slots=True)
class Pinned:
    """One package of a lock; `needed_by` names packages, or the project itself."""

    name: str
    version: str
    digests: tuple[str, ...]
    needed_by: tuple[str, ...]


def read_lock(path: Path) -> list[Pinned]:
    """Read one lock as pip-compile and uv write it.

    Raises
    ------
    ProjectError
        If it cannot be read, holds no package, or a package has no digest.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ProjectError(f"{path.name}: cannot be read: {error}") from error
    found: list[Pinned] = []
    for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE):
        pin = _PIN.match(block)
        if pin is None:
            continue
        digests = tuple(_HASH.findall(block))
        if not digests:
            raise ProjectError(f"{path.name}: {pin['name']} has no digest; run make lock")
        comment = block.partition("# via")[2].replace("#", " ")
        needed = re.findall(r"([A-Za-z0-9_.-]+)(?:\s*\([^)]*\))?", comment)
        found.append(Pinned(pin["name"].lower(), pin["version"], digests, tuple(needed)))
    if not found:
        raise ProjectError(f"{path.name}: no pinned package; run make lock")
    return found


def read_locks(root: Path) -> dict[str, list[Pinned]]:
    """Read every lock of the project by its name, those of run time first."""
    found = (root / "requirements").glob("*.txt")
    paths = sorted(found, key=lambda path: (path.stem not in RUN_TIME, path.stem))
    if not paths or paths[0].stem != RUN_TIME[0]:
        raise ProjectError(f"requirements/{RUN_TIME[0]}.txt does not exist; run make lock")
    return {path.stem: read_lock(path) for path in paths}
