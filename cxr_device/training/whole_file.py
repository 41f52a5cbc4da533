"""Whole files: written aside, flushed to the disk and renamed, so a reader never sees a half."""

import errno
import json
import os
from pathlib import Path
from typing import Any

from cxr_device.errors import OutputError

__all__ = ["make_folder", "write_json", "write_text"]


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; raises `OutputError` where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(folder, error.strerror or "cannot be made") from error


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all; raises `OutputError` (full disk, no permission)."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        full = error.errno == errno.ENOSPC
        raise OutputError(path, "the disk is full" if full else str(error.strerror)) from error


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401  # any JSON value
    """Write a JSON value whole or not at all; NaN is refused."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")
