"""The report of a standalone study: flow, measures, curves, calibration, subgroups, use."""

import numpy as np
from numpy.typing import NDArray

from validation import operating
from validation.calibration import Calibration
from validation.decision_curve import NetBenefit
from validation.estimate import Estimate, percent
from validation.figures import Chart, Mark, flow, forest, thinned
from validation.report import Report, Section, Table, cell, measures_table
from validation.standalone import Standalone
from validation.subgroups import Heterogeneity, Subgroup
from validation.tables import Cases

__all__ = ["calibration_figure", "report", "roc_figure"]

Floats = NDArray[np.float64]

_NAMES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV (sample prevalence)",
    "npv": "NPV (sample prevalence)",
    "ppv_at_prevalence": "PPV at the stated prevalence",
    "npv_at_prevalence": "NPV at the stated prevalence",
    "accuracy": "Accuracy",
    "f1": "F1",
    "lr_positive": "LR+",
    "lr_negative": "LR\u2212",
    "odds_ratio": "Diagnostic odds ratio",
    "auc": "AUC",
    "average_precision": "Average precision",
    "brier": "Brier score",
}


def report(cases: Cases, found: Standalone, *, name: str) -> Report:
    """Return the report: flow, measures, curves, calibration, subgroups."""
    table, level = found.table, found.options.level
    score = cases.scores[found.options.score]
    rows = [(_NAMES[key], found.measures[key]) for key in _NAMES if key in found.measures]
    figures = {
        "flow": _flow(found),
        "roc": roc_figure(cases.truth, score, found),
        "pr": _precision_recall(cases.truth, score, found),
        "calibration": calibration_figure(found.calibration),
        "histogram": _histogram(cases.truth, score, found.options.threshold),
    }
    sections = [
        Section(
            title="Flow of cases",
            text=(
                f"{name}: {table.n:,} cases, {table.positives:,} with the finding"
                + (f", {found.clusters:,} patients." if found.clusters is not None else ".")
                + " The threshold was fixed in advance; a tie counts as flagged.",
            ),
            figures=("flow",),
        ),
        Section(
            title="Measures",
            tables=(measures_table(rows, level=level),),
            figures=("roc", "pr", "histogram"),
        ),
        _calibration_section(found.calibration),
        _use_section(found),
    ]
    figures["decision"] = _decision_figure(found.decision_curve)
    for group in found.subgroups:
        figures[f"subgroup_{len(sections)}"] = _subgroup_figure(group, found)
        sections.append(_subgroup_section(group, f"subgroup_{len(sections)}", level))
    headline = tuple(
        (label, _short(found.measures[key]), _range(found.measures[key]))
        for key, label in (
            ("auc", "AUC"),
            ("sensitivity", "Sensitivity"),
            ("specificity", "Specificity"),
        )
    )
    return Report(
        title="Standalone performance",
        subtitle=f"{name} \u00b7 threshold {found.options.threshold:g} \u00b7 SHA-256 of the table "
        f"{cases.sha256[:16]}\u2026",
        headline=headline,
        sections=tuple(sections),
        figures=figures,
    )


def _short(estimate: Estimate) -> str:
    return "\u2013" if estimate.estimate is None else f"{estimate.estimate:.3f}"


def _range(estimate: Estimate) -> str:
    low, high = ("\u2013" if v is None else f"{v:.3f}" for v in estimate.interval())
    return f"{low} to {high}, n {estimate.n:,}"


def _flow(found: Standalone) -> str:
    t = found.table
    return flow(
        "Flow of cases (STARD)",
        [
            [("Cases in the table", f"{t.n:,}")],
            [("With the finding", f"{t.positives:,}"), ("Without", f"{t.negatives:,}")],
            [
                ("Flagged", f"{t.tp:,} true positive"),
                ("Not flagged", f"{t.fn:,} false negative"),
                ("Flagged", f"{t.fp:,} false positive"),
                ("Not flagged", f"{t.tn:,} true negative"),
            ],
        ],
    )


def _pair(estimate: Estimate, *, flipped: bool = False) -> tuple[float, float] | None:
    if estimate.lower is None or estimate.upper is None:
        return None
    if flipped:
        return 1.0 - estimate.upper, 1.0 - estimate.lower
    return estimate.lower, estimate.upper


