"""Coverage of the intervals in simulation: nominal 95 %, n from 20 to 2,000, fixed seeds."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from validation import operating, paired, roc
from validation.bootstrap import Resampling
from validation.estimate import Estimate
from validation.proportions import proportion


def covers(found: Estimate, truth: float) -> bool:
    """Return whether the interval holds the truth; an open side is no limit."""
    low = -np.inf if found.lower is None else found.lower
    high = np.inf if found.upper is None else found.upper
    return bool(low <= truth <= high)


def within(share: float, runs: int, *, low: float, high: float) -> bool:
    """Return whether a coverage agrees with [low, high] up to three Monte-Carlo errors."""
    error = 3.0 * (0.05 * 0.95 / runs) ** 0.5
    return bool(low - error <= share <= high + error)


@pytest.mark.parametrize("n", [20, 200, 2000])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_proportions_cover_exactly(n: int, p: float) -> None:
    # no simulation: the coverage is a sum over the binomial distribution
    k = np.arange(n + 1)
    weight = stats.binom.pmf(k, n, p)
    likely = np.flatnonzero(weight > 1e-9)

    def coverage(method: str) -> float:
        return float(
            sum(weight[i] * covers(proportion(int(i), n, method=method), p) for i in likely)  # type: ignore[arg-type]
        )

    assert coverage("clopper-pearson") >= 0.95 - 1e-6
    for method in ("wilson", "jeffreys", "agresti-coull", "mid-p"):
        assert 0.91 <= coverage(method) <= 0.995  # the saw of a discrete distribution


@pytest.mark.parametrize(("n", "runs"), [(20, 1500), (200, 1000), (2000, 500)])
def test_delong_covers(n: int, runs: int) -> None:
    rng = np.random.default_rng(n)
    truth = np.arange(n) % 2
    area = float(stats.norm.cdf(1.0 / 2**0.5))
    hits = {"wald": 0, "logit": 0}
    for _ in range(runs):
        score = rng.normal(size=n) + truth
        hits["wald"] += covers(roc.auc(truth, score), area)
        hits["logit"] += covers(roc.auc(truth, score, interval="logit"), area)
    assert within(hits["logit"] / runs, runs, low=0.95, high=0.97 if n == 20 else 0.95)
    assert within(hits["wald"] / runs, runs, low=0.92 if n == 20 else 0.94, high=0.95)


def test_logit_delong_covers_at_an_auc_of_95_percent() -> None:
    rng = np.random.default_rng(95)
    shift = 2**0.5 * float(stats.norm.isf(0.05))
    truth = np.arange(120) % 2
    hits = sum(
        covers(roc.auc(truth, rng.normal(size=120) + shift * truth, interval="logit"), 0.95)
        for _ in range(1500)
    )
    assert 0.93 <= hits / 1500 <= 0.97


@pytest.mark.parametrize(("n", "runs"), [(60, 400), (400, 250)])
def test_bootstrap_auc_covers(n: int, runs: int) -> None:
    rng = np.random.default_rng(n + 1)
    truth = np.arange(n) % 2
    area = float(stats.norm.cdf(1.0 / 2**0.5))
    plan = Resampling(resamples=300, strata=truth)
    hits = sum(
        covers(operating.auc_bootstrap(truth, rng.normal(size=n) + truth, resampling=plan), area)
        for _ in range(runs)
    )
    assert within(hits / runs, runs, low=0.93, high=0.96)


@pytest.mark.parametrize("n", [20, 200, 2000])
@pytest.mark.parametrize("interval", [paired.tango, paired.newcombe, paired.bonett_price])
def test_paired_differences_cover(n: int, interval: Callable[..., Estimate]) -> None:
    rng = np.random.default_rng(n)
    runs = 1000
    draws = rng.multinomial(n, [0.7, 0.12, 0.06, 0.12], size=runs)
    hits = sum(covers(interval(*cells), 0.06) for cells in draws.tolist())
    assert within(hits / runs, runs, low=0.94, high=0.98 if n == 20 else 0.96)


def test_paired_delong_covers_and_holds_its_size() -> None:
    rng = np.random.default_rng(8)
    runs, hits, rejected = 800, 0, 0
    truth = np.arange(150) % 2
    for _ in range(runs):
        shared = rng.normal(size=150)
        a, b = (shared + rng.normal(size=150) + 1.3 * truth for _ in range(2))
        found = roc.compare(truth, a, b)
        assert found.lower is not None
        assert found.upper is not None
        assert found.p_value is not None
        hits += found.lower <= 0.0 <= found.upper
        rejected += found.p_value < 0.05
    assert within(hits / runs, runs, low=0.95, high=0.95)
    assert rejected == runs - hits
