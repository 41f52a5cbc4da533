"""The pixel-range guard, both sides of each bound."""

import numpy as np
import pytest
from numpy.typing import NDArray

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


def _flat_where_sampled(rows: int, columns: int) -> NDArray[np.uint16]:
    """A frame of 4,000 levels, flat at every fourth row."""
    frame = (np.arange(rows * columns) % 4000).reshape(rows, columns).astype(np.uint16)
    frame[::4] = 7
    return frame


@verifies("SRS-124@d12ccafc", "RC-124@293df7e2", level="integration")
@pytest.mark.parametrize(
    ("rows", "columns", "outcome"),
    [
        (2000, 2000, Outcome.PASS),  # 4,000,000 pixels: every pixel is judged
        (4_000_001, 1, Outcome.REJECT),  # one more: a quarter of the frame is judged
    ],
)
def test_a_quarter_of_a_frame_of_more_than_four_million_pixels_is_judged(
    rows: int, columns: int, outcome: Outcome, label: Label
) -> None:
    frame = _flat_where_sampled(rows, columns)
    assert judge_pixels(frame, bits_stored=12, label=label).outcome is outcome


@verifies("SRS-124@d12ccafc", "RC-124@293df7e2", level="integration")
def test_the_quarter_is_every_fourth_row(label: Label) -> None:
    frame = (np.arange(2100 * 2100) % 3999 + 1).reshape(2100, 2100).astype(np.uint16)
    frame[:, :630] = 0  # 30 % of what is judged, below the limit
    frame[np.arange(2100) % 4 != 0] = 0  # between the judged rows; every second would count half
    assert judge_pixels(frame, bits_stored=12, label=label).outcome is Outcome.PASS


RAMP = (np.arange(1_000_000) % 4096).reshape(1000, 1000).astype(np.uint16)


@verifies("SRS-226@5d33a1d8", "RC-124@293df7e2")
@pytest.mark.parametrize(
    ("shown", "outcome"),
    [(4096, Outcome.PASS), (32, Outcome.PASS), (31, Outcome.REJECT), (1, Outcome.REJECT)],
)
def test_a_window_must_show_enough_grey_levels(shown: int, outcome: Outcome, label: Label) -> None:
    table = (np.arange(4096) * shown // 4096).astype(np.uint16)
    verdict = judge_pixels(RAMP, bits_stored=12, label=label, table=table)
    assert verdict.outcome is outcome
    assert f"{shown} grey levels" in verdict.value


@verifies("SRS-226@5d33a1d8", "RC-124@293df7e2")
def test_a_window_that_shows_most_of_the_film_at_one_level_is_refused(label: Label) -> None:
    clipped = np.maximum(np.arange(4096), 2500).astype(np.uint16)  # 61 % of a ramp
    verdict = judge_pixels(RAMP, bits_stored=12, label=label, table=clipped)
    assert verdict.outcome is Outcome.REJECT
    clipped = np.maximum(np.arange(4096), 2400).astype(np.uint16)  # 59 %
    verdict = judge_pixels(RAMP, bits_stored=12, label=label, table=clipped)
    assert verdict.outcome is Outcome.PASS


@verifies("SRS-226@5d33a1d8", "RC-124@293df7e2")
@pytest.mark.parametrize(("more", "outcome"), [(0, Outcome.PASS), (1, Outcome.REJECT)])
def test_padding_may_cover_45_percent_of_a_film(more: int, outcome: Outcome, label: Label) -> None:
    flat = (np.arange(1_000_000) % 3000 + 1000).astype(np.uint16)
    flat[1 : 900_000 + 2 * more : 2] = np.arange(450_000 + more) % 900  # places not counted too
    frame = flat.reshape(1000, 1000)
    verdict = judge_pixels(frame, bits_stored=12, label=label, padding=(0, 899))
    assert verdict.outcome is outcome


@verifies("SRS-124@d12ccafc", "RC-124@293df7e2", level="integration")
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("side", [640, 2560])  # every pixel is judged; a quarter of them
def test_every_judged_pixel_is_counted_in_8_bits_as_in_16(
    kind: type[np.uint8 | np.uint16], side: int, label: Label
) -> None:
    levels = (np.arange(side // 4 * side) % 40).reshape(side // 4, side)
    levels[-1, -8:] = range(200, 208)  # each once, behind all others
    frame = levels.repeat(4, axis=0).astype(kind)  # a quarter shows the same
    verdict = judge_pixels(frame, bits_stored=8 * frame.itemsize, label=label)
    assert verdict.value == "48 grey levels, 2.5% at one"
