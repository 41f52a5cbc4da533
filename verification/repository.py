"""The repository at hand: its root, its commit, what differs from it, its weights.

Evidence belongs to a state of the repository; this module says which state that is.
"""

import hashlib
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from verification.findings import ProjectError

__all__ = ["UNKNOWN", "Repository", "find_root"]

_WEIGHT_SUFFIXES: Final = (".safetensors", ".onnx", ".data", ".bin")
_CHUNK: Final = 1 << 20

UNKNOWN: Final = ".git/index"
"""The one changed file of a checkout of which git cannot say what has changed."""


def find_root(start: Path) -> Path:
    """Find the project above `start`: the folder with pyproject.toml and design_history_file."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "design_history_file").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    message = f"{start}: no folder above holds pyproject.toml and design_history_file"
    raise ProjectError(message)


def _digest(path: Path) -> str:
    """SHA-256 of a file."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            sha.update(block)
    return sha.hexdigest()


@dataclass(frozen=True)
class Repository:
    """The project at `root`; each property is read once."""

    root: Path

    def git(self, *arguments: str) -> str | None:
        """Output of a git command, or None where git or the repository is absent."""
        program = shutil.which("git")
        if program is None:
            return None
        done = subprocess.run(  # noqa: S603  # fixed program, no shell
            [program, "-c", "core.quotepath=off", *arguments],
            cwd=self.root,
            capture_output=True,
            check=False,
        )
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None

    @cached_property
    def commit(self) -> str | None:
        """The commit checked out, or None outside git."""
        out = self.git("rev-parse", "HEAD")
        return out.strip() if out else None

    @cached_property
    def changed(self) -> tuple[str, ...]:
        """Files that differ from the commit, untracked ones included, ignored ones not."""
        out = self.git("status", "--porcelain", "--untracked-files=all", "--", ".")
        if out is None and self.commit is not None:
            return (UNKNOWN,)
        return tuple(line[3:].split(" -> ")[-1].strip('"') for line in (out or "").splitlines())

    @property
    def dirty(self) -> bool:
        """Whether any file differs from the commit."""
        return bool(self.changed)

    @cached_property
    def state(self) -> str:
        """Digest of the commit and of every changed file: equal states hold equal files."""
        sha = hashlib.sha256((self.commit or "none").encode())
        for name in sorted(self.changed):
            path = self.root / name
            sha.update(name.encode())
            sha.update(_digest(path).encode() if path.is_file() else b"absent")
        return sha.hexdigest()

    @cached_property
    def pyproject(self) -> dict[str, Any]:
        """The project's pyproject.toml."""
        try:
            return tomllib.loads((self.root / "pyproject.toml").read_text("utf-8"))
        except (OSError, ValueError) as error:
            message = f"pyproject.toml cannot be read: {error}"
            raise ProjectError(message) from error

    @property
    def version(self) -> str:
        """The version under development."""
        return str(self.pyproject.get("project", {}).get("version", "0"))

    @cached_property
    def weights_sha256(self) -> str | None:
        """The digest that the release states for its weights; None where it states none."""
        path = self.root / "cxr_device" / "release.toml"
        try:
            release = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        for table, key in (("weights", "sha256"), ("network", "weights_sha256")):
            stated = release.get(table)
            if isinstance(stated, dict) and stated.get(key):
                return str(stated[key])
        return None

    @cached_property
    def weight_files(self) -> dict[str, str]:
        """SHA-256 of each weights file of the device, by name."""
        folder = self.root / "cxr_device" / "weights"
        if not folder.is_dir():
            return {}
        return {
            path.name: _digest(path)
            for path in sorted(folder.iterdir())
            if path.suffix in _WEIGHT_SUFFIXES and path.is_file()
        }

    @property
    def build(self) -> Path:
        """Where evidence and caches are kept; never committed."""
        return self.root / "build" / "verification"
