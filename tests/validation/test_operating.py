"""Curves and what is read off them: pROC 1.18.0, scikit-learn, and strict equality to loops."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from validation import operating
from validation.bootstrap import Resampling, bca_limits, percentile_limits, replicate
from validation.errors import ArgumentError
from verification import verifies

FEW = Resampling(resamples=20)


def s100b(example: Callable[[str], pd.DataFrame]) -> tuple[Any, Any]:
    frame = example("aSAH.csv")
    return (frame["outcome"] == "Poor").to_numpy().astype(int), frame["s100b"].to_numpy()


@pytest.mark.parametrize("low", [0.9, 0.8])
@pytest.mark.parametrize("axis", ["specificity", "sensitivity"])
@pytest.mark.parametrize("kind", ["raw", "corrected"])
def test_partial_auc_matches_proc(
    reference: Callable[[str], Any],
    example: Callable[[str], pd.DataFrame],
    low: float,
    axis: Literal["specificity", "sensitivity"],
    kind: str,
) -> None:
    truth, score = s100b(example)
    found = operating.partial_auc(
        truth, score, band=(low, 1.0), axis=axis, corrected=kind == "corrected", resampling=FEW
    )
    assert found.estimate == pytest.approx(
        reference(f"pauc.aSAH.s100b.{axis}.{low}.{kind}"), abs=1e-12
    )


def test_youden_matches_proc(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    expected = reference("youden.aSAH.s100b")
    found = operating.youden(*s100b(example))
    assert found.threshold == pytest.approx(expected["threshold"], abs=1e-12)
    assert (found.tp, found.fp, found.fn, found.tn) == tuple(
        expected[key] for key in ("tp", "fp", "fn", "tn")
    )
    assert found.sensitivity == pytest.approx(expected["sensitivity"], abs=1e-12)
    assert found.specificity == pytest.approx(expected["specificity"], abs=1e-12)
    assert found.youden + 1.0 == pytest.approx(expected["youden"], abs=1e-12)  # pROC adds 1


def test_sensitivity_at_specificity_matches_proc(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    truth, score = s100b(example)
    expected = reference("sens_at_spec90.aSAH.s100b")["sensitivity"]
    found = operating.sensitivity_at_specificity(truth, score, specificity=0.9)
    assert found.estimate == pytest.approx(expected, abs=1e-12)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < expected < found.upper


def test_average_precision_matches_scikit_learn(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    truth, score = s100b(example)
    found = operating.average_precision(truth, score, resampling=FEW)
    expected = reference("pr_auc_average_precision.aSAH.s100b")
    assert found.estimate == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("strata", ["stratified", "unstratified"])
def test_bootstrap_auc_matches_proc(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame], strata: str
) -> None:
    truth, score = s100b(example)
    expected = reference(f"auc_bootstrap_percentile.aSAH.s100b.{strata}")
    plan = Resampling(resamples=10_000, strata=truth if strata == "stratified" else None)
    found = operating.auc_bootstrap(truth, score, resampling=plan)
    assert found.interval() == pytest.approx((expected[0], expected[2]), abs=0.008)


def test_bootstrap_partial_auc_matches_proc(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    truth, score = s100b(example)
    expected = reference("pauc_bootstrap_ci.aSAH.s100b.spec90")
    plan = Resampling(resamples=5000, strata=truth)
    found = operating.partial_auc(truth, score, band=(0.9, 1.0), resampling=plan)
    assert found.interval() == pytest.approx((expected[0], expected[2]), abs=0.008)


def test_paired_bootstrap_statistic_matches_proc(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    truth, score = s100b(example)
    wfns = example("aSAH.csv")["wfns"].to_numpy()
    expected = reference("auc_paired_bootstrap.aSAH.s100b_wfns")
    first, second = operating.Presorted(truth, score), operating.Presorted(truth, wfns)
    plan = Resampling(resamples=10_000, strata=truth)
    draws = replicate(lambda w: first.auc(w) - second.auc(w), truth.size, plan)
    difference = roc_auc_score(truth, score) - roc_auc_score(truth, wfns)
    # the ratio's Monte-Carlo error is |D| / sqrt(2 * 10,000) = 0.016 here, so 3 of those
    assert difference / draws.std(ddof=1) == pytest.approx(expected["D"], abs=0.05)


def test_presorted_bootstrap_equals_the_loop_of_scikit_learn(cohort: Callable[..., Any]) -> None:
    # the same indices must give the same limits: a strict test, ties included
    truth, score = cohort(300, seed=4)
    score = np.round(score, 2)
    plan = Resampling(resamples=200, seed=9)
    ours = replicate(operating.Presorted(truth, score).auc, 300, plan)
    precision = replicate(operating.Presorted(truth, score).average_precision, 300, plan)
    rng = np.random.default_rng(9)
    loop, loop_precision = [], []
    for _ in range(200):
        drawn = rng.integers(0, 300, 300)
        loop.append(roc_auc_score(truth[drawn], score[drawn]))
        loop_precision.append(average_precision_score(truth[drawn], score[drawn]))
    assert ours == pytest.approx(np.array(loop), abs=1e-14)
    assert precision == pytest.approx(np.array(loop_precision), abs=1e-14)
    assert percentile_limits(ours, level=0.95) == pytest.approx(
        tuple(np.quantile(loop, [0.025, 0.975])), abs=1e-14
    )


def test_curve_equals_scikit_learn(cohort: Callable[..., Any]) -> None:
    truth, score = cohort(200, seed=2)
    score = np.round(score, 1)
    found = operating.curve(truth, score)
    fpr, tpr, threshold = roc_curve(truth, score, drop_intermediate=False)
    assert found.false_positive_rate == pytest.approx(fpr)
    assert found.true_positive_rate == pytest.approx(tpr)
    assert found.threshold[1:] == pytest.approx(threshold[1:])


def test_bca_matches_scipy(cohort: Callable[..., Any]) -> None:
    # scipy.stats.bootstrap (method "BCa") on the same statistic; 1,500 resamples each, so the
    # limits agree within resampling noise
    from scipy.stats import bootstrap  # noqa: PLC0415

    truth, score = cohort(60, seed=3)
    found = operating.auc_bootstrap(
        truth, score, method="bca", resampling=Resampling(resamples=1500, seed=1)
    )
    theirs = bootstrap(
        (truth, score),
        lambda t, s: roc_auc_score(t, s) if 0 < t.sum() < t.size else np.nan,
        paired=True,
        vectorized=False,
        n_resamples=1500,
        method="BCa",
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert found.interval() == pytest.approx((theirs.low, theirs.high), abs=0.018)


def test_a_perfect_score_has_no_bootstrap_interval() -> None:
    found = operating.auc_bootstrap([0, 0, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6], resampling=FEW)
    assert (found.estimate, found.lower) == (1.0, None)
    assert found.reason is not None
    assert "same value" in found.reason


def test_clusters_are_drawn_whole() -> None:
    patients = np.repeat(np.arange(5), 3)
    plan = Resampling(resamples=50, cluster=patients)
    for counts in replicate(lambda w: w.astype(float), 15, plan):
        assert all(np.ptp(counts[patients == p]) == 0 for p in range(5))
        assert counts.sum() == 15


def test_an_empty_band_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^band"):
        operating.partial_auc([0, 1], [0.1, 0.2], band=(0.9, 0.9))


@verifies("SRS-341@ba937655", level="unit")
def test_bca_with_one_positive_has_no_interval() -> None:
    found = operating.auc_bootstrap(
        [1] + [0] * 9, [0.75, *np.linspace(0.1, 0.9, 9)], resampling=FEW, method="bca"
    )
    assert found.estimate == pytest.approx(7 / 9)  # 7 of the 9 scores lie below 0.75
    assert found.interval() == (None, None)
    assert found.reason is not None
    assert "undefined without one of the cases" in found.reason
    assert bca_limits(
        np.array([0.4, 0.5, 0.6]), estimate=0.5, left_out=np.array([0.5, np.nan]), level=0.95
    ) is None  # fmt: skip
