"""Films with one hazard each: how a film of the intended use is altered for each guard's code.

Each injection takes a film and draws its alteration at random within the hazard of one control.
"""

import io
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pydicom
from numpy.random import Generator
from pydicom import Dataset

__all__ = ["INJECTIONS", "Injection", "part10", "word"]

Injection = Callable[[Dataset, Generator], Dataset | bytes]

_TEXT: Final = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"))


def part10(film: Dataset) -> bytes:
    """Write a film as a Part 10 file."""
    out = io.BytesIO()
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()


def word(rng: Generator, *, avoid: frozenset[str] = frozenset()) -> str:
    """Draw a code string of 1 to 16 characters that is none of those to avoid."""
    while True:
        drawn = "".join(rng.choice(_TEXT, size=int(rng.integers(1, 17))))
        if drawn not in avoid:
            return drawn


def _setting(name: str, draw: Callable[[Generator], Any]) -> Injection:
    """Alter one attribute by a draw; None removes it."""

    def inject(film: Dataset, rng: Generator) -> Dataset:
        value = draw(rng)
        if value is None:
            delattr(film, name)
        else:
            setattr(film, name, value)
        return film

    return inject


def _one_of(*values: Any) -> Callable[[Generator], Any]:  # noqa: ANN401  # DICOM values
    """Draw from a list."""
    return lambda rng: values[int(rng.integers(len(values)))]


