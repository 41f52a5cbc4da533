"""How much a score changes when the same film comes in another form.

Its table has one row a film and form: `case`, `rendition`, `reference` (the score of the film in
the form that the statistics of this study were made on) and `score` (in this form), both
probabilities. The bound is a high quantile of |score - reference|, with the distribution-free
interval of order statistics (Conover, Practical Nonparametric Statistics, 1999, section 3.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from validation.errors import ArgumentError, TableError
from validation.estimate import Estimate, check_level
from validation.proportions import proportion
from validation.report import Report, Section, Table, cell
from validation.tables import read_table

__all__ = ["COLUMNS", "Rendition", "differences", "quantile", "read_renditions", "report"]

COLUMNS: Final = ("case", "rendition", "reference", "score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One form of the films, against the reference form of the same films."""

    rendition: str
    films: int
    mean_difference: float
    """Mean of score - reference."""
    largest_difference: float
    """Largest |score - reference|."""
    bound: Estimate
    """Quantile of |score - reference|."""
    flips: Estimate
    """Share of films whose flag changes at the threshold."""


def quantile(values: NDArray[np.float64], *, q: float, level: float = 0.95) -> Estimate:
    """Quantile of a sample with its distribution-free interval.

    The estimate is the smallest value with at least a share `q` of the sample at or below it. The
    limits are order statistics; too small a sample has no upper limit, and says so.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
    q : float
        Inside (0, 1).

    Examples
    --------
    >>> quantile(np.arange(1.0, 101.0), q=0.5).interval()
    (40.0, 61.0)
    """
    check_level(level)
    if not 0.0 < q < 1.0 or values.size == 0:
        raise ArgumentError(argument="q", found=(q, values.size), accepted="inside (0, 1), n >= 1")
    ordered, n = np.sort(values), int(values.size)
    tail = (1 - level) / 2
    low = int(stats.binom.ppf(tail, n, q))
    high = int(stats.binom.ppf(1 - tail, n, q)) + 1
    # P(X(low) <= xi) = P(B >= low) and P(X(high) > xi) = P(B < high): both at least 1 - tail
    lower = float(ordered[low - 1]) if low >= 1 else None
    upper = float(ordered[high - 1]) if high <= n else None
    missing = lower is None or upper is None
    return Estimate(
        estimate=float(ordered[int(np.ceil(q * n - 1e-9)) - 1]),
        lower=lower,
        upper=upper,
        level=level,
        method=f"quantile {q:g}, order statistics",
        n=n,
        reason="too few films for a limit by order statistics" if missing else None,
    )


def read_renditions(path: Path) -> tuple[pd.DataFrame, str]:
    """Read and check the table; both scores become float64.

    Raises
    ------
    TableError
        A column is missing, a score is not a probability, or a case stands twice in one form.
    """
    frame, digest = read_table(path)
    for column in COLUMNS:
        if column not in frame:
            raise TableError(
                table=path.name, column=column, found="no such column",
                accepted=", ".join(COLUMNS),
            )  # fmt: skip
    for column in ("reference", "score"):
        numbers = pd.to_numeric(frame[column], errors="coerce")
        wrong = ~numbers.between(0.0, 1.0)
        if wrong.any():
            raise TableError(
                table=path.name, column=column, found=repr(frame.loc[wrong, column].iloc[0]),
                case_id=str(frame.loc[wrong, "case"].iloc[0]), accepted="a number in [0, 1]",
            )  # fmt: skip
        frame[column] = numbers.astype(np.float64)
    twice = frame.duplicated(["case", "rendition"])
    if twice.any():
        raise TableError(
            table=path.name, column="case", found="a case twice in one rendition",
            case_id=str(frame.loc[twice, "case"].iloc[0]), accepted="once",
        )  # fmt: skip
    return frame, digest


def differences(
    frame: pd.DataFrame, *, threshold: float, q: float = 0.95, level: float = 0.95
) -> tuple[Rendition, ...]:
    """Compare each form with the reference, in the table's order; a tie at `threshold` flags."""
    found = []
    for name, rows in frame.groupby("rendition", sort=False):
        score, reference = (rows[c].to_numpy(dtype=np.float64) for c in ("score", "reference"))
        change = score - reference
        flips = int(((score >= threshold) != (reference >= threshold)).sum())
        found.append(
            Rendition(
                rendition=str(name),
                films=len(rows),
                mean_difference=float(change.mean()),
                largest_difference=float(np.abs(change).max()),
                bound=quantile(np.abs(change), q=q, level=level),
                flips=proportion(flips, len(rows), level=level),
            )
        )
    return tuple(found)


def report(found: Sequence[Rendition], *, name: str, threshold: float) -> Report:
    """Lay the differences out in one table."""
    rows = tuple(
        (
            r.rendition,
            f"{r.films}",
            f"{r.mean_difference:+.5f}",
            cell(r.bound, digits=5),
            f"{r.largest_difference:.5f}",
            cell(r.flips, digits=4),
        )
        for r in found
    )
    header = ("Form", "Films", "Mean difference", "Bound", "Largest", "Flag changes")
    table = Table(header=header, rows=rows, caption=f"Scores are probabilities; {threshold=:g}.")
    return Report(
        title="The same films in other forms",
        subtitle=name,
        headline=(),
        sections=(Section(title="Score differences", tables=(table,)),),
    )
