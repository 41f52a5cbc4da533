"""Two scores on the same cases: AUC, sensitivity and specificity differences, non-inferiority."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from validation import clustered, operating, paired, roc
from validation.confusion import suspected
from validation.estimate import Estimate, percent, record
from validation.figures import Chart, Mark, thinned
from validation.paired import McNemar
from validation.proportions import proportion
from validation.report import Report, Section, Table, cell
from validation.roc import AucDifference
from validation.tables import Cases

__all__ = ["Comparison", "PairedDifference", "Untested", "Verdict", "report", "results", "study"]

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Non-inferiority of A to B: the lower limit against -margin, and its one-sided p.

    Without a lower limit there is no verdict, and `reason` says why.
    """

    margin: float
    lower: float | None
    noninferior: bool | None
    p_value: float | None
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Untested:
    """McNemar's place in the results where its tests do not apply, and why."""

    n10: int
    n01: int
    reason: str
    z: None = None
    asymptotic_p: None = None
    corrected_p: None = None
    exact_p: None = None
    mid_p: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """Difference of a paired proportion, A minus B, with its table and tests."""

    difference: Estimate
    newcombe: Estimate
    mcnemar: McNemar | Untested
    a: Estimate
    b: Estimate
    n11: int
    n10: int
    n01: int
    n00: int
    verdict: Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The whole comparison of two scores."""

    names: tuple[str, str]
    thresholds: tuple[float, float]
    level: float
    margin: float | None
    auc: AucDifference
    sensitivity: PairedDifference
    specificity: PairedDifference


def _paired(
    right: tuple[Bools, Bools],
    patient: NDArray[np.object_] | None,
    *,
    level: float,
    margin: float | None,
) -> PairedDifference:
    a, b = right
    n11, n10 = int(np.sum(a & b)), int(np.sum(a & ~b))
    n01, n00 = int(np.sum(~a & b)), int(np.sum(~a & ~b))
    found = paired.tango(n11, n10, n01, n00, level=level)
    if patient is not None:
        found = clustered.difference(a, b, patient, level=level)
    verdict = None
    if margin is not None:
        verdict = _verdict(found, (n11, n10, n01, n00), margin, clustered=patient is not None)
    newcombe, test = _of_pairs((n11, n10, n01, n00), clustered.repeated(patient), level)
    ones = np.ones(a.size)
    which = patient if patient is not None else np.arange(a.size)
    return PairedDifference(
        difference=found,
        newcombe=newcombe,
        mcnemar=test,
        a=clustered.proportion(a, which, level=level) if patient is not None else _share(a, level),
        b=clustered.proportion(b, which, level=level) if patient is not None else _share(b, level),
        n11=n11,
        n10=n10,
        n01=n01,
        n00=int(ones.size - n11 - n10 - n01),
        verdict=verdict,
    )


def _verdict(
    found: Estimate, counts: tuple[int, int, int, int], margin: float, *, clustered: bool
) -> Verdict:
    """Hold the lower limit against the margin; p of Tango's score test, or of Wald's."""
    p_value: float | None = None
    if not clustered:
        alpha = (1.0 - found.level) / 2.0
        p_value = paired.noninferiority(*counts, margin=margin, alpha=alpha).p_value
    elif found.estimate is not None and found.lower is not None and found.se:
        p_value = float(stats.norm.sf((found.estimate + margin) / found.se))
    return Verdict(
        margin=margin,
        lower=found.lower,
        noninferior=None if found.lower is None else found.lower > -margin,
        p_value=p_value,
        method=f"lower limit of {found.method}",
        reason=found.reason if found.lower is None else None,
    )


def _of_pairs(
    counts: tuple[int, int, int, int], alike: str | None, level: float
) -> tuple[Estimate, McNemar | Untested]:
    """Return Newcombe's interval and McNemar's tests, without numbers where patients are `alike`.

    Neither has a clustered form here; the ratio estimator's interval stands beside them.
    """
    _, n10, n01, _ = counts
    newcombe = paired.newcombe(*counts, level=level)
    if alike is None:
        return newcombe, paired.mcnemar(n10, n01)
    reason = f"{alike}: taken as independent here; see the interval between patients"
    without = replace(newcombe, lower=None, upper=None, reason=reason)
    return without, Untested(n10=n10, n01=n01, reason=reason)


def _p_values(test: McNemar | Untested) -> str:
    if isinstance(test, Untested):
        return f"\u2013 ({test.reason})"
    return f"{test.mid_p:.4f} (mid-p), {test.exact_p:.4f} (exact)"


def _share(right: Bools, level: float) -> Estimate:
    return proportion(int(right.sum()), right.size, level=level)


def study(
    cases: Cases,
    *,
    names: tuple[str, str],
    thresholds: tuple[float, float],
    level: float = 0.95,
    margin: float | None = None,
) -> Comparison:
    """Compare two score columns of a checked CASES table, A minus B.

    With `cases.cluster` the AUC difference is Obuchowski's, the differences of sensitivity and
    specificity are ratio estimators between patients; McNemar's tests and Newcombe's interval take
    cases as independent and are None, with the reason, where a patient has several.
    """
    truth = cases.truth == 1
    scores = [cases.scores[name] for name in names]
    calls = [suspected(s, t) for s, t in zip(scores, thresholds, strict=True)]
    patients = cases.cluster
    return Comparison(
        names=names,
        thresholds=thresholds,
        level=level,
        margin=margin,
        auc=roc.compare(truth, scores[0], scores[1], cluster=patients, level=level, margin=margin),
        sensitivity=_paired(
            (calls[0][truth], calls[1][truth]),
            None if patients is None else patients[truth],
            level=level,
            margin=margin,
        ),
        specificity=_paired(
            (~calls[0][~truth], ~calls[1][~truth]),
            None if patients is None else patients[~truth],
            level=level,
            margin=margin,
        ),
    )


def _entry(found: PairedDifference) -> dict[str, object]:
    entry = record(found.difference)
    assert isinstance(entry, dict)  # noqa: S101 - an Estimate is always an object
    return {
        **entry,
        "newcombe": found.newcombe,
        "mcnemar": found.mcnemar,
        "a": found.a,
        "b": found.b,
        "table": {"n11": found.n11, "n10": found.n10, "n01": found.n01, "n00": found.n00},
        "noninferiority": found.verdict,
    }


def results(cases: Cases, found: Comparison) -> dict[str, object]:
    """Return the contract's `results.json` of a comparison."""
    return {
        "schema": "cxr-validate/compare/1",
        "input_sha256": cases.sha256,
        "n": cases.n,
        "n_positive": int(cases.truth.sum()),
        "scores": list(found.names),
        "thresholds": list(found.thresholds),
        "level": found.level,
        "margin": found.margin,
        "auc_difference": found.auc,
        "sensitivity_difference": _entry(found.sensitivity),
        "specificity_difference": _entry(found.specificity),
    }


