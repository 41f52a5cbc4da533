"""Injection: how often a risk control answers when its hazard is really there.

For each guard N films of the intended use are altered at random within the hazard that the guard
controls; the command `cxr-device check` is run on them as its user runs it. Detected means: the
guard's code stands in the record with a rejection (a warning for codes that warn), and the record
holds no finding. The same films unaltered must pass.
"""

import io
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.random import Generator
from pydicom import Dataset
from pydicom.uid import generate_uid

__all__ = ["INJECTIONS", "lower_bound", "main"]

Injection = Callable[[Dataset, Generator], Dataset | bytes]

_FILMS: Final = 100
"""Altered films for each control."""

_PROGRAM: Final = "from cxr_device.cli import main; main()"
_WARNS: Final = frozenset({"PIXEL_SPACING", "IDENTITY"})
_TEXT: Final = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"))


def lower_bound(detected: int, tried: int, level: float = 0.95) -> float:
    """Lower Clopper-Pearson bound of a detection rate, one-sided where all were detected."""
    if detected == 0:
        return 0.0
    tail = (1 - level) if detected == tried else (1 - level) / 2
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        above = sum(
            math.comb(tried, k) * middle**k * (1 - middle) ** (tried - k)
            for k in range(detected, tried + 1)
        )
        low, high = (middle, high) if above < tail else (low, middle)
    return low


def _bytes(film: Dataset) -> bytes:
    """Write a film as a Part 10 file."""
    out = io.BytesIO()
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _word(rng: Generator, *, avoid: frozenset[str] = frozenset()) -> str:
    """Draw a code string of 1 to 16 characters that is none of those to avoid."""
    while True:
        word = "".join(rng.choice(_TEXT, size=int(rng.integers(1, 17))))
        if word not in avoid:
            return word


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
    return (head + rng.bytes(128))[:128] + _bytes(film)[128:]


def _no_part10(film: Dataset, rng: Generator) -> bytes:
    """Damage the prefix, or send bytes that are no DICOM at all."""
    if rng.random() < 0.5:  # noqa: PLR2004  # a fair coin
        return b"\0" * 128 + rng.bytes(4096)
    whole = bytearray(_bytes(film))
    whole[128 + int(rng.integers(4))] ^= 1 + int(rng.integers(255))
    return bytes(whole)


def _unparsable(film: Dataset, rng: Generator) -> bytes:
    """Nest sequences beyond what any parser follows, in front of the presentation LUT shape."""
    whole = _bytes(film)
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
    whole = _bytes(film)
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
        setattr(film, name, bad)
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
    film.Modality = _one_of(*known, _word(rng, avoid=frozenset({"DX", "CR"})))(rng)
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


def _records(root: Path, folder: Path) -> list[dict[str, Any]]:
    """Run the device on a folder as its user does."""
    done = subprocess.run(  # noqa: S603  # fixed arguments, no shell
        [sys.executable, "-c", _PROGRAM, "check", "--json", str(folder)],
        cwd=root,
        capture_output=True,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def _answers(record: dict[str, Any], code: str) -> bool:
    """Whether a record detects the hazard of a code."""
    wanted = {"reject", "warn"} if code in _WARNS else {"reject"}
    named = any(c["code"] == code and c["outcome"] in wanted for c in record["checks"])
    refused = record["status"] != "analyzed" or code in _WARNS
    return named and refused and record["finding"] is None


def measure(
    root: Path, film: Dataset, name: str, count: int, rng: Generator
) -> dict[str, float | int | str]:
    """Inject one hazard `count` times and count the answers."""
    code, inject = INJECTIONS[name]
    whole = _bytes(film)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for number in range(count):
            fresh = pydicom.dcmread(io.BytesIO(whole))
            fresh.pixel_array_source = film.pixel_array
            fresh.SOPInstanceUID = generate_uid(entropy_srcs=[name, str(number)])
            fresh.file_meta.MediaStorageSOPInstanceUID = fresh.SOPInstanceUID
            with pydicom.config.disable_value_validation():
                altered = inject(fresh, rng)
                content = altered if isinstance(altered, bytes) else _bytes(altered)
            (folder / f"{number:04}.dcm").write_bytes(content)
        records = _records(root, folder)
    detected = sum(_answers(record, code) for record in records)
    return {
        "code": code,
        "tried": count,
        "detected": detected,
        "lower": round(lower_bound(detected, count), 4),
        "method": "Clopper-Pearson, 95 %",
    }


def main(count: int = _FILMS) -> None:
    """Measure every guard control and write `risk/results/controls.json`."""
    root = Path.cwd()
    film = pydicom.dcmread(root / "cxr_device" / "examples" / "phantom_clear.dcm")
    target = root / "risk" / "results" / "controls.json"
    known = json.loads(target.read_text("utf-8")) if target.is_file() else {}
    rng = np.random.default_rng(20261124)
    for name in INJECTIONS:
        known[name] = measure(root, film, name, count, rng)
        sys.stdout.write(f"{name} {known[name]}\n")
        sys.stdout.flush()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
