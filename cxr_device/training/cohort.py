"""Cohort: which films of a data set are used, by rule, with the counts at each step. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from cxr_device.training.dataset import Dataset
from cxr_device.vocabulary import View

__all__ = ["Cohort", "Step", "select"]

Keep = Callable[[pd.DataFrame], "pd.Series[bool]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is left after one rule."""

    rule: str
    left_out: int
    images: int
    patients: int
    pneumonia: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Films that every rule kept, and the flow that led to them."""

    table: pd.DataFrame
    """The columns of `Dataset.table`, one row an image, in the order of `nih_name`."""
    steps: tuple[Step, ...]
    """The first holds the whole table; the rules follow in the order in which they ran."""

    def flow(self) -> list[dict[str, Any]]:
        """Return the steps as plain JSON values."""
        return [asdict(step) for step in self.steps]


def select(dataset: Dataset, *, min_age_years: int, max_age_years: int) -> Cohort:
    """Apply the rules, in this order; none looks at a finding.

    One row an image; age readable and within the limits; a frontal view; on none of the quality
    lists that were found; an image file is there.

    Parameters
    ----------
    min_age_years, max_age_years : int
        Years, both included: the label's, from the release.
    """
    table = dataset.table.sort_values("nih_name").reset_index(drop=True)
    rules: list[tuple[str, Keep]] = [
        (
            "one row in the label table (all rows of an image named twice are left out)",
            lambda t: ~t["nih_name"].duplicated(keep=False),
        ),
        ("age is readable", lambda t: t["age"].notna()),
        (
            f"age {min_age_years} to {max_age_years} years",
            lambda t: t["age"].between(min_age_years, max_age_years),
        ),
        ("frontal view (PA or AP)", lambda t: t["view"].isin([view.value for view in View])),
    ]
    for name, listed in dataset.quality.items():
        words = f"not on NIH's list of images: {name.replace('_', ' ')}"
        rules.append((words, lambda t, listed=listed: ~t["nih_name"].isin(listed)))  # type: ignore[misc]
    rules.append(("image file present", lambda t: t["nih_name"].isin(list(dataset.images))))
    return _apply(table, rules)


def _apply(table: pd.DataFrame, rules: Sequence[tuple[str, Keep]]) -> Cohort:
    steps = [_step("rows of the label table", 0, table)]
    for rule, keep in rules:
        kept = table[keep(table)]
        steps.append(_step(rule, len(table) - len(kept), kept))
        table = kept
    return Cohort(table=table.reset_index(drop=True), steps=tuple(steps))


def _step(rule: str, left_out: int, table: pd.DataFrame) -> Step:
    return Step(
        rule=rule,
        left_out=left_out,
        images=len(table),
        patients=int(table["patient_id"].nunique()),
        pneumonia=int(table["label_pneumonia"].sum()),
    )
