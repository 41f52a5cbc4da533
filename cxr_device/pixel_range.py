"""The pixel-range guard: whether a decoded frame shows enough to be read."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxr_device.checks import Verdict
from cxr_device.label import Label
from cxr_device.vocabulary import Outcome

__all__ = ["judge_pixels"]

_SAMPLE: Final = 4_000_000
"""Pixels; a larger frame is judged by every second row and column (a quarter of it)."""


def judge_pixels(
    stored: NDArray[np.uint8] | NDArray[np.uint16], *, bits_stored: int, label: Label
) -> Verdict:
    """Judge the grey levels of a frame: how many, and how many pixels share the commonest.

    Raises nothing; a value above the stored bits is refused, not masked. The maximum is taken
    over every pixel, the counts over a quarter of the pixels of a large frame.
    """
    highest = int(stored.max())
    if highest >= 1 << bits_stored:
        return Verdict(
            outcome=Outcome.REJECT,
            value=f"level {highest}",
            message=f"above the {bits_stored} stored bits",
        )
    sample = stored[::2, ::2] if stored.size > _SAMPLE else stored
    counts = np.bincount(sample.ravel())
    levels, share = int(np.count_nonzero(counts)), float(counts.max() / sample.size)
    shown = f"{levels} grey levels, {share:.1%} at one"
    if levels < label.min_grey_levels:
        message = f"fewer than {label.min_grey_levels} grey levels"
        return Verdict(outcome=Outcome.REJECT, value=shown, message=message)
    if share >= label.max_single_level_share:
        message = "most of the film is at one level: blank, clipped or collimated"
        return Verdict(outcome=Outcome.REJECT, value=shown, message=message)
    return Verdict(outcome=Outcome.PASS, value=shown, message="a film with contrast")
