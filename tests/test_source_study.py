"""The source study: whose film it is, a closed list of attributes, byte for byte or not at all."""

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from answers import FILM, film, source_of
from builders import DX, RLE, UID_ROOT, compressed, dx, to_bytes
from pydicom import Dataset, FileDataset
from pydicom.uid import ImplicitVRLittleEndian

from cxr_device.errors import OutputError
from cxr_device.outputs.source_study import COPIED, SourceStudy, find_study
from verification import verifies


def found(data: bytes, path: str | None = "films/chest.dcm") -> SourceStudy | None:
    return find_study(data, source_of(data, path))


def study_of(**changes: Any) -> SourceStudy:
    study = found(to_bytes(dx(FILM, **changes)))
    assert study is not None
    return study


def put(keyword: str, element: bytes, **changes: Any) -> bytes:
    """A film in which an element stands as raw bytes after its tag; explicit VR, short length."""
    data, empty = to_bytes(dx(FILM, **changes)), Dataset()
    setattr(empty, keyword, "")
    (tag,) = empty.keys()
    name = struct.pack("<HH", tag.group, tag.element)
    at = data.index(name, 132)
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    return data[:at] + name + element + data[at + 8 + length :]


@verifies("SRS-240@13ccd97d")
def test_the_references_are_those_of_the_film() -> None:
    study = study_of()
    assert study.sop_class_uid == DX
    assert study.sop_instance_uid == f"{UID_ROOT}.3"
    assert study.series_instance_uid == f"{UID_ROOT}.2"
    assert study.study_instance_uid == f"{UID_ROOT}.1"


@verifies("SRS-242@ee6c0226")
def test_an_instance_with_rows_is_an_image_and_another_is_not() -> None:
    assert study_of().is_image is True
    assert study_of(Rows=None).is_image is False


@verifies("SRS-243@7e4c2e1f", "RC-241@234e672e")
def test_every_attribute_of_the_list_is_copied_and_none_beside_them() -> None:
    planted = dx(
        FILM,
        SpecificCharacterSet="ISO_IR 192", StudyDate="20250102", StudyTime="101112",
        AccessionNumber="A-1", ReferringPhysicianName="Referrer^R", PatientName="Jürgen^J",
        PatientID="P-1", IssuerOfPatientID="I-1", PatientBirthDate="19610203", PatientSex="F",
        StudyID="S-1", StudyDescription="No Finding", PatientComments="none", PatientAge="064Y",
        InstitutionName="Hospital", OtherPatientIDs="P-2",
    )  # fmt: skip
    study = found(to_bytes(planted))
    assert study is not None
    assert {element.keyword for element in study.attributes} == {
        "SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber",
        "ReferringPhysicianName", "PatientName", "PatientID", "IssuerOfPatientID",
        "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID",
    }  # fmt: skip
    for element in study.attributes:
        assert element.value == planted[element.keyword].value, element.keyword


@verifies("SRS-243@7e4c2e1f", "RC-241@234e672e")
def test_what_a_film_lacks_is_empty_where_a_study_must_state_it() -> None:
    absent = dict.fromkeys(("StudyDate", "AccessionNumber", "PatientName", "PatientID", "StudyID"))
    study = study_of(**absent)
    for keyword in absent:
        assert keyword in study.attributes
        assert not study.attributes[keyword].value
    for optional in ("SpecificCharacterSet", "IssuerOfPatientID"):
        assert optional in COPIED
        assert optional not in study.attributes


@verifies("SRS-240@13ccd97d")
def test_a_film_that_states_no_study_is_joined_to_none() -> None:
    source = source_of(film())
    assert find_study(film(), replace(source, sop_instance_uid=None)) is None
    assert find_study(film(), replace(source, study_instance_uid=None)) is None
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        assert found(put(keyword, b"UI\0\0")) is None, keyword


