"""Data set: ChestX-ray14 in the layout in which NIH ships it, or a named refusal.

The layout: `Data_Entry_2017*.csv` (or the 5,606-image sample's `sample_labels.csv`),
`train_val_list.txt`, `test_list.txt`, `BBox_List_2017.csv`, lists of images of lower quality, and
`images_001..012/images/*.png` (or `images/*.png`). Tables may be gzipped. No torch.
"""

import gzip
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import pandas as pd

from cxr_device.errors import DatasetError
from cxr_device.vocabulary import FINDINGS

__all__ = ["NO_FINDING", "Dataset", "read_dataset", "years"]

NO_FINDING: Final = "No Finding"

_LABEL_TABLES: Final = ("Data_Entry_2017*.csv*", "sample_labels*.csv*")

_LISTS: Final = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
"""NIH's official lists; both patient-wise."""

_QUALITY: Final = {
    "not_frontal": "blacklist_non_PA_AP_view.csv",
    "rotated": "blacklist_rotated_images.csv",
    "lower_quality": "blacklist_other_images_with_lower_quality.csv",
}
"""Lists of images unfit for reading, by the name under which the cohort leaves them out."""

_BOXES: Final = "BBox_List_2017.csv"

_COLUMNS: Final = {
    "nih_name": ("Image Index",),
    "finding_labels": ("Finding Labels",),
    "follow_up": ("Follow-up #",),
    "patient": ("Patient ID",),
    "age_text": ("Patient Age",),
    "sex": ("Patient Gender", "Patient Sex"),
    "view": ("View Position",),
    "orig_w": ("OriginalImage[Width", "OriginalImageWidth"),
    "orig_h": ("Height]", "OriginalImageHeight"),
    "spacing_x_mm": ("OriginalImagePixelSpacing[x", "OriginalImagePixelSpacing_x"),
    "spacing_y_mm": ("y]", "OriginalImagePixelSpacing_y"),
}
"""Our name, and the headings of the full table and of the sample (a heading with a comma in it
reads as two)."""

_NUMBERS: Final = ("follow_up", "orig_w", "orig_h", "spacing_x_mm", "spacing_y_mm")

_AGE: Final = re.compile(r"(\d{1,3})([DWMY]?)")
_DAYS: Final = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
"""Days of one unit of an age (PS3.5 6.2, value representation AS); no unit: years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The tables of one download, and where its images lie."""

    folder: Path
    table: pd.DataFrame
    """One row an image: `nih_name`, `finding_labels`, `follow_up`, `patient_id`, `age` (years, NaN
    where unreadable), `age_text`, `sex`, `view`, `orig_w`, `orig_h`, `spacing_x_mm`,
    `spacing_y_mm`, `label_pneumonia` (0 or 1), `source`."""
    lists: Mapping[str, frozenset[str]]
    """NIH's official lists that were found: `train_val`, `test`."""
    quality: Mapping[str, frozenset[str]]
    """Lists of unfit images that were found."""
    boxes: pd.DataFrame | None
    """`nih_name`, `finding`, `x`, `y`, `width`, `height`, in pixels of the 1,024-pixel image."""
    images: Mapping[str, Path]
    """Image files by name."""
    twice: tuple[str, ...]
    """Names that lie in more than one image folder; the first, in sorted order, counts."""
    digests: Mapping[str, str]
    """SHA-256 of each table and list that was read, by file name."""


def years(text: str) -> float:
    """Age in years from `58`, `060Y`, `011M` or `002D`; NaN where it is none of these."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        return float("nan")
    number, unit = match.groups()
    return int(number) * _DAYS[unit or "Y"] / _DAYS["Y"]


def read_dataset(folder: Path) -> Dataset:
    """Read the tables and name the images of a ChestX-ray14 download.

    Raises
    ------
    DatasetError
        The folder or its label table is missing, a column is missing, or a row holds a finding
        that ChestX-ray14 does not have, or no patient number.
    """
    if not folder.is_dir():
        raise DatasetError(folder, "is no folder", "name the folder of the NIH download")
    digests: dict[str, str] = {}
    table = _label_table(_one_table(folder), digests)
    lists = {n: _names(p, digests) for n, p in _found(folder, _LISTS).items()}
    quality = {n: _names(p, digests) for n, p in _found(folder, _QUALITY).items()}
    boxes = _found(folder, {"boxes": _BOXES}).get("boxes")
    images, twice = _images(folder)
    return Dataset(
        folder=folder,
        table=table,
        lists=lists,
        quality=quality,
        boxes=None if boxes is None else _boxes(boxes, digests),
        images=images,
        twice=twice,
        digests=digests,
    )


def _one_table(folder: Path) -> Path:
    found = [path for pattern in _LABEL_TABLES for path in sorted(folder.glob(pattern))]
    if not found:
        raise DatasetError(
            folder,
            "holds no Data_Entry_2017*.csv and no sample_labels.csv",
            "download the label table from the NIH Clinical Center into it",
        )
    if len(found) > 1 and not _is_sample_beside_full(found):
        names = ", ".join(path.name for path in found)
        raise DatasetError(folder, f"holds more than one label table ({names})", "keep one")
    return found[0]


def _is_sample_beside_full(found: list[Path]) -> bool:
    """Whether only the sample's table lies beside the full one, whose images it is part of."""
    full = [path for path in found if path.name.startswith("Data_Entry")]
    return len(full) == 1


