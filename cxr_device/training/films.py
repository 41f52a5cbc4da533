"""Films and labels: a manifest of ChestX-ray14 images becomes arrays that a network learns from.

Only NIH's own labels are read here. Readers' marks measure the device and never teach it.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_device.errors import DatasetError, words_of
from cxr_device.network import FINDINGS, HEADS
from cxr_device.preprocessing import INPUT_SIZE, resize
from cxr_device.release import PACKAGE
from cxr_device.training.image_file import DamagedImageError, read_image
from cxr_device.training.manifest import read_ages, read_table
from cxr_device.training.prepared import Rows, is_prepared, open_pixels, read_record
from cxr_device.training.splits import uniform
from cxr_device.whole_file import make_folder

__all__ = [
    "COLUMNS",
    "Films",
    "draw_weights",
    "group_offsets",
    "of_share",
    "pixels_of",
    "read_manifests",
    "squares",
    "targets",
]

_UNSURE: Final = "Pneumonia (with others?)"
"""A source's own word: pneumonia for certain, other findings unknown."""

_SHRINKAGE: Final = 20.0
"""Films of the whole set's prevalence that are added to each group before its log odds."""

_MOST: Final = 3.0
"""Largest ratio by which balancing draws a film more often than its like."""

COLUMNS: Final = ("split", "patient_id", "finding_labels", "label_pneumonia")
"""What a manifest must have for training and locking, beside what every manifest has."""

_COLUMNS: Final = ("file", "age", "view", "orig_w", "nih_name")
"""What every manifest of films must have."""