@verifies("SRS-240@13ccd97d")
@pytest.mark.parametrize(
    ("uid", "joined"),
    [
        ("1.2.3", True), ("0.0", True), ("1." + "2" * 62, True),  # 64 characters
        ("1." + "2" * 63, False), ("1", False), ("1.02", False), ("1.2.", False), ("1..2", False),
        ("../../etc", False), ("1.2.3\\1.2.4", False),
    ],
)  # fmt: skip
def test_only_a_uid_of_valid_form_joins_a_study(uid: str, joined: bool) -> None:  # noqa: FBT001
    raw = uid.encode() + b"\0" * (len(uid) % 2)
    data = put("SeriesInstanceUID", b"UI" + struct.pack("<H", len(raw)) + raw)
    assert (found(data) is not None) == joined


@verifies("SRS-244@3d709cf8", "RC-242@17131097")
def test_bytes_that_were_not_read_are_refused() -> None:
    other = to_bytes(dx(FILM, PatientID="ANOTHER"))
    with pytest.raises(OutputError, match=r"films/chest\.dcm: the file changed while it was read"):
        find_study(other, source_of(film()))
    with pytest.raises(OutputError, match="OUTPUT film: the file changed"):
        find_study(other, source_of(film(), path=None))


@verifies("SRS-243@7e4c2e1f", "RC-241@234e672e")
@pytest.mark.parametrize(
    "name", ["Jürgen^Ä".encode("latin-1"), b"Odd^Padding\0", b"Two^Blanks  ", b""]
)
def test_a_name_of_the_film_s_character_set_is_copied_byte_for_byte(name: bytes) -> None:
    element = b"PN" + struct.pack("<H", len(name)) + name
    study = found(put("PatientName", element, SpecificCharacterSet="ISO_IR 100"))
    assert study is not None
    copied = str(study.attributes.PatientName)
    assert copied.rstrip(" \0") == name.decode("latin-1").rstrip(" \0")


@verifies("SRS-243@7e4c2e1f", "RC-241@234e672e")
@pytest.mark.parametrize(
    ("keyword", "element"),
    [
        ("PatientName", b"PN\x08\0J\xfcrgen^X"),  # Latin-1 under UTF-8
        ("PatientName", b"LO\x08\0Jurgen^X"),  # another value representation than the standard's
        ("PatientID", b"FD\x08\0ABCDEFGH"),  # an identifier stored as a number
        ("PatientName", b"SQ\0\0\x12\0\0\0\xfe\xff\0\xe0\x0a\0\0\0\x10\0\0\x40LT\x02\0no"),
    ],
)
def test_an_attribute_that_cannot_be_copied_is_named_without_its_value(
    keyword: str, element: bytes
) -> None:
    data = put(keyword, element, SpecificCharacterSet="ISO_IR 192")
    with pytest.raises(OutputError, match=f"{keyword} of the film cannot be copied") as refused:
        found(data)
    assert "films/chest.dcm" in str(refused.value)
    assert "correct it at its sender" in str(refused.value)
    assert "rgen" not in str(refused.value)


@verifies("SRS-243@7e4c2e1f")
def test_a_header_that_cannot_be_read_again_is_refused_and_a_cut_one_joins_nothing() -> None:
    with pytest.raises(OutputError, match="header of the film cannot be copied"):
        found(b"no DICOM file")
    assert found(film()[: film().index(b"PHANTOM-1")]) is None


@verifies("SRS-240@13ccd97d")
def test_a_study_is_found_in_every_encoding_of_a_film() -> None:
    implicit = dx(FILM, PatientName="Implicit^I")
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    for other in (implicit, compressed(dx(np.tile(FILM, (8, 8))), RLE)):
        study = found(to_bytes(FileDataset("", other, file_meta=other.file_meta)))
        assert study is not None
        assert study.attributes.PatientName == other.PatientName
        assert study.is_image


@verifies("SRS-242@ee6c0226", "RC-240@89b270a1")
def test_a_film_whose_pixel_data_are_cut_is_still_answered_in_its_study() -> None:
    packed = compressed(dx(np.tile(FILM, (8, 8))), RLE)
    for whole in (film(), to_bytes(packed)):
        cut = whole[:-16]
        study = found(cut)
        assert study is not None
        assert study.study_instance_uid == f"{UID_ROOT}.1"
