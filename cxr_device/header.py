"""Header: the elements that a guard needs, parsed by pydicom into plain values.

The bytes are few: `intake` hands over the wanted elements alone. A value that is not of its
element's type is refused, not repaired.
"""

import warnings
from io import BytesIO
from typing import Any, Final

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.values import convert_value

from cxr_device.radiograph import Code, LookupTable

__all__ = ["WANTED", "HeaderError", "read_header"]

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
WANTED: Final = {
    tag: keyword
    for keyword in (
        *_TEXT, *_TEXTS, *_INTEGER, *_NUMBER, *_NUMBERS, *_CODES, *_TABLES, "PatientID",
        "SpecificCharacterSet",
    )
    if (tag := tag_for_keyword(keyword)) is not None
}  # fmt: skip
"""Elements that are parsed: keyword by tag."""

_ALONE: Final = frozenset({"AS", "CS", "DA", "DS", "IS", "LO", "SH", "SQ", "SS", "UI", "US"})
"""Value representations whose values need no other element than the character set to be read."""


class HeaderError(Exception):
    """An element cannot be read as what it is; `value` names it, or what the parser threw."""

    def __init__(self, value: str, message: str) -> None:
        super().__init__(message)
        self.value = value


def read_header(data: bytes, *, implicit: bool) -> dict[str, Any]:
    """Parse a data set in Little Endian, and return the fields of a `Radiograph` by name.

    Raises
    ------
    HeaderError
        The data set cannot be parsed, or a value is not of its element's type.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of values that the guards judge
            return _fields(_named(read_dataset(BytesIO(data), implicit, is_little_endian=True)))
    except HeaderError:
        raise
    except Exception as error:  # a parser may throw anything at hostile bytes
        raise HeaderError(type(error).__name__, "the data set cannot be read") from error


def _named(dataset: Dataset) -> dict[str, Any]:
    """Values of a data set by keyword; each is converted once."""
    return {WANTED[tag]: _value(dataset, tag, raw) for tag, raw in dataset.items()}


def _value(dataset: Dataset, tag: BaseTag, raw: DataElement | RawDataElement) -> Any:  # noqa: ANN401
    """Convert one element by pydicom, its value alone where nothing else of the data set counts."""
    if isinstance(raw, RawDataElement) and raw.VR in _ALONE:
        return convert_value(raw.VR, raw, dataset.original_character_set)
    return dataset[tag].value  # looks at the dictionary and at other elements too


def _fields(dataset: dict[str, Any]) -> dict[str, Any]:
    """Turn the wanted elements into plain values."""
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


def _values(dataset: dict[str, Any], keyword: str) -> list[Any] | None:
    """Values of an element: None where it is absent, [] where it is empty."""
    if keyword not in dataset:
        return None
    value = dataset[keyword]
    if value is None or value == "":
        return [] if keyword not in _TEXT else [""]
    if isinstance(value, (str, int, float)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def _converted(keyword: str, value: Any, kind: type[Any]) -> Any:  # noqa: ANN401
    try:
        converted = kind(value)
        whole = kind is float or converted == value
    except (TypeError, ValueError, OverflowError) as error:
        raise HeaderError(keyword, f"{keyword} holds no number") from error
    if not whole:
        raise HeaderError(keyword, f"{keyword} holds no whole number")
    return converted


def _number(dataset: dict[str, Any], keyword: str, kind: type[Any]) -> Any:  # noqa: ANN401
    values = _values(dataset, keyword)
    if not values:
        return None
    if len(values) > 1:
        raise HeaderError(keyword, f"{keyword} holds {len(values)} values")
    return _converted(keyword, values[0], kind)


def _table(item: Dataset) -> LookupTable:
    """Read a lookup table's descriptor and data, entries of 8 bits packed in words unpacked."""
    stated = {"LUTDescriptor": item.get("LUTDescriptor")}  # its other elements are left unread
    descriptor = tuple(int(value) for value in _values(stated, "LUTDescriptor") or ())
    data = item.get("LUTData", ())
    if isinstance(data, bytes):
        step = 1 if len(descriptor) == 3 and descriptor[0] == len(data) else 2  # noqa: PLR2004
        values = tuple(
            int.from_bytes(data[at : at + step], "little") for at in range(0, len(data), step)
        )
    else:
        values = tuple(int(value) for value in data)
    return LookupTable(descriptor=descriptor, data=values)