def _found(folder: Path, names: Mapping[str, str]) -> dict[str, Path]:
    """Files that are there, plain or gzipped."""
    places = {key: (folder / name, folder / f"{name}.gz") for key, name in names.items()}
    return {
        key: next(path for path in pair if path.exists())
        for key, pair in places.items()
        if any(path.exists() for path in pair)
    }


def _text(path: Path, digests: dict[str, str]) -> str:
    try:
        blob = path.read_bytes()
        digests[path.name] = sha256(blob).hexdigest()
        return (gzip.decompress(blob) if path.suffix == ".gz" else blob).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DatasetError(path, f"cannot be read ({error})", "download it again") from error


def _frame(path: Path, digests: dict[str, str]) -> pd.DataFrame:
    from io import StringIO  # noqa: PLC0415

    try:
        return pd.read_csv(
            StringIO(_text(path, digests)), dtype=str, keep_default_na=False, index_col=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DatasetError(path, f"is no table ({error})", "download it again") from error


def _label_table(path: Path, digests: dict[str, str]) -> pd.DataFrame:
    read = _frame(path, digests)
    table = pd.DataFrame()
    for name, headings in _COLUMNS.items():
        heading = next((heading for heading in headings if heading in read), None)
        if heading is None:
            raise DatasetError(
                path,
                f"has no column {headings[0]!r} (it has {', '.join(map(repr, read.columns))})",
                "give the label table as NIH ships it",
            )
        table[name] = read[heading].str.strip()
    if table.empty:
        raise DatasetError(path, "no rows", "download it again")
    for name in _NUMBERS:
        table[name] = _numbers(path, table, name)
    patient = _numbers(path, table, "patient").astype("int64")
    table["patient_id"] = "nih-" + patient.astype(str).str.zfill(5)
    table["age"] = table["age_text"].map(years)
    _check_findings(path, table)
    table["label_pneumonia"] = [
        int("Pneumonia" in words.split("|")) for words in table["finding_labels"]
    ]
    table["source"] = "nih"
    return table.drop(columns="patient")


def _numbers(path: Path, table: pd.DataFrame, name: str) -> "pd.Series[float]":
    numbers = pd.to_numeric(table[name], errors="coerce")
    if numbers.isna().any():
        row = int(numbers.isna().to_numpy().argmax())
        raise DatasetError(
            path,
            f"row {row + 2} ({table['nih_name'][row]}): {_COLUMNS[name][0]!r} is "
            f"{table[name][row]!r}, no number",
            "mend the row or download the table again",
        )
    return numbers


def _check_findings(path: Path, table: pd.DataFrame) -> None:
    known = {*FINDINGS, NO_FINDING}
    for text in table["finding_labels"].unique():
        words = text.split("|")
        unknown = [word for word in words if word not in known]
        if not unknown and not (NO_FINDING in words and len(words) > 1):
            continue
        row = int((table["finding_labels"] == text).to_numpy().argmax())
        reason = f"the label {unknown[0]!r} is unknown" if unknown else f"{text!r} contradicts"
        raise DatasetError(
            path,
            f"row {row + 2} ({table['nih_name'][row]}): {reason}",
            f"accepted: {NO_FINDING!r} alone, or of {', '.join(FINDINGS)}",
        )


def _names(path: Path, digests: dict[str, str]) -> frozenset[str]:
    """First word of every line: a list of images, one a line."""
    lines = _text(path, digests).splitlines()
    return frozenset(line.split(",")[0].split()[0] for line in lines if line.strip())


def _boxes(path: Path, digests: dict[str, str]) -> pd.DataFrame:
    """NIH's boxes; the heading `Bbox [x,y,w,h]` reads as four columns."""
    read = _frame(path, digests)
    if list(read.columns[:2]) != ["Image Index", "Finding Label"] or len(read.columns) < 6:  # noqa: PLR2004
        raise DatasetError(
            path, "is not NIH's table of boxes", "expected: Image Index, Finding Label, x, y, w, h"
        )
    boxes = read.iloc[:, :6].set_axis(["nih_name", "finding", "x", "y", "width", "height"], axis=1)
    boxes["finding"] = boxes["finding"].replace("Infiltrate", "Infiltration")
    for name in ("x", "y", "width", "height"):
        boxes[name] = pd.to_numeric(boxes[name], errors="coerce")
    return boxes


def _images(folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    found: dict[str, Path] = {}
    twice: list[str] = []
    for path in _png_files(folder):
        if path.name in found:
            twice.append(path.name)
        else:
            found[path.name] = path
    return found, tuple(sorted(set(twice)))


def _png_files(folder: Path) -> Iterator[Path]:
    parts = [folder / "images", *sorted(folder.glob("images_*/images")), folder / "sample/images"]
    for part in parts:
        if part.is_dir():
            with os.scandir(part) as entries:
                names = sorted(e.name for e in entries if e.name.lower().endswith(".png"))
            yield from (part / name for name in names)
