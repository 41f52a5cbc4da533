"""The source study: whose film was read, and the study that the DICOM outputs join.

A closed list of attributes is copied; Study Description and every other free text stay behind,
because the result must not stand under somebody else's words ("Study: No Finding").
"""

import re
import warnings
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset, read_partial
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag

from cxr_device.errors import OutputError
from cxr_device.result import Source

__all__ = ["COPIED", "SourceStudy", "find_study"]

COPIED: Final = (
    "SpecificCharacterSet",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
)
"""Attributes copied from the film: Type 1 and 2 of the Patient and General Study modules
(PS3.3 C.7.1.1, C.7.2.1), the issuer that makes the identifier unique, and the character set."""

_REFERENCE: Final = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_OPTIONAL: Final = ("SpecificCharacterSet", "IssuerOfPatientID")
_UID: Final = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_UID_CHARACTERS: Final = 64
_WANTED: Final = [
    tag for keyword in (*COPIED, *_REFERENCE, "Rows") if (tag := tag_for_keyword(keyword))
]
_ROWS: Final = BaseTag(0x00280010)
_PIXEL_DATA: Final = BaseTag(0x7FE00010)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStudy:
    """What the outputs take from the film, and the references by which they name it."""

    attributes: Dataset
    """Patient and study attributes (`COPIED`), Type 2 ones empty where the film lacks them."""
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    is_image: bool
    """The instance has rows: it may be referenced as an image."""


def find_study(data: bytes, source: Source) -> SourceStudy | None:
    """Find the study of the film that was read; None where its header names none.

    Parameters
    ----------
    data : bytes
        The DICOM Part 10 file that was read.
    source : Source
        The result's source; its digest binds the outputs to the bytes that were read.

    Raises
    ------
    OutputError
        The bytes are not those that were read, or an attribute that must be copied cannot be.
    """
    if not (source.sop_instance_uid and source.study_instance_uid):
        return None
    name = source.path or "film"
    if sha256(data).hexdigest() != source.sha256:
        raise OutputError(name, "the file changed while it was read", action="read it again")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values: they may name a patient
        try:
            header = read_partial(
                BytesIO(data),
                stop_when=lambda tag, _vr, _length: tag >= _PIXEL_DATA,
                specific_tags=_WANTED,
            )
            uids = {keyword: str(header.get(keyword) or "") for keyword in _REFERENCE}
        except Exception as error:  # a parser may throw anything; its words may name a patient
            raise _not_copied(name, "header") from error
        if not all(_UID.fullmatch(uid) and len(uid) <= _UID_CHARACTERS for uid in uids.values()):
            return None
        return SourceStudy(
            attributes=_copy(header, name),
            sop_class_uid=uids["SOPClassUID"],
            sop_instance_uid=uids["SOPInstanceUID"],
            series_instance_uid=uids["SeriesInstanceUID"],
            study_instance_uid=uids["StudyInstanceUID"],
            is_image=_ROWS in header,
        )


def _copy(header: Dataset, name: str) -> Dataset:
    """Copy the attributes of `COPIED`, byte for byte; Type 2 ones stay empty where absent."""
    copy, stored = Dataset(), {}
    for keyword in COPIED:
        if keyword not in header:
            if keyword not in _OPTIONAL:
                setattr(copy, keyword, "")
            continue
        stored[keyword] = _stored(header, keyword)
        try:
            copy[keyword] = header[keyword]
        except Exception as error:
            raise _not_copied(name, keyword) from error
        # A sequence in a name's place would carry any text along (PS3.6 gives the VR).
        if dictionary_VR(keyword) != copy[keyword].VR:
            raise _not_copied(name, keyword)
    again = _encoded_again(copy, name)
    for keyword, value in stored.items():
        if value is not None and value != _stored(again, keyword):
            # The text does not fit its character set: another name would be written.
            raise _not_copied(name, keyword)
    return copy


def _stored(dataset: Dataset, keyword: str) -> bytes | None:
    """Value of an element as it lies in the file, without its padding; None once decoded."""
    value = dataset.get_item(keyword).value
    return value.rstrip(b" \0") if isinstance(value, bytes) else None


def _encoded_again(copy: Dataset, name: str) -> Dataset:
    """Write the copy and read it back, its values left as they lie in the bytes."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    try:
        write_dataset(buffer, copy)
        return read_dataset(BytesIO(buffer.getvalue()), is_implicit_VR=False, is_little_endian=True)
    except Exception as error:
        raise _not_copied(name, "the patient and study") from error


def _not_copied(name: str, keyword: str) -> OutputError:
    return OutputError(
        name, f"{keyword} of the film cannot be copied", action="correct it at its sender"
    )
