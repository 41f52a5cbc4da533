"""How often a guard errs on each kind of film, with exact intervals (Clopper and Pearson 1934).

Its table has one row a film and kind: `case`, `split`, `kind`, `wanted` ("accept" or "refuse") and
`refused` (0 or 1). An error is a refusal where "accept" is wanted, and a film let through where
"refuse" is. Films count as independent; `patients` says how many stand behind them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from validation.errors import TableError
from validation.estimate import Estimate, percent
from validation.proportions import proportion
from validation.report import Report, Section, Table, cell
from validation.tables import read_table

__all__ = ["COLUMNS", "FACTS", "KindRate", "facts", "rates", "read_refusals", "report"]

COLUMNS: Final = ("case", "split", "kind", "wanted", "refused")
FACTS: Final = ("guard_sha256", "guard_threshold")
"""Columns that say which guard answered; where they stand, they hold one value."""
_WANTED: Final = ("accept", "refuse")


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRate:
    """The error rate of one kind of film in one split."""

    split: str
    kind: str
    wanted: str
    films: int
    errors: int
    patients: int | None
    """None where the table names no patients."""
    error: Estimate
    groups: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    """Error rates within each group column; only where "accept" is wanted."""


def read_refusals(path: Path, *, groups: Sequence[str] = ()) -> tuple[pd.DataFrame, str]:
    """Read and check the table; `refused` becomes 0 or 1.

    Returns the table, and the SHA-256 of its bytes.

    Raises
    ------
    TableError
        A column is missing, a cell is not one of its words, a kind wants two answers in one split,
        or one case stands twice under one kind of a split.
    """
    frame, digest = read_table(path)
    for column in (*COLUMNS, *groups):
        if column not in frame:
            raise TableError(
                table=path.name, column=column, found="no such column",
                accepted=", ".join((*COLUMNS, *groups)),
            )  # fmt: skip
    for column, accepted in (("wanted", _WANTED), ("refused", ("0", "1"))):
        words = frame[column].astype(str)
        wrong = ~words.isin(accepted)
        if wrong.any():
            raise TableError(
                table=path.name, column=column, found=repr(words[wrong].iloc[0]),
                case_id=str(frame.loc[wrong, "case"].iloc[0]), accepted=" or ".join(accepted),
            )  # fmt: skip
    twice = frame.duplicated(["case", "split", "kind"])
    mixed = frame.groupby(["split", "kind"])["wanted"].transform("nunique") > 1
    for wrong, found in ((twice, "a case twice"), (mixed, "two wanted answers in one kind")):
        if wrong.any():
            raise TableError(
                table=path.name, column="kind", found=found,
                case_id=str(frame.loc[wrong, "case"].iloc[0]),
                accepted="each case once in a kind, each kind with one wanted answer",
            )  # fmt: skip
    return frame.assign(refused=frame["refused"].astype(int)), digest


def facts(frame: pd.DataFrame, *, name: str) -> dict[str, str]:
    """Say which guard answered, where the table does.

    Raises
    ------
    TableError
        The answers are of two guards.
    """
    found = {}
    for column in FACTS:
        if column in frame:
            values = frame[column].astype(str).unique()
            if len(values) > 1:
                raise TableError(
                    table=name, column=column, found=", ".join(values[:2]),
                    accepted="answers of one guard",
                )  # fmt: skip
            found[column] = str(values[0])
    return found


def rates(
    frame: pd.DataFrame, *, groups: Sequence[str] = (), level: float = 0.95
) -> tuple[KindRate, ...]:
    """Error rate of each kind in each split, in the table's order.

    Kinds that should be accepted are also told apart by each column of `groups`.
    """
    return tuple(
        KindRate(
            split=str(split),
            kind=str(kind),
            wanted=str(rows["wanted"].iloc[0]),
            films=len(rows),
            errors=_errors(rows),
            patients=int(rows["patient_id"].nunique()) if "patient_id" in rows else None,
            error=_error(rows, level),
            groups={
                column: {str(name): _error(part, level) for name, part in rows.groupby(column)}
                for column in (groups if rows["wanted"].iloc[0] == "accept" else ())
            },
        )
        for (split, kind), rows in frame.groupby(["split", "kind"], sort=False)
    )


def _errors(rows: pd.DataFrame) -> int:
    return int((rows["refused"] == (rows["wanted"] == "accept")).sum())


def _error(rows: pd.DataFrame, level: float) -> Estimate:
    return proportion(_errors(rows), len(rows), level=level)


def report(found: Sequence[KindRate], *, name: str, level: float) -> Report:
    """Lay the rates out: one table a split, and one for the groups of accepted kinds."""
    sections = []
    for split in dict.fromkeys(rate.split for rate in found):
        rows = tuple(
            (r.kind, r.wanted, f"{r.errors} of {r.films}", cell(r.error, digits=4))
            for r in found
            if r.split == split
        )
        header = ("Kind of film", "Wanted", "Errors", f"Error rate ({percent(level)} interval)")
        sections.append(Section(title=split, tables=(Table(header=header, rows=rows),)))
    grouped = tuple(
        (f"{r.split}, {r.kind}", f"{column} {group}", f"{e.n}", cell(e, digits=4))
        for r in found
        for column, parts in r.groups.items()
        for group, e in parts.items()
    )
    if grouped:
        header = ("Accepted kind", "Group", "Films", f"Error rate ({percent(level)} interval)")
        sections.append(Section(title="Groups", tables=(Table(header=header, rows=grouped),)))
    return Report(
        title="Refusals",
        subtitle=name,
        headline=tuple(
            (f"{r.split}: good films refused", cell(r.error, digits=4), f"{r.errors} of {r.films}")
            for r in found
            if r.wanted == "accept"
        ),
        sections=tuple(sections),
    )
