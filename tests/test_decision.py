"""Calibration and decision: the arithmetic after the network."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_device.calibration import Calibration
from cxr_device.decision import OperatingPoint, decide, is_suspected
from cxr_device.errors import OperatingPointError, ProbabilityError
from cxr_device.vocabulary import Flag
from verification import verifies

AT = OperatingPoint(identifier="OP-T", threshold=0.7)


@verifies("SRS-144@cd5ffa5c", "RC-144@4ca69bb0")
def test_a_tie_counts_as_suspected_and_the_float_below_does_not() -> None:
    assert decide(0.7, AT).flag is Flag.SUSPECTED
    assert decide(math.nextafter(0.7, 0.0), AT).flag is Flag.NOT_SUSPECTED


@verifies("SRS-146@66688415", "RC-146@dc277601")
@pytest.mark.parametrize("value", [0.0, 1e-300, 0.1, 1.0])
def test_a_probability_is_accepted_with_its_bounds(value: float) -> None:
    assert decide(value, AT).probability == value


@verifies("SRS-146@66688415", "RC-146@dc277601")
@pytest.mark.parametrize("value", [-1e-9, 1.0000001, math.nan, math.inf])
def test_what_is_no_probability_gets_no_flag(value: float) -> None:
    with pytest.raises(ProbabilityError):
        decide(value, AT)


@verifies("SRS-146@66688415", "RC-146@dc277601")
def test_float32_is_refused_because_it_would_lose_a_tie() -> None:
    with pytest.raises(ProbabilityError):
        is_suspected(np.array([0.7], dtype=np.float32), AT)


@verifies("SRS-145@305eeadf", "RC-145@df1f3171")
@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, math.nan])
def test_a_threshold_on_or_outside_the_bounds_is_no_operating_point(threshold: float) -> None:
    with pytest.raises(OperatingPointError):
        OperatingPoint(identifier="OP-X", threshold=threshold)


@verifies("SRS-145@305eeadf", "RC-145@df1f3171")
@pytest.mark.parametrize("threshold", [math.ulp(0.0), 0.1, math.nextafter(1.0, 0.0)])
def test_every_threshold_between_the_bounds_is_an_operating_point(threshold: float) -> None:
    assert OperatingPoint(identifier="OP-X", threshold=threshold).threshold == threshold


@verifies("SRS-143@9374589b", "RC-143@a5c0cb09")
@given(score=st.floats(-1e4, 1e4), slope=st.floats(1e-3, 50), offset=st.floats(-100, 100))
def test_every_score_becomes_a_probability(score: float, slope: float, offset: float) -> None:
    assert 0.0 <= Calibration(slope=slope, offset=offset).probability(score) <= 1.0


@verifies("SRS-143@9374589b", "RC-143@a5c0cb09")
def test_the_probability_is_the_logistic_of_the_line() -> None:
    # by hand: 2 * 0.5 - 1 = 0 -> 1/2; 2 * 1 - 1 = 1 -> 1 / (1 + exp(-1))
    line = Calibration(slope=2.0, offset=-1.0)
    assert line.probability(0.5) == 0.5
    assert line.probability(1.0) == pytest.approx(0.7310585786300049, abs=1e-15)
    assert line.probability(0.0) == pytest.approx(0.2689414213699951, abs=1e-15)
    assert line.probability(-1e6) == pytest.approx(0.0, abs=1e-300)


@verifies("SRS-143@9374589b", "RC-143@a5c0cb09")
@pytest.mark.parametrize(
    ("score", "wanted"),  # 1 / (1 + exp(-x)) in 60 decimal digits, rounded once
    [(0.6875, 0.665410558746814), (0.421875, 0.6039318337259583)],
)
def test_the_probability_is_rounded_once_just_above_one_half(score: float, wanted: float) -> None:
    assert Calibration(slope=1.0, offset=0.0).probability(score) == wanted


@verifies("SRS-143@9374589b", "RC-143@a5c0cb09")
@pytest.mark.parametrize(
    ("slope", "offset"), [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (1.0, math.inf)]
)
def test_a_calibration_that_breaks_the_order_is_refused(slope: float, offset: float) -> None:
    with pytest.raises(ValueError, match="calibration"):
        Calibration(slope=slope, offset=offset)


@verifies("SRS-143@9374589b", "RC-143@a5c0cb09")
def test_a_score_that_is_no_number_reaches_no_flag() -> None:
    with pytest.raises(ProbabilityError):
        decide(Calibration(slope=1.0, offset=0.0).probability(math.nan), AT)
