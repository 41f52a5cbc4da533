"""Description: what a data set holds, counted from its tables; every number of the report.

Counts and quantiles only: tests and intervals are `cxr-validate`'s. No torch.
"""

from typing import Any, Final

import numpy as np
import pandas as pd

from cxr_device.training.dataset import NO_FINDING, Dataset
from cxr_device.vocabulary import FINDINGS

__all__ = ["SCHEMA", "describe_tables"]

SCHEMA: Final = "cxr-device/dataset/1"

OLDEST: Final = 120
"""Years; the label's maximum age, beyond which an age is an error of the table."""

_ADULT: Final = 18
_AGE_STEP: Final = 5
_NAMED: Final = 20
"""Examples named of each kind of error; all are counted."""

_FILMS_A_PATIENT: Final = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (21, 50), (51, None))
_QUANTILES: Final = {"minimum": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "maximum": 1.0}


def describe_tables(dataset: Dataset) -> dict[str, Any]:
    """Count everything that the tables say; keys as in `report.json`, plain JSON values.

    `needs_images` names what is left for the images.
    """
    table = dataset.table
    has = _findings(table)
    return {
        "schema": SCHEMA,
        "source": {"folder": dataset.folder.name, "sha256": dict(dataset.digests)},
        "images": len(table),
        "patients": int(table["patient_id"].nunique()),
        "demographics": _demographics(table),
        "ages": _ages(table),
        "views": _by(table, "view"),
        "findings": _each_finding(table, has),
        "pneumonia": _pneumonia(table, has),
        "comorbidity": _comorbidity(has),
        "findings_per_image": _counts(has.sum(axis=1)),
        "findings_per_patient": _counts(has.groupby(table["patient_id"]).any().sum(axis=1)),
        "images_per_patient": _images_per_patient(table),
        "follow_ups": _follow_ups(table),
        "geometry": _geometry(table),
        "consistency": _consistency(table),
        "duplicates": _duplicates(dataset),
        "lists": _lists(dataset),
        "boxes": _boxes(dataset),
        "files": _files(dataset),
    }


def _findings(table: pd.DataFrame) -> pd.DataFrame:
    """One boolean column a finding."""
    dummies = table["finding_labels"].str.get_dummies("|")
    return dummies.reindex(columns=list(FINDINGS), fill_value=0).astype(bool)


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None


def _spread(values: "pd.Series[Any]") -> dict[str, Any]:
    """Give number, mean, standard deviation and quantiles; nulls where there is no value."""
    known = values.dropna().astype("float64")
    if known.empty:
        return {"n": 0}
    return {
        "n": len(known),
        "mean": round(float(known.mean()), 4),
        "sd": round(float(known.std(ddof=1)), 4) if len(known) > 1 else None,
        **{name: round(float(known.quantile(q)), 4) for name, q in _QUANTILES.items()},
    }


def _counts(values: "pd.Series[Any]") -> dict[str, int]:
    return {str(int(k)): int(v) for k, v in values.value_counts().sort_index().items()}  # type: ignore[call-overload]


def _by(table: pd.DataFrame, column: str) -> dict[str, dict[str, Any]]:
    """Images, patients and pneumonia for each value of a column."""
    result = {}
    for value, rows in table.groupby(column):
        positive = int(rows["label_pneumonia"].sum())
        result[str(value) or "missing"] = {
            "images": len(rows),
            "patients": int(rows["patient_id"].nunique()),
            "share": _share(len(rows), len(table)),
            "pneumonia": positive,
            "pneumonia_share": _share(positive, len(rows)),
        }
    return result


def _demographics(table: pd.DataFrame) -> dict[str, Any]:
    plausible = table["age"].where(table["age"] <= OLDEST)
    edges = list(range(0, OLDEST + _AGE_STEP, _AGE_STEP))
    first = table.sort_values(["patient_id", "follow_up"]).drop_duplicates("patient_id")
    positive = table["label_pneumonia"] == 1
    return {
        "sex": _by(table, "sex"),
        "age_years": _spread(plausible),
        "age_years_first_film": _spread(first["age"].where(first["age"] <= OLDEST)),
        "age_histogram": {
            "edges": edges,
            "images": np.histogram(plausible.dropna(), edges)[0].tolist(),
            "pneumonia": np.histogram(plausible[positive].dropna(), edges)[0].tolist(),
        },
    }


