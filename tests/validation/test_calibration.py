"""Calibration: expected values from R's glm and val.prob's formulas (expected.json)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from validation import calibration
from validation.errors import ArgumentError
from verification import verifies


def test_every_statistic_matches_r(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    expected = reference("calibration.public")
    frame = example("calib_public.csv")
    found = calibration.assess(frame["y"], frame["p"])
    assert found.intercept.estimate == pytest.approx(expected["intercept"], abs=1e-6)
    assert found.slope.estimate == pytest.approx(expected["slope"], abs=1e-6)
    assert found.slope.interval() == pytest.approx(tuple(expected["slope_wald"]), abs=1e-6)
    assert found.in_the_large.estimate == pytest.approx(expected["citl"], abs=1e-6)
    assert found.in_the_large.interval() == pytest.approx(tuple(expected["citl_wald"]), abs=1e-6)
    assert found.brier.estimate == pytest.approx(expected["brier"], abs=1e-12)
    assert found.observed_to_expected.estimate == pytest.approx(expected["OE"], abs=1e-12)
    assert found.spiegelhalter_z == pytest.approx(expected["spiegelhalter_z"], abs=1e-12)
    assert found.spiegelhalter_p == pytest.approx(expected["spiegelhalter_p"], abs=1e-12)
    assert found.log_loss == pytest.approx(expected["logloss"], abs=1e-12)
    error = calibration.expected_calibration_error(frame["y"], frame["p"], ties="order")
    assert error.estimate == pytest.approx(expected["ece_equal_count_10"], abs=1e-12)


def test_brier_and_log_loss_equal_scikit_learn(cohort: Callable[..., Any]) -> None:
    truth, p = cohort(150, seed=1)
    found = calibration.assess(truth, p)
    assert found.brier.estimate == pytest.approx(brier_score_loss(truth, p), abs=1e-14)
    assert found.log_loss == pytest.approx(log_loss(truth, p), abs=1e-12)


def test_brier_parts_add_up_by_hand() -> None:
    # probabilities 0.2 (x10, 3 positive) and 0.8 (x10, 7 positive), two bins, worked on paper:
    # reliability 0.01, resolution 0.04, uncertainty 0.25, brier 0.22
    truth = [1] * 3 + [0] * 7 + [1] * 7 + [0] * 3
    parts = calibration.brier_parts(truth, [0.2] * 10 + [0.8] * 10, bins=2)
    assert (parts.reliability, parts.resolution, parts.uncertainty, parts.brier) == pytest.approx(
        (0.01, 0.04, 0.25, 0.22)
    )
    assert parts.within == pytest.approx(0.0, abs=1e-15)


def test_a_calibrated_score_has_its_bias_named() -> None:
    rng = np.random.default_rng(8)
    p = rng.uniform(0.05, 0.6, 300)
    found = calibration.expected_calibration_error(rng.random(300) < p, p)
    assert found.if_calibrated is not None
    assert found.if_calibrated > 0.02  # positive although the score is calibrated
    assert found.p_value is not None
    assert found.p_value > 0.01


def test_constant_scores_share_a_bin_whatever_the_order_of_rows() -> None:
    truth = [1] * 30 + [0] * 70
    found = calibration.expected_calibration_error(truth, [0.3] * 100)
    assert found.estimate == pytest.approx(0.0, abs=1e-12)


def test_separation_and_extremes_are_undefined_with_reasons() -> None:
    truth, p = [0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9]
    _, slope, large = calibration.intercept_and_slope(truth, p)
    assert slope.estimate is None
    assert slope.reason is not None
    assert "separation" in slope.reason
    assert large.estimate is not None
    _, slope, _ = calibration.intercept_and_slope([0, 1, 0, 1], [0.0, 0.4, 0.5, 1.0])
    assert slope.reason is not None
    assert slope.reason.startswith("2 scores are exactly")
    _, slope, _ = calibration.intercept_and_slope([0, 1, 0, 1], [0.4] * 4)
    assert slope.reason == "all scores are equal"


def test_single_films_give_the_sandwich_of_independent_cases(cohort: Callable[..., Any]) -> None:
    truth, p = cohort(2000, seed=2)
    plain = calibration.intercept_and_slope(truth, p)[1]
    robust = calibration.intercept_and_slope(truth, p, cluster=np.arange(2000))[1]
    assert robust.estimate == plain.estimate
    assert robust.se == pytest.approx(
        plain.se, rel=0.1
    )  # the model is right, so both estimate the same


def test_slope_covers() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(500):
        p = 1 / (1 + np.exp(-rng.normal(-1.0, 1.2, 300)))
        slope = calibration.intercept_and_slope(rng.random(300) < p, p)[1]
        inside += (
            slope.lower is not None
            and slope.upper is not None
            and (slope.lower <= 1.0 <= slope.upper)
        )
    assert 0.925 <= inside / 500 <= 0.975  # Monte-Carlo standard error 0.0097


def test_a_probability_outside_0_1_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^probability"):
        calibration.brier([0, 1], [0.2, 1.2])


@verifies("SRS-339@b85edce8", level="unit")
def test_repeated_films_narrow_no_calibration(cohort: Callable[..., Any]) -> None:
    truth, p = cohort(300, seed=3)
    patient = np.arange(300)
    once = calibration.assess(truth, p, cluster=patient)
    tenfold = calibration.assess(np.tile(truth, 10), np.tile(p, 10), cluster=np.tile(patient, 10))
    assert tenfold.observed_to_expected.interval() == pytest.approx(
        once.observed_to_expected.interval()
    )
    for one, ten in zip(once.reliability, tenfold.reliability, strict=True):
        assert ten.observed.interval() == pytest.approx(one.observed.interval())
        assert ten.observed.clusters == one.observed.clusters == one.n
    assert tenfold.expected_error.p_value is tenfold.spiegelhalter_z is None
    assert tenfold.spiegelhalter_p is None
    for reason in (tenfold.expected_error.reason, tenfold.spiegelhalter_reason):
        assert reason is not None
        assert "300 patients for 3000 cases" in reason
    assert once.expected_error.p_value is not None  # one film a patient: nothing to respect
    assert once.spiegelhalter_p is not None


@verifies("SRS-339@b85edce8", level="unit")
def test_observed_to_expected_between_single_films_is_debrays(cohort: Callable[..., Any]) -> None:
    # by hand: the variance between clusters of one film is Debray's times n / (n - 1)
    truth, p = cohort(200, seed=4)
    found = calibration.observed_to_expected(truth, p, cluster=np.arange(200))
    seen = int(truth.sum())
    half = 1.959963984540054 * (200 / 199 * (1 - seen / 200) / seen) ** 0.5
    ratio = seen / p.sum()
    assert found.interval() == pytest.approx((ratio * np.exp(-half), ratio * np.exp(half)))
    assert found.clusters == 200


@verifies("SRS-340@6fd4c744", level="unit")
def test_brier_limits_cut_at_0_say_so() -> None:
    truth, p = [0] * 19 + [1], [0.0] * 19 + [0.1]
    for found in (
        calibration.brier(truth, p),
        calibration.brier(truth, p, cluster=range(20)),
    ):
        assert found.lower == 0.0
        assert found.reason is not None
        assert "cut at [0, 1]" in found.reason


@verifies("SRS-341@ba937655", level="unit")
def test_spiegelhalter_without_a_variance_says_so() -> None:
    found = calibration.assess([0, 1, 0, 1], [0.5] * 4)
    assert found.spiegelhalter_z is None
    assert found.spiegelhalter_reason == "every probability is 0, 1/2 or 1"
