"""Sample size: pROC, RJafroc and base R (expected.json), and simulation."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from validation import mrmc, paired, roc, sample_size
from validation.errors import ArgumentError


@pytest.mark.parametrize(("goal", "expected"), [(0.8, 0.9), (0.85, 0.92)])
def test_exact_goal_matches_r(
    reference: Callable[[str], Any], goal: float, expected: float
) -> None:
    theirs = reference(f"power.goal_exact.p0_{goal}_p1_{expected}_a025")
    for power in (80, 90):
        found = sample_size.exact_goal(goal=goal, expected=expected, power=power / 100)
        assert found.n_first == theirs[f"n_first_{power}"]
        assert found.n_stable == theirs[f"n_stable_{power}"]
    for n in (150, 200):
        value = sample_size.exact_goal_power(n, goal=goal, expected=expected)
        assert value == pytest.approx(theirs[f"power_n{n}"], abs=1e-9)


def test_mcnemar_power_matches_r(reference: Callable[[str], Any]) -> None:
    expected = reference("power.mcnemar.200_0.12_0.05")
    exact = sample_size.mcnemar_power(200, p10=0.12, p01=0.05, test="exact")
    assert exact == pytest.approx(expected["exact_cond"], abs=1e-8)
    mid = sample_size.mcnemar_power(200, p10=0.12, p01=0.05)
    assert mid == pytest.approx(expected["midp"], abs=1e-8)


def test_auc_power_matches_proc(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    one = reference("power_roc.one.auc0.8_n41_72")["power"]
    # power.roc.test's default is two-sided 0.05
    found = sample_size.auc_power(area=0.8, n_positive=41, n_negative=72, alpha=0.025)
    assert found == pytest.approx(one, abs=1e-9)
    two = reference("power_roc.two.ndka_wfns_p90")
    frame = example("aSAH.csv")
    truth = (frame["outcome"] == "Poor").to_numpy().astype(int)
    areas, v = roc.auc_covariance(truth, [frame["ndka"], frame["wfns"]])
    cases = sample_size.paired_auc_cases(
        difference=float(areas[0] - areas[1]),
        moments=(float(v[0, 0]), float(v[1, 1]), float(v[0, 1])),
        n_positive=41,
        n_negative=72,
        power=0.9,
    )
    assert cases == pytest.approx((two["ncases"], two["ncontrols"]), abs=1e-6)


@pytest.fixture(scope="module")
def pilot(example: Callable[[str], pd.DataFrame]) -> mrmc.Mrmc:
    frame = example("VanDyke.csv").rename(columns={"treatment": "modality"})
    return mrmc.obuchowski_rockette(frame, covariance="jackknife", readers="random", cases="random")


def _powers() -> list[str]:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("CXR_SHARED_DATA", str(beside))) / "statistics" / "expected.json"
    if not path.exists():
        return ["mrmc_power.VanDyke.RRRC.es0.05.J6.K251"]
    return [k for k in json.loads(path.read_text("utf-8")) if k.startswith("mrmc_power.")]


@pytest.mark.parametrize("identifier", _powers())
def test_mrmc_power_matches_rjafroc(
    reference: Callable[[str], Any], pilot: mrmc.Mrmc, identifier: str
) -> None:
    expected = reference(identifier)
    _, _, kind, whole, decimals, readers, cases = identifier.split(".")
    random: Any = {"RRRC": "both", "FRRC": "cases", "RRFC": "readers"}[kind]
    found = sample_size.mrmc_power(
        pilot,
        effect=float(f"{whole[2:]}.{decimals}"),
        readers=int(readers[1:]),
        cases=int(cases[1:]),
        random=random,
    )
    assert found.power == pytest.approx(expected[f"power{kind}"], abs=1e-8)
    assert found.noncentrality == pytest.approx(expected[f"ncp{kind}"], abs=1e-8)
    if expected[f"df2{kind}"] is not None:
        assert found.df2 == pytest.approx(expected[f"df2{kind}"], abs=1e-7)


@pytest.mark.parametrize("readers", [5, 6, 8, 10])
def test_mrmc_cases_match_rjafroc(
    reference: Callable[[str], Any], pilot: mrmc.Mrmc, readers: int
) -> None:
    expected = reference(f"mrmc_samplesize.VanDyke.es0.05.J{readers}.power80")
    found = sample_size.mrmc_cases(pilot, effect=0.05, readers=readers)
    assert found.cases == expected["KRRRC"]
    assert found.power == pytest.approx(expected["powerRRRC"], abs=1e-8)


def test_paired_noninferiority_size_has_its_power() -> None:
    n = sample_size.paired_noninferiority_cases(p10=0.08, p01=0.08, margin=0.05)
    # by hand: (1.95996 + 0.84162)^2 * 0.16 / 0.05^2 = 502.3
    assert n == 503
    rng = np.random.default_rng(1)
    draws = rng.multinomial(n, [0.7, 0.08, 0.08, 0.14], size=800)
    met = sum(paired.noninferiority(*cells, margin=0.05).met for cells in draws.tolist())
    assert 0.75 <= met / 800 <= 0.85  # Monte-Carlo standard error 0.014


def test_design_effect_and_precision_by_hand() -> None:
    effect = sample_size.design_effect(cases_per_patient=3, intraclass_correlation=0.2)
    assert effect == pytest.approx(1.4)
    found = sample_size.exact_goal(goal=0.8, expected=0.9, effect=1.4)
    assert found.n_with_clusters == 159  # 113 * 1.4 = 158.2
    n = sample_size.precision_cases(expected=0.9, half_width=0.05)
    # Wald would ask for 1.96^2 * 0.09 / 0.05^2 = 138.3
    assert 130 <= n <= 150


def test_learning_curve_finds_its_plateau() -> None:
    sizes = np.array([100, 200, 400, 800, 1600, 3200, 6400])
    areas = 0.85 - 1.2 * sizes**-0.5
    found = sample_size.learning_curve(sizes, areas)
    assert found.plateau.estimate == pytest.approx(0.85, abs=1e-6)
    assert found.rate == pytest.approx(0.5, abs=1e-4)
    with pytest.raises(ArgumentError, match=r"^sizes"):
        sample_size.learning_curve([1, 2, 3], [0.5, 0.6, 0.7])


def test_a_goal_above_the_expectation_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^goal"):
        sample_size.exact_goal(goal=0.9, expected=0.8)
