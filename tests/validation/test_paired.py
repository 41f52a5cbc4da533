"""Paired proportions: expected values from contingencytables, PropCIs, ratesci, DTComPair."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validation import paired
from validation.errors import ArgumentError
from validation.estimate import Estimate

TABLES = ["53_16_8_9", "36_12_2_0", "59_6_16_80"]
INTERVALS: dict[str, tuple[Callable[..., Estimate], float]] = {
    "Newcombe_square_and_add_CI": (paired.newcombe, 1e-6),
    "Tango_asymptotic_score_CI": (paired.tango, 2e-5),
    "Wald_CI_BonettPrice": (paired.bonett_price, 1e-6),
    "Wald_CI_AgrestiMin": (paired.agresti_min, 1e-6),
    "Wald_CI_diff": (paired.wald, 1e-6),
    "Tang_asymptotic_score_CI": (paired.tang_ratio, 1e-6),
    "BonettPrice_hybrid_Wilson_score_CI": (paired.hybrid_ratio, 1e-6),
}


@pytest.mark.parametrize("counts", TABLES)
@pytest.mark.parametrize("name", INTERVALS)
def test_intervals_match_contingencytables(
    reference: Callable[[str], Any], name: str, counts: str
) -> None:
    expected = reference(f"ct.{name}_paired_2x2.{counts}")
    function, tolerance = INTERVALS[name]
    found = function(*(int(part) for part in counts.split("_")))
    assert (found.estimate, found.lower, found.upper) == pytest.approx(
        (expected["estimate"], expected["lower"], expected["upper"]), abs=tolerance
    )


@pytest.mark.parametrize("counts", TABLES)
def test_mcnemar_matches_contingencytables(reference: Callable[[str], Any], counts: str) -> None:
    n11, n10, n01, n00 = (int(part) for part in counts.split("_"))
    found = paired.mcnemar(n10, n01)

    def value(name: str, key: str = "Pvalue") -> float:
        return float(reference(f"ct.McNemar_{name}_paired_2x2.{counts}")[key])

    assert found.mid_p == pytest.approx(value("midP_test", "midP"), abs=1e-12)
    assert found.exact_p == pytest.approx(value("exact_cond_test"), abs=1e-12)
    assert found.asymptotic_p == pytest.approx(value("asymptotic_test"), abs=1e-12)
    assert found.z == pytest.approx(value("asymptotic_test", "Z"), abs=1e-12)
    unconditional = paired.mcnemar_unconditional(n11, n10, n01, n00)
    assert unconditional == pytest.approx(value("exact_unconditional_test"), abs=1e-9)


@pytest.mark.parametrize("counts", ["59_6_16_80", "53_16_8_9"])
def test_mcnemar_matches_base_r(reference: Callable[[str], Any], counts: str) -> None:
    expected = reference(f"mcnemar.{counts}")
    _, n10, n01, _ = (int(part) for part in counts.split("_"))
    found = paired.mcnemar(n10, n01)
    assert (found.asymptotic_p, found.corrected_p, found.exact_p, found.mid_p) == pytest.approx(
        (expected["p"], expected["p_cc"], expected["p_exact"], expected["p_midp"]), abs=1e-9
    )


@pytest.mark.parametrize("counts", ["53_16_8_9", "36_12_2_0"])
def test_tango_and_agresti_min_match_propcis(reference: Callable[[str], Any], counts: str) -> None:
    cells = [int(part) for part in counts.split("_")]
    tango = reference(f"tango.{counts}")
    low, high = tango["propcis_c_minus_b"]
    assert paired.tango(*cells).interval() == pytest.approx((-high, -low), abs=2e-5)
    lower, _, upper, _ = tango["ratesci_b_minus_c"]
    assert paired.tango(*cells).interval() == pytest.approx((lower, upper), abs=2e-5)
    low, high = reference(f"agresti_min_wald_mp.{counts}")
    assert paired.agresti_min(*cells).interval() == pytest.approx((-high, -low), abs=1e-6)


def test_differences_match_dtcompair(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    frame = example("dtcompair_Paired1.csv")
    for name, truth in (("sensitivity", 1), ("specificity", 0)):
        rows = frame[frame["d"] == truth]
        second, first = (rows["y2"] == truth).to_numpy(), (rows["y1"] == truth).to_numpy()
        cells = [
            int(np.sum(second & first)),
            int(np.sum(second & ~first)),
            int(np.sum(~second & first)),
            int(np.sum(~second & ~first)),
        ]
        tango = reference("dtcompair.sesp.diff.ci.tango.Paired1")[name]
        assert paired.tango(*cells).interval() == pytest.approx(tuple(tango[-2:]), abs=1e-6)
        wald = reference("dtcompair.sesp.diff.ci.wald.Paired1")[name]
        assert paired.wald(*cells).interval() == pytest.approx(tuple(wald[-2:]), abs=1e-6)
        # DTComPair puts Agresti-Min's standard error around the unadjusted difference
        agresti = reference("dtcompair.sesp.diff.ci.agresti-min.Paired1")[name]
        assert paired.agresti_min(*cells).se == pytest.approx(agresti[3], abs=1e-6)
        assert paired.agresti_min(*cells).estimate == pytest.approx(agresti[2], abs=1e-6)
        test = paired.mcnemar(cells[1], cells[2])
        mcnemar = reference("dtcompair.sesp.mcnemar.Paired1")[name]
        assert test.asymptotic_p == pytest.approx(mcnemar[-1], abs=1e-9)
        exact = reference("dtcompair.sesp.exactbinom.Paired1")[name]
        assert test.exact_p == pytest.approx(exact[-1], abs=1e-9)


def test_no_discordant_pair_is_no_error() -> None:
    test = paired.mcnemar(0, 0)
    assert (test.z, test.exact_p, test.reason) == (None, 1.0, "no discordant pair")
    # Tango's score at b = c = 0 is n D / (1 - D), so the limits are +- z^2 / (n + z^2)
    z2 = 1.959963984540054**2
    limit = z2 / (100 + z2)
    assert paired.tango(50, 0, 0, 50).interval() == pytest.approx((-limit, limit), abs=1e-12)
    assert paired.wald(50, 0, 0, 50).reason is not None


def test_no_pairs_are_undefined_with_a_reason() -> None:
    for function in (paired.tango, paired.newcombe, paired.bonett_price, paired.tang_ratio):
        assert function(0, 0, 0, 0).reason is not None


def test_noninferiority_agrees_with_its_interval() -> None:
    # 53 16 8 9: the Tango lower limit is -0.01966
    assert not paired.noninferiority(53, 16, 8, 9, margin=0.019).met
    found = paired.noninferiority(53, 16, 8, 9, margin=0.020)
    assert found.met
    assert found.p_value < 0.025
    on_limit = paired.noninferiority(53, 16, 8, 9, margin=-(found.difference.lower or 0.0))
    assert on_limit.p_value == pytest.approx(0.025, abs=1e-9)


def test_equivalence_needs_both_sides() -> None:
    assert paired.equivalence(400, 20, 18, 62, margin=0.05).met
    assert not paired.equivalence(53, 16, 8, 9, margin=0.05).met


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1])
def test_a_margin_outside_0_1_is_refused(margin: float) -> None:
    with pytest.raises(ArgumentError, match=r"^margin"):
        paired.noninferiority(53, 16, 8, 9, margin=margin)


counts = st.integers(0, 60)


@settings(max_examples=80, deadline=None)
@given(a=counts, b=counts, c=counts, d=counts)
def test_swapping_the_tests_mirrors_the_interval(a: int, b: int, c: int, d: int) -> None:
    for function in (paired.tango, paired.newcombe, paired.bonett_price):
        one, other = function(a, b, c, d), function(a, c, b, d)
        if one.lower is not None and one.upper is not None:
            assert other.interval() == pytest.approx((-one.upper, -one.lower), abs=1e-9)
            assert -1.0 <= one.lower <= one.upper <= 1.0


def test_tango_covers() -> None:
    rng = np.random.default_rng(2)
    for n in (20, 100, 500):
        draws = rng.multinomial(n, [0.6, 0.2, 0.1, 0.1], size=1500)
        inside = 0
        for cells in draws.tolist():
            lower, upper = paired.tango(*cells).interval()
            inside += lower is not None and upper is not None and lower <= 0.1 <= upper
        assert 0.93 <= inside / 1500 <= 0.97  # Monte-Carlo standard error 0.0056
