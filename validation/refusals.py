"""How often a guard refuses each kind of film, with exact intervals.

Its table has one row a film and kind: `case`, `split`, `kind`, `wanted` ("accept" or "refuse") and
`refused` (0 or 1). An error is a refusal where "accept" is wanted, and a film let through where
"refuse" is.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from validation.errors import TableError
from validation.estimate import Json, record
from validation.proportions import proportion
from validation.tables import read_table

__all__ = ["COLUMNS", "rates", "read_refusals"]

COLUMNS: Final = ("case", "split", "kind", "wanted", "refused")
_WANTED: Final = ("accept", "refuse")


def read_refusals(path: Path, *, groups: Sequence[str] = ()) -> tuple[pd.DataFrame, str]:
    """Read and check the table; `refused` becomes 0 or 1.

    Raises
    ------
    TableError
        A column is missing, a word or number is not one of its set, or one case stands twice
        under one kind of a split.
    """
    frame, digest = read_table(path)
    for column in (*COLUMNS, *groups):
        if column not in frame:
            raise TableError(
                table=path.name, column=column, found="no such column",
                accepted=", ".join(COLUMNS),
            )  # fmt: skip
    for column, accepted in (("wanted", _WANTED), ("refused", ("0", "1"))):
        words = frame[column].astype(str)
        wrong = ~words.isin(accepted)
        if wrong.any():
            raise TableError(
                table=path.name, column=column,
                found=f"{words[wrong].iloc[0]!r} at case {frame.loc[wrong, 'case'].iloc[0]!r}",
                accepted=" or ".join(accepted),
            )  # fmt: skip
    twice = frame.duplicated(["case", "split", "kind"])
    if twice.any():
        raise TableError(
            table=path.name, column="case", found=f"{frame.loc[twice, 'case'].iloc[0]!r} twice",
            accepted="each case once a kind and split",
        )  # fmt: skip
    return frame.assign(refused=frame["refused"].astype(int)), digest


def rates(
    frame: pd.DataFrame, *, groups: Sequence[str] = (), level: float = 0.95
) -> list[dict[str, Json]]:
    """Error rate of each kind in each split, Clopper-Pearson, in the table's order.

    A split's good films (`wanted` is "accept") are also told apart by each column of `groups`.
    Films of one patient are counted as independent; `patients` says how many there are, where the
    table names them.
    """
    found: list[dict[str, Json]] = []
    for (split, kind), rows in frame.groupby(["split", "kind"], sort=False):
        wanted = str(rows["wanted"].iloc[0])
        entry = _rate(rows, wanted, level)
        if wanted == "accept" and groups:
            entry["groups"] = {
                column: {
                    str(name): _rate(part, wanted, level)["error"]
                    for name, part in rows.groupby(column)
                }
                for column in groups
            }
        found.append({"split": str(split), "kind": str(kind), "wanted": wanted, **entry})
    return found


def _rate(rows: pd.DataFrame, wanted: str, level: float) -> dict[str, Json]:
    errors = int((rows["refused"] == (1 if wanted == "accept" else 0)).sum())
    entry: dict[str, Json] = {"films": len(rows), "errors": errors}
    if "patient_id" in rows:
        entry["patients"] = int(rows["patient_id"].nunique())
    entry["error"] = record(proportion(errors, len(rows), level=level))
    return entry


def write(path: Path, fields: dict[str, Json]) -> str:
    """Write JSON aside, then rename; returns its digest."""
    text = json.dumps(fields, indent=1, ensure_ascii=False) + "\n"
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    return hashlib.sha256(text.encode()).hexdigest()
