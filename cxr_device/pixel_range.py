"""The pixel-range guard: whether a decoded frame shows enough to be read."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_device.checks import Verdict
from cxr_device.label import Label
from cxr_device.vocabulary import Outcome

__all__ = ["judge_pixels"]

_SAMPLE: Final = 250_000
"""Pixels counted at least; a frame of several times as many is counted by every such row."""
_PART: Final = 65_536
"""Pixels counted at once: NumPy widens them to eight bytes each, which then stay in the cache."""


MAX_PADDING_SHARE: Final = 0.45
"""Share of a film's pixels that may be padding; from a half on, the mask may leave nothing."""


def judge_pixels(
    stored: NDArray[np.uint8] | NDArray[np.uint16],
    *,
    bits_stored: int,
    label: Label,
    table: NDArray[np.uint16] | None = None,
    padding: tuple[int, int] | None = None,
) -> Verdict:
    """Judge the grey levels of a frame: how many, and how many pixels share the commonest.

    They are judged as they are stored and, where a `table` maps stored values to grey, as it shows
    them: a window off the film's range shows nothing. Raises nothing; a value above the stored
    bits is refused, not masked. The maximum and the padding are taken over every pixel, the counts
    over evenly spaced rows of a large frame.

    Parameters
    ----------
    stored : ndarray, shape (rows, columns)
        Stored values, starting at 0.
    table : ndarray of uint16, shape (2 ** bits_stored,), optional
        Grey level by stored value.
    padding : (int, int), optional
        Lowest and highest stored value that is padding.
    """
    highest = int(stored.max())
    if highest >= 1 << bits_stored:
        return _rejected(f"level {highest}", f"above the {bits_stored} stored bits")
    if padding is not None:
        low, high = padding
        padded = np.count_nonzero((stored >= low) & (stored <= high)) / stored.size
        if padded > MAX_PADDING_SHARE:
            return _rejected(f"{padded:.1%} padding", "too little of the frame is film")
    sample = stored[:: max(1, stored.size // _SAMPLE)]
    counts = _histogram(sample, bits_stored)
    shown = _levels(counts)
    fault = _fault(counts, label)
    if fault is None and table is not None:
        counts = np.bincount(table, weights=counts)
        shown += f" as stored; {_levels(counts)} as windowed"
        fault = _fault(counts, label)
    if fault is not None:
        return _rejected(shown, fault)
    return Verdict(outcome=Outcome.PASS, value=shown, message="a film with contrast")


def _histogram(
    sample: NDArray[np.uint8] | NDArray[np.uint16], bits_stored: int
) -> NDArray[np.int64]:
    """Pixels of each level, shape (2 ** bits_stored,)."""
    if sample.dtype == np.uint8:
        return np.array(Image.fromarray(np.ascontiguousarray(sample)).histogram())
    counts = np.zeros(1 << bits_stored, dtype=np.int64)
    flat = sample.ravel()
    for at in range(0, flat.size, _PART):
        counts += np.bincount(flat[at : at + _PART], minlength=counts.size)
    return counts


def _levels(counts: NDArray[Any]) -> str:
    return f"{np.count_nonzero(counts)} grey levels, {counts.max() / counts.sum():.1%} at one"


def _fault(counts: NDArray[Any], label: Label) -> str | None:
    """Say what is wrong with a histogram of grey levels, or None."""
    if np.count_nonzero(counts) < label.min_grey_levels:
        return f"fewer than {label.min_grey_levels} grey levels"
    if counts.max() / counts.sum() >= label.max_single_level_share:
        return "most of the film is at one level: blank, clipped or collimated"
    return None


def _rejected(value: str, message: str) -> Verdict:
    return Verdict(outcome=Outcome.REJECT, value=value, message=message)
