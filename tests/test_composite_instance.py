"""A new instance: the film's patient and study, this device, its own series, a whole file."""

from dataclasses import replace
from io import BytesIO

import pytest
from answers import analyzed, failed, making, study
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from cxr_device.outputs.composite_instance import (
    FORMS,
    begin,
    code_item,
    device_uid,
    reference_item,
    written,
)
from cxr_device.vocabulary import DicomOutput, Profile
from verification import verifies


def begun(kind: DicomOutput, profile: Profile = Profile.TRIAGE) -> Dataset:
    return begin(kind, study(), making(analyzed(profile=profile)))


@verifies("SRS-240@13ccd97d")
@pytest.mark.parametrize("kind", DicomOutput)
def test_an_instance_joins_the_film_s_study_in_a_series_of_its_own(kind: DicomOutput) -> None:
    film, instance = study(), begun(kind)
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate"):
        assert instance[keyword].value == film.attributes[keyword].value
    assert instance.SOPClassUID == FORMS[kind].sop_class_uid
    assert instance.Modality == FORMS[kind].modality
    assert {instance.SOPInstanceUID, instance.SeriesInstanceUID} == {"1.2.9.1", "1.2.9.2"}
    assert instance.InstanceNumber == 1  # the only one of its series


@verifies("SRS-240@13ccd97d")
def test_series_of_outputs_stand_last_and_apart() -> None:
    numbers = [begun(kind).SeriesNumber for kind in DicomOutput]
    assert numbers == [9001, 9002, 9003]  # README, conformance statement


@verifies("SRS-240@13ccd97d")
def test_an_instance_bears_the_time_at_which_it_was_made() -> None:
    instance = begun(DicomOutput.STRUCTURED_REPORT)
    assert instance.InstanceCreationDate == instance.ContentDate == "20260102"
    assert instance.InstanceCreationTime == instance.ContentTime == "030405"


@verifies("SRS-240@13ccd97d")
def test_an_instance_names_the_device_that_made_it() -> None:
    instance, device = begun(DicomOutput.ENCAPSULATED_PDF), analyzed().device
    assert instance.Manufacturer == instance.ManufacturerModelName == device.name
    assert list(instance.SoftwareVersions) == [device.version, device.weights_sha256]


@verifies("SRS-240@13ccd97d", "RC-155@66076a19", "SRS-155@5e9e6fbd")
def test_a_series_says_what_it_is_and_under_research_what_it_is_not() -> None:
    triage = begun(DicomOutput.STRUCTURED_REPORT).SeriesDescription
    research = begun(DicomOutput.STRUCTURED_REPORT, Profile.RESEARCH).SeriesDescription
    assert triage == "cxr_device pneumonia triage: structured report"
    assert research == "NOT THE DEVICE, research: structured report"


@verifies("SRS-243@7e4c2e1f")
def test_beginning_an_instance_leaves_the_study_as_it_was() -> None:
    film = study()
    instance = begin(DicomOutput.STRUCTURED_REPORT, film, making(failed()))
    instance.PatientID = "ANOTHER"
    assert "SOPClassUID" not in film.attributes
    assert film.attributes.PatientID == "PHANTOM-1"


@verifies("SRS-240@13ccd97d")
def test_one_configuration_is_one_device() -> None:
    device = analyzed().device
    assert device_uid(device) == device_uid(replace(device, profile="research"))
    assert device_uid(device) != device_uid(replace(device, config_sha256="0" * 64))
    assert device_uid(device).startswith("2.25.")
    assert len(device_uid(device)) <= 64


@verifies("SRS-245@98ddb9da")
def test_items_hold_the_code_and_the_reference_that_were_asked_for() -> None:
    code, reference = code_item("11528-7", "LN", "Radiology Report"), reference_item(study())
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("11528-7", "LN")
    assert code.CodeMeaning == "Radiology Report"
    assert reference.ReferencedSOPClassUID == study().sop_class_uid
    assert reference.ReferencedSOPInstanceUID == study().sop_instance_uid


@verifies("SRS-245@98ddb9da")
def test_an_instance_is_written_as_a_part_10_file() -> None:
    made = written(DicomOutput.ENCAPSULATED_PDF, begun(DicomOutput.ENCAPSULATED_PDF))
    again = dcmread(BytesIO(made.data))  # refuses a file without preamble
    assert made.kind is DicomOutput.ENCAPSULATED_PDF
    assert made.sop_instance_uid == again.SOPInstanceUID == "1.2.9.1"
    assert again.file_meta.MediaStorageSOPInstanceUID == "1.2.9.1"
    assert again.file_meta.MediaStorageSOPClassUID == again.SOPClassUID
    assert again.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
