"""Description of pixels: statistics and histograms of a sample of the images, by finding and view.

Also what tells films apart without any anatomy: file size, stored form, saturation. No torch.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from cxr_device.training.dataset import NO_FINDING, Dataset
from cxr_device.training.image_file import DamagedImageError, read_image
from cxr_device.vocabulary import FINDINGS

__all__ = ["NEEDS_IMAGES", "describe_pixels"]

NEEDS_IMAGES: Final = (
    "pixel statistics by finding and view",
    "grey-level histograms by finding and view",
    "image sizes, stored forms and file sizes",
    "damaged images",
    "images of equal content",
)
"""Parts of the report that tables alone cannot give."""

_BINS: Final = 32
_WHITE: Final = 255
_STATISTICS: Final = ("mean", "sd", "p1", "median", "p99", "black_share", "white_share", "bytes")

Progress = Callable[[int, int], None]


def describe_pixels(
    dataset: Dataset, *, sample: int, progress: Progress = lambda _done, _of: None
) -> dict[str, Any]:
    """Describe the pixels of the images that are there.

    Parameters
    ----------
    sample : int
        Images to read, drawn by a hash of their names, so the same every time; 0 reads all.
    progress : callable
        Told the images done and to do.

    Returns
    -------
    dict
        Plain JSON values. Damaged images are named and counted, and are in no statistic.
    """
    table = dataset.table.drop_duplicates("nih_name")
    table = table[table["nih_name"].isin(dataset.images)]
    keys = table["nih_name"].map(lambda name: sha256(name.encode()).hexdigest())
    table = table.assign(key=keys).sort_values("key")
    table = table.head(sample) if sample else table
    paths = [dataset.images[name] for name in table["nih_name"]]
    found, damaged = [], {}
    with ThreadPoolExecutor() as pool:
        for done, (path, row) in enumerate(zip(paths, pool.map(_measure, paths), strict=True), 1):
            if isinstance(row, str):
                damaged[path.name] = row
            else:
                found.append(row)
            progress(done, len(paths))
    result: dict[str, Any] = {
        "read": len(paths),
        "of": len(dataset.images),
        "chosen": "all" if len(paths) == len(dataset.images) else "by a hash of the name",
        "damaged": {"n": len(damaged), "reasons": damaged},
    }
    if found:
        measured = pd.DataFrame(found).merge(table, on="nih_name", validate="one_to_one")
        result |= _summarized(measured)
    return result


def _measure(path: Path) -> dict[str, Any] | str:
    try:
        image = read_image(path)
    except DamagedImageError as error:
        return str(error)
    levels = np.bincount(image.stored.ravel(), minlength=_WHITE + 1)
    pixels = image.stored.size
    values = np.arange(_WHITE + 1)
    mean = float(levels @ values / pixels)
    rank = np.cumsum(levels) / pixels
    return {
        "nih_name": path.name,
        "size": f"{image.stored.shape[1]} x {image.stored.shape[0]}",
        "mode": image.mode,
        "bytes": image.file_bytes,
        "file_sha256": image.sha256,
        "content": sha256(image.stored.tobytes()).hexdigest(),
        "mean": mean,
        "sd": float(np.sqrt(levels @ (values - mean) ** 2 / pixels)),
        **{n: int(np.searchsorted(rank, q)) for n, q in (("p1", 0.01), ("p99", 0.99))},
        "median": int(np.searchsorted(rank, 0.5)),
        "black_share": float(levels[0] / pixels),
        "white_share": float(levels[_WHITE] / pixels),
        "histogram": levels.reshape(_BINS, -1).sum(axis=1) / pixels,
    }


def _summarized(measured: pd.DataFrame) -> dict[str, Any]:
    words = measured["finding_labels"].str.split("|")
    groups = {
        name: measured[words.map(lambda found, name=name: name in found)]
        for name in (NO_FINDING, *FINDINGS)
    }
    views = {str(view): rows for view, rows in measured.groupby("view")}
    both = {
        f"{'with' if label == 1 else 'without'} pneumonia, {view}": rows
        for (label, view), rows in measured.groupby(["label_pneumonia", "view"])
    }
    same = measured[measured.duplicated("content", keep=False)]
    return {
        "sizes": _tally(measured["size"]),
        "modes": _tally(measured["mode"]),
        "equal_content": sorted(sorted(rows["nih_name"]) for _, rows in same.groupby("content")),
        "bin_edges": list(range(0, _WHITE + 2, (_WHITE + 1) // _BINS)),
        "all": _group(measured),
        "by_view": {name: _group(rows) for name, rows in views.items()},
        "by_finding": {name: _group(rows) for name, rows in groups.items() if len(rows)},
        "by_pneumonia_and_view": {name: _group(rows) for name, rows in both.items()},
    }


def _tally(values: "pd.Series[str]") -> dict[str, int]:
    return {str(name): int(n) for name, n in values.value_counts().items()}


def _group(rows: pd.DataFrame) -> dict[str, Any]:
    """Mean over the images of each statistic, and the mean histogram (shares, summing to 1)."""
    histogram = np.mean(np.stack(rows["histogram"].to_list()), axis=0)
    return {
        "images": len(rows),
        **{name: round(float(rows[name].mean()), 5) for name in _STATISTICS},
        "histogram": [round(float(share), 6) for share in histogram],
    }
