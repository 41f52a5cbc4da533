"""Clustered proportions: expected values from R survey 4.1 (expected.json), and simulation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from validation import clustered, roc
from validation.estimate import Estimate
from verification import verifies


@pytest.mark.parametrize(("name", "truth"), [("sens", 1), ("spec", 0)])
def test_ratio_estimator_matches_survey(
    reference: Callable[[str], Any],
    example: Callable[[str], pd.DataFrame],
    name: str,
    truth: int,
) -> None:
    expected = reference(f"clustered_prop.{name}.clustered_public")
    frame = example("clustered_public.csv")
    rows = frame[frame["truth"] == truth]
    right = (rows["pred"] == truth).to_numpy()
    forms: list[tuple[clustered.ClusterInterval, str]] = [
        ("wald", "wald"),
        ("logit", "svyciprop_logit"),
        ("korn-graubard", "svyciprop_beta"),
    ]
    for form, key in forms:
        found = clustered.proportion(right, rows["patient"], interval=form)
        assert found.estimate == pytest.approx(expected["est"], abs=1e-9)
        assert found.se == pytest.approx(expected["se"], abs=1e-9)
        assert found.interval() == pytest.approx(tuple(expected[key]), abs=1e-6)
        assert (found.n, found.clusters) == (expected["n"], expected["clusters"])


def test_single_film_patients_give_the_binomial_variance() -> None:
    # C/(C-1) sum (y - p)^2 / n^2 = p (1 - p) / (n - 1)
    success = [1] * 30 + [0] * 10
    found = clustered.proportion(success, range(40))
    assert found.se == pytest.approx((0.75 * 0.25 / 39) ** 0.5, abs=1e-15)


def test_copies_of_a_patient_add_nothing() -> None:
    success, patients = [1, 0, 1, 1, 0, 1, 1, 1], list(range(8))
    once = clustered.proportion(success, patients)
    thrice = clustered.proportion(success * 3, patients * 3)
    assert thrice.se == pytest.approx(once.se)
    assert thrice.interval() == pytest.approx(once.interval())


def test_all_right_falls_back_to_clusters_with_a_reason() -> None:
    found = clustered.proportion([1] * 12, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    # Clopper-Pearson for 4 of 4: 0.025 ** (1 / 4)
    assert found.interval() == pytest.approx((0.025**0.25, 1.0))
    assert found.reason is not None
    assert "each cluster" in found.reason


def test_a_single_cluster_has_no_interval() -> None:
    found = clustered.proportion([1, 0, 1], [7, 7, 7])
    assert (found.lower, found.upper, found.clusters) == (None, None, 1)


def test_likelihood_ratio_of_single_films_matches_simel() -> None:
    # by hand: 40/50 over 10/80 = 6.4; influence variance is Simel's with n/(n-1) of all cases
    flagged = np.array([1] * 40 + [0] * 10 + [1] * 10 + [0] * 70, dtype=bool)
    positive = np.arange(130) < 50
    found = clustered.ratio_of_proportions(flagged, positive, ~positive, np.arange(130))
    se = (130 / 129 * (1 / 40 - 1 / 50 + 1 / 10 - 1 / 80)) ** 0.5
    z = 1.959963984540054
    assert found.estimate == pytest.approx(6.4)
    assert found.interval() == pytest.approx((6.4 * np.exp(-z * se), 6.4 * np.exp(z * se)))


def _covers(found: Estimate, truth: float) -> bool:
    return (
        found.lower is not None and found.upper is not None and found.lower <= truth <= found.upper
    )


def test_clustered_sensitivity_and_auc_cover() -> None:
    # 120 patients with 1 to 4 films, patient effect on the score (intra-class correlation 1/2)
    rng = np.random.default_rng(11)
    big = 400_000
    draw = rng.normal(size=big) * 2**0.5
    sensitivity = float(np.mean(draw + 1.2 > 0.5))
    area = float(norm.cdf(1.2 / 2.0))  # P(N(1.2, 2) > N(0, 2))
    sens_in = area_in = naive_in = 0
    runs = 600
    for _ in range(runs):
        films = rng.integers(1, 5, 120)
        patient = np.repeat(np.arange(120), films)
        truth = rng.random(patient.size) < 0.4
        score = rng.normal(size=120)[patient] + rng.normal(size=patient.size) + 1.2 * truth
        right = score[truth] > 0.5
        sens_in += _covers(clustered.proportion(right, patient[truth]), sensitivity)
        naive_in += _covers(clustered.proportion(right, np.arange(right.size)), sensitivity)
        area_in += _covers(roc.auc(truth, score, cluster=patient), area)
    # nominal 0.95; Monte-Carlo standard error 0.009
    assert 0.925 <= sens_in / runs <= 0.975
    assert 0.925 <= area_in / runs <= 0.975
    assert naive_in < sens_in  # forgetting the patients is what this module is there to prevent


@verifies("SRS-340@6fd4c744", level="unit")
def test_alike_patients_have_no_interval() -> None:
    # 50 patients with 1 of 49 right each: rounding leaves a variance of 1e-36
    success = np.tile(np.arange(49) == 0, 50)
    found = clustered.proportion(success, np.repeat(np.arange(50), 49))
    assert found.estimate == pytest.approx(1 / 49)
    assert (found.lower, found.upper, found.se) == (None, None, 0.0)
    assert found.reason == "no variation between clusters"


@verifies("SRS-340@6fd4c744", level="unit")
def test_a_likelihood_ratio_without_variation_has_no_interval() -> None:
    positive = np.arange(20) % 2 == 0
    found = clustered.ratio_of_proportions(np.ones(20, bool), positive, ~positive, np.arange(20))
    assert (found.estimate, found.lower, found.upper) == (1.0, None, None)
    assert found.reason == "no variation between clusters"


@verifies("SRS-340@6fd4c744", level="unit")
def test_limits_are_cut_at_the_range_of_the_measure() -> None:
    patient = np.arange(12)
    nearly = np.arange(12) > 0
    rest = np.zeros(12, bool)
    f1 = clustered.ratio(2.0 * nearly, 1.0 + nearly, patient, within=(0.0, 1.0))
    assert f1.upper == 1.0
    gap = clustered.difference(nearly, rest, patient)
    back = clustered.difference(rest, nearly, patient)
    assert (gap.upper, back.lower) == (1.0, -1.0)
    wald = clustered.proportion(nearly, patient, interval="wald")
    assert wald.upper == 1.0
    for found in (f1, gap, back, wald):
        assert found.reason is not None
        assert "cut at" in found.reason
    free = clustered.ratio(2.0 * nearly, 1.0 + nearly, patient)
    assert free.upper is not None
    assert free.upper > 1.0  # no range is told: nothing is cut
    assert free.reason is None
