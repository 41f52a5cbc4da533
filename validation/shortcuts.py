"""The shortcut audit: what a model without anatomy scores on the same cases, in each stratum.

A classifier is fitted, across folds of patients, to features that hold no anatomy: table columns
(view, age, source, sizes) and, where the films can be read, a thumbnail of 8 x 8, a grey-value
histogram and the noise. Where it comes near the device, the cohort can be solved without looking
at the lungs, and the device's figure there says little.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from validation import roc
from validation.errors import TableError
from validation.estimate import Estimate, undefined
from validation.figures import forest
from validation.report import Report, Section, Table, cell
from validation.roc import AucDifference
from validation.tables import Cases, group_labels

__all__ = ["Audit", "Stratum", "audit", "film_features", "report", "table_features"]

Floats = NDArray[np.float64]

FOLDS: Final = 5
THUMBNAIL: Final = 8
"""Pixels a side: smaller than a lung field's detail, larger than the frame."""
MOST_LEVELS: Final = 20
"""Levels above which a text column is an identifier, not a feature."""
NOT_FEATURES: Final = (
    "truth", "label", "finding", "score", "case", "patient", "group_id", "file", "name", "sha",
    "split", "use", "rsna", "google", "licence", "license", "repo", "uid", "quality", "flag",
    "guard",
)  # fmt: skip
"""Starts (or parts) of column names that hold the answer or an identifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Both scores within one stratum; `difference` is device minus the model without anatomy."""

    column: str
    stratum: str
    n: int
    n_positive: int
    device: Estimate
    without_anatomy: Estimate
    difference: AucDifference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The audit of a cohort; the first stratum is the whole cohort."""

    features: tuple[str, ...]
    films_read: int
    n: int
    n_not_in_manifest: int
    folds: int
    seed: int
    method: str
    strata: tuple[Stratum, ...]
    single_features: dict[str, Estimate]


def table_features(manifest: pd.DataFrame, names: Sequence[str] = ()) -> pd.DataFrame:
    """Return numeric features of the manifest's columns; text of few levels becomes 0/1 columns.

    Without `names`, every column is taken but those whose name marks an answer or an identifier
    (`NOT_FEATURES`).
    """
    chosen = list(names) or [
        str(column)
        for column in manifest.columns
        if not any(part in str(column).lower() for part in NOT_FEATURES)
    ]
    parts: dict[str, Floats] = {}
    for column in chosen:
        if column not in manifest.columns:
            raise TableError(
                table="MANIFEST", column=column, found="missing column", accepted="a column"
            )
        numbers = pd.to_numeric(manifest[column], errors="coerce").to_numpy(dtype=np.float64)
        if np.isfinite(numbers).mean() > 0.5:  # noqa: PLR2004 - mostly numbers
            parts[column] = np.where(np.isfinite(numbers), numbers, np.nanmedian(numbers))
            continue
        labels = group_labels(manifest[column])
        levels = np.unique(labels)
        if 1 < levels.size <= MOST_LEVELS:
            parts |= {f"{column}={level}": (labels == level) * 1.0 for level in levels}
    return pd.DataFrame(parts, index=manifest.index)


def film_features(path: Path) -> Floats:
    """Return thumbnail, histogram, noise, size and file size of one film, shape (85,)."""
    with Image.open(path) as film:
        grey = film.convert("L")
        pixels = np.asarray(grey, dtype=np.float64)
        thumbnail = np.asarray(grey.resize((THUMBNAIL, THUMBNAIL)), dtype=np.float64)
    histogram = np.histogram(pixels, bins=16, range=(0.0, 256.0))[0] / pixels.size
    noise = float(np.abs(pixels[1:, 1:] - pixels[:-1, :-1]).mean())
    size = (*pixels.shape, path.stat().st_size, noise, pixels.mean())
    return np.concatenate((thumbnail.ravel(), histogram, np.asarray(size, dtype=np.float64)))


def audit(  # noqa: PLR0913 - two tables, what joins them, and two options
    cases: Cases,
    manifest: pd.DataFrame,
    *,
    key: str = "case_id",
    features: Sequence[str] = (),
    strata: Sequence[str] = (),
    folder: Path | None = None,
    score: str = "score",
    seed: int = 0,
    level: float = 0.95,
) -> Audit:
    """Audit a cohort for shortcuts.

    Parameters
    ----------
    cases : Cases
        The device's scores and truth.
    manifest : DataFrame
        One row a film: the key, features, and optionally `file`.
    key : str
        Column of the manifest that holds the case_id.
    features : sequence of str
        Columns to use; see `table_features`.
    strata : sequence of str
        Columns of CASES or of the manifest; `view` and `source` where present without it.
    folder : Path, optional
        Where the manifest's `file` paths start; without it no film is read.
    score, seed, level
    """
    if key not in manifest.columns:
        raise TableError(table="MANIFEST", column=key, found="missing column", accepted="the key")
    rows = _one_row_a_case(manifest.set_index(manifest[key].astype(str).str.strip()), cases, key)
    known = np.asarray([case in rows.index for case in cases.case_id])
    if not known.any():
        raise TableError(
            table="MANIFEST", column=key, case_id=str(cases.case_id[0]), found="no case of CASES",
            accepted="the case_id values",
        )  # fmt: skip
    here = rows.loc[cases.case_id[known].tolist()]
    truth, device = cases.truth[known], cases.scores[score][known]
    between = None if cases.cluster is None else cases.cluster[known]
    patient = cases.case_id[known] if between is None else between
    table = table_features(here, features)
    columns = [table.to_numpy(dtype=np.float64)]
    films = 0
    if folder is not None and "file" in here.columns:
        paths = [folder / str(name) for name in here["file"]]
        if all(path.is_file() for path in paths):
            columns.append(np.stack([film_features(path) for path in paths]))
            films = len(paths)
    design = np.concatenate(columns, axis=1)
    if design.shape[1] == 0:
        raise TableError(table="MANIFEST", found="no feature column", accepted="at least one")
    folds = min(FOLDS, int(np.unique(patient[truth == 1]).size), int(np.unique(patient).size))
    plain = _out_of_fold(design, truth, patient, max(folds, 2), seed)
    chosen = list(strata) or [c for c in ("view", "source") if c in cases.frame or c in here]
    found = [_stratum("all", "all", truth, device, plain, between, level)]
    for column in chosen:
        if column in cases.frame.columns:
            labels = group_labels(cases.frame[column])[known]
        elif column in here.columns:
            labels = group_labels(here[column])
        else:
            raise TableError(
                table="CASES", column=column, found="missing column", accepted="a stratum column"
            )
        for name in np.unique(labels):
            at = labels == name
            found.append(
                _stratum(
                    column,
                    str(name),
                    truth[at],
                    device[at],
                    plain[at],
                    None if between is None else between[at],
                    level,
                )
            )
    return Audit(
        features=tuple(str(c) for c in table.columns),
        films_read=films,
        n=int(known.sum()),
        n_not_in_manifest=int((~known).sum()),
        folds=max(folds, 2),
        seed=seed,
        method="logistic regression, out of fold by "
        + ("case; DeLong" if cases.cluster is None else "patient; Obuchowski 1997"),
        strata=tuple(found),
        single_features={
            str(c): roc.auc(
                truth, table[c].to_numpy(dtype=np.float64), cluster=between, level=level
            )
            for c in table.columns
        },
    )


def _one_row_a_case(rows: pd.DataFrame, cases: Cases, key: str) -> pd.DataFrame:
    """Return the manifest by its key; refuse two rows for a case that is wanted."""
    wanted = rows.index[rows.index.isin(cases.case_id)]
    if wanted.has_duplicates:
        raise TableError(
            table="MANIFEST", column=key, case_id=str(wanted[wanted.duplicated()][0]),
            found="two rows for one case", accepted="one row for each case of CASES",
        )  # fmt: skip
    return rows


def _out_of_fold(
    design: Floats, truth: NDArray[np.int64], patient: NDArray[np.object_], folds: int, seed: int
) -> Floats:
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    out = np.full(truth.size, float(truth.mean()))
    for train, test in splitter.split(design, truth, patient):
        if np.unique(truth[train]).size == 1:
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        model.fit(design[train], truth[train])
        out[test] = model.predict_proba(design[test])[:, 1]
    return out


def _stratum(  # noqa: PLR0913, PLR0917 - the columns of one stratum
    column: str,
    name: str,
    truth: NDArray[np.int64],
    device: Floats,
    plain: Floats,
    patient: NDArray[np.object_] | None,
    level: float,
) -> Stratum:
    n_positive = int(truth.sum())
    both = 1 < n_positive < truth.size - 1
    none = undefined("fewer than two cases of a class", level=level, method="AUC", n=truth.size)
    difference = None
    several = patient is None or all(np.unique(patient[truth == k]).size > 1 for k in (0, 1))
    if both and several:
        difference = roc.compare(truth, device, plain, cluster=patient, level=level)
    return Stratum(
        column=column,
        stratum=name,
        n=truth.size,
        n_positive=n_positive,
        device=roc.auc(truth, device, cluster=patient, level=level) if both else none,
        without_anatomy=roc.auc(truth, plain, cluster=patient, level=level) if both else none,
        difference=difference,
    )


def report(found: Audit, *, name: str) -> Report:
    """Return the report of the audit."""
    rows: list[tuple[str, float | None, float | None, float | None, str]] = []
    for s in found.strata:
        rows.append((f"{s.column}: {s.stratum}"[:26] + ":", None, None, None, f"n {s.n:,}"))
        for label, e in (("device", s.device), ("without anatomy", s.without_anatomy)):
            rows.append((label, e.estimate, e.lower, e.upper, cell(e)[:40]))
    whole = found.strata[0]
    table = Table(
        header=("Stratum", "n", "With finding", "Device", "Without anatomy", "Difference"),
        rows=tuple(
            (
                f"{s.column}: {s.stratum}",
                f"{s.n:,}",
                f"{s.n_positive:,}",
                cell(s.device),
                cell(s.without_anatomy),
                "\u2013" if s.difference is None else f"{s.difference.estimate:+.3f}",
            )
            for s in found.strata
        ),
    )
    text = (
        (
            f"{len(found.features)} table features, {found.films_read:,} films read for thumbnail, "
            f"histogram and noise; {found.method}."
        ),
        (
            "A stratum where the model without anatomy comes near the device can be solved without "
            "the lungs; a figure pooled over strata can be solved by knowing the stratum."
        ),
    )
    return Report(
        title="Shortcut audit",
        subtitle=f"{name} \u00b7 {found.n:,} cases",
        headline=(
            ("Device, all", cell(whole.device).split(" ")[0], cell(whole.device)),
            (
                "Without anatomy, all",
                cell(whole.without_anatomy).split(" ")[0],
                cell(whole.without_anatomy),
            ),
        ),
        sections=(Section(title="By stratum", text=text, tables=(table,), figures=("strata",)),),
        figures={"strata": forest("AUC of the device and without anatomy", rows, x_label="AUC")},
    )
