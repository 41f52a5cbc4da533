"""Image files: one NIH image from its file, or why there is none. No torch."""

import struct
import zlib
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_device.preprocessing import resize

__all__ = ["DamagedImageError", "ImageFile", "read_image", "square"]


_SMALLEST: Final = 32
"""Pixels a side; the smallest input that training takes. Less shows no lung."""


class DamagedImageError(Exception):
    """An image file that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """One decoded image."""

    stored: NDArray[np.uint8]
    """Grey levels, shape (rows, columns)."""
    mode: str
    """Pillow's name of the stored form: `L`, or `RGBA` for the few that NIH ships so."""
    file_bytes: int
    sha256: str
    """Of the file."""


def read_image(path: Path) -> ImageFile:
    """Read one 8-bit image whole: every chunk's checksum holds and every row is there.

    Raises
    ------
    DamagedImageError
        Missing, empty, truncated, a checksum that fails, under 32 pixels a side, more than 8
        bits, colour, or transparency.
    """
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise DamagedImageError(error.strerror or "cannot be read") from error
    try:
        with Image.open(BytesIO(blob)) as image:
            image.verify()  # the chunks' checksums, which decoding alone does not compare
        with Image.open(BytesIO(blob)) as image:
            if min(image.size) < _SMALLEST:
                message = f"{image.width} x {image.height} pixels; accepted: {_SMALLEST} a side"
                raise DamagedImageError(message)
            mode = image.mode
            stored = _grey(image)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise DamagedImageError(_reason(error, len(blob))) from error
    except Image.DecompressionBombError as error:
        raise DamagedImageError("more pixels than any film has") from error
    return ImageFile(
        stored=stored, mode=mode, file_bytes=len(blob), sha256=sha256(blob).hexdigest()
    )


def _grey(image: Image.Image) -> NDArray[np.uint8]:
    """Grey levels; an image with four or three equal channels is a grey image stored otherwise."""
    if image.mode == "L":
        return np.asarray(image)
    if image.mode not in ("RGB", "RGBA", "LA"):
        raise DamagedImageError(f"mode {image.mode}; accepted: 8-bit grey, RGB or RGBA")
    channels = np.asarray(image)
    if image.mode in ("RGBA", "LA") and channels[..., -1].min() < 255:  # noqa: PLR2004
        raise DamagedImageError("transparent pixels")
    first: NDArray[np.uint8] = np.ascontiguousarray(channels[..., 0])
    if image.mode != "LA" and (channels[..., :3] != first[..., np.newaxis]).any():
        raise DamagedImageError("colour: the channels differ")
    return first


def _reason(error: Exception, size: int) -> str:
    if size == 0:
        return "empty file"
    return f"damaged ({str(error).replace(chr(10), ' ') or type(error).__name__})"


def square(path: Path, size: int) -> tuple[NDArray[np.uint8] | None, str]:
    """One film of a cache: grey levels of shape (size, size), and the digest of its file.

    Shaped by the device's own preprocessing and rounded to whole 8-bit levels. Without an image:
    None, and why. Runs in a worker process, so it raises nothing about the file.
    """
    try:
        image = read_image(path)
    except DamagedImageError as error:
        return None, str(error)
    return np.rint(resize(image.stored, size) / 257).astype(np.uint8), image.sha256
