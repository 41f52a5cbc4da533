"""Lossless encodings of a film."""

from collections.abc import Callable
from typing import Any, Final

import imagecodecs
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless

__all__ = ["ENCODERS", "encoded", "with_stream"]

ENCODERS: Final[dict[str, Callable[[Any], bytes | bytearray]]] = {
    "1.2.840.10008.1.2.4.57": lambda frame: imagecodecs.ljpeg_encode(frame, bitspersample=12),
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.90": lambda frame: imagecodecs.jpeg2k_encode(
        frame, level=0, codecformat="J2K", bitspersample=12
    ),
}
"""Lossless encoders by transfer syntax; RLE is pydicom's."""


def encoded(film: Dataset, syntax: str) -> Dataset:
    """Encode a film losslessly."""
    if syntax == RLELossless:
        film.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        return film
    return with_stream(film, syntax, bytes(ENCODERS[syntax](film.pixel_array)))


def with_stream(film: Dataset, syntax: str, stream: bytes) -> Dataset:
    """Give a film an encoded frame."""
    film.file_meta.TransferSyntaxUID = UID(syntax)
    film.PixelData = encapsulate([stream])
    film["PixelData"].VR = "OB"
    return film
