"""The standalone study between patients: what repeated films may not narrow."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from validation.estimate import Estimate
from validation.standalone import Options, study
from validation.tables import Cases
from verification import verifies


def cases(copies: int) -> Cases:
    """Return 90 patients with one film each, every film `copies` times."""
    rng = np.random.default_rng(6)
    truth = np.repeat([1, 0], [30, 60])
    score = np.clip(rng.normal(0.4 + 0.2 * truth, 0.15), 0.01, 0.99)
    patient = np.array([f"p{i}" for i in range(90)], dtype=object)
    return Cases(
        case_id=np.array([f"c{i}" for i in range(90 * copies)], dtype=object),
        truth=np.tile(truth, copies),
        scores={"score": np.tile(score, copies)},
        groups={},
        cluster=np.tile(patient, copies),
        sha256="",
        frame=pd.DataFrame(),
    )


def _limits(found: Estimate) -> tuple[float, float]:
    assert found.lower is not None
    assert found.upper is not None
    return found.lower, found.upper


@verifies("SRS-339@b85edce8", level="unit")
def test_repeated_films_narrow_no_predictive_value_at_a_prevalence() -> None:
    options = Options(threshold=0.5, prevalence=0.05, bootstrap=0)
    once, tenfold = (study(cases(copies), options).measures for copies in (1, 10))
    for key in ("ppv_at_prevalence", "npv_at_prevalence"):
        assert tenfold[key].estimate == pytest.approx(once[key].estimate)
        assert _limits(tenfold[key]) == pytest.approx(_limits(once[key]))
        assert tenfold[key].clusters == 90
        assert "ratio estimator" in tenfold[key].method


@verifies("SRS-339@b85edce8", level="unit")
def test_predictive_value_at_a_prevalence_by_hand() -> None:
    # Bayes' theorem: PPV = LR+ w / (1 + LR+ w) with the odds w, at the estimate and both limits
    measures = study(cases(2), Options(threshold=0.5, prevalence=0.2, bootstrap=0)).measures
    ratio, value = measures["lr_positive"], measures["ppv_at_prevalence"]
    for of, expected in zip(_limits(value), _limits(ratio), strict=True):
        assert of == pytest.approx(expected * 0.25 / (1 + expected * 0.25))


@verifies("SRS-339@b85edce8", level="unit")
def test_average_precision_without_resampling_has_no_interval_between_patients() -> None:
    found = study(cases(2), Options(threshold=0.5, bootstrap=0)).measures["average_precision"]
    assert found.estimate is not None
    assert found.interval() == (None, None)
    assert found.reason is not None
    assert "90 patients" in found.reason


@verifies("SRS-339@b85edce8", level="integration")
def test_clustered_verbs_write_the_patients_as_the_reason(
    validate: Any, tmp_path: Path, table: Any
) -> None:
    whole = cases(2)
    path = table(
        case_id=whole.case_id,
        truth=whole.truth,
        score=whole.scores["score"],
        other=np.sqrt(whole.scores["score"]),
        patient_id=whole.cluster,
    )
    between = ("--cluster", "patient_id")
    one = ("--threshold", 0.5, "--out", tmp_path / "s", "--bootstrap", 20, *between)
    assert validate("standalone", path, *one).exit_code == 0
    two = ("--scores", "score,other", "--thresholds", "0.5,0.5", "--out", tmp_path / "c", *between)
    assert validate("compare", path, *two).exit_code == 0
    assert "90 patients for 180 cases" in (tmp_path / "s/results.json").read_text("utf-8")
    assert "30 patients for 60 cases" in (tmp_path / "c/results.json").read_text("utf-8")
    for folder in ("s", "c"):
        assert "None" not in (tmp_path / folder / "report.html").read_text("utf-8")
