"""Two scores on the same cases, between patients."""

import numpy as np
import pandas as pd

from validation.comparison import Comparison, study
from validation.tables import Cases
from verification import verifies


def compared(films: int) -> Comparison:
    """Compare two scores on 60 patients, each with `films` films."""
    rng = np.random.default_rng(2)
    truth = np.repeat(np.arange(60) % 2, films)
    scores = {name: rng.uniform(0.1, 0.9, truth.size) for name in ("new", "old")}
    table = Cases(
        case_id=np.arange(truth.size).astype(str).astype(object),
        truth=truth,
        scores=scores,
        groups={},
        cluster=np.repeat(np.arange(60), films).astype(str).astype(object),
        sha256="",
        frame=pd.DataFrame(),
    )
    return study(table, names=("new", "old"), thresholds=(0.5, 0.5))


@verifies("SRS-339@b85edce8", level="unit")
def test_several_films_a_patient_leave_out_what_takes_films_as_independent() -> None:
    found = compared(4)
    for one in (found.sensitivity, found.specificity):
        assert one.newcombe.interval() == (None, None)
        assert one.newcombe.estimate == one.difference.estimate
        assert one.mcnemar.exact_p is one.mcnemar.mid_p is one.mcnemar.z is None
        assert one.mcnemar.asymptotic_p is one.mcnemar.corrected_p is None
        for reason in (one.newcombe.reason, one.mcnemar.reason):
            assert reason is not None
            assert "30 patients for 120 cases" in reason
        assert one.mcnemar.n10 + one.mcnemar.n01 > 0


@verifies("SRS-339@b85edce8", level="unit")
def test_one_film_a_patient_keeps_mcnemar_and_newcombe() -> None:
    found = compared(1).sensitivity
    assert found.mcnemar.exact_p is not None
    assert found.newcombe.lower is not None
