"""Subgroups against the floor of the performance standard: what fails becomes a limitation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from validation.estimate import Estimate
from validation.standalone import Standalone
from validation.subgroups import SMALL_CELL, Heterogeneity

__all__ = ["MEASURES", "Limitation", "Row", "StrataTest", "SubgroupTable", "subgroup_table"]

MEASURES: Final = ("sensitivity", "specificity")
"""What is held against the floor in each subgroup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One stratum of one subgroup column, against one reference standard."""

    reference: str
    column: str
    stratum: str
    n: int
    n_positive: int
    small: bool
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Limitation:
    """A measure of a stratum whose lower bound is not above the floor, and why."""

    reference: str
    column: str
    stratum: str
    measure: str
    lower: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrataTest:
    """Whether the strata of a column differ in a measure."""

    reference: str
    column: str
    measure: str
    result: Heterogeneity


@dataclass(frozen=True, slots=True, kw_only=True)
class SubgroupTable:
    """All strata, the floor they are held against, and what fails it."""

    floor: float
    measures: tuple[str, ...]
    subgroups: tuple[Row, ...]
    limitations: tuple[Limitation, ...]
    heterogeneity: tuple[StrataTest, ...]


def subgroup_table(studies: Sequence[tuple[str, Standalone]], *, floor: float) -> SubgroupTable:
    """Return the strata of each study with a limitation for every measure that fails.

    A measure fails where the lower bound of its interval is absent or not above `floor`.

    Parameters
    ----------
    studies : sequence of (str, Standalone)
        Name of the reference standard, and the study against it.
    floor : float
        Share inside (0, 1).
    """
    rows: list[Row] = []
    tests: list[StrataTest] = []
    for reference, study in studies:
        for group in study.subgroups:
            rows += [
                Row(
                    reference=reference,
                    column=group.column,
                    stratum=s.stratum,
                    n=s.n,
                    n_positive=s.n_positive,
                    small=s.small,
                    sensitivity=s.sensitivity,
                    specificity=s.specificity,
                    auc=s.auc,
                )
                for s in group.strata
            ]
            tests += [
                StrataTest(reference=reference, column=group.column, measure=measure, result=result)
                for measure, result in (
                    ("sensitivity", group.sensitivity),
                    ("specificity", group.specificity),
                    ("auc", group.auc),
                )
            ]
    return SubgroupTable(
        floor=floor,
        measures=MEASURES,
        subgroups=tuple(rows),
        limitations=tuple(
            Limitation(
                reference=row.reference,
                column=row.column,
                stratum=row.stratum,
                measure=measure,
                lower=estimate.lower,
                reason=_reason(estimate, floor),
            )
            for row in rows
            for measure, estimate in (
                ("sensitivity", row.sensitivity),
                ("specificity", row.specificity),
            )
            if estimate.lower is None or estimate.lower <= floor
        ),
        heterogeneity=tuple(tests),
    )


def _reason(estimate: Estimate, floor: float) -> str:
    """Say from the data why the bound fails."""
    if estimate.n < SMALL_CELL:
        films = {0: "no film", 1: "one film"}.get(estimate.n, f"{estimate.n} films")
        return f"{films} of this class: no statement can be made"
    if estimate.estimate is None:
        return f"no estimate: {estimate.reason}"
    if estimate.estimate <= floor:
        return f"the estimate itself does not exceed the floor on {estimate.n} films"
    if estimate.lower is None:
        return f"no lower bound: {estimate.reason}"
    return f"the estimate exceeds the floor, but {estimate.n} films leave its interval too wide"
