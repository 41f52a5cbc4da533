"""MRMC: expected values from MRMCaov 0.3.0 and RJafroc 2.1.3 (expected.json), and simulation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from validation import mrmc
from validation.errors import DesignError
from validation.reader_covariance import CovarianceMethod

TOLERANCE = 1e-9  # the file gives 1e-7


def vandyke(example: Callable[[str], pd.DataFrame], case: str = "case") -> pd.DataFrame:
    frame = example("VanDyke.csv").rename(columns={"treatment": "modality"})
    own: dict[str, Any] = {
        "case": "",
        "case2": frame["reader"].astype(str),
        "case3": frame["modality"].astype(str),
    }
    return frame.assign(case=own[case] + "." + frame["case"].astype(str))


REFERENCES = [
    ("auc.rrrc.DeLong", "case", None, "random", "random"),
    ("auc.rrrc.jackknife", "case", None, "random", "random"),
    ("auc.rrrc.unbiased", "case", None, "random", "random"),
    ("auc.frrc.DeLong", "case", None, "fixed", "random"),
    ("auc.frrc.jackknife", "case", None, "fixed", "random"),
    ("auc.frrc.unbiased", "case", None, "fixed", "random"),
    ("auc.rrfc", "case", None, "random", "fixed"),
    ("auc.nested_reader.rrrc.jackknife", "case2", None, "random", "random"),
    ("auc.nested_reader.rrrc.unbiased", "case2", None, "random", "random"),
    ("auc.nested_test.rrrc.jackknife", "case3", None, "random", "random"),
    ("auc.nested_test.rrrc.unbiased", "case3", None, "random", "random"),
    ("sens.rrrc.jackknife", "case", mrmc.Metric(kind="sensitivity", threshold=3), "random",
     "random"),
    ("spec.rrrc.jackknife", "case", mrmc.Metric(kind="specificity", threshold=3), "random",
     "random"),
    ("pauc_spec80_100.rrrc.jackknife", "case", mrmc.Metric(kind="partial-auc"), "random",
     "random"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "case", "metric", "readers", "cases"), REFERENCES)
def test_every_number_matches_mrmcaov(  # noqa: PLR0913, PLR0917 - one row of the table
    reference: Callable[[str], Any],
    example: Callable[[str], pd.DataFrame],
    name: str,
    case: str,
    metric: mrmc.Metric | None,
    readers: Any,
    cases: Any,
) -> None:
    expected = reference(f"mrmc.VanDyke.{name}")
    method = expected["cov_method"].lower()
    found = mrmc.obuchowski_rockette(
        vandyke(example, case),
        covariance="delong" if method == "null" else method,
        readers=readers,
        cases=cases,
        metric=metric,
    )
    first, theirs = found.differences[0], expected["diffs"][0]
    assert (first.estimate, first.se, first.p_value, first.lower, first.upper) == pytest.approx(
        tuple(theirs[k] for k in ("Estimate", "StdErr", "p-value", "CI.Lower", "CI.Upper")),
        abs=TOLERANCE,
    )
    if "df" in theirs:
        assert first.df == pytest.approx(theirs["df"], abs=1e-7)
    whole = expected["global"]
    assert found.test.statistic == pytest.approx(whole.get("F", whole.get("X2")), abs=1e-7)
    assert found.test.p_value == pytest.approx(whole["p-value"], abs=TOLERANCE)
    for ours, cell in zip(found.readers, expected["reader_metrics"], strict=True):
        value = next(v for k, v in cell.items() if k not in {"treatment", "reader"})
        assert ours.auc == pytest.approx(value, abs=TOLERANCE)
    for mean, their in zip(found.modalities, expected["means"], strict=True):
        assert (mean.auc, mean.se, mean.lower, mean.upper) == pytest.approx(
            tuple(their[k] for k in ("Estimate", "StdErr", "CI.Lower", "CI.Upper")), abs=TOLERANCE
        )
    if expected["vcov"]:
        c, v = found.covariances, found.components
        assert v is not None
        assert (c.error, c.cov1, c.cov2, c.cov3, v.reader, v.modality_reader) == pytest.approx(
            tuple(
                expected["vcov"][k]
                for k in ("Error", "Cov1", "Cov2", "Cov3", "reader", "treatment:reader")
            ),
            abs=TOLERANCE,
        )
    for ours_reader, their in zip(found.reader_differences, expected["reader_diffs"] or []):  # noqa: B905 - absent unless readers are fixed
        assert ours_reader.se == pytest.approx(their["StdErr"], abs=TOLERANCE)


def test_components_match_rjafroc(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    rows = {row["_row"]: row["Estimates"] for row in reference("mrmc_varcomp_OR.VanDyke")["vc"]}
    found = mrmc.obuchowski_rockette(
        vandyke(example), covariance="jackknife", readers="random", cases="random"
    )
    c, v = found.covariances, found.components
    assert v is not None
    assert (v.reader, v.modality_reader, c.cov1, c.cov2, c.cov3, c.error) == pytest.approx(
        tuple(rows[k] for k in ("VarR", "VarTR", "Cov1", "Cov2", "Cov3", "Var")), abs=1e-12
    )


def roe_metz(
    rng: np.random.Generator, *, cases: int = 60, readers: int = 5, films: int = 1, gap: float = 0.0
) -> pd.DataFrame:
    """Simulate ratings by Roe and Metz 1997 (HL structure), optionally several films a patient."""
    patients = cases // films
    patient = np.repeat(np.arange(patients), films)
    truth = np.repeat(rng.random(patients) < 0.5, films)
    truth[:films], truth[films : 2 * films] = True, False
    cells = []
    case_effect = rng.normal(0, 0.3**0.5, cases)
    patient_effect = rng.normal(0, 0.6**0.5 if films > 1 else 0.0, patients)[patient]
    by_case_modality = rng.normal(0, 0.3**0.5, (2, cases))
    for r in range(readers):
        reader = rng.normal(0, 0.1, 2)
        case_reader = rng.normal(0, 0.2**0.5, cases)
        for m in range(2):
            both = rng.normal(0, 0.1, 2)
            signal = (1.2 + gap * m) * truth + np.where(truth, reader[1] + both[1], reader[0])
            rating = (
                signal + case_effect + patient_effect + by_case_modality[m] + case_reader
                + rng.normal(0, 0.2**0.5, cases)
            )  # fmt: skip
            cells.append(
                pd.DataFrame(
                    {
                        "reader": f"r{r}",
                        "modality": f"m{m}",
                        "case": np.arange(cases),
                        "truth": truth.astype(int),
                        "rating": rating,
                        "patient": patient,
                    }
                )
            )
    return pd.concat(cells)


def _reject(frame: pd.DataFrame, cluster: str | None) -> bool:
    p = (
        mrmc.obuchowski_rockette(
            frame, covariance="delong", readers="random", cases="random", cluster=cluster
        )
        .differences[0]
        .p_value
    )
    return p is not None and p <= 0.05


def test_type_one_error_holds_under_the_roe_metz_null() -> None:
    rng = np.random.default_rng(21)
    runs = 500
    rate = sum(_reject(roe_metz(rng), None) for _ in range(runs)) / runs
    assert 0.03 <= rate <= 0.07  # Monte-Carlo standard error 0.01


def test_clustered_cases_keep_their_mean_interval() -> None:
    # three films a patient; the interval of one modality's mean AUC, which the clusters widen
    rng = np.random.default_rng(22)
    # films share a patient effect; its variance adds to the total: 1.2 / sqrt(2 (1 + 0.6))
    # plus the readers' 0.01 and 0.01 in each class
    area = float(stats.norm.cdf(1.2 / (2 * (1.0 + 0.6) + 0.03) ** 0.5))
    runs, inside, naive = 300, 0, 0
    for _ in range(runs):
        frame = roe_metz(rng, cases=180, films=3)
        for cluster in ("patient", None):
            mean = mrmc.obuchowski_rockette(
                frame, covariance="delong", readers="random", cases="random", cluster=cluster
            ).modalities[0]
            assert mean.lower is not None
            assert mean.upper is not None
            hit = mean.lower <= area <= mean.upper
            inside += hit and cluster is not None
            naive += hit and cluster is None
    assert 0.92 <= inside / runs <= 0.98  # Monte-Carlo standard error 0.0126
    assert naive / runs < inside / runs - 0.03


@pytest.mark.parametrize("covariance", ["delong", "jackknife"])
def test_one_film_a_patient_changes_nothing(covariance: CovarianceMethod) -> None:
    frame = roe_metz(np.random.default_rng(3)).assign(patient=lambda f: f["case"])
    plain, clustered = (
        mrmc.obuchowski_rockette(
            frame, covariance=covariance, readers="random", cases="random", cluster=cluster
        )
        for cluster in (None, "patient")
    )
    assert clustered.differences[0].se == pytest.approx(plain.differences[0].se, rel=1e-10)
    assert clustered.covariances.cov2 == pytest.approx(plain.covariances.cov2, rel=1e-9)


def test_clustered_jackknife_and_obuchowski_agree() -> None:
    frame = roe_metz(np.random.default_rng(4), cases=150, films=3)
    first, second = (
        mrmc.obuchowski_rockette(
            frame, covariance=covariance, readers="random", cases="random", cluster="patient"
        )
        for covariance in ("delong", "jackknife")
    )
    assert first.covariances.error == pytest.approx(second.covariances.error, rel=0.1)


def test_bootstrap_and_delong_covariances_agree() -> None:
    frame = roe_metz(np.random.default_rng(5), cases=120)
    first, second = (
        mrmc.obuchowski_rockette(
            frame, covariance=c, readers="random", cases="random", resamples=1500
        )
        for c in ("delong", "bootstrap")
    )
    assert first.covariances.error == pytest.approx(second.covariances.error, rel=0.1)


def test_swapping_modalities_mirrors_and_relabelling_changes_nothing() -> None:
    frame = roe_metz(np.random.default_rng(6), gap=0.5)
    swapped = frame.assign(modality=frame["modality"].map({"m0": "z", "m1": "a"}))
    shuffled = swapped.sample(frac=1.0, random_state=1)
    one, other = (
        mrmc.obuchowski_rockette(f, covariance="delong", readers="random", cases="random")
        for f in (frame, shuffled)
    )
    assert other.differences[0].estimate == pytest.approx(-one.differences[0].estimate)
    assert other.differences[0].p_value == pytest.approx(one.differences[0].p_value)


def test_designs_are_refused_by_name() -> None:
    frame = roe_metz(np.random.default_rng(7), cases=40)

    def run(rows: pd.DataFrame, **choice: Any) -> None:
        options = {"covariance": "delong", "readers": "random", "cases": "random", **choice}
        mrmc.obuchowski_rockette(rows, **options)

    with pytest.raises(DesignError, match="one reader"):
        run(frame[frame["reader"] == "r0"])
    with pytest.raises(DesignError, match=r"missing cells.*case '7' by reader 'r2'"):
        run(
            frame[~((frame["case"] == 7) & (frame["reader"] == "r2") & (frame["modality"] == "m1"))]
        )
    groups = (frame["reader"].isin(["r0", "r1"])) == (frame["case"] < 20)
    with pytest.raises(DesignError, match="split-plot"):
        run(frame[groups])
    with pytest.raises(DesignError, match="readers and cases fixed"):
        run(frame, readers="fixed", cases="fixed")
    with pytest.raises(DesignError, match="clustered cases"):
        run(frame, covariance="unbiased", cluster="patient")


def test_one_modality_gives_means_and_no_test() -> None:
    frame = roe_metz(np.random.default_rng(8))
    found = mrmc.obuchowski_rockette(
        frame[frame["modality"] == "m0"], covariance="delong", readers="random", cases="random"
    )
    assert found.differences == ()
    assert found.test.reason == "one modality: nothing to test"
    assert found.modalities[0].lower is not None


def test_perfect_readers_are_undefined_with_reasons() -> None:
    frame = roe_metz(np.random.default_rng(9)).assign(rating=lambda f: f["truth"] * 1.0)
    found = mrmc.obuchowski_rockette(frame, covariance="delong", readers="random", cases="random")
    assert found.modalities[0].lower is None
    assert found.modalities[0].reason is not None
    assert found.differences[0].p_value is None
    assert found.test.reason == "the denominator is 0"


def test_a_margin_gives_the_verdict_of_the_lower_limit() -> None:
    frame = roe_metz(np.random.default_rng(10), cases=200)
    found = mrmc.obuchowski_rockette(
        frame, covariance="delong", readers="random", cases="random", margin=0.3
    ).differences[0]
    assert found.noninferior is True
    assert found.p_noninferior is not None
    assert found.p_noninferior < 0.025
