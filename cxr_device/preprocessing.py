"""Preprocessing: from stored values to the network's input, the same for training and reading.

The order is fixed and its source hash is part of the release: grey scale (a table where the
object has one), MONOCHROME1 inverted last by the theoretical range (PS3.3 C.7.6.3.1.2), the
padding masked (PS3.3 C.7.5.1.1.2), an antialiased resize to a square, and one standardization.
No torch, no DICOM: numpy and Pillow.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_device.radiograph import AcceptedRadiograph, ModelInput

__all__ = ["INPUT_SIZE", "levels", "picture", "prepare", "resize", "standardize"]

INPUT_SIZE: Final = 224
"""Pixels; side of the square the network sees. The film's aspect ratio is not kept, as in
ChestX-ray14, whose originals were squared to 1,024 x 1,024."""

_SMALLEST_DEVIATION: Final = 1.0
"""Levels; a flatter square is divided by this instead. The pixel-range guard refuses such a film
first, so this only keeps the division defined."""

_EIGHT_TO_SIXTEEN: Final = 257
"""255 x 257 = 65,535: 8-bit levels gain headroom, so that the resize rounds to 1/257 of one."""

_ROWS: Final = 64
"""Rows looked up in a grey scale at once, so that they stay in the cache."""

_GAP: Final = 8 / 7
"""Least means of rows, or of columns, for each of the input: 256 of a side, for the 224 of it."""


def levels(radiograph: AcceptedRadiograph) -> NDArray[np.uint16]:
    """Presentation levels of the whole frame: air dark, one increasing grey scale.

    Parameters
    ----------
    radiograph : AcceptedRadiograph
        Stored values as unsigned integers, `maximum` their theoretical maximum, and `table` the
        grey scale (levels by stored value) when it is not affine.

    Returns
    -------
    ndarray of uint16, shape (rows, columns)
        An affine grey scale is left as it is stored: `standardize` removes scale and offset.

    References
    ----------
    .. [1] PS3.3 C.7.6.3.1.2 (Photometric Interpretation), C.11.1 (Modality LUT), C.11.2 (VOI LUT).
    """
    frame, maximum = _grey(radiograph)
    if frame.dtype == np.uint8:
        frame = np.multiply(frame, _EIGHT_TO_SIXTEEN, dtype=np.uint16)
        maximum *= _EIGHT_TO_SIXTEEN
    frame = frame.astype(np.uint16, copy=False)
    return np.subtract(maximum, frame, dtype=np.uint16) if radiograph.inverted else frame


def _grey(
    radiograph: AcceptedRadiograph,
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], int]:
    """Levels of the whole frame, not yet inverted, and their theoretical maximum."""
    if radiograph.table is None:
        return radiograph.stored, radiograph.maximum
    return _looked_up(radiograph.table, radiograph.stored), radiograph.table_maximum


def _looked_up(
    table: NDArray[np.uint16], stored: NDArray[np.uint8] | NDArray[np.uint16]
) -> NDArray[np.uint16]:
    """Grey levels of stored values, some rows at a time: NumPy widens these to eight bytes each."""
    frame = np.empty(stored.shape, dtype=np.uint16)
    for at in range(0, len(stored), _ROWS):
        part = stored[at : at + _ROWS]
        frame[at : at + _ROWS] = np.take(table, part, mode="clip")  # a guard refused larger ones
    return frame


def resize(
    frame: NDArray[np.uint8] | NDArray[np.uint16],
    size: int = INPUT_SIZE,
    *,
    maximum: int | None = None,
    inverted: bool = False,
) -> NDArray[np.float32]:
    """Resize a whole frame to `size` x `size` with an antialiased triangle filter.

    Rows, then columns, are averaged in groups as long as each side keeps 8/7 times `size` of them;
    Pillow's triangle filter takes the means to `size`. The result is that of Pillow's
    ``resize(..., BILINEAR, reducing_gap=8 / 7)`` on float levels, but the frame is summed as
    integers: it is not copied, and a film and its inverse are exact twins.

    Parameters
    ----------
    frame : ndarray of uint8 or uint16, shape (rows, columns)
        Levels.
    size : int
        Pixels; side of the square.
    maximum : int, optional
        Theoretical maximum of the levels, which none may exceed; that of the type when None.
    inverted : bool
        Resize `maximum` minus the frame, as MONOCHROME1 asks.

    Returns
    -------
    ndarray of float32, shape (size, size)
        Whole levels; a level of 8 bits counts 257, as if it had 16.
    """
    groups = down, across = tuple(max(1, int(side / (_GAP * size))) for side in frame.shape)
    means = _means(frame, groups, maximum or int(np.iinfo(frame.dtype).max), inverted=inverted)
    rows, columns = frame.shape
    square = Image.fromarray(means).resize(
        (size, size), Image.Resampling.BILINEAR, box=(0, 0, columns / across, rows / down)
    )
    return np.rint(np.asarray(square, dtype=np.float32))


def _means(
    frame: NDArray[np.uint8] | NDArray[np.uint16],
    groups: tuple[int, ...],
    maximum: int,
    *,
    inverted: bool,
) -> NDArray[np.float32]:
    """Levels of 16 bits, averaged in groups of rows and columns; the last ones may hold fewer."""
    down, across = groups
    sums = _sums(frame, down, _narrowest(maximum * down))
    means = _sums(sums.T, across, _narrowest(maximum * down * across)).T.astype(np.float32)
    rows, columns = _members(frame.shape[0], down), _members(frame.shape[1], across)
    if inverted:
        means = maximum * np.outer(rows, columns) - means
    scale = _EIGHT_TO_SIXTEEN if frame.dtype == np.uint8 else 1
    means *= np.float32(scale / (down * across))
    means[-1] *= down / rows[-1]
    means[:, -1] *= across / columns[-1]
    return means


def _sums(
    frame: NDArray[np.integer[Any]], group: int, dtype: type[np.uint16 | np.uint32]
) -> NDArray[np.integer[Any]]:
    """Sum each group of rows: integers, so that a film and its inverse stay exact twins."""
    sums: NDArray[np.integer[Any]] = frame[::group].astype(dtype)
    for first in range(1, group):
        part = frame[first::group]
        np.add(sums[: len(part)], part, out=sums[: len(part)])
    return sums


def _narrowest(highest: int) -> type[np.uint16 | np.uint32]:
    """Type of sums up to `highest`: half the width is twice the speed."""
    return np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32


def _members(side: int, group: int) -> NDArray[np.float32]:
    """Rows, or columns, of each group. Sums of a film within the label are exact in float32."""
    return np.diff(np.arange(0, side, group), append=side).astype(np.float32)


def standardize(
    square: NDArray[np.float32], keep: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Give one film mean 0 and standard deviation 1 over `keep` (all pixels when None).

    Pixels outside `keep` (padding) get the smallest value inside it, so they read as air.
    """
    inside = (square.ravel() if keep is None else square[keep]).astype(np.float64)
    mean = inside.mean()
    variance = np.square(inside).mean() - mean**2  # exact sums: levels are whole
    deviation = math.sqrt(max(variance, _SMALLEST_DEVIATION**2))
    result = (square - np.float32(mean)) / np.float32(deviation)
    if keep is not None:
        result[~keep] = result[keep].min()
    return result


