"""Proportions: expected values from R (expected.json), from scipy, from papers."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
from scipy import stats

from validation.errors import ArgumentError
from validation.proportions import (
    METHODS,
    Method,
    difference_independent,
    lower_bound,
    performance_goal,
    performance_goals,
    proportion,
)

R_NAMES: dict[str, Method] = {
    "clopper_pearson": "clopper-pearson",
    "wilson": "wilson",
    "wilson_cc": "wilson-cc",
    "jeffreys": "jeffreys",
}


@pytest.mark.parametrize("counts", ["81_100", "9_10", "0_30"])
@pytest.mark.parametrize("name", R_NAMES)
def test_intervals_match_base_r(reference: Callable[[str], Any], name: str, counts: str) -> None:
    k, n = (int(part) for part in counts.split("_"))
    found = proportion(k, n, method=R_NAMES[name])
    assert found.interval() == pytest.approx(reference(f"prop.{name}.{counts}"), abs=1e-9)


@pytest.mark.parametrize("counts", ["81_100", "9_10", "0_30"])
def test_one_sided_bound_matches_base_r(reference: Callable[[str], Any], counts: str) -> None:
    k, n = (int(part) for part in counts.split("_"))
    assert lower_bound(k, n) == pytest.approx(
        reference(f"prop.cp_onesided_lower.{counts}"), abs=1e-9
    )


def test_performance_goal_matches_binom_test(reference: Callable[[str], Any]) -> None:
    expected = reference("perf_goal.exact.187_204_0.85")
    found = performance_goal(187, 204, goal=0.85)
    assert found.p_value == pytest.approx(expected["p"], abs=1e-6)
    assert found.lower_bound == pytest.approx(expected["lo975"], abs=1e-6)
    assert found.met


def test_wilson_interval_matches_newcombe_1998_table_1() -> None:
    # Newcombe, Statistics in Medicine 1998;17:857-872, Table I, method 3, 81/263
    assert proportion(81, 263, method="wilson").interval() == pytest.approx(
        (0.2553, 0.3662), abs=5e-5
    )


def test_mid_p_interval_matches_newcombe_1998_table_1() -> None:
    # Newcombe 1998, Table I, method 6 (mid-p), 15/148 and 0/20
    assert proportion(15, 148, method="mid-p").interval() == pytest.approx(
        (0.0601, 0.1581), abs=5e-5
    )
    assert proportion(0, 20, method="mid-p").interval() == pytest.approx((0.0, 0.1391), abs=5e-5)


@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 7), (7, 7), (187, 204)])
def test_clopper_pearson_and_wilson_match_scipy(k: int, n: int) -> None:
    test = stats.binomtest(k, n)
    for ours, theirs in (("clopper-pearson", "exact"), ("wilson", "wilson")):
        limits = test.proportion_ci(0.9, method=theirs)
        found = proportion(k, n, method=ours, level=0.9)  # type: ignore[arg-type]
        assert found.interval() == pytest.approx((limits.low, limits.high), abs=1e-12)


def test_blaker_lies_inside_clopper_pearson() -> None:
    for k in range(13):
        inner, outer = proportion(k, 12, method="blaker"), proportion(k, 12)
        assert inner.lower is not None
        assert outer.lower is not None
        assert inner.upper is not None
        assert outer.upper is not None
        assert outer.lower <= inner.lower <= k / 12 <= inner.upper <= outer.upper


def test_agresti_coull_is_cut_with_a_reason() -> None:
    # by hand: n~ = 10 + z^2, p~ = (0 + z^2/2)/n~ = 0.1388, half 0.1822 -> lower -0.0434
    found = proportion(0, 10, method="agresti-coull")
    assert found.lower == 0.0
    assert found.reason == "the limit of Agresti-Coull beyond [0, 1] is cut there"


@pytest.mark.parametrize("method", METHODS)
def test_no_cases_is_undefined_with_a_reason(method: Method) -> None:
    found = proportion(0, 0, method=method)
    assert (found.estimate, found.lower, found.upper) == (None, None, None)
    assert found.reason == "no cases: 0 of 0"


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (True, 5), (2.5, 5)])
def test_what_is_no_count_is_refused(k: int, n: int) -> None:
    with pytest.raises(ArgumentError, match=r"^k: "):
        proportion(k, n)


def test_several_goals_are_met_only_together() -> None:
    high, low = performance_goal(95, 100, goal=0.8), performance_goal(80, 100, goal=0.8)
    assert performance_goals({"sensitivity": high})
    assert not performance_goals({"sensitivity": high, "specificity": low})
    with pytest.raises(ArgumentError):
        performance_goals({})


@pytest.mark.parametrize(
    ("name", "method"),
    [("miettinen_nurminen", "miettinen-nurminen"), ("mee_score", "mee"),
     ("newcombe_hybrid", "newcombe")],
)  # fmt: skip
def test_independent_difference_matches_ratesci(
    reference: Callable[[str], Any],
    name: str,
    method: Literal["newcombe", "miettinen-nurminen", "mee"],
) -> None:
    expected = reference(f"diff_indep.{name}.56_70_48_80")
    found = difference_independent((56, 70), (48, 80), method=method)
    assert (found.lower, found.estimate, found.upper) == pytest.approx(
        tuple(expected[:3]), abs=1e-6
    )