def report(cases: Cases, found: Comparison, *, name: str) -> Report:
    """Return the report of a comparison."""
    area = found.auc
    limits = (
        f"{area.lower:.3f} to {area.upper:.3f}"
        if area.lower is not None and area.upper is not None
        else f"no interval ({area.reason})"
    )
    p = "\u2013" if area.p_value is None else f"{area.p_value:.4f}"
    rows = [
        ("AUC", f"{area.auc_a:.3f}", f"{area.auc_b:.3f}", f"{area.estimate:.3f} ({limits})", p),
    ]
    for label, one in (("Sensitivity", found.sensitivity), ("Specificity", found.specificity)):
        rows.append(
            (
                label,
                cell(one.a),
                cell(one.b),
                cell(one.difference),
                _p_values(one.mcnemar),
            )
        )
    text = [f"Differences are {found.names[0]} minus {found.names[1]}, on the same cases."]
    if found.margin is not None:
        verdicts = [
            ("AUC", area.noninferior),
            ("sensitivity", found.sensitivity.verdict and found.sensitivity.verdict.noninferior),
            ("specificity", found.specificity.verdict and found.specificity.verdict.noninferior),
        ]
        said = ", ".join(f"{what} {'yes' if yes else 'not shown'}" for what, yes in verdicts)
        text.append(f"Non-inferior by the margin {found.margin:g}: {said}.")
    table = Table(
        header=("Measure", *found.names, f"Difference ({percent(found.level)})", "p"),
        rows=tuple(rows),
        caption=f"AUC: {area.method}; proportions: {found.sensitivity.difference.method}",
    )
    return Report(
        title="Comparison of two scores",
        subtitle=f"{name} \u00b7 {cases.n:,} cases \u00b7 SHA-256 {cases.sha256[:16]}\u2026",
        headline=(
            ("AUC difference", f"{area.estimate:+.3f}", limits),
            (
                "Sensitivity difference",
                f"{found.sensitivity.difference.estimate or 0.0:+.3f}",
                found.sensitivity.difference.method,
            ),
            (
                "Specificity difference",
                f"{found.specificity.difference.estimate or 0.0:+.3f}",
                found.specificity.difference.method,
            ),
        ),
        sections=(
            Section(title="Differences", text=tuple(text), tables=(table,), figures=("roc",)),
        ),
        figures={"roc": _curves(cases, found)},
    )


def _curves(cases: Cases, found: Comparison) -> str:
    chart = Chart(title="ROC", x_label="1 \u2212 specificity", y_label="Sensitivity")
    chart.line([0.0, 1.0], [0.0, 1.0], colour="soft", dash="3 4")
    points = (
        (found.sensitivity.a, found.specificity.a),
        (found.sensitivity.b, found.specificity.b),
    )
    areas = (found.auc.auc_a, found.auc.auc_b)
    for colour, name, area, (y0, x0) in zip("ab", found.names, areas, points, strict=True):
        line = operating.curve(cases.truth, cases.scores[name])
        x, y = thinned(line.false_positive_rate, line.true_positive_rate)
        chart.line(x, y, colour=colour, label=f"{name[:24]} AUC {area:.3f}")
        if y0.estimate is not None and x0.estimate is not None:
            chart.mark(Mark(x=1.0 - x0.estimate, y=y0.estimate, colour=colour))
    return chart.svg()
