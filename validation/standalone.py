"""The standalone study: one score at one locked threshold, every measure with its interval."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validation import calibration, clustered, operating, roc
from validation.bootstrap import Resampling
from validation.calibration import Calibration
from validation.confusion import Confusion, suspected
from validation.decision_curve import NetBenefit, decision_curve
from validation.estimate import Estimate, record
from validation.predictive_values import from_likelihood_ratio
from validation.proportions import Method
from validation.subgroups import Subgroup, subgroup
from validation.tables import Cases
from validation.triage import Queue, Workload, simulate

__all__ = ["Options", "Standalone", "results", "study"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the protocol fixes for a standalone study.

    Parameters
    ----------
    threshold : float
        The locked operating point, inside (0, 1); a tie counts as flagged.
    interval : str
        Interval of proportions without clusters.
    level : float
    prevalence : float, optional
        Also PPV and NPV at this prevalence.
    bootstrap : int
        Resamples for the average precision; 0 takes its logit interval instead.
    seed : int
    score : str
        Score column.
    workload : (float, float, int), optional
        Films an hour, minutes a film, readers: also simulates the reading queue.
    """

    threshold: float
    interval: Method = "clopper-pearson"
    level: float = 0.95
    prevalence: float | None = None
    bootstrap: int = 2000
    seed: int = 0
    score: str = "score"
    workload: tuple[float, float, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standalone:
    """Everything measured, in the order that a report shows it."""

    options: Options
    table: Confusion
    measures: dict[str, Estimate]
    calibration: Calibration
    subgroups: tuple[Subgroup, ...]
    clusters: int | None
    decision_curve: tuple[NetBenefit, ...]
    queue: Queue | None


def study(cases: Cases, options: Options) -> Standalone:
    """Measure one score of a checked CASES table; with `cases.cluster`, between patients."""
    truth, score = cases.truth, cases.scores[options.score]
    flagged = suspected(score, options.threshold)
    table = Confusion.of(truth, flagged)
    level = options.level
    measures = (
        _independent(table, options)
        if cases.cluster is None
        else _between_patients(truth == 1, flagged, cases.cluster, level)
    )
    if options.prevalence is not None:
        measures.update(
            _at_prevalence(
                table, measures, options.prevalence, level=level, between=cases.cluster is not None
            )
        )
    measures["auc"] = roc.auc(truth, score, cluster=cases.cluster, level=level)
    resampling = None
    if options.bootstrap:
        resampling = Resampling(
            resamples=options.bootstrap, seed=options.seed, cluster=cases.cluster
        )
    precision = operating.average_precision(
        truth,
        score,
        resampling=resampling,
        level=level,
        method="percentile" if options.bootstrap else "logit",
    )
    alike = clustered.repeated(cases.cluster)
    if alike is not None and not options.bootstrap:
        reason = f"{alike}: the logit interval takes cases as independent; resample instead"
        precision = replace(precision, lower=None, upper=None, reason=reason)
    measures["average_precision"] = precision
    found = calibration.assess(truth, score, cluster=cases.cluster, level=level, seed=options.seed)
    measures["brier"] = found.brier
    return Standalone(
        options=options,
        table=table,
        measures=measures,
        calibration=found,
        subgroups=tuple(
            subgroup(
                column,
                labels,
                truth=truth,
                score=score,
                flagged=flagged,
                cluster=cases.cluster,
                method=options.interval,
                level=level,
            )
            for column, labels in cases.groups.items()
        ),
        clusters=None if cases.cluster is None else clustered.cluster_codes(cases.cluster)[1],
        decision_curve=decision_curve(
            truth,
            score,
            thresholds=np.linspace(0.05, 0.75, 15),
            resampling=Resampling(resamples=400, seed=options.seed, cluster=cases.cluster),
            level=level,
        ),
        queue=None
        if options.workload is None
        else simulate(
            truth,
            flagged,
            Workload(
                arrivals_per_hour=options.workload[0],
                reading_minutes=options.workload[1],
                readers=options.workload[2],
            ),
            seed=options.seed,
            level=level,
        ),
    )


def _independent(table: Confusion, options: Options) -> dict[str, Estimate]:
    how: dict[str, Any] = {"method": options.interval, "level": options.level}
    level = options.level
    return {
        "sensitivity": table.sensitivity(**how),
        "specificity": table.specificity(**how),
        "ppv": table.ppv(**how),
        "npv": table.npv(**how),
        "accuracy": table.accuracy(**how),
        "f1": table.f1(level=level),
        "lr_positive": table.lr_positive(level=level),
        "lr_negative": table.lr_negative(level=level),
        "odds_ratio": table.odds_ratio(level=level),
    }


def _at_prevalence(
    table: Confusion,
    measures: Mapping[str, Estimate],
    prevalence: float,
    *,
    level: float,
    between: bool,
) -> dict[str, Estimate]:
    """PPV and NPV at a prevalence; between patients, from the clustered likelihood ratios."""
    if between:
        ppv = from_likelihood_ratio(measures["lr_positive"], prevalence, value="ppv")
        npv = from_likelihood_ratio(measures["lr_negative"], prevalence, value="npv")
    else:
        ppv, npv = table.ppv_at(prevalence, level=level), table.npv_at(prevalence, level=level)
    return {"ppv_at_prevalence": ppv, "npv_at_prevalence": npv}


def _between_patients(
    positive: NDArray[np.bool_],
    flagged: NDArray[np.bool_],
    patient: NDArray[np.object_],
    level: float,
) -> dict[str, Estimate]:
    def share(right: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
        return clustered.proportion(right[among], patient[among], level=level)

    everyone = np.ones_like(positive)
    touched = positive.astype(np.float64) + flagged
    return {
        "sensitivity": share(flagged, positive),
        "specificity": share(~flagged, ~positive),
        "ppv": share(positive, flagged),
        "npv": share(~positive, ~flagged),
        "accuracy": share(positive == flagged, everyone),
        "f1": clustered.ratio(
            2.0 * (positive & flagged), touched, patient, within=(0.0, 1.0), level=level
        ),
        "lr_positive": clustered.ratio_of_proportions(
            flagged, positive, ~positive, patient, level=level
        ),
        "lr_negative": clustered.ratio_of_proportions(
            ~flagged, positive, ~positive, patient, level=level
        ),
    }


def results(cases: Cases, found: Standalone) -> dict[str, object]:
    """Return the contract's `results.json` of a standalone study."""
    table, options = found.table, found.options
    return {
        "schema": "cxr-validate/standalone/1",
        "input_sha256": cases.sha256,
        "n": table.n,
        "n_positive": table.positives,
        "n_clusters": found.clusters,
        "threshold": options.threshold,
        "level": options.level,
        "prevalence": options.prevalence,
        "seed": options.seed,
        "counts": table,
        **found.measures,
        "calibration": found.calibration,
        "subgroups": {group.column: record(group) for group in found.subgroups},
        "decision_curve": found.decision_curve,
        "triage_queue": found.queue,
    }
