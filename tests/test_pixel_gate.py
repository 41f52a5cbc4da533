"""The pixel gate's rule: both sides of the threshold, and what it says it saw."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cxr_device.pixel_gate import CONTENTS, Content, GateThreshold, judge_content, probabilities
from cxr_device.vocabulary import Outcome
from verification import verifies


def judged(logits: list[float], at: float) -> tuple[Outcome, str]:
    """Outcome and message for given logits of the gate's network."""
    answer: NDArray[np.float32] = np.array(logits, dtype=np.float32)
    verdict = judge_content(answer, at=GateThreshold(upright=at))
    return verdict.outcome, verdict.message


@verifies("SRS-125@1d130270", "RC-125@42d7ed6a", level="unit")
def test_a_tie_is_let_through_and_the_next_smaller_probability_is_refused() -> None:
    upright = float(probabilities(np.array([1.0, 0.0, 0.0, 0.0, 0.0], dtype=np.float32))[0])
    assert upright == pytest.approx(np.e / (np.e + 4), abs=1e-7)
    assert judged([1.0, 0, 0, 0, 0], upright)[0] is Outcome.PASS
    above = float(np.nextafter(upright, 1.0))
    assert judged([1.0, 0, 0, 0, 0], above)[0] is Outcome.REJECT


@verifies("SRS-125@1d130270", "RC-125@42d7ed6a", level="unit")
@pytest.mark.parametrize("place", range(1, 5))
def test_a_refusal_names_what_the_film_looks_like(place: int) -> None:
    logits = [0.0] * 5
    logits[place] = 9.0
    outcome, message = judged(logits, 0.5)
    assert outcome is Outcome.REJECT
    assert message == f"the pixels look like: {CONTENTS[place]}"


@verifies("SRS-125@1d130270", "RC-125@42d7ed6a", level="unit")
@pytest.mark.parametrize("logit", [float("nan"), float("-inf")])
def test_a_logit_that_is_no_number_refuses(logit: float) -> None:
    assert judged([logit, 0, 0, 0, 0], 0.5)[0] is Outcome.REJECT
    assert judged([float("nan")] * 5, 1e-9)[0] is Outcome.REJECT


@verifies("SRS-280@05e5849f", "RC-280@3ca69b79", level="unit")
@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, float("nan")])
def test_a_threshold_outside_the_open_interval_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="pixel gate"):
        GateThreshold(upright=threshold)


@verifies("SRS-125@1d130270", level="unit")
def test_the_contents_are_named_in_the_order_of_the_logits() -> None:
    assert CONTENTS[0] is Content.UPRIGHT
    assert [str(content) for content in CONTENTS] == [
        "upright frontal chest", "turned frontal chest", "mirrored frontal chest",
        "inverted frontal chest", "no frontal chest",
    ]  # fmt: skip
