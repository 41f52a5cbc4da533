"""Decoding: PixelData -> stored values, and the grey scale that the header asks for.

Uncompressed frames are read where they lie. RLE and the JPEG families are decoded in a worker
process with a memory limit and a time limit (`decoder_worker`), because a damaged stream can kill a
native decoder: the worker's death is one coded verdict.
"""

import threading
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from cxr_device.checks import Verdict
from cxr_device.decoder_worker import REGION, RLE, StreamError, Worker, WorkerDiedError
from cxr_device.radiograph import LookupTable, Radiograph
from cxr_device.vocabulary import UNCOMPRESSED, Outcome

__all__ = ["DecodeError", "Decoded", "Decoder", "GreyScale", "grey_scale"]

TIME_LIMIT_S: Final = 8.0
"""Seconds for one frame; the slowest film measured (JPEG 2000, 3000 x 2500) takes under 2."""
_END_OF_IMAGE: Final = b"\xff\xd9"
"""Last marker of JPEG and JPEG-LS (EOI) and of JPEG 2000 (EOC; ISO/IEC 10918-1, 14495-1, 15444-1).
Decoders fill a cut frame with grey and say nothing, so a stream without it is refused first. RLE
has none: its segments must fill the frame."""
_LOOK: Final = 4096
"""Bytes looked at once, from the end of a stream, for its last marker."""
MAX_FRAGMENTS: Final = 65536
"""Fragments of one frame; a film of 64 MiB in fragments of 1 KiB."""
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
LEVELS: Final = 32767
"""The grey scale of a table runs over 0 .. 2 x LEVELS: an odd count, so that inverting it is
exact."""


