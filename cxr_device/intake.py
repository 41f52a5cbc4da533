"""Intake: DICOM bytes -> Radiograph; the only reader, and it refuses before it decodes.

A file is held to the cheapest checks first. The transfer syntax is read from the file meta
information alone, so a deflated bomb is refused unopened; only the elements that a guard needs are
parsed; the pixel data is left where it lies. Whatever a parser throws ends as one coded verdict.
"""

import re
import stat
import warnings
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmwrite
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.filereader import data_element_generator, read_partial
from pydicom.tag import BaseTag

from cxr_device.checks import Verdict
from cxr_device.label import Label
from cxr_device.radiograph import Code, LookupTable, Radiograph
from cxr_device.vocabulary import CheckCode, Outcome

__all__ = ["TRANSFER_SYNTAXES", "Intake", "receive"]

LOSSLESS: Final = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
    }
)
LOSSY: Final = frozenset(
    {
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.91",
    }
)
TRANSFER_SYNTAXES: Final = LOSSLESS | LOSSY
"""Transfer syntaxes that may be opened (PS3.5 annex A)."""

PROGRAM_MAGIC: Final = {
    b"MZ": "a Windows program",
    b"\x7fELF": "an ELF program",
    b"\xfe\xed\xfa\xce": "a Mach-O program",
    b"\xfe\xed\xfa\xcf": "a Mach-O program",
    b"\xce\xfa\xed\xfe": "a Mach-O program",
    b"\xcf\xfa\xed\xfe": "a Mach-O program",
    b"\xca\xfe\xba\xbe": "a Mach-O or Java program",
    b"#!": "a script",
}
_TIFF_MAGIC: Final = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_PREAMBLE: Final = 128
_PIXEL_DATA: Final = BaseTag(0x7FE00010)
_UNDEFINED: Final = 0xFFFFFFFF
_OVERLAY_GROUPS: Final = range(0x6000, 0x6020, 2)

