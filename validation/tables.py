"""The input tables, read and checked once: CASES, READS, RATINGS.

CSV or Parquet, told apart by content. A table that a study cannot use raises `TableError`, which
names the column and the first case at fault; nothing is repaired, dropped or guessed.
"""

import csv
import hashlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from validation.errors import TableError

__all__ = ["Cases", "read_cases", "read_ratings", "read_reads", "read_table"]

PARQUET_MAGIC: Final = b"PAR1"
"""First four bytes of a Parquet file (Apache Parquet format, file format section)."""
MISSING_GROUP: Final = "(missing)"
"""Name of the subgroup of cases whose column is empty: counted, never dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """A checked CASES table.

    Parameters
    ----------
    case_id : ndarray of str, shape (n,)
    truth : ndarray of int, shape (n,)
        0 or 1, both present.
    scores : dict of str to ndarray of float64, shape (n,)
        In [0, 1].
    groups : dict of str to ndarray of str, shape (n,)
        Subgroup columns, empty cells as "(missing)".
    cluster : ndarray of str, shape (n,), or None
    sha256 : str
        Digest of the file as read.
    frame : DataFrame
        The whole table as read, for the columns that a caller joins on.
    """

    case_id: NDArray[np.object_]
    truth: NDArray[np.int64]
    scores: dict[str, NDArray[np.float64]]
    groups: dict[str, NDArray[np.object_]]
    cluster: NDArray[np.object_] | None
    sha256: str
    frame: pd.DataFrame

    @property
    def n(self) -> int:
        """Number of cases."""
        return int(self.truth.size)


def read_table(path: Path) -> tuple[pd.DataFrame, str]:
    """Read a CSV or Parquet file and return it with the SHA-256 of its bytes.

    CSV cells stay text, so that ``001`` stays an identifier and ``NA`` is seen as what it is.

    Raises
    ------
    TableError
        If there is no file, no row, or no table in it.
    """
    name = path.name
    if not path.is_file():
        raise TableError(table=str(path), found="no such file", accepted="a CSV or Parquet file")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if not content.strip():
        raise TableError(table=name, found="no rows", accepted="a header and at least one row")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame = _parse(content, name)
    except TableError:
        raise
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise TableError(
            table=name, found=f"not a table ({first})", accepted="CSV or Parquet"
        ) from error
    if frame.empty:
        raise TableError(table=name, found="no rows", accepted="a header and at least one row")
    return frame, digest


def _parse(content: bytes, name: str) -> pd.DataFrame:
    if content[:4] == PARQUET_MAGIC:
        return pd.read_parquet(io.BytesIO(content))
    text = content.decode("utf-8-sig")
    if "\0" in text:
        raise TableError(table=name, found="not a table (binary)", accepted="CSV or Parquet")
    header = next(csv.reader(io.StringIO(text)), [])
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise TableError(
            table=name, column=twice[0], found="a column twice", accepted="each column once"
        )
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, index_col=False)


def read_cases(
    path: Path,
    *,
    scores: Sequence[str] = ("score",),
    cluster: str | None = None,
    groups: Sequence[str] = (),
) -> Cases:
    """Read and check a CASES table.

    Parameters
    ----------
    path : Path
        CSV or Parquet with `case_id`, `truth` (0/1), the score columns (0..1).
    scores : sequence of str
        Score columns to check.
    cluster : str, optional
        Column that names the patient; it must be filled everywhere.
    groups : sequence of str
        Subgroup columns.

    Raises
    ------
    TableError
        For a missing column, truth other than 0/1 or of one class, a score that is empty, text,
        NaN or outside 0..1, a duplicate or empty case_id, no rows, or no table.
    """
    frame, digest = read_table(path)
    name = path.name
    wanted = ["case_id", "truth", *scores, *groups, *([cluster] if cluster else [])]
    _columns(frame, wanted, name)
    case_id = _identifiers(frame, "case_id", name)
    _no_duplicates(pd.DataFrame({"case_id": case_id}), ["case_id"], name, case_id)
    truth = _truth(frame, name, case_id)
    values = {column: _unit_interval(frame, column, name, case_id) for column in scores}
    return Cases(
        case_id=case_id,
        truth=truth,
        scores=values,
        groups={column: group_labels(frame[column]) for column in groups},
        cluster=_identifiers(frame, cluster, name, case_id) if cluster else None,
        sha256=digest,
        frame=frame,
    )


def read_reads(path: Path, *, cluster: str | None = None) -> tuple[pd.DataFrame, str]:
    """Read and check a READS table of a multi-reader multi-case study.

    Returns
    -------
    DataFrame
        `reader`, `modality`, `case` as text, `truth` as 0/1, `rating` as float64, and the cluster
        column if asked for. Design questions (crossed or not) are `mrmc`'s.
    str
        SHA-256 of the file.

    Raises
    ------
    TableError
        As `read_cases`; and for a case with two truths or with two patients.
    """
    frame, digest = read_table(path)
    name = path.name
    wanted = ["reader", "modality", "case", "truth", "rating", *([cluster] if cluster else [])]
    _columns(frame, wanted, name)
    case = _identifiers(frame, "case", name)
    reads = pd.DataFrame(
        {
            "reader": _identifiers(frame, "reader", name, case),
            "modality": _identifiers(frame, "modality", name, case),
            "case": case,
            "truth": _truth(frame, name, case),
            "rating": _numbers(frame, "rating", name, case),
        }
    )
    if cluster:
        reads[cluster] = _identifiers(frame, cluster, name, case)
    _no_duplicates(reads, ["reader", "modality", "case"], name, case)
    varying = reads.groupby("case")["truth"].transform("nunique").to_numpy() > 1
    if varying.any():
        raise TableError(
            table=name,
            column="truth",
            case_id=str(case[varying.argmax()]),
            found="0 for one reading and 1 for another",
            accepted="one truth for each case",
        )
    if cluster:
        _one_patient(reads, cluster, name)
    return reads, digest


def _one_patient(reads: pd.DataFrame, cluster: str, name: str) -> None:
    """Refuse a case that names another patient than its first row does."""
    patient = reads[cluster].to_numpy()
    first = reads.groupby("case")[cluster].transform("first").to_numpy()
    other = patient != first
    if other.any():
        row = int(other.argmax())
        raise TableError(
            table=name,
            column=cluster,
            case_id=str(reads["case"].iloc[row]),
            found=f"'{patient[row]}' in row {row + 1}, '{first[row]}' before",
            accepted="one patient for each case",
        )


def read_ratings(path: Path, *, numeric: bool = False) -> tuple[pd.DataFrame, str]:
    """Read and check a long RATINGS table: `case`, `reader`, `rating`, one row a rating.

    Parameters
    ----------
    path : Path
        CSV or Parquet. Further columns are ignored.
    numeric : bool
        Require numbers (votes 0/1 or confidence ratings); otherwise a rating is any label.

    Returns
    -------
    DataFrame
        `case`, `reader` as text and `rating` as text or float64.
    str
        SHA-256 of the file.
    """
    frame, digest = read_table(path)
    name = path.name
    _columns(frame, ["case", "reader", "rating"], name)
    case = _identifiers(frame, "case", name)
    reader = _identifiers(frame, "reader", name, case)
    rating = (
        _numbers(frame, "rating", name, case)
        if numeric
        else _identifiers(frame, "rating", name, case)
    )
    ratings = pd.DataFrame({"case": case, "reader": reader, "rating": rating})
    if not numeric and isinstance(frame["rating"].dtype, np.dtype):
        as_number = pd.to_numeric(frame["rating"], errors="coerce")
        if not as_number.isna().any():
            ratings["rating"] = [f"{value:.15g}" for value in as_number]
    _no_duplicates(ratings, ["case", "reader"], name, case)
    if len(ratings["reader"].unique()) <= 1:
        raise TableError(
            table=name, column="reader", found="one reader", accepted="two readers or more"
        )
    return ratings, digest


def group_labels(column: "pd.Series[str]") -> NDArray[np.object_]:
    """Return subgroup labels as text; an empty cell becomes "(missing)"."""
    missing = column.isna().to_numpy(dtype=bool)
    text = column.astype(str).str.strip().to_numpy(dtype=object)
    text[missing | (text == "")] = MISSING_GROUP
    return np.asarray(text, dtype=object)


def _columns(frame: pd.DataFrame, wanted: Sequence[str], name: str) -> None:
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        present = ", ".join(str(column) for column in frame.columns)
        raise TableError(
            table=name,
            column=missing[0],
            found=f"missing column (the table has: {present})",
            accepted=", ".join(dict.fromkeys(wanted)),
        )


def _identifiers(
    frame: pd.DataFrame,
    column: str,
    name: str,
    case_id: NDArray[np.object_] | None = None,
) -> NDArray[np.object_]:
    values = frame[column]
    text = values.astype(str).str.strip().to_numpy(dtype=object)
    empty = values.isna().to_numpy(dtype=bool) | (text == "")
    if empty.any():
        row = int(empty.argmax())
        where = f"row {row + 1}" if case_id is None else str(case_id[row])
        raise TableError(
            table=name, column=column, case_id=where, found="empty", accepted="a value"
        )
    return np.asarray(text, dtype=object)


def _no_duplicates(
    frame: pd.DataFrame, columns: list[str], name: str, case_id: NDArray[np.object_]
) -> None:
    repeated = frame.duplicated(columns).to_numpy(dtype=bool)
    if repeated.any():
        raise TableError(
            table=name,
            column=", ".join(columns),
            case_id=str(case_id[repeated.argmax()]),
            found=f"duplicate case ({int(repeated.sum())} rows repeat an earlier one)",
            accepted="each once",
        )


def _refuse_first(  # noqa: PLR0913 - the parts of one message
    wrong: NDArray[np.bool_],
    *,
    frame: pd.DataFrame,
    column: str,
    name: str,
    case_id: NDArray[np.object_],
    accepted: str,
) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        value = frame[column].iloc[row]
        found = "empty" if str(value).strip() == "" else repr(_plain(value))
        raise TableError(
            table=name,
            column=column,
            case_id=str(case_id[row]),
            found=f"{found} ({int(wrong.sum())} such rows)",
            accepted=accepted,
        )


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _as_numbers(frame: pd.DataFrame, column: str) -> NDArray[np.float64]:
    numbers = pd.to_numeric(frame[column], errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def _numbers(
    frame: pd.DataFrame, column: str, name: str, case_id: NDArray[np.object_]
) -> NDArray[np.float64]:
    values = _as_numbers(frame, column)
    wrong = ~np.isfinite(values)
    _refuse_first(
        wrong, frame=frame, column=column, name=name, case_id=case_id, accepted="a finite number"
    )
    return values


def _unit_interval(
    frame: pd.DataFrame, column: str, name: str, case_id: NDArray[np.object_]
) -> NDArray[np.float64]:
    values = _as_numbers(frame, column)
    wrong = ~((values >= 0.0) & (values <= 1.0))  # NaN is never within
    _refuse_first(
        wrong, frame=frame, column=column, name=name, case_id=case_id, accepted="a number in 0..1"
    )
    return values


def _truth(frame: pd.DataFrame, name: str, case_id: NDArray[np.object_]) -> NDArray[np.int64]:
    values = _as_numbers(frame, "truth")
    wrong = (values != 0.0) & (values != 1.0)
    _refuse_first(wrong, frame=frame, column="truth", name=name, case_id=case_id, accepted="0 or 1")
    if values.min() == values.max():
        raise TableError(
            table=name,
            column="truth",
            case_id=f"all, from {case_id[0]}",
            found=f"one class only: {int(values[0])} in all {values.size} rows",
            accepted="cases of both classes",
        )
    return np.asarray(values, dtype=np.int64)
