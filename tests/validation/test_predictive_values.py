"""Paired predictive values: expected values from DTComPair 1.2.2 (expected.json)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from validation.predictive_values import compare_npv, compare_ppv, relative_proportion

KINDS = {"ppv": compare_ppv, "npv": compare_npv}


@pytest.mark.parametrize("kind", KINDS)
def test_tests_and_ratio_match_dtcompair(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame], kind: str
) -> None:
    frame = example("dtcompair_Paired1.csv")
    found = KINDS[kind](frame["d"], frame["y1"] == 1, frame["y2"] == 1)
    general = reference("dtcompair.pv.gs.Paired1")[kind]
    assert (found.a, found.b) == pytest.approx(tuple(general[:2]), abs=1e-9)
    assert (found.generalized_statistic, found.generalized_p) == pytest.approx(
        tuple(general[3:]), abs=1e-6
    )
    weighted = reference("dtcompair.pv.wgs.Paired1")[kind]
    assert (found.weighted_statistic, found.weighted_p) == pytest.approx(
        tuple(weighted[3:]), abs=1e-6
    )
    ratio = reference("dtcompair.pv.rpv.Paired1")[kind]
    assert (found.ratio.estimate, found.ratio.se) == pytest.approx(tuple(ratio[2:4]), abs=1e-6)
    assert found.ratio.interval() == pytest.approx(tuple(ratio[4:6]), abs=1e-6)


@pytest.mark.parametrize(("name", "truth"), [("sensitivity", 1), ("specificity", 0)])
def test_relative_proportions_match_dtcompair(
    reference: Callable[[str], Any],
    example: Callable[[str], pd.DataFrame],
    name: str,
    truth: int,
) -> None:
    frame = example("dtcompair_Paired1.csv")
    rows = frame[frame["d"] == truth]
    a, b = (rows["y2"] == truth).to_numpy(), (rows["y1"] == truth).to_numpy()
    cells = [int(np.sum(x)) for x in (a & b, a & ~b, ~a & b, ~a & ~b)]
    expected = reference("dtcompair.sesp.rel.Paired1")[name]
    found = relative_proportion(*cells)
    assert (found.estimate, found.se, found.lower, found.upper) == pytest.approx(
        tuple(expected[2:6]), abs=1e-6
    )


def test_a_test_that_never_flags_is_undefined() -> None:
    found = compare_ppv([0, 1, 1], [False, False, False], [True, True, False])
    assert found.a is None
    assert found.reason is not None
