"""Speed of the statistics against named peers, in one run; ratios, not seconds, are the claim.

Peers: confidenceinterval (DeLong, PyPI; skipped by name where it is not installed: it is no
dependency of this project), the naive O(n * m) DeLong, and a loop over scikit-learn's
roc_auc_score. Each time is the best of several in the same process.
"""

import importlib
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from validation import mrmc, operating, roc
from validation.bootstrap import Resampling, percentile_limits, replicate


def best_of(function: Callable[[], Any], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return min(taken)


def cohort(n: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.1).astype(np.int64)
    return truth, rng.normal(size=n) + truth


def report(**numbers: float | str) -> None:
    print(json.dumps(numbers))


def test_delong_at_a_million_cases_against_confidenceinterval() -> None:
    truth, score = cohort(1_000_000)
    ours = best_of(lambda: roc.auc(truth, score), 3)
    try:
        peer = importlib.import_module("confidenceinterval.delong")
    except ModuleNotFoundError:
        report(job="AUC + DeLong, n 1,000,000", seconds=round(ours, 4), peer="not installed")
        pytest.skip("confidenceinterval is not installed here (pip install confidenceinterval)")
    theirs = best_of(lambda: peer.delong_roc_variance(truth, score), 1)
    report(
        job="AUC + DeLong, n 1,000,000",
        seconds=round(ours, 4),
        confidenceinterval=round(theirs, 3),
        ratio=round(theirs / ours, 1),
    )
    assert theirs / ours >= 4.0


def naive_delong(truth: NDArray[np.int64], score: NDArray[np.float64]) -> tuple[float, float]:
    pos, neg = score[truth == 1], score[truth == 0]
    psi = (pos[:, None] > neg) + 0.5 * (pos[:, None] == neg)
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    return float(psi.mean()), float(v10.var(ddof=1) / pos.size + v01.var(ddof=1) / neg.size)


def test_delong_at_ten_thousand_cases_against_the_naive_method() -> None:
    truth, score = cohort(10_000)
    area, variance = naive_delong(truth, score)
    found = roc.auc(truth, score)
    assert found.estimate == pytest.approx(area, abs=1e-12)
    assert found.se == pytest.approx(variance**0.5, rel=1e-10)
    ours = best_of(lambda: roc.auc(truth, score), 20)
    theirs = best_of(lambda: naive_delong(truth, score), 3)
    report(
        job="AUC + DeLong, n 10,000",
        seconds=round(ours, 5),
        naive=round(theirs, 4),
        ratio=round(theirs / ours, 1),
    )
    assert theirs / ours >= 50.0


def test_bootstrap_auc_against_a_scikit_learn_loop() -> None:
    truth, score = cohort(10_000)
    cases = operating.Presorted(truth, score)
    plan = Resampling(resamples=2000, seed=3)
    start = time.perf_counter()
    draws = replicate(cases.auc, truth.size, plan)
    limits = percentile_limits(draws, level=0.95)
    ours = time.perf_counter() - start
    rng = np.random.default_rng(3)
    start = time.perf_counter()
    loop = []
    for _ in range(2000):
        drawn = rng.integers(0, truth.size, truth.size)
        loop.append(roc_auc_score(truth[drawn], score[drawn]))
    expected = percentile_limits(np.asarray(loop), level=0.95)
    theirs = time.perf_counter() - start
    report(
        job="2,000 bootstrap AUCs, n 10,000",
        seconds=round(ours, 3),
        scikit_learn_loop=round(theirs, 2),
        ratio=round(theirs / ours, 1),
    )
    assert limits == pytest.approx(expected, abs=1e-14)  # equal indices, equal limits
    assert theirs / ours >= 40.0


def test_mrmc_ten_readers_two_modalities_five_hundred_cases() -> None:
    rng = np.random.default_rng(1)
    truth = np.arange(500) % 2
    reads = pd.concat(
        pd.DataFrame(
            {
                "reader": f"r{r}",
                "modality": f"m{m}",
                "case": np.arange(500),
                "truth": truth,
                "rating": np.round(rng.normal(size=500) + truth, 1),
            }
        )
        for r in range(10)
        for m in range(2)
    )
    for covariance in ("delong", "jackknife"):
        taken = best_of(
            lambda how=covariance: mrmc.obuchowski_rockette(
                reads, covariance=how, readers="random", cases="random"
            ),
            3,
        )
        report(job=f"MRMC 10 x 2 x 500, {covariance}", seconds=round(taken, 4))
        assert taken < 0.1