def _examples(names: "pd.Series[Any]") -> dict[str, Any]:
    return {"n": len(names), "examples": sorted(map(str, names))[:_NAMED]}


def _ages(table: pd.DataFrame) -> dict[str, Any]:
    """Age errors, each kind counted and its first images named."""
    ordered = table.sort_values(["patient_id", "follow_up"])
    earlier = ordered.groupby("patient_id")["age"].shift()
    return {
        "unreadable": _examples(table.loc[table["age"].isna(), "nih_name"]),
        "over_120_years": _examples(table.loc[table["age"] > OLDEST, "nih_name"]),
        "under_1_year": _examples(table.loc[table["age"] < 1, "nih_name"]),
        "under_18_years": _examples(table.loc[table["age"] < _ADULT, "nih_name"]),
        "younger_than_at_an_earlier_film": _examples(
            ordered.loc[ordered["age"] < earlier - 1, "nih_name"]
        ),
    }


def _each_finding(table: pd.DataFrame, has: pd.DataFrame) -> dict[str, dict[str, Any]]:
    number = has.sum(axis=1)
    rows = {name: has[name] for name in FINDINGS}
    rows[NO_FINDING] = number == 0
    return {
        name: {
            "images": int(found.sum()),
            "share": _share(int(found.sum()), len(table)),
            "patients": int(table.loc[found, "patient_id"].nunique()),
            "alone": int((found & (number <= 1)).sum()),
            "by_view": {
                str(view): int((found & (table["view"] == view)).sum())
                for view in sorted(table["view"].unique())
            },
        }
        for name, found in rows.items()
    }


def _pneumonia(table: pd.DataFrame, has: pd.DataFrame) -> dict[str, Any]:
    """Films with the mined label beside films without it."""
    result: dict[str, Any] = {}
    for name, label in (("with", 1), ("without", 0)):
        rows = table[table["label_pneumonia"] == label]
        result[name] = {
            "images": len(rows),
            "share": _share(len(rows), len(table)),
            "patients": int(rows["patient_id"].nunique()),
            "age_years": _spread(rows["age"].where(rows["age"] <= OLDEST)),
            "sex": _shares(rows, "sex"),
            "view": _shares(rows, "view"),
            "follow_up": _spread(rows["follow_up"]),
            "findings_per_image": _spread(has.loc[rows.index].sum(axis=1)),
            "no_finding": int((rows["finding_labels"] == NO_FINDING).sum()),
        }
    both = table.groupby("patient_id")["label_pneumonia"].nunique()
    result["patients_with_and_without"] = int((both > 1).sum())
    return result


def _shares(rows: pd.DataFrame, column: str) -> dict[str, float | None]:
    counts = rows[column].value_counts().sort_index()
    return {str(name) or "missing": _share(int(n), len(rows)) for name, n in counts.items()}


def _comorbidity(has: pd.DataFrame) -> dict[str, Any]:
    """Images with both findings; and the share of each finding with and without pneumonia."""
    numbers = has.to_numpy(dtype=np.int64)
    together = numbers.T @ numbers
    positive = has["Pneumonia"]
    return {
        "images_with_both": {
            a: {b: int(together[i, j]) for j, b in enumerate(FINDINGS)}
            for i, a in enumerate(FINDINGS)
        },
        "beside_pneumonia": {
            name: {
                "with_pneumonia": _share(int(has.loc[positive, name].sum()), int(positive.sum())),
                "without_pneumonia": _share(
                    int(has.loc[~positive, name].sum()), int((~positive).sum())
                ),
            }
            for name in FINDINGS
            if name != "Pneumonia"
        },
    }


def _images_per_patient(table: pd.DataFrame) -> dict[str, Any]:
    number = table.groupby("patient_id").size()
    bands = {}
    for low, high in _FILMS_A_PATIENT:
        name = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        bands[name] = int(number.between(low, high if high is not None else np.inf).sum())
    return {**_spread(number), "patients_by_images": bands}


def _follow_ups(table: pd.DataFrame) -> dict[str, Any]:
    groups = table.groupby("patient_id")["follow_up"]
    span = groups.max() - groups.min() + 1
    absent = (span > groups.nunique()) | (groups.min() > 0)
    return {
        "patients_with_follow_up": int((groups.size() > 1).sum()),
        "highest_number": int(table["follow_up"].max()),
        "patients_whose_numbers_skip": int(absent.sum()),
        "pneumonia_at_first_film": int(
            table.sort_values("follow_up").drop_duplicates("patient_id")["label_pneumonia"].sum()
        ),
    }


