"""Whole files: written aside, flushed to the disk and renamed, so a reader never sees a half."""

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cxr_device.errors import OutputError, words_of

__all__ = ["make_folder", "put_whole", "write_json", "write_text", "written_whole"]


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; raises `OutputError` where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(folder, words_of(error)) from error


@contextmanager
def put_whole(path: Path, *, reached: Callable[[str], None]) -> Iterator[IO[bytes]]:
    """Open a file so that a crash at any point leaves it whole at `path`, or not there at all.

    Parameters
    ----------
    path : Path
        Where it lies once the block ends; a file that was there is replaced.
    reached : callable
        Told each step once it is done: "written", "flushed", "renamed", "safe".

    Raises
    ------
    OSError
        The disk refuses; what was begun is removed.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            reached("written")
            os.fsync(file.fileno())
            reached("flushed")
        aside.replace(path)
        reached("renamed")
    finally:
        aside.unlink(missing_ok=True)
    _flush_folder(path.parent)
    reached("safe")


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a result that is whole at `path` once the block ends, or not there at all.

    Raises
    ------
    OutputError
        The disk is full, or there is no permission; what was begun is removed.
    """
    try:
        with put_whole(path, reached=lambda _step: None) as file:
            yield file
    except OSError as error:
        full = error.errno == errno.ENOSPC
        raise OutputError(path, "the disk is full" if full else words_of(error)) from error


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all; raises `OutputError` (full disk, no permission)."""
    with written_whole(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401  # any JSON value
    """Write a JSON value whole or not at all; NaN is refused."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def _flush_folder(folder: Path) -> None:
    """Flush the folder's entries: a rename is safe only then (fsync(2), notes)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
