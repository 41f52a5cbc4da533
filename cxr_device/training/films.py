"""Films and labels: a manifest of ChestX-ray14 images becomes arrays that a network learns from.

Only NIH's own labels are read here. Readers' marks measure the device and never teach it.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cxr_device.network import FINDINGS, HEADS
from cxr_device.preprocessing import levels, resize
from cxr_device.radiograph import AcceptedRadiograph

__all__ = ["Films", "read_manifests", "squares", "targets"]

_UNSURE: Final = "Pneumonia (with others?)"
"""A source's own word: pneumonia for certain, other findings unknown."""

_AIRSPACE: Final = ("Consolidation", "Infiltration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Films:
    """Films of one split: `table` (one row a film) and `pixels` (n, size, size) in its order."""

    table: pd.DataFrame
    pixels: NDArray[np.uint16]


def read_manifests(manifests: list[Path]) -> pd.DataFrame:
    """Read manifests into one table, one row a film, each film once.

    Adds `path` and `source`; a film that two manifests hold (`nih_name` and a source that names
    the image) is kept in its sharper copy. Rows that their manifest excludes are left out.
    """
    tables = []
    for manifest in manifests:
        table = pd.read_csv(manifest, dtype={"age": "float64"})
        table["path"] = [str(manifest.parent / "images" / file) for file in table["file"]]
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


def _square(path: str, size: int) -> NDArray[np.uint16]:
    with Image.open(path) as image:
        stored = np.asarray(image.convert("L"))
    film = AcceptedRadiograph(stored=stored, maximum=255, inverted=False)
    return resize(levels(film), size).astype(np.uint16)


def squares(films: pd.DataFrame, *, size: int, cache: Path) -> NDArray[np.uint16]:
    """Decode once into a memory-mapped cache: uint16 levels, shape (n, size, size).

    The cache is named by the digest of the films' paths and the size; it is written aside and
    renamed, so a run that is cut leaves none.
    """
    key = sha256(f"{size}\n".encode() + "\n".join(films["path"]).encode()).hexdigest()[:16]
    final = cache / f"squares-{key}.npy"
    if not final.exists():
        cache.mkdir(parents=True, exist_ok=True)
        aside = final.with_suffix(".part.npy")
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
    mapped: NDArray[np.uint16] = np.load(final, mmap_mode="r")
    return mapped