_AIRSPACE: Final = ("Consolidation", "Infiltration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Films:
    """Films of one split: `table` (one row a film) and `pixels` (n, size, size) in its order.

    16-bit levels, or the 8-bit levels of a prepared cache; the scale is of no account, because
    every film is standardized by itself.
    """

    table: pd.DataFrame
    pixels: NDArray[np.uint16] | Rows


def read_manifests(manifests: list[Path], needed: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read manifests into one table, one row a film, each film once.

    Adds `path`, `source` and `prepared` (the folder of a prepared cache, or empty); a film that
    two manifests hold (`nih_name` and a source that names the image) is kept in its sharper copy.
    Rows that their manifest excludes are left out.

    Parameters
    ----------
    needed : tuple of str, optional
        Columns that each manifest must have, beside those that are read here.

    Raises
    ------
    DatasetError
        A manifest is missing, is no table, lacks a column, has an age that is no number, or is one
        of a cache that is not finished or was altered.
    """
    tables = []
    for manifest in manifests:
        if not manifest.is_file():
            raise DatasetError(manifest, "is missing", "name it relative to the data folder")
        prepared = is_prepared(manifest)
        images = manifest.parent / "images"
        if prepared:
            images = Path(read_record(manifest.parent)["images"])
        table = read_table(manifest, (*_COLUMNS, *needed))
        table["age"] = read_ages(manifest, table)
        table["prepared"] = str(manifest.parent) if prepared else ""
        table["path"] = [str(images / file) for file in table["file"]]
        if not prepared:
            table["source"] = [str(file).split("/")[0] for file in table["file"]]
        if "use" in table:
            table = table[table["use"] == "yes"]
        tables.append(table)
    films = pd.concat(tables, ignore_index=True)
    films["view"] = films["view"].fillna("unknown")
    films = films.sort_values(["orig_w", "path"], ascending=[False, True])
    films = films[~films.duplicated("nih_name") | films["nih_name"].isna()]
    return films.sort_values("path").reset_index(drop=True)


def targets(films: pd.DataFrame) -> NDArray[np.float32]:
    """Targets by head: 1, 0, or NaN where a film says nothing about it; shape (n, len(HEADS)).

    The mined Pneumonia label is used only in sources that hold both classes. A film whose report
    says pneumonia but names neither consolidation nor infiltration says nothing about `Airspace`.
    """
    words = [frozenset(str(text).split("|")) for text in films["finding_labels"]]
    found = np.array([[float(f in w) for f in FINDINGS] for w in words], dtype=np.float32)
    unsure = np.array([_UNSURE in w for w in words])
    pneumonia = FINDINGS.index("Pneumonia")
    found[unsure] = np.nan
    found[unsure, pneumonia] = 1.0
    airspace = np.array([float(any(f in w for f in _AIRSPACE)) for w in words], dtype=np.float32)
    airspace[(found[:, pneumonia] == 1.0) & (airspace == 0.0)] = np.nan
    known = np.nan_to_num(found, nan=0.0)
    anything = known.max(axis=1)
    one_class = films.groupby("source")["label_pneumonia"].transform("nunique").to_numpy() < 2  # noqa: PLR2004
    found[one_class, pneumonia] = np.nan
    result = np.column_stack([found, anything, airspace]).astype(np.float32)
    if result.shape[1] != len(HEADS):
        message = f"{result.shape[1]} target columns for {len(HEADS)} heads"
        raise ValueError(message)
    return result


def of_share(films: pd.DataFrame, share: float) -> pd.DataFrame:
    """Films of a share of the patients, drawn by a hash of the patient: nested in larger shares."""
    chosen = [uniform(str(patient), "share") < share for patient in films["patient_id"]]
    return films[chosen].reset_index(drop=True)


def group_offsets(
    films: pd.DataFrame, wanted: NDArray[np.float32], by: tuple[str, ...]
) -> NDArray[np.float32]:
    """Log odds of each target in the film's group of the columns `by`, less those of all films.

    Shape (n, heads), like `wanted` (1, 0, NaN where nothing is known). Added to a network's logits
    in the loss, they explain what group membership explains (a fixed offset of logistic
    regression), and leave what is seen in the film to the network. Small groups are drawn towards
    the whole set, so a group of one class stays finite.

    Raises
    ------
    KeyError
        A column is not in `films`.
    """
    known = ~np.isnan(wanted)
    positive = np.where(known, wanted, 0.0).astype(np.float64)
    share = (positive.sum(axis=0) + 0.5) / (known.sum(axis=0) + 1.0)
    group = films.groupby(list(by), dropna=False).ngroup().to_numpy()
    number = int(group.max()) + 1
    positives, total = (np.zeros((number, wanted.shape[1])) for _ in range(2))
    np.add.at(positives, group, positive)
    np.add.at(total, group, known)
    odds = (positives + _SHRINKAGE * share) / (total - positives + _SHRINKAGE * (1 - share))
    offsets: NDArray[np.float32] = (np.log(odds) - np.log(share / (1 - share))).astype(np.float32)
    return offsets[group]


def draw_weights(films: pd.DataFrame, by: tuple[str, ...]) -> NDArray[np.float64]:
    """How often each film is drawn, mean 1 before the limit: groups of the columns `by` alike.

    Raises
    ------
    KeyError
        A column is not in `films`.
    """
    groups = films.groupby(list(by), dropna=False)
    size = groups["path"].transform("size").to_numpy(dtype=np.float64)
    weights: NDArray[np.float64] = np.minimum(len(films) / (groups.ngroups * size), _MOST)
    return weights


def pixels_of(films: pd.DataFrame, *, size: int | None, cache: Path) -> NDArray[np.uint16] | Rows:
    """Pixels of the films, in their order: of a prepared cache, or decoded once into `cache`.

    Parameters
    ----------
    size : int, optional
        Pixels; the side that is needed. A cache of another side is then passed over, and the
        films are decoded from their files. None takes a cache as it is, and decodes for the
        device's own side without one.

    Raises
    ------
    DatasetError
        Prepared and unprepared films are mixed, or the cache was altered.
    """
    folders = set(films["prepared"])
    if folders == {""}:
        return squares(films, size=size or INPUT_SIZE, cache=cache)
    if len(folders) > 1:
        raise DatasetError(
            Path(max(folders)), "is mixed with other manifests", "prepare one set, or none"
        )
    mapped = open_pixels(Path(folders.pop()))
    if size not in (None, mapped.shape[1]):
        return squares(films, size=size or INPUT_SIZE, cache=cache)
    return Rows(mapped, films["row"].to_numpy(dtype=np.int64))


def _square(path: str, size: int) -> NDArray[np.uint16]:
    try:
        stored = read_image(Path(path)).stored
    except DamagedImageError as error:
        raise DatasetError(Path(path), str(error), "leave it out of the manifest") from error
    return resize(stored, size).astype(np.uint16)


def squares(films: pd.DataFrame, *, size: int, cache: Path) -> NDArray[np.uint16]:
    """Decode once into a memory-mapped cache: uint16 levels, shape (n, size, size).

    The cache is named by what it comes from: the films' paths, lengths and times of change, the
    size, and the preprocessing's source. It is written aside and renamed, so a run that is cut
    leaves none, and two at once each write their own.

    Raises
    ------
    DatasetError
        A film is missing or no whole grey image of 8 bits; the message names it.
    """
    final = cache / f"squares-{_origin(films['path'], size)}.npy"
    if not final.exists():
        make_folder(cache)
        aside = final.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part.npy")
        try:
            made = np.lib.format.open_memmap(
                aside, mode="w+", dtype=np.uint16, shape=(len(films), size, size)
            )
            with ThreadPoolExecutor() as pool:
                rows: Iterator[NDArray[np.uint16]] = pool.map(
                    lambda path: _square(path, size), films["path"]
                )
                for index, row in enumerate(rows):
                    made[index] = row
            made.flush()
            aside.replace(final)
        finally:
            aside.unlink(missing_ok=True)
    mapped: NDArray[np.uint16] = np.load(final, mmap_mode="r")
    return mapped


def _origin(paths: Iterable[str], size: int) -> str:
    """Name what a cache of squares comes from: another film or another resize is another cache."""
    source = sha256((PACKAGE / "preprocessing.py").read_bytes()).hexdigest()
    lines = [str(size), source]
    for path in paths:
        try:
            found = Path(path).stat()
        except OSError as error:
            raise DatasetError(Path(path), words_of(error), "mend the manifest") from error
        lines.append(f"{path} {found.st_size} {found.st_mtime_ns}")
    return sha256("\n".join(lines).encode()).hexdigest()[:16]
