"""The 2x2 table: expected values from epiR 2.0.57 (expected.json), scikit-learn, and by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.confusion import Confusion, suspected
from validation.errors import ArgumentError
from validation.estimate import Estimate
from validation.proportions import Method, proportion
from verification import verifies

TABLE = Confusion(tp=670, fp=202, fn=74, tn=640)


def triple(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.estimate, estimate.lower, estimate.upper


@pytest.mark.parametrize(("name", "method"), [("exact", "clopper-pearson"), ("wilson", "wilson")])
def test_every_measure_matches_epi_tests(
    reference: Callable[[str], Any], name: str, method: Method
) -> None:
    expected = reference(f"epi.tests.{name}.TP_FP_FN_TN.670_202_74_640")
    found = {
        "ap": TABLE.flagged(method=method),
        "tp": TABLE.prevalence(method=method),
        "se": TABLE.sensitivity(method=method),
        "sp": TABLE.specificity(method=method),
        "diag.ac": TABLE.accuracy(method=method),
        "diag.or": TABLE.odds_ratio(),
        "youden": TABLE.youden(method=method),
        "pv.pos": TABLE.ppv(method=method),
        "pv.neg": TABLE.npv(method=method),
        "lr.pos": TABLE.lr_positive(),
        "lr.neg": TABLE.lr_negative(),
        "p.rout": proportion(714, 1586, method=method),
        "p.rin": TABLE.flagged(method=method),
        "p.tpdn": proportion(202, 842, method=method),
        "p.tndp": proportion(74, 744, method=method),
        "p.dntp": proportion(202, 872, method=method),
        "p.dptn": proportion(74, 714, method=method),
    }
    for key, estimate in found.items():
        assert triple(estimate) == pytest.approx(tuple(expected[key]), abs=1e-6), key
    youden = triple(found["youden"])
    needed = [1.0 / value for value in youden if value is not None]  # epiR's nndx
    assert (needed[0], needed[2], needed[1]) == pytest.approx(tuple(expected["nndx"]), abs=1e-6)


def test_predictive_values_at_a_prevalence(reference: Callable[[str], Any]) -> None:
    expected = reference("ppv_npv_at_prevalence.public.0.9_0.85_0.05")
    table = Confusion(tp=90, fn=10, tn=85, fp=15)  # sensitivity 0.9, specificity 0.85
    assert table.ppv_at(0.05).estimate == pytest.approx(expected["ppv"], abs=1e-9)
    assert table.npv_at(0.05).estimate == pytest.approx(expected["npv"], abs=1e-9)


def test_mercaldo_logit_interval_by_hand() -> None:
    # Mercaldo et al. 2007: logit PPV = log(0.9 * 0.05 / (0.15 * 0.95)) = -1.152680,
    # variance = 0.1/90 + 0.85/15 = 0.0577778 -> -1.152680 +- 0.471117, back to probabilities
    found = Confusion(tp=90, fn=10, tn=85, fp=15).ppv_at(0.05)
    assert triple(found) == pytest.approx((0.24, 0.164682, 0.335913), abs=1e-6)


def test_f1_matches_the_reference_and_its_interval_the_true_delta(
    reference: Callable[[str], Any],
) -> None:
    expected = reference("f1.aSAH.s100b_gt_0.2")
    table = Confusion(tp=expected["tp"], fp=expected["fp"], fn=expected["fn"], tn=expected["tn"])
    found = table.f1(method="delta")
    assert found.estimate == pytest.approx(expected["f1"], abs=1e-12)
    # confidenceinterval 1.0.5 writes diag(p) - p * p.T on a vector, which subtracts p_j^2 along
    # rows instead of the outer product p p^T; its limits follow from that and are not the delta
    # method's. Both are computed here from the formula.
    p = np.array([58, 14, 15, 26]) / 113
    denominator = p[1] + p[2] + 2 * p[3]
    f1 = 2 * p[3] / denominator
    gradient = np.array([0, -f1 / denominator, -f1 / denominator, 2 * (1 - f1) / denominator])
    theirs = gradient @ (np.diag(p) - p * p) @ gradient / 113
    right = gradient @ (np.diag(p) - np.outer(p, p)) @ gradient / 113
    z = 1.959963984540054
    limits = expected["takahashi_or_delta_ci"]
    assert (f1 - z * theirs**0.5, f1 + z * theirs**0.5) == pytest.approx(tuple(limits), abs=1e-6)
    assert found.interval() == pytest.approx((f1 - z * right**0.5, f1 + z * right**0.5), abs=1e-12)


@pytest.mark.parametrize("p", [0.3, 0.8])
def test_f1_interval_covers(p: float) -> None:
    rng = np.random.default_rng(3)
    draws = rng.multinomial(120, [0.3 * p, 0.7 * 0.2, 0.3 * (1 - p), 0.7 * 0.8], size=1500)
    truth = 2 * 0.3 * p / (2 * 0.3 * p + 0.7 * 0.2 + 0.3 * (1 - p))
    inside = 0
    for tp, fp, fn, tn in draws.tolist():
        lower, upper = Confusion(tp=tp, fp=fp, fn=fn, tn=tn).f1().interval()
        inside += lower is not None and upper is not None and lower <= truth <= upper
    assert 0.93 <= inside / 1500 <= 0.97  # nominal 0.95, Monte-Carlo standard error 0.0056


@pytest.mark.parametrize(
    ("cells", "measure", "word"),
    [
        ({"tp": 5, "fp": 0, "fn": 5, "tn": 9}, "lr_positive", "no false positives"),
        ({"tp": 5, "fp": 3, "fn": 5, "tn": 0}, "lr_negative", "no true negatives"),
        ({"tp": 5, "fp": 0, "fn": 5, "tn": 9}, "odds_ratio", "zero cell (fp)"),
        ({"tp": 0, "fp": 0, "fn": 0, "tn": 9}, "f1", "no finding and none flagged"),
        ({"tp": 0, "fp": 0, "fn": 4, "tn": 9}, "ppv", "no cases"),
    ],
)
def test_a_zero_cell_is_said_in_words(cells: dict[str, int], measure: str, word: str) -> None:
    found: Estimate = getattr(Confusion(**cells), measure)()
    assert found.estimate is None
    assert found.reason is not None
    assert word in found.reason


def test_a_zero_likelihood_ratio_is_one_sided() -> None:
    found = Confusion(tp=0, fp=3, fn=5, tn=6).lr_positive()
    assert triple(found) == (0.0, 0.0, None)


def test_a_tie_with_the_threshold_is_flagged() -> None:
    scores = np.array([0.7, np.nextafter(0.7, 0.0)])
    assert suspected(scores, 0.7).tolist() == [True, False]


def test_counts_are_refused_when_negative() -> None:
    with pytest.raises(ArgumentError, match=r"^fp: -1"):
        Confusion(tp=1, fp=-1, fn=1, tn=1)


@verifies("SRS-340@6fd4c744", level="unit")
@pytest.mark.parametrize(
    ("cells", "limit", "bound"),
    [
        ({"tp": 90, "fp": 0, "fn": 10, "tn": 900}, "upper", 1.0),
        ({"tp": 0, "fp": 9, "fn": 10, "tn": 90}, "lower", 0.0),
    ],
)
def test_a_zero_cell_opens_the_limit_that_missed_the_estimate(
    cells: dict[str, int], limit: str, bound: float
) -> None:
    found = Confusion(**cells).ppv_at(0.05)
    assert found.estimate == getattr(found, limit) == bound
    assert found.reason is not None
    assert f"{limit} limit opened to {bound:g}" in found.reason


@verifies("SRS-340@6fd4c744", level="unit")
@given(st.lists(st.integers(0, 12), min_size=4, max_size=4), st.floats(0.001, 0.999))
def test_predictive_values_at_a_prevalence_hold_their_estimate(
    counts: list[int], prevalence: float
) -> None:
    tp, fp, fn, tn = counts
    table = Confusion(tp=tp, fp=fp, fn=fn, tn=tn)
    for found in (table.ppv_at(prevalence), table.npv_at(prevalence)):
        if found.estimate is not None:
            assert found.lower is not None
            assert found.upper is not None
            assert 0.0 <= found.lower <= found.estimate <= found.upper <= 1.0
            assert found.lower < found.upper


@verifies("SRS-340@6fd4c744", level="unit")
def test_a_likelihood_ratio_of_a_test_that_flags_all_has_no_interval() -> None:
    for found in (
        Confusion(tp=5, fp=5, fn=0, tn=0).lr_positive(),
        Confusion(tp=0, fp=0, fn=5, tn=5).lr_negative(),
    ):
        assert triple(found) == (1.0, None, None)
        assert found.reason is not None
        assert "variance is 0" in found.reason


@verifies("SRS-340@6fd4c744", level="unit")
def test_the_delta_limits_of_f1_are_cut_at_1() -> None:
    found = Confusion(tp=9, fp=1, fn=0, tn=5).f1(method="delta")
    assert found.upper == 1.0
    assert found.reason is not None
    assert "cut at [0, 1]" in found.reason
