"""The pixel-range guard, both sides of each bound."""

import numpy as np
import pytest

from cxr_device.label import Label
from cxr_device.pixel_range import judge_pixels
from cxr_device.vocabulary import Outcome
from verification import verifies


@verifies("SRS-124@d12ccafc", "RC-124@293df7e2", level="integration")
@pytest.mark.parametrize(("count", "outcome"), [(31, Outcome.REJECT), (32, Outcome.PASS)])
def test_a_film_needs_enough_grey_levels(count: int, outcome: Outcome, label: Label) -> None:
    frame = (np.arange(600 * 600) % count).reshape(600, 600).astype(np.uint16)
    assert judge_pixels(frame, bits_stored=12, label=label).outcome is outcome


@verifies("SRS-124@d12ccafc", "RC-124@293df7e2", level="integration")
@pytest.mark.parametrize(("share", "outcome"), [(0.6, Outcome.REJECT), (0.599, Outcome.PASS)])
def test_a_film_mostly_at_one_level_is_refused(
    share: float, outcome: Outcome, label: Label
) -> None:
    flat = (np.arange(1_000_000) % 3000 + 1).astype(np.uint16)
    flat[: int(share * 1_000_000)] = 0
    verdict = judge_pixels(flat.reshape(1000, 1000), bits_stored=12, label=label)
    assert verdict.outcome is outcome


@verifies("SRS-124@d12ccafc", "RC-124@293df7e2", level="integration")
@pytest.mark.parametrize(("level", "outcome"), [(4096, Outcome.REJECT), (4095, Outcome.PASS)])
def test_a_level_above_the_stored_bits_is_refused(
    level: int, outcome: Outcome, label: Label
) -> None:
    frame = (np.arange(2100 * 2100) % 4000).reshape(2100, 2100).astype(np.uint16)
    frame[1, 1] = level  # a place that the quarter of the counts does not visit
    assert judge_pixels(frame, bits_stored=12, label=label).outcome is outcome
