"""Manifest: the table that names films; what cannot be used is named by file, row and column."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from cxr_device.errors import DatasetError

__all__ = ["need_classes", "need_columns", "need_films", "read_ages", "read_table"]


def read_table(path: Path, needed: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV table that has rows and the columns `needed`.

    Raises
    ------
    DatasetError
        It is empty, not UTF-8 or no table, or lacks a column.
    """
    try:
        table = pd.read_csv(path)
    except pd.errors.EmptyDataError as error:
        raise DatasetError(path, "no rows: the file is empty", "give a CSV table") from error
    except UnicodeDecodeError as error:
        reason = f"{_undecodable(path)} is not UTF-8"
        raise DatasetError(path, reason, "save it as UTF-8") from error
    except (OSError, ValueError) as error:
        raise DatasetError(path, f"is no table ({str(error).strip()})", "mend it") from error
    need_columns(path, table, needed)
    return table


def need_columns(path: Path, table: pd.DataFrame, needed: Sequence[str]) -> None:
    """Refuse a table without a column; the message names the first that is missing."""
    for name in needed:
        if name not in table:
            reason = f"no column `{name}`; it has {', '.join(map(str, table.columns))}"
            raise DatasetError(path, reason, "add the column")


def read_ages(path: Path, table: pd.DataFrame) -> "pd.Series[float]":
    """Ages in years of a table's films, NaN where none is given.

    Raises
    ------
    DatasetError
        An age is no number; the message names the row.
    """
    ages = pd.to_numeric(table["age"], errors="coerce")
    _refuse(path, table, "age", ages.isna() & table["age"].notna(), "a number of years, or nothing")
    return ages.astype("float64")


def need_classes(path: Path, table: pd.DataFrame, column: str) -> "pd.Series[float]":
    """Return a truth column; a value that is not 0, 1 or missing is refused, with its row."""
    found = pd.to_numeric(table[column], errors="coerce")
    bad = table[column].notna() & ~found.isin([0, 1])
    _refuse(path, table, column, bad, "0, 1, or nothing")
    return found.astype("float64")


def need_films(path: Path, *, kept: int, left_out: Iterable[str]) -> None:
    """Refuse a manifest of which no film is kept; `left_out` has a line `film: why` for each."""
    if kept:
        return
    reasons = Counter(line.partition(": ")[2] for line in left_out)
    words = "; ".join(f"{why} ({films})" for why, films in reasons.most_common(5))
    raise DatasetError(path, f"all {reasons.total()} are left out: {words}", "mend the manifest")


def _refuse(
    path: Path, table: pd.DataFrame, column: str, bad: "pd.Series[bool]", accepted: str
) -> None:
    """Name the first row whose value is `bad`, counted from 1 below the heading."""
    if bad.any():
        place = int(bad.to_numpy().argmax())
        where = f"row {int(table.index[place]) + 1} ({table['file'].iloc[place]})"
        reason = f"{where}: {column} {table[column].iloc[place]!r}"
        raise DatasetError(path, reason, f"accepted: {accepted}")


def _undecodable(path: Path) -> str:
    """Say where the first bytes that are no UTF-8 stand."""
    for row, line in enumerate(path.read_bytes().split(b"\n")):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return f"row {row}" if row else "the heading"
    return "the file"
