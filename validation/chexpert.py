"""The CheXpert 500 studies as a second real table: eight radiologists and ten models.

`python -m validation.chexpert FOLDER OUT` reads the release of the test-set labels
(rajpurkarlab/cheXpert-test-set-labels), writes aggregated results, and no row of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from validation import readers_report, roc
from validation.against_readers import against_readers
from validation.errors import TableError
from validation.estimate import Json, record
from validation.figures import forest
from validation.report import Report, Section, Table, cell, write
from validation.tables import read_table

__all__ = ["FINDINGS", "model_scores", "reader_votes", "run"]

FINDINGS: Final = ("Consolidation", "Pleural Effusion", "Edema", "Atelectasis", "Cardiomegaly")
"""The five findings that every model of the release scores (the CheXpert competition tasks)."""
ENDPOINT: Final = ("Pneumonia", "Consolidation")
"""Reader agreement is also measured where either of these is called."""


def reader_votes(folder: Path, findings: Sequence[str]) -> pd.DataFrame:
    """Return votes 0/1, one column a reader, indexed by study: 1 where any finding is called."""
    votes = {}
    for path in sorted((folder / "radiologists").glob("*/bc*.csv")):
        frame, _ = read_table(path)
        missing = [c for c in ("Study", *findings) if c not in frame.columns]
        if missing:
            raise TableError(
                table=path.name, column=missing[0], found="missing column", accepted="a finding"
            )
        called = (frame[list(findings)].astype(float) == 1.0).any(axis=1)
        votes[path.stem.removesuffix("_gt")] = pd.Series(
            called.to_numpy(dtype=np.int64), index=frame["Study"].to_numpy()
        )
    table = pd.DataFrame(votes)
    if table.isna().to_numpy().any():
        raise TableError(table=folder.name, found="a reader misses a study", accepted="all read")
    return table.astype(np.int64)


def model_scores(folder: Path, finding: str) -> pd.DataFrame:
    """Return the score of each model for one finding, one column a model, indexed by study."""
    columns = {}
    for path in sorted((folder / "example_models" / "predictions" / "standard").glob("*.csv")):
        frame, _ = read_table(path)
        columns[path.stem.removesuffix("_predictions")] = pd.Series(
            frame[finding].astype(float).to_numpy(), index=frame["Study"].to_numpy()
        )
    return pd.DataFrame(columns)


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over models of each score's rank, in [0, 1]: no threshold is involved."""
    if np.isnan(scores).any():
        raise TableError(table="models", found="a model misses a study", accepted="all scored")
    ranks = stats.rankdata(scores, axis=0) - 1.0  # ties share their mean rank
    return np.asarray(ranks.mean(axis=1) / (scores.shape[0] - 1))


def _one(folder: Path, finding: str) -> dict[str, object]:
    votes = reader_votes(folder, (finding,))
    scores = model_scores(folder, finding).loc[votes.index]
    ensemble = _ranks(scores.to_numpy())
    table = votes.to_numpy()
    found = against_readers(
        ensemble, table, reference="panels", readers=tuple(votes.columns), resamples=500
    )
    truth = table.sum(axis=1) * 2 > table.shape[1]
    return {
        "n": int(table.shape[0]),
        "positive_by_majority_of_eight": int(truth.sum()),
        "models_by_mean_rank": found.device,
        "one_reader": found.readers,
        "two_readers": found.left_out_pair,
        "models_minus_one": found.difference,
        "models_minus_two": found.pair_difference,
        "readers_worth": found.readers_worth,
        "readers_below_curve": found.readers_below_curve,
        "readers": len(found.each),
        "models": {str(name): roc.auc(truth, scores[name].to_numpy()) for name in scores.columns},
    }


def _agreement(folder: Path, findings: Sequence[str]) -> Json:
    votes = reader_votes(folder, findings)
    long = (
        votes.rename_axis("case")
        .reset_index()
        .melt(id_vars="case", var_name="reader", value_name="rating")
    )
    return record(readers_report.agreement_study(long.assign(rating=long["rating"].astype(str))))


def run(folder: Path, out: Path) -> None:
    """Write `results.json`, `report.html` and a figure of the whole table into `out`."""
    findings = {finding: _one(folder, finding) for finding in FINDINGS}
    agreement = {finding: _agreement(folder, (finding,)) for finding in FINDINGS}
    agreement[" or ".join(ENDPOINT)] = _agreement(folder, ENDPOINT)
    rows: list[tuple[str, float | None, float | None, float | None, str]] = []
    table = []
    for finding, one in findings.items():
        rows.append((f"{finding}:", None, None, None, ""))
        cells = []
        for label, key in (
            ("ten models, mean rank", "models_by_mean_rank"),
            ("one reader", "one_reader"),
            ("two readers, by votes", "two_readers"),
        ):
            e = readers_report.as_estimate(one[key])
            rows.append((label, e.estimate, e.lower, e.upper, cell(e)))
            cells.append(cell(e))
        gap = cell(readers_report.as_estimate(one["models_minus_one"]))
        below = f"{one['readers_below_curve']} of {one['readers']}"
        positive = str(one["positive_by_majority_of_eight"])
        table.append((finding, positive, *cells, gap, below))
    kappas = []
    for finding, entry in agreement.items():
        if isinstance(entry, dict):
            kinds = ("fleiss", "gwet_ac1", "krippendorff_alpha")
            kappas.append(
                (finding, *(cell(readers_report.as_estimate(entry[kind])) for kind in kinds))
            )
    report = Report(
        title="CheXpert 500: eight radiologists, ten models",
        subtitle="Majorities of three readers (56 panels), means over panels, bootstrap of studies",
        headline=(),
        sections=(
            Section(
                title="Models beside readers",
                text=(
                    (
                        "Not the device: ten published models, combined by mean rank, none chosen "
                        "over another. Each reader is measured on panels he did not sit on."
                    ),
                    (
                        "What this does not show: performance of cxr_device, of any threshold, on "
                        "other hospitals; the readers saw films and no history; consolidation is "
                        "rare here, so its intervals are wide."
                    ),
                ),
                tables=(
                    Table(
                        header=(
                            "Finding",
                            "Positive",
                            "Models",
                            "One reader",
                            "Two readers",
                            "Models minus one",
                            "Readers below the curve",
                        ),
                        rows=tuple(table),
                    ),
                ),
                figures=("readers",),
            ),
            Section(
                title="Agreement of the eight",
                tables=(
                    Table(
                        header=("Finding", "Fleiss", "Gwet AC1", "Krippendorff"),
                        rows=tuple(kappas),
                    ),
                ),
            ),
        ),
        figures={"readers": forest("AUC on three-reader majorities", rows, x_label="AUC")},
    )
    results = {
        "schema": "cxr-validate/chexpert-500/1",
        "findings": findings,
        "agreement": agreement,
    }
    write(out, results, report)


if __name__ == "__main__":
    import sys

    run(Path(sys.argv[1]), Path(sys.argv[2]))
