"""Splits: every patient in one of train, tune and test, by a rule that is named and proven.

Three rules. `official`: NIH's own lists, whose train_val part is divided by a hash of the patient.
`lists`: train_list.txt, val_list.txt and test_list.txt of the user's, in the form that public
CheXNet reproductions share theirs (an image, then its labels, a line); these are no lists of NIH,
and CheXNet's own were never published. `hash`: a keyed hash of the patient alone.
Nothing is balanced: prevalence stays what it is; weights of a loss are training's. No torch.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

from cxr_device.errors import DatasetError
from cxr_device.training.dataset import Dataset

__all__ = ["NAMES", "Rule", "Split", "Splitting", "overlap", "split", "uniform"]

Rule = Literal["official", "lists", "hash"]
Split = Literal["train", "tune", "test"]

SPLITS: Final = ("train", "tune", "test")

NAMES: Final[Mapping[Rule, str]] = {
    "official": "NIH official lists (train_val_list.txt, test_list.txt); train_val divided into "
    "train and tune by a keyed hash of the patient",
    "lists": "lists of images given by the user (CheXNet-style: neither NIH's official lists nor "
    "CheXNet's own, which were not published)",
    "hash": "keyed hash of the patient",
}
"""Each rule by its full name, as manifests and reports carry it."""

TUNE_OF_TRAIN_VAL: Final = 0.125
"""Share of the patients of NIH's train_val list that tune: a tenth of the whole."""

HASH_SHARES: Final = (0.7, 0.1, 0.2)
"""Shares of the patients in train, tune and test under `hash` (CheXNet 2017: 70/10/20)."""

_USER_LISTS: Final = {"train": "train_list.txt", "tune": "val_list.txt", "test": "test_list.txt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Splitting:
    """A cohort with its `split` column, and what was counted."""

    table: pd.DataFrame
    """Films of the three splits; the rows that no list names are left out."""
    record: dict[str, Any]
    """Plain JSON values: rule, its full name, key, films of no list, counts of each split."""


def split(
    table: pd.DataFrame, dataset: Dataset, *, rule: Rule, key: str, lists: Path | None = None
) -> Splitting:
    """Give every film of a cohort its split.

    Parameters
    ----------
    table : DataFrame
        `nih_name`, `patient_id`, `label_pneumonia`.
    key : str
        Key of the hash: another key, another division.
    lists : path, optional
        Folder of the user's lists, for `lists`.

    Raises
    ------
    DatasetError
        A list is missing or names an image for two splits, or a patient is in two splits: each
        named.
    """
    match rule:
        case "official":
            chosen = _official(table, dataset, key)
        case "lists":
            chosen = _listed(table, dataset.folder if lists is None else lists)
        case _:
            chosen = table["patient_id"].map(lambda patient: _by_share(patient, key))
    divided = table.assign(split=chosen)
    outside = divided["split"].isna()
    divided = divided[~outside].reset_index(drop=True)
    shared = overlap(divided)
    if shared:
        patients = ", ".join(sorted(shared)[:5])
        raise DatasetError(
            dataset.folder,
            f"{len(shared)} patients are in more than one split ({patients})",
            "use lists that keep a patient together",
        )
    if divided.empty:
        raise DatasetError(
            dataset.folder, "no film of the cohort is in any split", "check lists and images"
        )
    record = {
        "rule": rule,
        "name": NAMES[rule],
        "key": None if rule == "lists" else key,
        "images_in_no_list": {
            "n": int(outside.sum()),
            "examples": sorted(table.loc[outside.to_numpy(), "nih_name"])[:20],
        },
        "patients_in_two_splits": 0,
        "counts": {name: _counts(divided[divided["split"] == name]) for name in SPLITS},
    }
    return Splitting(table=divided, record=record)


def overlap(table: pd.DataFrame) -> set[str]:
    """Patients that stand in more than one split; the empty set is the proof that none does."""
    number = table.groupby("patient_id")["split"].nunique()
    return set(map(str, number.index[number > 1]))


def uniform(patient: str, key: str) -> float:
    """Draw from [0, 1) by patient and key alone (HMAC-SHA-256, first 8 bytes)."""
    digest = hmac.digest(key.encode(), patient.encode(), "sha256")
    return int.from_bytes(digest[:8], "big") / 2**64


def _by_share(patient: str, key: str) -> str:
    train, tune, _ = HASH_SHARES
    place = uniform(patient, key)
    return "train" if place < train else "tune" if place < train + tune else "test"


def _official(table: pd.DataFrame, dataset: Dataset, key: str) -> "pd.Series[Any]":
    for name in ("train_val", "test"):
        if name not in dataset.lists:
            raise DatasetError(
                dataset.folder,
                f"holds no {name}_list.txt",
                "download NIH's lists into it, or split by hash",
            )
    _refuse_double(dataset.folder, {k: dataset.lists[k] for k in ("train_val", "test")})
    test = table["nih_name"].isin(dataset.lists["test"])
    known = table["nih_name"].isin(dataset.lists["train_val"])
    tune = table["patient_id"].map(lambda p: uniform(p, key) < TUNE_OF_TRAIN_VAL)
    chosen = pd.Series("train", index=table.index, dtype=object).mask(tune, "tune")
    return chosen.where(known, None).mask(test, "test")


def _listed(table: pd.DataFrame, folder: Path) -> "pd.Series[Any]":
    names: dict[str, frozenset[str]] = {}
    for name, file in _USER_LISTS.items():
        path = folder / file
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(path, f"cannot be read ({error})", "give the three lists") from error
        names[name] = frozenset(line.split()[0] for line in lines if line.strip())
    _refuse_double(folder, names)
    chosen = pd.Series(None, index=table.index, dtype=object)
    for name, listed in names.items():
        chosen = chosen.mask(table["nih_name"].isin(listed), name)
    return chosen


def _refuse_double(folder: Path, lists: Mapping[str, frozenset[str]]) -> None:
    parts = list(lists.items())
    for index, (name, listed) in enumerate(parts):
        for other, others in parts[index + 1 :]:
            if both := sorted(listed & others):
                raise DatasetError(
                    folder,
                    f"{len(both)} images are in the lists {name} and {other} ({both[0]} ...)",
                    "an image belongs to one split",
                )


def _counts(rows: pd.DataFrame) -> dict[str, Any]:
    positive = int(rows["label_pneumonia"].sum())
    return {
        "images": len(rows),
        "patients": int(rows["patient_id"].nunique()),
        "pneumonia": positive,
        "prevalence": round(positive / len(rows), 6) if len(rows) else None,
    }