_TEXT: Final = {
    "SOPClassUID": "sop_class_uid",
    "SOPInstanceUID": "sop_instance_uid",
    "StudyInstanceUID": "study_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
    "Modality": "modality",
    "PresentationIntentType": "presentation_intent_type",
    "BodyPartExamined": "body_part_examined",
    "ViewPosition": "view_position",
    "PatientPosition": "patient_position",
    "SeriesDescription": "series_description",
    "ProtocolName": "protocol_name",
    "PatientAge": "patient_age",
    "PatientBirthDate": "patient_birth_date",
    "StudyDate": "study_date",
    "PhotometricInterpretation": "photometric_interpretation",
    "PresentationLUTShape": "presentation_lut_shape",
    "BurnedInAnnotation": "burned_in_annotation",
    "ImageLaterality": "image_laterality",
    "Laterality": "laterality",
    "PixelIntensityRelationship": "pixel_intensity_relationship",
    "VOILUTFunction": "voi_lut_function",
    "Manufacturer": "manufacturer",
}
_TEXTS: Final = {
    "ImageType": "image_type",
    "PatientOrientation": "patient_orientation",
    "PixelAspectRatio": "pixel_aspect_ratio",
}
_INTEGER: Final = {
    "SamplesPerPixel": "samples_per_pixel",
    "BitsAllocated": "bits_allocated",
    "BitsStored": "bits_stored",
    "HighBit": "high_bit",
    "PixelRepresentation": "pixel_representation",
    "Rows": "rows",
    "Columns": "columns",
    "NumberOfFrames": "number_of_frames",
    "PixelPaddingValue": "pixel_padding_value",
    "PixelPaddingRangeLimit": "pixel_padding_range_limit",
}
_NUMBER: Final = {"RescaleSlope": "rescale_slope", "RescaleIntercept": "rescale_intercept"}
_NUMBERS: Final = {
    "WindowCenter": "window_center",
    "WindowWidth": "window_width",
    "ImagerPixelSpacing": "imager_pixel_spacing",
    "PixelSpacing": "pixel_spacing",
}
_CODES: Final = {
    "AnatomicRegionSequence": "anatomic_region",
    "ViewCodeSequence": "view_codes",
}
_TABLES: Final = {"ModalityLUTSequence": "modality_lut", "VOILUTSequence": "voi_lut"}
_WANTED: Final = [
    tag
    for keyword in (
        *_TEXT, *_TEXTS, *_INTEGER, *_NUMBER, *_NUMBERS, *_CODES, *_TABLES, "PatientID",
        "SpecificCharacterSet",
    )
    if (tag := tag_for_keyword(keyword)) is not None
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What came in: its digest, the verdicts of the file checks, and the film if there is one."""

    path: str | None
    sha256: str | None
    verdicts: dict[CheckCode, Verdict]
    radiograph: Radiograph | None
    transfer_syntax_uid: str | None = None


class _RefusedError(Exception):
    """A file check that ends the intake."""

    def __init__(self, code: CheckCode, value: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.verdict = Verdict(outcome=Outcome.REJECT, value=value, message=message)


@dataclass(slots=True)
class _Progress:
    """What is known so far; a refusal keeps it."""

    verdicts: dict[CheckCode, Verdict] = field(default_factory=dict)
    digest: str | None = None
    syntax: str | None = None

    def passed(self, code: CheckCode, value: str) -> None:
        self.verdicts[code] = Verdict(outcome=Outcome.PASS, value=value, message="as expected")


def receive(source: Path | bytes | Dataset, label: Label) -> Intake:
    """Take in one film, from a file, bytes or a data set; never raises for what it is given."""
    progress = _Progress()
    radiograph = None
    try:
        data = _bytes_of(source, label, progress)
        progress.digest = sha256(data).hexdigest()
        _check_preamble(data, progress)
        progress.syntax = _check_syntax(data, label, progress)
        radiograph = _parse(data, progress)
    except _RefusedError as refused:
        progress.verdicts[refused.code] = refused.verdict
    return Intake(
        path=str(source) if isinstance(source, Path) else None,
        sha256=progress.digest,
        verdicts=progress.verdicts,
        radiograph=radiograph,
        transfer_syntax_uid=progress.syntax,
    )


def _bytes_of(source: Path | bytes | Dataset, label: Label, progress: _Progress) -> bytes:
    """Read the whole file, bounded by the label's size, or serialize a data set."""
    limit = label.max_file_mib * 2**20
    if isinstance(source, Dataset):
        buffer = BytesIO()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dcmwrite(buffer, source, enforce_file_format=True)
        except Exception as error:  # a data set can fail to be written in any way
            raise _RefusedError(
                CheckCode.FILE_READ, "data set", f"not writable: {error}"
            ) from error
        data = buffer.getvalue()
    elif isinstance(source, Path):
        data = _read_file(source, limit)
    else:
        data = bytes(source)
    progress.passed(CheckCode.FILE_READ, "read")
    if not data or len(data) > limit:
        size = f"more than {limit} bytes" if data else "0 bytes"
        raise _RefusedError(
            CheckCode.FILE_SIZE, size, f"outside 1 byte to {label.max_file_mib} MiB"
        )
    progress.passed(CheckCode.FILE_SIZE, f"{len(data)} bytes")
    return data


def _read_file(path: Path, limit: int) -> bytes:
    """Read a regular file; one byte more than `limit` is enough to know that it is too long."""
    try:
        mode = path.stat().st_mode  # before the open: opening a pipe waits for its other end
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise _RefusedError(CheckCode.FILE_READ, "special file", "not a regular file")
        with path.open("rb") as file:
            return file.read(limit + 1)
    except IsADirectoryError as error:
        raise _RefusedError(CheckCode.FILE_READ, "directory", "a folder, not a file") from error
    except FileNotFoundError as error:
        raise _RefusedError(CheckCode.FILE_READ, "absent", "there is no such file") from error
    except PermissionError as error:
        raise _RefusedError(CheckCode.FILE_READ, "no permission", "may not be read") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _RefusedError(CheckCode.FILE_READ, "unreadable", f"{reason}") from error


def _check_preamble(data: bytes, progress: _Progress) -> None:
    """Judge the first 128 bytes and the DICM prefix (PS3.10 7.1)."""
    for magic, kind in PROGRAM_MAGIC.items():
        if data.startswith(magic):
            raise _RefusedError(CheckCode.FILE_PREAMBLE, magic.hex(), f"the file is also {kind}")
    if data[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        raise _RefusedError(CheckCode.FILE_PART10, "no DICM prefix", "not a DICOM Part 10 file")
    preamble = data[:_PREAMBLE]
    if any(preamble) and not preamble.startswith(_TIFF_MAGIC):
        progress.verdicts[CheckCode.FILE_PREAMBLE] = Verdict(
            outcome=Outcome.WARN,
            value=f"{preamble[:4].hex()}...",
            message="bytes that are neither zero nor a TIFF header",
        )
    else:
        progress.passed(CheckCode.FILE_PREAMBLE, "TIFF" if any(preamble) else "zeros")


def _check_syntax(data: bytes, label: Label, progress: _Progress) -> str:
    """Read the file meta information alone and judge its transfer syntax."""
    file = BytesIO(data)
    file.seek(_PREAMBLE + 4)
    found = None
    try:
        for element in data_element_generator(
            file,
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, _vr, _length: tag.group != 2,  # noqa: PLR2004
        ):
            if element.tag == 0x00020010:  # noqa: PLR2004  # Transfer Syntax UID
                value = element.value
                found = value.decode("ascii") if isinstance(value, bytes) else str(value)
    except Exception as error:  # a parser may throw anything at hostile bytes
        raise _RefusedError(
            CheckCode.FILE_PART10, "file meta information", f"damaged: {type(error).__name__}"
        ) from error
    syntax = (found or "").rstrip("\0 ")
    if not syntax:
        raise _RefusedError(CheckCode.FILE_PART10, "no Transfer Syntax UID", "incomplete file meta")
    progress.passed(CheckCode.FILE_PART10, "DICM, file meta information")
    if syntax in LOSSLESS:
        progress.passed(CheckCode.TRANSFER_SYNTAX, syntax)
    elif syntax in LOSSY and label.lossy_accepted:
        progress.verdicts[CheckCode.TRANSFER_SYNTAX] = Verdict(
            outcome=Outcome.WARN, value=syntax, message="lossy compression changed the film"
        )
    else:
        shown = syntax[:64] if re.fullmatch(r"[\d.]+", syntax) else "no UID"
        raise _RefusedError(CheckCode.TRANSFER_SYNTAX, shown, "not a transfer syntax that is read")
    return syntax


@dataclass(slots=True)
class _Walk:
    """Watches the parser pass each element: where the pixels lie, and whose length is a lie."""

    file: BytesIO
    size: int
    overlay: bool = False
    pixels: tuple[int, int] | None = None
    """Offset and length of PixelData's value."""
    lie: str | None = None

    def __call__(self, tag: BaseTag, _vr: str | None, length: int) -> bool:
        left = self.size - self.file.tell()
        if tag == _PIXEL_DATA:
            self.pixels = (self.file.tell(), length)
        if length != _UNDEFINED and length > left:
            name = keyword_for_tag(tag) or str(tag)
            self.lie = f"{name} says {length} bytes, the file holds {left} more"
        if tag.group in _OVERLAY_GROUPS and tag.element == 0x3000:  # noqa: PLR2004  # Overlay Data
            self.overlay = True
        return tag >= _PIXEL_DATA or self.lie is not None


def _parse(data: bytes, progress: _Progress) -> Radiograph:
    """Parse the wanted elements up to the pixel data."""
    file = BytesIO(data)
    walk = _Walk(file=file, size=len(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of values that the guards judge
            dataset = read_partial(file, stop_when=walk, specific_tags=list(_WANTED))
            fields = _fields(dataset)
    except _RefusedError:
        raise
    except (Exception, RecursionError) as error:  # a parser may throw anything at hostile bytes
        raise _RefusedError(
            CheckCode.PARSE, type(error).__name__, "the data set cannot be read"
        ) from error
    if walk.lie is not None:
        raise _RefusedError(CheckCode.LENGTH, walk.lie, "an element is longer than the file")
    progress.passed(CheckCode.PARSE, "to the pixel data")
    pixels, encapsulated = None, False
    if walk.pixels is not None:
        start, length = walk.pixels
        encapsulated = length == _UNDEFINED
        pixels = memoryview(data)[start : len(data) if encapsulated else start + length]
    return Radiograph(
        transfer_syntax_uid=str(progress.syntax),
        media_storage_sop_class_uid=str(dataset.file_meta.get("MediaStorageSOPClassUID", "")),
        has_overlay=walk.overlay,
        pixel_data=pixels,
        pixel_data_is_encapsulated=encapsulated,
        **fields,
    )


def _fields(dataset: Dataset) -> dict[str, Any]:
    """Turn the wanted elements into plain values, or refuse the one that is not of its type."""
    fields: dict[str, Any] = {}
    for keyword, name in _TEXT.items():
        value = _values(dataset, keyword)
        fields[name] = None if value is None else "\\".join(map(str, value))
    for keyword, name in _TEXTS.items():
        fields[name] = tuple(map(str, _values(dataset, keyword) or ()))
    for keyword, name in _INTEGER.items():
        fields[name] = _number(dataset, keyword, int)
    for keyword, name in _NUMBER.items():
        fields[name] = _number(dataset, keyword, float)
    for keyword, name in _NUMBERS.items():
        values = _values(dataset, keyword) or []
        fields[name] = tuple(_converted(keyword, value, float) for value in values)
    for keyword, name in _CODES.items():
        fields[name] = tuple(
            Code(
                value=str(item.get("CodeValue", "")),
                scheme=str(item.get("CodingSchemeDesignator", "")),
            )
            for item in dataset.get(keyword) or ()
        )
    for keyword, name in _TABLES.items():
        items = dataset.get(keyword) or ()
        fields[name] = _table(items[0]) if items else None
    fields["has_patient_id"] = bool(str(dataset.get("PatientID") or "").strip())
    return fields


def _values(dataset: Dataset, keyword: str) -> list[Any] | None:
    """Values of an element: None where it is absent, [] where it is empty."""
    if keyword not in dataset:
        return None
    value = dataset[keyword].value
    if value is None or value == "":
        return [] if keyword not in _TEXT else [""]
    if isinstance(value, (str, int, float)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def _converted(keyword: str, value: Any, kind: type[Any]) -> Any:  # noqa: ANN401
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _RefusedError(CheckCode.PARSE, keyword, f"{keyword} holds no number") from error


def _number(dataset: Dataset, keyword: str, kind: type[Any]) -> Any:  # noqa: ANN401
    values = _values(dataset, keyword)
    if not values:
        return None
    if len(values) > 1:
        raise _RefusedError(CheckCode.PARSE, keyword, f"{keyword} holds {len(values)} values")
    return _converted(keyword, values[0], kind)


def _table(item: Dataset) -> LookupTable:
    """Read a lookup table's descriptor and data, entries of 8 bits packed in words unpacked."""
    descriptor = tuple(int(value) for value in _values(item, "LUTDescriptor") or ())
    data = item.get("LUTData", ())
    if isinstance(data, bytes):
        step = 1 if len(descriptor) == 3 and descriptor[0] == len(data) else 2  # noqa: PLR2004
        values = tuple(
            int.from_bytes(data[at : at + step], "little") for at in range(0, len(data), step)
        )
    else:
        values = tuple(int(value) for value in data)
    return LookupTable(descriptor=descriptor, data=values)
