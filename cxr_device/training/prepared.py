"""Prepared films: a cache opened for training, held against its own record first. No torch."""

import json
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from cxr_device.errors import DatasetError

__all__ = ["Rows", "is_prepared", "open_pixels", "read_record"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Chosen rows of a memory-mapped array; reading some copies those alone."""

    mapped: NDArray[np.uint8]
    """Shape (films, size, size)."""
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        """Films chosen."""
        return len(self.rows)

    @overload
    def __getitem__(self, key: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[np.uint8]: ...
    def __getitem__(self, key: int | slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Films by their place among the chosen."""
        films: NDArray[np.uint8] = self.mapped[self.rows[key]]
        return films


def is_prepared(manifest: Path) -> bool:
    """Whether a manifest is that of a cache."""
    return (manifest.parent / "plan.json").exists()


def read_record(folder: Path) -> dict[str, Any]:
    """Read `prepared.json` and hold the manifest against it.

    Raises
    ------
    DatasetError
        The preparation is not finished, or the manifest is not the one that it wrote.
    """
    path = folder / "prepared.json"
    if not path.exists():
        raise DatasetError(
            folder, "the preparation is not finished", "run `cxr-device dataset prepare` again"
        )
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    _hold(folder / "manifest.csv", record["manifest_sha256"])
    return record


def open_pixels(folder: Path) -> NDArray[np.uint8]:
    """Map the films of a cache, shape (films, size, size), after holding them against its record.

    Raises
    ------
    DatasetError
        As `read_record`; or the pixels are not those that were prepared.
    """
    record = read_record(folder)
    _hold(folder / "pixels.npy", record["pixels_sha256"])
    pixels: NDArray[np.uint8] = np.load(folder / "pixels.npy", mmap_mode="r")
    return pixels


def _hold(path: Path, locked: str) -> None:
    try:
        with path.open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(
            path, error.strerror or "cannot be read", "prepare the data set again"
        ) from error
    if found != locked:
        raise DatasetError(
            path, f"has SHA-256 {found[:12]}, prepared.json says {locked[:12]}",
            "prepare the data set again into an empty folder",
        )  # fmt: skip
