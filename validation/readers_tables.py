"""Reader tables: the wide five-reader file turned into READS, votes joined with CASES."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from validation.errors import TableError
from validation.tables import Cases, read_table

__all__ = ["PNEUMONIA_ENDPOINT", "joined_votes", "reads_from_findings"]

PNEUMONIA_ENDPOINT: Final = ("Pneumonia", "Consolidation", "Infiltration")
"""Findings that count as the endpoint where any of them is YES (protocol, reader endpoint)."""


def reads_from_findings(
    path: Path, *, findings: Sequence[str] = PNEUMONIA_ENDPOINT
) -> pd.DataFrame:
    """Turn the wide NIH all-findings file into a READS table.

    Parameters
    ----------
    path : Path
        One row a reader and image: `Image ID`, `Patient ID`, `Reader ID`, a YES/NO column a
        finding (Google, all_findings_expert_labels, test_individual_readers.csv).
    findings : sequence of str
        The vote is 1 where any of these is YES.

    Returns
    -------
    DataFrame
        `reader`, `case`, `rating` (0/1), `patient_id`.
    """
    frame, _ = read_table(path)
    wanted = ["Image ID", "Patient ID", "Reader ID", *findings]
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise TableError(
            table=path.name,
            column=missing[0],
            found="missing column",
            accepted=", ".join(wanted),
        )
    for column in wanted[:3]:
        empty = (frame[column].isna() | (frame[column].astype(str).str.strip() == "")).to_numpy()
        if empty.any():
            row = int(empty.argmax())
            where = f"row {row + 1}" if column == "Image ID" else str(frame["Image ID"].iloc[row])
            raise TableError(
                table=path.name, column=column, case_id=where, found="empty", accepted="a value"
            )
    for column in findings:
        odd = ~frame[column].isin(["YES", "NO"]).to_numpy()
        if odd.any():
            row = int(odd.argmax())
            raise TableError(
                table=path.name,
                column=column,
                case_id=str(frame["Image ID"].iloc[row]),
                found=repr(frame[column].iloc[row]),
                accepted="YES or NO",
            )
    vote = (frame[list(findings)] == "YES").any(axis=1)
    return pd.DataFrame(
        {
            "reader": frame["Reader ID"],
            "case": frame["Image ID"],
            "rating": vote.astype(int),
            "patient_id": frame["Patient ID"],
        }
    )


def joined_votes(
    cases: Cases, ratings: pd.DataFrame, *, positive_at: float = 1.0, name: str = "READS"
) -> tuple[NDArray[np.intp], NDArray[np.int64], tuple[str, ...], dict[str, int]]:
    """Join votes with CASES on the case.

    Parameters
    ----------
    cases : Cases
    ratings : DataFrame
        `case`, `reader`, `rating` (number).
    positive_at : float
        Lowest rating that counts as a vote for the finding.
    name : str
        Of the table, for messages.

    Returns
    -------
    rows : ndarray, shape (n,)
        Rows of CASES that were read.
    votes : ndarray of 0/1, shape (n, n_readers)
    readers : tuple of str
    counts : dict
        How many cases were in both tables, read but not scored, scored but not read.

    Raises
    ------
    TableError
        If no case is in both, a reader has read a case twice, or not one that others read.
    """
    twice = ratings.duplicated(["case", "reader"]).to_numpy()
    if twice.any():
        again = ratings.iloc[int(twice.argmax())]
        raise TableError(
            table=name,
            column="reader",
            case_id=str(again["case"]),
            found=f"reader '{again['reader']}' twice ({int(twice.sum())} such rows)",
            accepted="one reading for each reader and case",
        )
    wide = ratings.pivot_table(index="case", columns="reader", values="rating", aggfunc="first")
    absent = wide.isna().to_numpy()
    if absent.any():
        row, column = (int(i) for i in np.argwhere(absent)[0])
        raise TableError(
            table=name,
            column="rating",
            case_id=str(wide.index[row]),
            found=f"no reading by reader '{wide.columns[column]}' ({int(absent.sum())} such cells)",
            accepted="every reader reads every case",
        )
    position = {case: row for row, case in enumerate(cases.case_id)}
    both = [case for case in wide.index if case in position]
    if not both:
        raise TableError(
            table=name,
            column="case",
            case_id=str(wide.index[0]),
            found="no case is in CASES",
            accepted="values of case_id",
        )
    votes = (wide.loc[both].to_numpy(dtype=np.float64) >= positive_at).astype(np.int64)
    counts = {
        "both": len(both),
        "read_not_scored": int(wide.shape[0] - len(both)),
        "scored_not_read": int(cases.n - len(both)),
    }
    rows = np.asarray([position[case] for case in both], dtype=np.intp)
    return rows, votes, tuple(str(reader) for reader in wide.columns), counts
