"""Agreement and the device against readers: from tables to results and report."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from validation import agreement as kappas
from validation import operating
from validation.against_readers import AgainstReaders, Reference, against_readers, references
from validation.agreement import Weights
from validation.errors import ArgumentError
from validation.estimate import Estimate, record
from validation.figures import Chart, Mark, forest, thinned
from validation.readers_tables import joined_votes, reads_from_findings
from validation.report import Report, Section, Table, cell, measures_table
from validation.tables import read_cases, read_ratings, read_table

__all__ = [
    "ReaderOptions",
    "ReaderStudyFiles",
    "against_readers_study",
    "agreement_report",
    "agreement_study",
    "as_estimate",
]


def as_estimate(entry: object) -> Estimate:
    """Return an entry of the results as the `Estimate` that it holds."""
    if isinstance(entry, Estimate):
        return entry
    if isinstance(entry, Mapping):
        names = {f.name for f in dataclasses.fields(Estimate)}
        return Estimate(**{k: v for k, v in entry.items() if k in names})
    raise ArgumentError(argument="entry", found=type(entry).__name__, accepted="an estimate")


def agreement_study(
    ratings: pd.DataFrame, *, weights: Weights = "unweighted", level: float = 0.95
) -> dict[str, object]:
    """Measure every coefficient on a checked RATINGS table (`case`, `reader`, `rating`)."""
    labels = ratings["rating"].to_numpy()
    categories = np.unique(labels)
    codes = (
        labels.astype(np.float64)
        if weights != "unweighted"
        else np.searchsorted(categories, labels).astype(np.float64)
    )
    wide = ratings.assign(code=codes).pivot_table(
        index="case", columns="reader", values="code", aggfunc="first"
    )
    table = wide.to_numpy(dtype=np.float64)
    readers = [str(reader) for reader in wide.columns]
    pairs = [
        {
            "a": readers[i],
            "b": readers[j],
            **_fields(kappas.cohen(table[:, i], table[:, j], weights=weights, level=level)),
        }
        for i, j in combinations(range(len(readers)), 2)
        if bool((~np.isnan(table[:, [i, j]]).any(axis=1)).any())
    ]
    two = len(readers) == 2  # noqa: PLR2004 - Cohen's own case
    cohen = (
        kappas.cohen(table[:, 0], table[:, 1], weights=weights, level=level).kappa
        if two
        else kappas.light(table, weights=weights, level=level)
    )
    return {
        "n": int(table.shape[0]),
        "readers": readers,
        "categories": [str(value) for value in categories],
        "missing": int(np.isnan(table).sum()),
        "weights": weights,
        "level": level,
        "cohen": {**_fields(cohen), "pairs": pairs},
        "fleiss": kappas.fleiss(table, weights=weights, level=level),
        "conger": kappas.conger(table, weights=weights, level=level),
        "gwet_ac1": kappas.gwet(table, weights=weights, level=level),
        "brennan_prediger": kappas.brennan_prediger(table, weights=weights, level=level),
        "krippendorff_alpha": kappas.krippendorff(table, weights=weights, level=level),
    }


def _fields(value: object) -> dict[str, object]:
    entry = record(value)
    if not isinstance(entry, dict):
        raise ArgumentError(argument="value", found=type(value).__name__, accepted="a dataclass")
    return dict(entry)


def agreement_report(found: Mapping[str, object], *, name: str, sha256: str) -> Report:
    """Return the report of an agreement study."""
    rows = [
        (label, as_estimate(found[key]))
        for label, key in (
            ("Cohen's kappa (mean over pairs)", "cohen"),
            ("Fleiss' kappa", "fleiss"),
            ("Conger's kappa", "conger"),
            ("Gwet's AC", "gwet_ac1"),
            ("Brennan-Prediger", "brennan_prediger"),
            ("Krippendorff's alpha", "krippendorff_alpha"),
        )
    ]
    figure = forest(
        "Agreement",
        [(label[:28], e.estimate, e.lower, e.upper, cell(e)[:44]) for label, e in rows],
        x_label="Coefficient",
    )
    return Report(
        title="Agreement between readers",
        subtitle=f"{name} \u00b7 {found['n']} cases \u00b7 SHA-256 {sha256[:16]}\u2026",
        headline=tuple((label, cell(e).split(" ")[0], cell(e)) for label, e in rows[1:4]),
        sections=(
            Section(
                title="Coefficients",
                text=(
                    (
                        "Kappa falls where one category dominates although readers agree; Gwet's "
                        "coefficient does not. Read them side by side."
                    ),
                ),
                tables=(measures_table(rows, level=float(str(found["level"]))),),
                figures=("agreement",),
            ),
        ),
        figures={"agreement": figure},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderOptions:
    """What the protocol fixes for the device against readers."""

    reference: Reference
    adjudicator: str | None = None
    findings: tuple[str, ...] = ()
    positive_at: float = 1.0
    threshold: float | None = None
    cluster: str | None = None
    score: str = "score"
    margin: float | None = None
    resamples: int = 2000
    seed: int = 0
    level: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderStudyFiles:
    """Results and report, ready to write."""

    results: dict[str, object]
    report: Report


def against_readers_study(
    cases_path: Path, reads_path: Path, options: ReaderOptions
) -> ReaderStudyFiles:
    """Read CASES and READS and compare the device with the readers."""
    cases = read_cases(cases_path, scores=(options.score,), cluster=options.cluster)
    if options.findings:
        ratings = reads_from_findings(reads_path, findings=options.findings)
        digest = read_table(reads_path)[1]
    else:
        ratings, digest = read_ratings(reads_path, numeric=True)
    rows, votes, readers, counts = joined_votes(
        cases, ratings, positive_at=options.positive_at, name=reads_path.name
    )
    score = cases.scores[options.score][rows]
    found = against_readers(
        score,
        votes,
        reference=options.reference,
        readers=readers,
        patient=None if cases.cluster is None else cases.cluster[rows],
        adjudicator=options.adjudicator,
        threshold=options.threshold,
        margin=options.margin,
        resamples=options.resamples,
        seed=options.seed,
        level=options.level,
    )
    results: dict[str, object] = {
        "schema": "cxr-validate/against-readers/1",
        "cases_sha256": cases.sha256,
        "reads_sha256": digest,
        "findings": list(options.findings),
        "cases": counts,
        **{f.name: getattr(found, f.name) for f in dataclasses.fields(found)},
    }
    results["readers"] = {**_fields(found.readers), "each": results.pop("each")}
    report = _report(found, score, votes, counts, name=f"{cases_path.name}, {reads_path.name}")
    return ReaderStudyFiles(results=results, report=report)


def _report(
    found: AgainstReaders,
    score: NDArray[np.float64],
    votes: NDArray[np.int64],
    counts: Mapping[str, int],
    *,
    name: str,
) -> Report:
    rows = [
        ("Device, AUC", found.device),
        ("One reader, AUC", found.readers),
        ("Readers left out together, AUC by count of votes", found.left_out_pair),
        ("Device minus one reader", found.difference),
        ("Device minus the readers together", found.pair_difference),
        ("Readers that the device counts for", found.readers_worth),
    ]
    optional = (
        ("Device, sensitivity", found.device_sensitivity),
        ("Device, specificity", found.device_specificity),
        ("F1 of the device (CheXNet's scheme)", found.f1_device),
        ("F1 of the readers", found.f1_readers),
        ("F1 difference", found.f1_difference),
    )
    rows += [(label, e) for label, e in optional if e is not None]
    each = Table(
        header=(
            "Reader",
            "AUC",
            "Sensitivity",
            "Specificity",
            "Device's sensitivity there, less his",
            "Device minus reader, AUC",
            "Below the curve on",
        ),
        rows=tuple(
            (
                p.reader,
                cell(p.auc),
                f"{p.sensitivity:.3f}",
                f"{p.specificity:.3f}",
                cell(p.sensitivity_difference),
                cell(p.difference),
                f"{p.below_curve:.0%} of {p.references}",
            )
            for p in found.each
        ),
    )
    text = [
        (
            f"{counts['both']:,} cases read and scored; {counts['read_not_scored']:,} read but not "
            f"scored, {counts['scored_not_read']:,} scored but not read. Reference: "
            f"{found.reference}, {found.n_references} in all. {found.caution}"
        ),
        (
            f"{found.readers_below_curve} of {len(found.each)} readers lie below the device's "
            "curve on most of the references that measure them."
        ),
    ]
    if found.margin is not None:
        verdict = "shown" if found.noninferior else "not shown"
        text.append(
            f"Non-inferiority to one reader by the margin {found.margin:g} in AUC: {verdict}."
        )
    return Report(
        title="The device against readers",
        subtitle=f"{name} \u00b7 {found.n:,} cases, {found.n_patients:,} patients",
        headline=tuple((label, cell(e).split(" ")[0], cell(e)) for label, e in rows[:3]),
        sections=(
            Section(
                title="Comparison",
                text=tuple(text),
                tables=(measures_table(rows, level=found.level), each),
                figures=("plane", "ladder"),
            ),
        ),
        figures={"plane": _plane(found, score, votes), "ladder": _ladder(found)},
    )


def _plane(found: AgainstReaders, score: NDArray[np.float64], votes: NDArray[np.int64]) -> str:
    """Return the ROC plane: the device's curves on the references, the readers' mean points."""
    chart = Chart(title="ROC plane", x_label="1 \u2212 specificity", y_label="Sensitivity")
    chart.line([0.0, 1.0], [0.0, 1.0], colour="soft", dash="3 4")
    adjudicated = found.reference == "adjudicated"
    if not adjudicated:
        sets, _ = references(votes, found.reference)
        grid = np.linspace(0.0, 1.0, 201)
        curves = []
        for one in sets:
            curve = operating.curve(one.truth, score)
            x, y = curve.false_positive_rate, curve.true_positive_rate
            curves.append(np.interp(grid, x, y))
        low, high = np.min(curves, axis=0), np.max(curves, axis=0)
        if len(sets) > 1:
            chart.band(grid.tolist(), low.tolist(), high.tolist())
        x_mean, y_mean = thinned(grid, np.mean(curves, axis=0))
        chart.line(x_mean, y_mean, label=f"device, AUC {cell(found.device)}")
    for point in found.each:
        chart.mark(
            Mark(
                x=1.0 - point.specificity,
                y=point.sensitivity,
                colour="b",
                label=point.reader[-4:],
                hollow=True,
            )
        )
    if found.device_sensitivity is not None and found.device_specificity is not None:
        sens, spec = found.device_sensitivity.estimate, found.device_specificity.estimate
        if sens is not None and spec is not None:
            chart.mark(Mark(x=1.0 - spec, y=sens, label="device"))
    chart.note("open circles: readers; band: over references")
    return chart.svg()


def _ladder(found: AgainstReaders) -> str:
    rows = [
        ("Device", found.device),
        ("One reader", found.readers),
        ("Two left out, by votes", found.left_out_pair),
        *[(f"  {p.reader}"[-20:], p.auc) for p in found.each],
    ]
    return forest(
        "AUC on the same references",
        [(label, e.estimate, e.lower, e.upper, cell(e)[:40]) for label, e in rows],
        x_label="AUC; dashed: the device",
        reference=found.device.estimate,
    )
