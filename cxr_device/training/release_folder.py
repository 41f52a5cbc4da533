"""Release folder: where a lock writes; a new one begins as a copy of the installed release.

A lock rewrites what its runs decide; label, known film and the other network stay as copied.
"""

import os
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cxr_device.errors import DatasetError, OutputError, words_of
from cxr_device.release import PACKAGE
from cxr_device.whole_file import make_folder, written_whole

__all__ = ["locked_whole", "open_release"]

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
        if _is_new(folder):
            _copy(folder)
        shutil.copyfile(PACKAGE / "preprocessing.py", folder / "preprocessing.py")
    except OSError as error:
        raise OutputError(folder, error.strerror or str(error)) from error
    return folder


@contextmanager
def locked_whole(folder: Path) -> Iterator[Path]:
    """Give a release to lock into; where the lock is refused, `folder` is as it was before.

    A new release is made aside and stands at `folder` once the block ends.

    Raises
    ------
    DatasetError
        The folder holds something else.
    OutputError
        The folder cannot be written.
    """
    try:
        new = _is_new(folder)
        before = None if new else (folder / "preprocessing.py").read_bytes()
    except OSError as error:
        raise OutputError(folder, words_of(error)) from error
    if before is not None:
        try:
            yield open_release(folder)
        except BaseException:
            if (folder / "preprocessing.py").read_bytes() != before:  # never the installed one
                with written_whole(folder / "preprocessing.py") as file:
                    file.write(before)
            raise
        return
    home = next(parent for parent in folder.absolute().parents if parent.exists())
    aside = home / f".{folder.name}.{os.getpid()}.lock"
    try:
        yield open_release(aside)
        make_folder(folder.parent)
        try:
            aside.replace(folder)
        except OSError as error:
            raise OutputError(folder, words_of(error)) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _is_new(folder: Path) -> bool:
    """Whether a release is to be made at `folder`; refuses one that holds something else."""
    if (folder / "release.toml").exists():
        return False
    if folder.exists() and any(folder.iterdir()):
        raise DatasetError(folder, "holds files and no release.toml", "name a new folder")
    return True


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
