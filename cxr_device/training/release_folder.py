"""Release folder: where a lock writes; a new one begins as a copy of the installed release.

A lock rewrites what its runs decide; label, known film and the other network stay as copied.
"""

import os
import shutil
import tomllib
from pathlib import Path
from typing import Final

from cxr_device.errors import DatasetError, OutputError
from cxr_device.release import PACKAGE

__all__ = ["open_release"]

_CARDS: Final = ("card.json", "gate_card.json")
"""What was measured of the installed release; nothing was measured of a copy that changes."""


def open_release(folder: Path) -> Path:
    """Make `folder` a release to lock into, and return it; one that is there goes on.

    Raises
    ------
    DatasetError
        The folder holds something else.
    OutputError
        The folder cannot be written.
    """
    try:
        if folder.exists() and folder.samefile(PACKAGE):
            return folder
        if not (folder / "release.toml").exists():
            if folder.exists() and any(folder.iterdir()):
                raise DatasetError(folder, "holds files and no release.toml", "name a new folder")
            _copy(folder)
        shutil.copyfile(PACKAGE / "preprocessing.py", folder / "preprocessing.py")
    except OSError as error:
        raise OutputError(folder, error.strerror or str(error)) from error
    return folder


def _copy(folder: Path) -> None:
    """Copy the installed release into a new folder, whole or not at all."""
    table = tomllib.loads((PACKAGE / "release.toml").read_text(encoding="utf-8"))
    film = Path(table["self_test"]["film"])
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.copytree(PACKAGE / "weights", aside / "weights", ignore=_cards)
        for name in (film, Path("release.toml"), Path("release.sha256")):
            (aside / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(PACKAGE / name, aside / name)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _cards(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in _CARDS]