def roc_figure(truth: NDArray[np.int64], score: Floats, found: Standalone) -> str:
    """Return the ROC curve with the operating point and its two intervals."""
    line = operating.curve(truth, score)
    x, y = thinned(line.false_positive_rate, line.true_positive_rate)
    area = found.measures["auc"]
    chart = Chart(title="ROC", x_label="1 \u2212 specificity", y_label="Sensitivity")
    chart.line([0.0, 1.0], [0.0, 1.0], colour="soft", dash="3 4")
    chart.line(x, y, label=f"AUC {cell(area)}")
    sens, spec = found.measures["sensitivity"], found.measures["specificity"]
    if sens.estimate is not None and spec.estimate is not None:
        chart.mark(
            Mark(
                x=1.0 - spec.estimate,
                y=sens.estimate,
                colour="b",
                label=f"threshold {found.options.threshold:g}",
                x_interval=_pair(spec, flipped=True),
                y_interval=_pair(sens),
            )
        )
    return chart.svg()


def _precision_recall(truth: NDArray[np.int64], score: Floats, found: Standalone) -> str:
    recall, precision, _ = operating.precision_recall(truth, score)
    steps_x = np.repeat(np.concatenate(([0.0], recall)), 2)[1:]
    steps_y = np.repeat(np.concatenate(([precision[0]], precision)), 2)[:-1]
    x, y = thinned(steps_x, np.append(steps_y[1:], precision[-1]))
    chart = Chart(title="Precision and recall", x_label="Recall", y_label="Precision")
    base = float(truth.mean())
    chart.line([0.0, 1.0], [base, base], colour="soft", dash="3 4")
    chart.line(x, y, label=f"Average precision {cell(found.measures['average_precision'])}")
    return chart.svg()


def calibration_figure(found: Calibration) -> str:
    """Return the reliability diagram: bins of equal count with Wilson intervals."""
    chart = Chart(title="Calibration", x_label="Mean probability", y_label="Observed share")
    chart.line([0.0, 1.0], [0.0, 1.0], colour="soft", dash="3 4")
    for one in found.reliability:
        if one.observed.estimate is not None:
            chart.mark(
                Mark(
                    x=one.mean_probability,
                    y=one.observed.estimate,
                    y_interval=_pair(one.observed),
                )
            )
    chart.note(f"slope {cell(found.slope, digits=2)}"[:60])
    chart.note(f"in the large {cell(found.in_the_large, digits=2)}"[:60])
    return chart.svg()


def _histogram(truth: NDArray[np.int64], score: Floats, threshold: float) -> str:
    edges = np.linspace(0.0, 1.0, 41)
    without = np.histogram(score[truth == 0], edges)[0] / max(int((truth == 0).sum()), 1)
    with_it = np.histogram(score[truth == 1], edges)[0] / max(int((truth == 1).sum()), 1)
    top = max(float(without.max()), float(with_it.max())) * 1.15
    chart = Chart(title="Scores", x_label="Score", y_label="Share of the class", y_range=(0.0, top))
    chart.bars(edges.tolist(), without.tolist(), colour="a", label="without the finding")
    chart.bars(edges.tolist(), with_it.tolist(), colour="b", label="with the finding")
    chart.vertical(threshold, f"threshold {threshold:g}")
    return chart.svg(legend="top-right" if threshold < 0.5 else "top-left")  # noqa: PLR2004


def _calibration_section(found: Calibration) -> Section:
    ece, parts = found.expected_error, found.brier_parts
    rows = [
        ("Slope", cell(found.slope)),
        ("Intercept", cell(found.intercept)),
        ("In the large", cell(found.in_the_large)),
        ("Observed / expected", cell(found.observed_to_expected)),
        ("Brier score", cell(found.brier)),
        (
            "Brier parts",
            (
                f"reliability {parts.reliability:.4f} \u2212 resolution {parts.resolution:.4f} + "
                f"uncertainty {parts.uncertainty:.4f} + within bins {parts.within:.4f}"
            ),
        ),
        (
            "Expected calibration error",
            (
                f"{ece.estimate:.4f}; a calibrated score would show {ece.if_calibrated:.4f} "
                + (f"(no p: {ece.reason})" if ece.p_value is None else f"(p {ece.p_value:.3f})")
            ),
        ),
    ]
    if found.spiegelhalter_z is not None and found.spiegelhalter_p is not None:
        text = f"z {found.spiegelhalter_z:.3f}, p {found.spiegelhalter_p:.3f}"
    else:
        text = f"\u2013 ({found.spiegelhalter_reason})"
    rows.append(("Spiegelhalter's test", text))
    return Section(
        title="Calibration",
        text=(
            (
                "The expected calibration error is biased upwards; its value for a calibrated "
                "score of the same size stands beside it."
            ),
        ),
        tables=(Table(header=("Measure", "Value"), rows=tuple(rows)),),
        figures=("calibration",),
    )


