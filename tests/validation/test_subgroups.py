"""Subgroups: heterogeneity tests against scipy and by hand; small cells."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from validation.estimate import Estimate
from validation.subgroups import cochran_q, subgroup


def estimate(value: float, se: float) -> Estimate:
    return Estimate(estimate=value, lower=0.0, upper=1.0, level=0.95, method="given", n=10, se=se)


def test_cochran_q_by_hand() -> None:
    # 0.8 (se 0.05) and 0.9 (se 0.05): pooled 0.85, Q = 2 * (0.05 / 0.05)^2 = 2 on 1 df
    found = cochran_q([estimate(0.8, 0.05), estimate(0.9, 0.05)])
    assert found.statistic == pytest.approx(2.0)
    assert found.p_value == pytest.approx(stats.chi2.sf(2.0, 1))


def test_strata_equal_the_whole_measured_alone(cohort: Callable[..., Any]) -> None:
    truth, score = cohort(400, seed=1)
    view = np.where(np.arange(400) % 3 == 0, "AP", "PA")
    flagged = score >= 0.4
    found = subgroup("view", view, truth=truth, score=score, flagged=flagged)
    assert [s.stratum for s in found.strata] == ["AP", "PA"]
    assert sum(s.n for s in found.strata) == 400
    table = [
        [
            int((flagged & (truth == 1) & (view == v)).sum()),
            int((~flagged & (truth == 1) & (view == v)).sum()),
        ]
        for v in ("AP", "PA")
    ]
    expected = stats.chi2_contingency(table, correction=False)
    assert found.sensitivity.p_value == pytest.approx(expected.pvalue)


def test_small_cells_and_single_classes_are_marked() -> None:
    truth = np.array([0, 1] * 20 + [1, 1, 1])
    score = np.linspace(0.1, 0.9, 43)
    site = np.array(["large"] * 40 + ["small"] * 3)
    found = subgroup("site", site, truth=truth, score=score, flagged=score > 0.5)
    large, small = found.strata
    assert (large.small, small.small) == (False, True)
    assert small.auc.reason == "one class only"
    assert small.specificity.reason == "no cases: 0 of 0"
    assert found.auc.reason == "fewer than two strata with a variance"