def _preamble(film: Dataset, rng: Generator) -> bytes:
    """Put an executable's first bytes in front."""
    heads = (b"MZ", b"\x7fELF", b"#!/bin/sh\n", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xce")
    head = heads[int(rng.integers(len(heads)))]
    return (head + rng.bytes(128))[:128] + part10(film)[128:]


def _no_part10(film: Dataset, rng: Generator) -> bytes:
    """Damage the prefix, or send bytes that are no DICOM at all."""
    if rng.random() < 0.5:  # noqa: PLR2004  # a fair coin
        return b"\0" * 128 + rng.bytes(4096)
    whole = bytearray(part10(film))
    whole[128 + int(rng.integers(4))] ^= 1 + int(rng.integers(255))
    return bytes(whole)


def _unparsable(film: Dataset, rng: Generator) -> bytes:
    """Nest sequences beyond what any parser follows, in front of the presentation LUT shape."""
    whole = part10(film)
    at = whole.index(b"\x50\x20\x20\x00CS", 128)
    sequence = b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff"
    item, end_item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\x00\x00\x00\x00"
    end_sequence = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    depth = int(rng.integers(1000, 5000))
    nested = (sequence + item) * depth + (end_item + end_sequence) * depth
    return whole[:at] + nested + whole[at:]


def _syntax(film: Dataset, rng: Generator) -> bytes:
    """Name a transfer syntax that no release accepts."""
    names = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.100", "1.2.3.4")
    old = b"1.2.840.10008.1.2.1\0"
    new = names[int(rng.integers(len(names)))].encode()
    new += b"\0" * (len(new) % 2)
    whole = part10(film)
    at = whole.index(old, 128)
    head = whole[: at - 2] + len(new).to_bytes(2, "little") + new
    group = int.from_bytes(whole[140:144], "little") + len(new) - len(old)
    return head[:140] + group.to_bytes(4, "little") + head[144:] + whole[at + len(old) :]


def _length(film: Dataset, rng: Generator) -> Dataset:
    """Cut the pixel data, or lengthen it."""
    change = 2 * int(rng.integers(1, 4096))
    data = film.PixelData
    film.PixelData = data[:-change] if rng.random() < 0.5 else data + b"\0" * change  # noqa: PLR2004
    return film


def _flat(film: Dataset, rng: Generator) -> Dataset:
    """Blank most of the frame, or leave fewer grey levels than the label asks for."""
    frame = film.pixel_array.copy()
    if rng.random() < 0.5:  # noqa: PLR2004  # a fair coin
        share = rng.uniform(0.7, 1.0)
        frame[: math.ceil(share * frame.shape[0])] = int(rng.integers(4096))
    else:
        levels = int(rng.integers(1, 31))
        frame = (frame.astype(np.int64) * levels // 4096) * (4095 // levels)
    film.PixelData = frame.astype("<u2").tobytes()
    return film


def _size(film: Dataset, rng: Generator) -> Dataset:
    """Give the frame a side below the minimum, or a shape no film has."""
    side = int(rng.integers(64, 511))
    other = int(rng.integers(512, 900))
    rows, columns = (side, other) if rng.random() < 0.5 else (other, side)  # noqa: PLR2004
    film.Rows, film.Columns = rows, columns
    film.PixelData = film.pixel_array_source[:rows, :columns].astype("<u2").tobytes()
    return film


def _view(film: Dataset, rng: Generator) -> Dataset:
    """Name a lateral, oblique or unknown view, or contradict the view by its code."""
    if rng.random() < 0.3:  # noqa: PLR2004  # both kinds often enough
        film.ViewCodeSequence[0].CodeValue = "399173006"
        return film
    del film.ViewCodeSequence
    film.ViewPosition = _one_of("LL", "RL", "LLO", "RLO", "LAO", "LPO", "RAO", "RPO", "LAT", "")(
        rng
    )
    return film


def _body(film: Dataset, rng: Generator) -> Dataset:
    """Name another body part, near misses included."""
    film.BodyPartExamined = _one_of(
        "ABDOMEN", "RIBCAGE", "CHEST_TO_ABDOMEN", "CHESTABDOMEN", "TSPINE", "SKULL", "HAND", "RIB",
        "LUNGSHOT", "BREAST", "PELVIS", "NECK",
    )(rng)  # fmt: skip
    return film


def _age(film: Dataset, rng: Generator) -> Dataset:
    """Give an age outside the label, or none."""
    years, months, days = rng.integers(22), rng.integers(264), rng.integers(999)
    above = rng.integers(121, 1000)
    values = (f"{years:03}Y", f"{months:03}M", f"{days:03}D", f"{above}Y", "000Y", "")
    film.PatientAge = _one_of(*values)(rng)
    return film


def _overlay(film: Dataset, rng: Generator) -> Dataset:
    """Declare burned-in text, or add an overlay."""
    if rng.random() < 0.5:  # noqa: PLR2004  # a fair coin
        film.BurnedInAnnotation = "YES"
    else:
        film.add_new((0x6000 + 2 * int(rng.integers(16)), 0x3000), "OW", rng.bytes(128))
    return film


def _grey(film: Dataset, rng: Generator) -> Dataset:
    """Leave the grey scale undefined."""
    kind = int(rng.integers(3))
    if kind == 0:
        film.RescaleSlope = "0"
    else:
        film.WindowCenter = "2048"
        film.WindowWidth = "0" if kind == 1 else str(-int(rng.integers(1, 4000)))
    return film


def _uid(film: Dataset, rng: Generator) -> Dataset:
    """Give a UID that no standard allows."""
    bad = _one_of("../../etc/passwd", "1.2.x.4", "1..2", "1.02.3", "1." + "9" * 63, "abc", "1.")(
        rng
    )
    name = _one_of("StudyInstanceUID", "SeriesInstanceUID")(rng)
    with pydicom.config.disable_value_validation():
        film.add_new(name, "UI", bad)
    return film


_BITS = (
    ("BitsStored", (7, 17, 0)),
    ("HighBit", (0, 10, 15)),
    ("BitsAllocated", (1, 12, 32)),
    ("PixelRepresentation", (2, 7)),
)


def _bits(film: Dataset, rng: Generator) -> Dataset:
    """Contradict the pixel layout."""
    name, values = _BITS[int(rng.integers(len(_BITS)))]
    setattr(film, name, values[int(rng.integers(len(values)))])
    return film


_OTHER_CLASSES: Final = (
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1.1.1", "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.88.11",
)  # fmt: skip


def _class(film: Dataset, rng: Generator) -> Dataset:
    """Make the instance one of another class."""
    film.SOPClassUID = _OTHER_CLASSES[int(rng.integers(len(_OTHER_CLASSES)))]
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    return film


def _modality(film: Dataset, rng: Generator) -> Dataset:
    """Name any other modality."""
    known = ("CT", "MR", "MG", "XA", "RF", "RG", "US", "OT", "")
    film.Modality = _one_of(*known, word(rng, avoid=frozenset({"DX", "CR"})))(rng)
    return film


INJECTIONS: Final[dict[str, tuple[str, Injection]]] = {
    "RC-103": ("FILE_PREAMBLE", _preamble),
    "RC-104": ("FILE_PART10", _no_part10),
    "RC-105": ("PARSE", _unparsable),
    "RC-106": ("TRANSFER_SYNTAX", _syntax),
    "RC-107": ("SOP_CLASS", _class),
    "RC-108": ("UID_FORM", _uid),
    "RC-109": ("MODALITY", _modality),
    "RC-110": ("INTENT", _setting("PresentationIntentType", _one_of("FOR PROCESSING", None, "X"))),
    "RC-111": ("IMAGE_TYPE", _setting("ImageType", _one_of(["ORIGINAL", "PRIMARY", "LOCALIZER"]))),
    "RC-112": ("BODY_PART", _body),
    "RC-113": ("VIEW", _view),
    "RC-114": ("AGE", _age),
    "RC-115": (
        "PHOTOMETRIC",
        _setting("PhotometricInterpretation", _one_of("RGB", "YBR_FULL", "PALETTE COLOR", "", "X")),
    ),
    "RC-116": ("PRESENTATION_LUT", _setting("PresentationLUTShape", _one_of("INVERSE"))),
    "RC-117": ("BITS", _bits),
    "RC-118": ("ROWS_COLUMNS", _size),
    "RC-119": (
        "FRAMES",
        _setting("NumberOfFrames", _one_of("0", "2", "-1", "1000000000", "17")),
    ),
    "RC-120": ("LENGTH", _length),
    "RC-121": ("BURNED_IN", _overlay),
    "RC-122": ("LATERALITY", _setting("ImageLaterality", _one_of("L", "R"))),
    "RC-123": ("RESCALE_LUT", _grey),
    "RC-124": ("PIXEL_RANGE", _flat),
    "RC-126": (
        "PIXEL_SPACING",
        _setting("ImagerPixelSpacing", _one_of([0.05, 0.05], [0.4, 0.4], [0.079, 0.079], None)),
    ),
    "RC-127": ("IDENTITY", _setting("PatientID", _one_of("", "   ", None))),
}
"""Hazard of each guard control: the code that must answer, and how the film is altered."""
