"""Score research images with the locked device: a manifest in, a table for `cxr-validate` out.

The network, the calibration and the decision are the device's own. PNG and JPEG films have no
header, so the guards that need DICOM are recorded as not exercised; a DICOM film goes through all
of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from cxr_device.decision import is_suspected
from cxr_device.device import Device
from cxr_device.errors import DatasetError, OutputError
from cxr_device.radiograph import AcceptedRadiograph
from cxr_device.result import Analyzed
from cxr_device.training.image_file import DamagedImageError, read_image
from cxr_device.training.manifest import need_classes, need_films, read_ages, read_table
from cxr_device.training.prepared import is_prepared, read_record
from cxr_device.whole_file import written_whole

__all__ = ["Scored", "refuse_out", "score_film", "score_manifest", "write_cases"]

_AGE_BANDS: Final = ((22, 40), (40, 60), (60, 75), (75, 121))
"""Years, from and below; the subgroups of the study."""
_EIGHT_BITS: Final = 255
_SUFFIXES: Final = (".csv", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What became of a manifest."""

    table: pd.DataFrame
    left_out: tuple[str, ...]
    """One line for each film without a score: which, and why."""


def score_manifest(
    manifest: Path, device: Device, *, split: str | None = None, within_label: bool = False
) -> Scored:
    """Score every film of a manifest, in its order.

    Parameters
    ----------
    manifest : path
        CSV with `file` (below `images/` beside the manifest, below the folder that a cache was
        prepared from, or a path) and the truth columns;
        `nih_name`, `patient_id`, `age`, `view`, `sex`, `source`, `label_pneumonia` are used where
        they stand.
    split : str, optional
        Only the rows of this `split`.
    within_label : bool
        Leave out films whose age or view lies outside the label; each is named.

    Returns
    -------
    Scored
        The manifest's columns with `case_id`, `truth`, `score`, `flag`, `age_band`, `within_label`
        and `guards`.

    Raises
    ------
    DatasetError
        The manifest has no rows, or lacks a column: `file`; `split` where one is asked for; `age`
        and `view` where the label decides. An age is no number, or a truth neither 0 nor 1. Every
        film is left out.
    """
    needed = ["file", *(["split"] if split is not None else [])]
    needed += ["age", "view"] if within_label else []
    films = read_table(manifest, needed)
    if split is not None:
        films = films[films["split"] == split]
    if films.empty:
        reason = "no rows" + (f" of split {split}" if split else "")
        raise DatasetError(manifest, reason, "name a manifest, or a split, with films")
    films = _checked(manifest, films)
    films = films.reset_index(drop=True)
    scores, guards = [], []
    left_out: list[str] = []
    if within_label:
        films = _within_label(films, device, left_out)
    beside = manifest.parent / "images"
    images = Path(read_record(manifest.parent)["images"]) if is_prepared(manifest) else beside
    for name in films["file"]:
        path = images / str(name)
        found = score_film(path if path.exists() else manifest.parent / str(name), device)
        scores.append(found if isinstance(found, float) else np.nan)
        guards.append("exercised" if _is_dicom(path) else "not exercised: no DICOM header")
        if isinstance(found, str):
            left_out.append(f"{name}: {found}")
    films["score"], films["guards"] = np.array(scores, dtype=np.float64), guards
    kept = films[films["score"].notna()].reset_index(drop=True)
    need_films(manifest, kept=len(kept), left_out=left_out)
    return Scored(table=_cases(kept, device), left_out=tuple(left_out))


def _checked(manifest: Path, films: pd.DataFrame) -> pd.DataFrame:
    """Films with their ages as numbers; an age or a truth that is none is refused by its row."""
    if "age" in films:
        films = films.assign(age=read_ages(manifest, films))
    truth = next((name for name in ("label_pneumonia", "truth") if name in films), None)
    return films if truth is None else films.assign(**{truth: need_classes(manifest, films, truth)})


def _within_label(films: pd.DataFrame, device: Device, left_out: list[str]) -> pd.DataFrame:
    """Keep films of adults in a frontal view; name the others in `left_out`."""
    label = device.release.label
    adult = films["age"].between(label.min_age_years, label.max_age_years)
    frontal = films["view"].isin(("PA", "AP"))
    left_out += [f"{name}: AGE" for name in films.loc[~adult, "file"]]
    left_out += [f"{name}: VIEW" for name in films.loc[adult & ~frontal, "file"]]
    return films[adult & frontal].reset_index(drop=True)


def score_film(path: Path, device: Device) -> float | str:
    """Probability of one film, or why there is none."""
    if _is_dicom(path):
        result = device.read(path)
        if isinstance(result, Analyzed):
            return result.decision.probability
        return ", ".join(c.code for c in result.checks if c.is_failure or c.is_rejection)
    try:
        stored = read_image(path).stored
    except DamagedImageError as error:
        return str(error)
    film = AcceptedRadiograph(stored=stored, maximum=_EIGHT_BITS, inverted=False)
    return device.release.calibration.probability(device.score(film))


def _is_dicom(path: Path) -> bool:
    return path.suffix.lower() == ".dcm"


def _cases(films: pd.DataFrame, device: Device) -> pd.DataFrame:
    """Add what a CASES table needs."""
    label = device.release.label
    names = films["nih_name"] if "nih_name" in films else films["file"]
    films["case_id"] = names.where(names.notna() & ~names.duplicated(keep=False), films["file"])
    films["flag"] = is_suspected(
        films["score"].to_numpy(dtype=np.float64), device.release.operating_point
    )
    if "label_pneumonia" in films:
        films["truth"] = films["label_pneumonia"].astype("Int64")
    if "age" in films:
        names_of = {low: f"{low}-{high - 1}" for low, high in _AGE_BANDS}
        films["age_band"] = [
            next((names_of[low] for low, high in _AGE_BANDS if low <= age < high), "outside")
            for age in films["age"].fillna(-1)
        ]
        films["within_label"] = films["age"].between(label.min_age_years, label.max_age_years)
    return films


def refuse_out(out: Path) -> None:
    """Refuse a table's path before its films are read.

    Raises
    ------
    DatasetError
        The suffix is neither .csv nor .parquet.
    OutputError
        The path is a folder, or lies in none.
    """
    if out.suffix not in _SUFFIXES:
        raise DatasetError(out, f"suffix {out.suffix!r}", f"accepted: {', '.join(_SUFFIXES)}")
    if out.is_dir():
        raise OutputError(out, "is a folder", action="name a file")
    if not out.parent.is_dir():
        raise OutputError(out, f"{out.parent} is no folder")


def write_cases(table: pd.DataFrame, out: Path) -> None:
    """Write a CASES table, Parquet or CSV by the suffix, whole or not at all."""
    with written_whole(out) as file:
        if out.suffix == ".csv":
            file.write(table.to_csv(index=False).encode("utf-8"))
        else:
            file.write(table.to_parquet(index=False))