def _use_section(found: Standalone) -> Section:
    text = ["Net benefit counts true positives less false ones weighed by the odds of concern."]
    if found.queue is not None:
        q = found.queue
        text.append(
            f"Reading queue at a load of {q.load:.2f}: a film with the finding is read after "
            f"{cell(q.with_finding_with_device, digits=1)} minutes with the device, "
            f"{cell(q.with_finding_without_device, digits=1)} without; films without it wait "
            f"{cell(q.without_finding_difference, digits=1)} minutes longer. Simulated."
        )
    return Section(title="In use", text=tuple(text), figures=("decision",))


def _decision_figure(points: tuple[NetBenefit, ...]) -> str:
    xs = [p.threshold for p in points]
    ys = [p.score.estimate or 0.0 for p in points]
    everyone = [p.flag_all for p in points]
    top = max([*ys, *everyone, 0.01]) * 1.15
    low = min([*ys, 0.0]) - 0.15 * top
    chart = Chart(
        title="Decision curve",
        x_label="Threshold probability",
        y_label="Net benefit",
        x_range=(0.0, 0.8),
        y_range=(low, top),
    )
    chart.line([0.0, 0.8], [0.0, 0.0], colour="soft", dash="3 4")
    shown = [(x, y) for x, y in zip(xs, everyone, strict=True) if y >= low]
    chart.line([x for x, _ in shown], [y for _, y in shown], colour="b", label="flag all")
    chart.line(xs, ys, label="act on the score")
    return chart.svg(legend="top-right")


def _tested(test: Heterogeneity) -> str:
    """Return a test of heterogeneity in words, with what it leaves out."""
    if test.p_value is None:
        return f"not testable ({test.reason})"
    return f"p {test.p_value:.3f} ({'; '.join(filter(None, (test.method, test.reason)))})"


def _subgroup_section(group: Subgroup, figure: str, level: float) -> Section:
    rows = tuple(
        (
            s.stratum + (" (small)" if s.small else ""),
            f"{s.n:,}",
            f"{s.n_positive:,}",
            cell(s.sensitivity),
            cell(s.specificity),
            cell(s.auc),
        )
        for s in group.strata
    )
    tests = ", ".join(
        f"{name} {_tested(test)}"
        for name, test in (
            ("sensitivity", group.sensitivity),
            ("specificity", group.specificity),
            ("AUC", group.auc),
        )
    )
    return Section(
        title=f"By {group.column}",
        text=(f"Do the strata differ? {tests}.",),
        tables=(
            Table(
                header=("Stratum", "n", "With finding", "Sensitivity", "Specificity", "AUC"),
                rows=rows,
                caption=f"{percent(level)} intervals; small: fewer than 10 cases of a class",
            ),
        ),
        figures=(figure,),
    )


def _subgroup_figure(group: Subgroup, found: Standalone) -> str:
    rows: list[tuple[str, float | None, float | None, float | None, str]] = []
    for label in ("AUC", "Sensitivity", "Specificity"):
        rows.append((f"{label}:", None, None, None, ""))
        for s in group.strata:
            e = {"AUC": s.auc, "Sensitivity": s.sensitivity, "Specificity": s.specificity}[label]
            note = cell(e)[:44] + (" small" if s.small else "")
            rows.append((s.stratum[:26], e.estimate, e.lower, e.upper, note))
    return forest(
        f"By {group.column}",
        rows,
        x_label="Estimate with interval; dashed: overall AUC",
        reference=found.measures["auc"].estimate,
    )