def _geometry(table: pd.DataFrame) -> dict[str, Any]:
    sizes = (
        table["orig_w"].astype(int).astype(str) + " x " + table["orig_h"].astype(int).astype(str)
    )
    return {
        "original_width_px": _spread(table["orig_w"]),
        "original_height_px": _spread(table["orig_h"]),
        "aspect_ratio": _spread(table["orig_w"] / table["orig_h"]),
        "pixel_spacing_mm": _spread(table["spacing_x_mm"]),
        "spacing_not_square": int((table["spacing_x_mm"] != table["spacing_y_mm"]).sum()),
        "commonest_sizes": {str(k): int(v) for k, v in sizes.value_counts().head(8).items()},
    }


def _consistency(table: pd.DataFrame) -> dict[str, Any]:
    sexes = table.groupby("patient_id")["sex"].nunique()
    named = "nih-" + table["nih_name"].str.extract(r"^0*(\d+)_", expand=False).str.zfill(5)
    other = table.loc[named.notna() & (named != table["patient_id"]), "nih_name"]
    return {
        "patients_of_two_sexes": _examples(pd.Series(sexes.index[sexes > 1], dtype=str)),
        "name_of_another_patient": _examples(other),
    }


def _duplicates(dataset: Dataset) -> dict[str, Any]:
    table = dataset.table
    names = table.loc[table["nih_name"].duplicated(), "nih_name"]
    pair = table.duplicated(["patient_id", "follow_up"]) & ~table["nih_name"].duplicated()
    return {
        "rows_of_an_image_already_named": _examples(names),
        "patient_and_follow_up_twice": _examples(table.loc[pair, "nih_name"]),
        "image_files_of_one_name": _examples(pd.Series(dataset.twice, dtype=str)),
    }


def _lists(dataset: Dataset) -> dict[str, Any]:
    """NIH's official and quality lists against the table."""
    table = dataset.table
    result: dict[str, Any] = {}
    for name, listed in (*dataset.lists.items(), *dataset.quality.items()):
        rows = table[table["nih_name"].isin(listed)]
        result[name] = {
            "names": len(listed),
            "images": len(rows),
            "patients": int(rows["patient_id"].nunique()),
            "pneumonia": int(rows["label_pneumonia"].sum()),
            "pneumonia_share": _share(int(rows["label_pneumonia"].sum()), len(rows)),
            "not_in_the_table": len(listed - set(table["nih_name"])),
        }
    if len(dataset.lists) == 2:  # noqa: PLR2004  # train_val and test
        train, test = dataset.lists["train_val"], dataset.lists["test"]
        inside, outside = table["nih_name"].isin(train), table["nih_name"].isin(test)
        shared = set(table.loc[inside, "patient_id"]) & set(table.loc[outside, "patient_id"])
        result["in_both_official_lists"] = _examples(pd.Series(sorted(train & test), dtype=str))
        result["in_no_official_list"] = _examples(table.loc[~(inside | outside), "nih_name"])
        result["patients_in_both_official_lists"] = _examples(pd.Series(sorted(shared), dtype=str))
    result["absent"] = sorted({"train_val", "test"} - set(dataset.lists))
    return result


def _boxes(dataset: Dataset) -> dict[str, Any] | None:
    if dataset.boxes is None:
        return None
    boxes = dataset.boxes
    area = boxes["width"] * boxes["height"] / 1024**2
    return {
        "boxes": len(boxes),
        "images": int(boxes["nih_name"].nunique()),
        "not_in_the_table": len(set(boxes["nih_name"]) - set(dataset.table["nih_name"])),
        "by_finding": {
            str(name): {"boxes": len(rows), "area_share": _spread(area[rows.index])}
            for name, rows in boxes.groupby("finding")
        },
    }


def _files(dataset: Dataset) -> dict[str, Any]:
    """Which rows have an image file."""
    named = set(dataset.table["nih_name"])
    there = named & set(dataset.images)
    return {
        "found": len(there),
        "missing": len(named) - len(there),
        "not_in_the_table": _examples(pd.Series(sorted(set(dataset.images) - named), dtype=str)),
    }
