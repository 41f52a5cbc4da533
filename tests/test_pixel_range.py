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
    flat = (np.arange(480_000) % 3000 + 1).astype(np.uint16)
    flat[: int(share * 480_000)] = 0
    verdict = judge_pixels(flat.reshape(480, 1000), bits_stored=12, label=label)
    assert verdict.outcome is outcome


@verifies("SRS-124@d12ccafc", "RC-124@293df7e2", level="integration")
@pytest.mark.parametrize(("level", "outcome"), [(4096, Outcome.REJECT), (4095, Outcome.PASS)])
def test_a_level_above_the_stored_bits_is_refused(
    level: int, outcome: Outcome, label: Label
) -> None:
    frame = (np.arange(2100 * 2100) % 4000).reshape(2100, 2100).astype(np.uint16)
    frame[1, 1] = level  # a place that the counts do not visit
    assert judge_pixels(frame, bits_stored=12, label=label).outcome is outcome


@verifies("SRS-124@d12ccafc", "RC-124@293df7e2", level="integration")
@pytest.mark.parametrize(
    ("rows", "columns", "outcome"),
    [
        (499, 1000, Outcome.PASS),  # every pixel is counted
        (
            500,
            1000,
            Outcome.REJECT,
        ),  # 500,000 pixels: every second row shows a quarter of a million
    ],
)
def test_a_quarter_of_a_million_pixels_are_counted(
    rows: int, columns: int, outcome: Outcome, label: Label
) -> None:
    frame = (np.arange(rows * columns) % 4000).reshape(rows, columns).astype(np.uint16)
    frame[::2] = 7
    assert judge_pixels(frame, bits_stored=12, label=label).outcome is outcome


@verifies("SRS-124@d12ccafc", "RC-124@293df7e2", level="integration")
def test_the_counted_rows_lie_evenly_over_the_frame(label: Label) -> None:
    frame = (np.arange(2000 * 2000) % 3999 + 1).reshape(2000, 2000).astype(np.uint16)
    frame[:, :600] = 0  # 30 % of what is judged, below the limit
    frame[np.arange(2000) % 16 != 0] = 0  # between the counted rows; twice as many would count half
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
@pytest.mark.parametrize(("side", "step"), [(640, 1), (2000, 16)])
def test_every_judged_pixel_is_counted_in_8_bits_as_in_16(
    kind: type[np.uint8 | np.uint16], side: int, step: int, label: Label
) -> None:
    levels = (np.arange(side // step * side) % 40).reshape(side // step, side)
    levels[-1, -8:] = range(200, 208)  # each once, behind all others
    frame = levels.repeat(step, axis=0).astype(kind)  # each row that is counted shows another
    verdict = judge_pixels(frame, bits_stored=8 * frame.itemsize, label=label)  # type: ignore[arg-type]
    assert verdict.value == "48 grey levels, 2.5% at one"
