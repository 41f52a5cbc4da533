"""Agreement: expected values from irr 0.84.1, irrCAC 1.0, epiR 2.0.57, krippendorff 0.9.0."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from validation import agreement
from validation.agreement import Weights
from verification import verifies

NAN = float("nan")
# irr manual, nmm: 4 raters x 12 units (Krippendorff's textbook example)
TEXTBOOK = np.array(
    [[1, 1, NAN, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
     [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [NAN, 5, 5, 5], [NAN, NAN, 1, 1],
     [NAN, NAN, 3, NAN]]
)  # fmt: skip
IRRCAC = {
    "gwet.ac1.raw": agreement.gwet,
    "fleiss.kappa.raw": agreement.fleiss,
    "krippen.alpha.raw": agreement.krippendorff,
    "conger.kappa.raw": agreement.conger,
    "bp.coeff.raw": agreement.brennan_prediger,
}


@pytest.mark.parametrize("weights", ["unweighted", "quadratic"])
@pytest.mark.parametrize("name", IRRCAC)
def test_coefficients_and_errors_match_irrcac(
    reference: Callable[[str], Any],
    example: Callable[[str], pd.DataFrame],
    name: str,
    weights: Weights,
) -> None:
    expected = reference(f"irrCAC.{name}.{weights}.cac.raw4raters")
    found = IRRCAC[name](example("irrCAC_cac.raw4raters.csv").to_numpy(), weights=weights)
    assert found.estimate == pytest.approx(expected["coeff.val"], abs=1e-5)
    assert found.se == pytest.approx(expected["coeff.se"], abs=1e-5)
    low = float(expected["conf.int"].strip("()").split(",")[0])
    assert found.lower == pytest.approx(low, abs=6e-4)  # printed with three digits
    assert found.upper == 1.0


@pytest.mark.parametrize(
    ("name", "weights"),
    [("nominal", "unweighted"), ("ordinal", "ordinal"), ("interval", "quadratic"),
     ("ratio", "ratio")],
)  # fmt: skip
def test_alpha_matches_irr_on_the_textbook_example(
    reference: Callable[[str], Any], name: str, weights: Weights
) -> None:
    found = agreement.krippendorff(TEXTBOOK, weights=weights)
    assert found.estimate == pytest.approx(reference(f"kripp_alpha.{name}.irr_example"), abs=1e-9)


def test_alpha_matches_krippendorff_where_irr_does_not(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    found = agreement.krippendorff(example("irr_anxiety.csv").to_numpy())
    expected = reference("kripp_alpha.nominal.irr_anxiety_by_python_krippendorff")
    assert found.estimate == pytest.approx(expected, abs=1e-9)


def test_fleiss_and_light_match_irr(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    frame = example("irr_diagnoses.csv")
    codes = frame.apply(lambda c: c.str[0].astype(int)).to_numpy()
    expected = reference("fleiss_kappa.irr_diagnoses")
    assert agreement.fleiss(codes).estimate == pytest.approx(expected["kappa"], abs=1e-9)
    assert agreement.fleiss_test(codes)[0] == pytest.approx(expected["z"], abs=1e-6)
    light = reference("light_kappa.irr_diagnoses")["kappa"]
    assert agreement.light(codes).estimate == pytest.approx(light, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "weights"), [("unweighted", "unweighted"), ("equal", "linear"),
                          ("squared", "quadratic")],
)  # fmt: skip
def test_cohen_matches_irr(
    reference: Callable[[str], Any],
    example: Callable[[str], pd.DataFrame],
    name: str,
    weights: Weights,
) -> None:
    table = example("irr_anxiety.csv").to_numpy()
    expected = reference(f"cohen_kappa.{name}.irr_anxiety_1_2")
    found = agreement.cohen(table[:, 0], table[:, 1], weights=weights)
    assert (found.kappa.estimate, found.z, found.p_value) == pytest.approx(
        (expected["kappa"], expected["z"], expected["p"]), abs=1e-9
    )


def test_cohen_and_pabak_match_epir(reference: Callable[[str], Any]) -> None:
    expected = reference("epi.kappa.fleiss.31_12_2_17")
    first = np.repeat([1, 1, 0, 0], [31, 12, 2, 17])
    second = np.repeat([1, 0, 1, 0], [31, 12, 2, 17])
    found = agreement.cohen(first, second)
    assert found.kappa.estimate == pytest.approx(expected["kappa"][0], abs=1e-9)
    assert found.null_se == pytest.approx(expected["kappa"][1], abs=1e-9)
    adjusted = agreement.pabak(first, second)
    assert (adjusted.estimate, adjusted.lower, adjusted.upper) == pytest.approx(
        tuple(expected["pabak"]), abs=1e-9
    )


def test_icc_matches_irr(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    expected = reference("icc.twoway.consistency.irr_anxiety")
    found = agreement.icc_consistency(example("irr_anxiety.csv").to_numpy())
    assert (found.estimate, found.lower, found.upper) == pytest.approx(
        (expected["icc"], expected["lo"], expected["hi"]), abs=1e-9
    )


def test_kappa_collapses_where_ac1_keeps_its_meaning() -> None:
    # Gwet 2008: 118 + 2 agreements among 125, prevalence near 1; kappa by hand is
    # (0.96 - 0.9418) / (1 - 0.9418) = 0.3132 although 96 % agree
    first = np.repeat([1, 1, 0, 0], [118, 3, 2, 2])
    second = np.repeat([1, 0, 1, 0], [118, 3, 2, 2])
    kappa = agreement.cohen(first, second).kappa.estimate
    pe = (121 * 120 + 4 * 5) / 125**2
    assert kappa == pytest.approx((0.96 - pe) / (1 - pe), abs=1e-12)
    ac1 = agreement.gwet(np.column_stack((first, second))).estimate
    assert ac1 is not None
    assert ac1 > 0.95


def test_one_category_is_undefined_with_a_reason() -> None:
    table = np.ones((10, 3))
    for function in (agreement.fleiss, agreement.gwet, agreement.krippendorff, agreement.conger):
        found = function(table)
        assert found.estimate is None
        assert found.reason is not None
    assert agreement.cohen(table[:, 0], table[:, 1]).kappa.estimate is None


def test_perfect_agreement_has_no_interval() -> None:
    table = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0], [1, 1, 1]])
    found = agreement.fleiss(table)
    assert (found.estimate, found.lower) == (1.0, None)
    assert found.reason is not None


def test_relabelling_changes_no_nominal_coefficient() -> None:
    rng = np.random.default_rng(1)
    table = rng.integers(0, 3, (40, 4)).astype(float)
    renamed = np.array([7.0, 1.0, 4.0])[table.astype(int)]
    for function in (agreement.fleiss, agreement.gwet, agreement.krippendorff, agreement.conger):
        assert function(renamed).estimate == pytest.approx(function(table).estimate, abs=1e-12)


def test_fleiss_interval_covers() -> None:
    # votes of 4 readers given a latent truth: kappa = (2 * 0.85 - 1)^2 = 0.49 at prevalence 1/2
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(500):
        truth = rng.random(150) < 0.5
        table = np.where(rng.random((150, 4)) < 0.85, truth[:, None], ~truth[:, None]).astype(float)
        lower, upper = agreement.fleiss(table).interval()
        inside += lower is not None and upper is not None and lower <= 0.49 <= upper
    assert 0.925 <= inside / 500 <= 0.975  # Monte-Carlo standard error 0.0097


@verifies("SRS-341@ba937655", level="unit")
def test_two_readers_who_share_no_case_have_no_kappa() -> None:
    found = agreement.cohen([1, 0, NAN, NAN], [NAN, NAN, 1, 0])
    assert (found.kappa.estimate, found.kappa.n, found.z, found.p_value) == (None, 0, None, None)
    assert found.kappa.reason == "no case that both have rated"


@verifies("SRS-341@ba937655", level="integration")
def test_readers_in_a_chain_have_their_other_coefficients(
    validate: Callable[..., Any], table: Callable[..., Path], tmp_path: Path
) -> None:
    # cases 0..5 read by A and B, 6..11 by B and C: A and C share none
    ratings = table(
        case=[c for c in range(12) for _ in (0, 1)],
        reader=["A", "B"] * 6 + ["B", "C"] * 6,
        rating=[1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1] * 2,
    )
    result = validate("agreement", ratings, "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "a/results.json").read_text("utf-8"))
    assert found["cohen"]["estimate"] is None
    assert "shares no case" in found["cohen"]["reason"]
    assert len(found["cohen"]["pairs"]) == 2
    for key in ("fleiss", "gwet_ac1", "krippendorff_alpha"):
        assert found[key]["estimate"] is not None


@verifies("SRS-341@ba937655", level="unit")
def test_pabak_leaves_out_what_either_has_not_rated() -> None:
    whole = agreement.pabak([1, 0, 1, 1], [1, 0, 0, 1])
    found = agreement.pabak([1, 0, 1, 1, NAN, 0, NAN], [1, 0, 0, 1, 1, NAN, NAN])
    assert found == whole
    assert found.n == 4
    assert agreement.pabak(["x", None], ["x", "y"]).n == 1  # type: ignore[arg-type]
    assert agreement.pabak([NAN], [1.0]).reason == "no case that both have rated"