def prepare(radiograph: AcceptedRadiograph) -> ModelInput:
    """Shape an accepted radiograph into the network's input."""
    frame, maximum = _grey(radiograph)
    square = resize(frame, maximum=maximum, inverted=radiograph.inverted)
    keep = None
    if radiograph.padding is not None:
        low, high = radiograph.padding
        padded = (radiograph.stored >= low) & (radiograph.stored <= high)
        keep = resize(padded.view(np.uint8)) < _EIGHT_TO_SIXTEEN / 2  # more film than padding
    return ModelInput(pixels=standardize(square, keep)[np.newaxis, np.newaxis])


def picture(radiograph: AcceptedRadiograph, longest: int = 900) -> NDArray[np.uint8]:
    """Draw a display copy of a film, its 0.5th to 99.5th percentile spread over 8 bits.

    Returns shape (rows, columns), the longer side at most `longest` pixels. Not part of the
    network's path.
    """
    image = Image.fromarray(np.ascontiguousarray(levels(radiograph)))
    scale = min(1.0, longest / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = np.asarray(image.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    low, high = np.percentile(small, (0.5, 99.5))
    grey: NDArray[np.uint8] = (
        ((small - low) / max(high - low, 1.0) * 255).clip(0, 255).astype(np.uint8)
    )
    return grey
