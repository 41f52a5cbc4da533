"""Run length: the frame that DICOM's RLE packs (PS3.5 annex G), unpacked in the decoder worker.

imagecodecs unpacks a segment within the memory that it is given; which bytes are segments, and
whether each is one byte a pixel, is decided here.
"""

from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["unpack"]

_HEADER: Final = 64
"""Bytes: the number of segments, then 15 offsets (PS3.5 G.5)."""
_PASSED_OVER: Final = b"\x80"
"""A run that stands for nothing (PS3.5 G.3.2)."""


def unpack(stream: memoryview, *, into: NDArray[np.uint8]) -> None:
    """Unpack a frame: a segment for each byte of a pixel, the most significant first.

    Parameters
    ----------
    stream : memoryview
        The header and the segments.
    into : ndarray of uint8, shape (pixels, bytes of a pixel)
        The frame to fill, least significant byte first.

    Raises
    ------
    ValueError
        The segments are not as many as a pixel has bytes, or one is not a byte for each pixel.
    """
    count, width = into.shape
    header = np.frombuffer(bytes(stream[:_HEADER]).ljust(_HEADER, b"\0"), dtype="<u4")
    if header[0] != width:
        raise ValueError(f"{header[0]} segments, {width} are needed")
    offsets = [*map(int, header[1 : 1 + width]), len(stream)]
    if offsets[0] < _HEADER or offsets != sorted(offsets):
        raise ValueError("segment offsets: the RLE header is damaged")
    plane = np.empty(count + 1, dtype=np.uint8)  # one byte of padding may be packed with the rest
    for place, (begin, end) in enumerate(pairwise(offsets)):
        if not _fills(stream[begin:end], plane):
            raise ValueError(f"an RLE segment is not the needed {count} bytes")
        into[:, width - 1 - place] = plane[:count]


def _fills(packed: memoryview, plane: NDArray[np.uint8]) -> bool:
    """Unpack a segment, and say whether it fills all of `plane`, its last byte aside.

    At most one byte may stand behind the runs that fill it: the padding to an even length.
    """
    count = plane.size - 1
    found = _unpacked(packed, plane)
    if found is None:  # PS3.5 G.3.1 pads with zero; another byte looks like a run that is cut
        found = _unpacked(packed[:-1], plane)
    fills = found is not None and found >= count
    if fills and (found != count or packed[-2:-1].tobytes() == _PASSED_OVER):
        without = _unpacked(packed[:-2], plane)  # the last two bytes must have been needed
        fills = without is None or without < count
    return fills


def _unpacked(packed: memoryview, plane: NDArray[np.uint8]) -> int | None:
    """Count the bytes that the runs unpack to; None: one is cut, or `plane` is too small."""
    import imagecodecs  # noqa: PLC0415  # only the worker pays for it

    decode: Any = imagecodecs.packbits_decode  # its stub knows no view as its input
    try:
        return len(decode(packed, out=plane))
    except imagecodecs.PackbitsError:
        return None