class DecodeError(Exception):
    """The pixel data is no frame of the header's size; `value` is what was found."""

    def __init__(self, value: str, message: str) -> None:
        super().__init__(message)
        self.value = value

    @property
    def verdict(self) -> Verdict:
        """The verdict under DECODE."""
        return Verdict(outcome=Outcome.REJECT, value=self.value, message=str(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyScale:
    """How stored values become grey: a table, or nothing where it is affine and increasing."""

    table: NDArray[np.uint16] | None
    """Levels 0 .. 2 x LEVELS by stored value, shape (2 ** bits_stored,)."""
    padding: tuple[int, int] | None
    """Lowest and highest stored value that is padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A frame with its grey scale; signed values are shifted to start at 0."""

    stored: NDArray[np.uint8] | NDArray[np.uint16]
    bits_stored: int
    grey_scale: GreyScale


class Decoder:
    """Decodes frames; holds at most one worker process, started when a film needs it.

    Safe to share between threads: frames wait for the worker in turn.
    """

    def __init__(self, *, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._time_limit_s = time_limit_s
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    def decode(self, film: Radiograph) -> Decoded:
        """Decode the one frame of a film whose header every guard let through.

        Raises
        ------
        DecodeError
            The stream is damaged, the frame is not of the header's size, or the worker died or
            ran into a limit.
        """
        uncompressed = film.transfer_syntax_uid in UNCOMPRESSED
        frame = _raw(film) if uncompressed else self._in_worker(film)
        return Decoded(
            stored=_unsigned(frame, film),
            bits_stored=_stated(film.bits_stored),
            grey_scale=grey_scale(film),
        )

    def close(self) -> None:
        """End the worker, if there is one."""
        with self._lock:
            if self._worker is not None:
                self._worker.end()
                self._worker = None

    def _in_worker(self, film: Radiograph) -> NDArray[Any]:
        stream = _frame_parts(film)
        if film.transfer_syntax_uid != RLE and not _has_end(stream):
            raise DecodeError("no end of image", "the compressed stream is cut")
        if (length := sum(map(len, stream))) > REGION:
            raise DecodeError(f"{length} bytes", "the compressed frame is too long")
        with self._lock:
            if self._worker is None:
                self._worker = Worker()
            try:
                return self._worker.decode(
                    stream, film.transfer_syntax_uid, _shape(film), self._time_limit_s
                )
            except StreamError as error:
                message = "the compressed stream is damaged"
                raise DecodeError(str(error), message) from None
            except WorkerDiedError as died:
                self._worker.end()
                self._worker = None
                raise DecodeError(*died.args) from None


def _shape(film: Radiograph) -> tuple[int, int, int]:
    """Rows, columns and bytes of a pixel, as the guards let them through."""
    return _stated(film.rows), _stated(film.columns), _stated(film.bits_allocated) // 8


def _stated(number: int | None) -> int:
    """Give a number that the guards ask of every header; a film without it is refused."""
    if number is None:
        raise DecodeError("absent", "the header does not say how the pixels lie")
    return number


def _raw(film: Radiograph) -> NDArray[Any]:
    """View an uncompressed frame where it lies in the file's bytes; nothing is copied."""
    rows, columns, width = _shape(film)
    flat = np.frombuffer(_pixels(film), dtype=f"<u{width}", count=rows * columns)
    return flat.reshape(rows, columns)


def _pixels(film: Radiograph) -> memoryview:
    if film.pixel_data is None:
        raise DecodeError("absent", "there is no pixel data")
    return film.pixel_data


def _frame_parts(film: Radiograph) -> list[memoryview]:
    """Find the fragments of the one frame where they lie (PS3.5 annex A.4)."""
    if not film.pixel_data_is_encapsulated:
        raise DecodeError("no fragments", "a compressed frame must be encapsulated")
    return _fragments(_pixels(film))


def _has_end(stream: list[memoryview]) -> bool:
    """Whether a stream ends with its last marker, zeros behind it left out."""
    end = b""
    for part in reversed(stream):
        for behind in range(len(part), 0, -_LOOK):
            end = (bytes(part[max(0, behind - _LOOK) : behind]) + end).rstrip(b"\0")
            if len(end) >= len(_END_OF_IMAGE):
                return end.endswith(_END_OF_IMAGE)
    return False


def _fragments(data: memoryview) -> list[memoryview]:
    """Cut encapsulated pixel data at its items; the first is the offset table of one frame."""
    items: list[memoryview] = []
    at = 0
    while len(items) <= 1 + MAX_FRAGMENTS:  # the table, and as many fragments
        tag, length = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "little")
        begin = at + 8
        if tag == _SEQUENCE_END and items:
            table, fragments = bytes(items[0]), items[1:]
            if table not in (b"", bytes(4)):
                raise DecodeError(
                    f"{len(table)} bytes", "the offset table is not that of one frame"
                )
            return fragments
        if tag != _ITEM or begin + length > len(data):
            raise DecodeError(f"byte {at}", "the fragments are damaged or cut")
        items.append(data[begin : begin + length])
        at = begin + length
    raise DecodeError(f"more than {MAX_FRAGMENTS} fragments", "one frame needs fewer fragments")


def _unsigned(frame: NDArray[Any], film: Radiograph) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Shift signed stored values (PS3.5 8.1.1) to start at 0; refuse bits above the stored ones."""
    if film.pixel_representation != 1:
        return frame
    stored_bits = _stated(film.bits_stored)
    signed = frame.view(f"<i{frame.dtype.itemsize}")
    shifted = signed.astype(np.int32) + (1 << (stored_bits - 1))
    if shifted.min() < 0 or shifted.max() >= 1 << stored_bits:
        raise DecodeError("values beyond the stored bits", "a signed frame breaks its own range")
    return shifted.astype(frame.dtype)


def grey_scale(film: Radiograph) -> GreyScale:
    """Build the grey scale by applying pydicom's LUT functions to every possible stored value.

    References
    ----------
    .. [1] PS3.3 C.11.1 (Modality LUT), C.11.2 (VOI LUT), C.7.5.1.1.2 (Pixel Padding Value).
    """
    bits = _stated(film.bits_stored)
    offset = (1 << (bits - 1)) if film.pixel_representation == 1 else 0
    padding = None
    if film.pixel_padding_value is not None:
        limit = film.pixel_padding_range_limit
        ends = (film.pixel_padding_value, film.pixel_padding_value if limit is None else limit)
        padding = (min(ends) + offset, max(ends) + offset)
    if not (film.window_width or film.voi_lut or film.modality_lut):
        return GreyScale(table=None, padding=padding)
    header = _lut_header(film)
    every = np.arange(1 << bits, dtype=np.int32) - offset
    modality = apply_modality_lut(every, header)
    if film.modality_lut is not None:  # a window puts out the range of the table's own bits
        header.ModalityLUTSequence[0].LUTDescriptor = list(film.modality_lut.descriptor)
    if film.voi_lut is not None:  # entered by whole values; beyond its ends its end entries hold
        first, last = film.voi_lut.descriptor[1], len(film.voi_lut.data) - 1
        modality = np.rint(modality).clip(first, first + last).astype(np.int32)
    with np.errstate(over="ignore"):  # far below a sigmoid window exp() is infinite, the grey 0
        grey = np.asarray(apply_voi_lut(modality, header), dtype=np.float64)
    low, high = _theoretical_range(film, np.asarray(modality, dtype=np.float64))
    centred = (2.0 * (grey - low) / (high - low) - 1.0) * LEVELS
    table = (np.rint(np.round(centred, 6)) + LEVELS).clip(0, 2 * LEVELS).astype(np.uint16)
    return GreyScale(table=table, padding=padding)


def _theoretical_range(film: Radiograph, modality: NDArray[np.float64]) -> tuple[float, float]:
    """Range that the last transformation can put out, whatever the film shows.

    A window puts out the range of what comes before it (PS3.3 C.11.2.1.2): the modality LUT's, or
    the rescaled range of the stored bits, which the ends of `modality` give.
    """
    table = film.voi_lut or film.modality_lut
    if table is not None:
        return 0.0, float((1 << table.descriptor[2]) - 1)
    return float(modality.min()), float(modality.max())


def _lut_header(film: Radiograph) -> Dataset:
    """Put the grey-scale elements back into a data set, for pydicom's functions."""
    header = Dataset()
    header.PhotometricInterpretation = film.photometric_interpretation
    header.BitsStored = film.bits_stored
    header.PixelRepresentation = film.pixel_representation
    if film.modality_lut is not None:
        header.ModalityLUTSequence = [_lut_item(film.modality_lut, film)]
    else:
        header.RescaleSlope = 1.0 if film.rescale_slope is None else film.rescale_slope
        header.RescaleIntercept = film.rescale_intercept or 0.0
    if film.voi_lut is not None:
        header.VOILUTSequence = [_lut_item(film.voi_lut, film)]
    elif film.window_width:
        header.WindowCenter = film.window_center[0]
        header.WindowWidth = film.window_width[0]
        header.VOILUTFunction = film.voi_lut_function or "LINEAR"
    return header


def _lut_item(table: LookupTable, film: Radiograph) -> Dataset:
    """Put a table into an item, as one of 16 bits whatever its entries have.

    pydicom has no type for 9 to 15 bits, and enters a VOI table of 8 bits by 8 bits of the value.
    """
    item = Dataset()
    kind = "SS" if film.pixel_representation == 1 else "US"
    entries, first, _ = table.descriptor
    item.add_new(0x00283002, kind, [entries, first, 16])
    item.add_new(0x00283006, "US", list(table.data))
    return item
