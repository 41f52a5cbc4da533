"""A new DICOM composite instance: the source study's patient, this device, new UIDs.

The modules that every output shares: Patient, General Study, General Series, General Equipment
and SOP Common (PS3.3 C.7.1 to C.7.5, C.12.1). What follows them is each output's own.
"""

import uuid
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Final

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from cxr_device.outputs.source_study import SourceStudy
from cxr_device.release import Release
from cxr_device.result import DeviceIdentity
from cxr_device.vocabulary import DicomOutput, Profile

__all__ = [
    "FORMS",
    "Form",
    "Making",
    "Written",
    "begin",
    "code_item",
    "device_uid",
    "reference_item",
    "written",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one kind of output stands in DICOM."""

    sop_class_uid: str
    sop_class: str
    modality: str
    series_number: int
    """Far above a modality's own series, so that the outputs stand last in a viewer's list."""
    title: str


FORMS: Final = {
    DicomOutput.STRUCTURED_REPORT: Form(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_class="Comprehensive 3D SR Storage",
        modality="SR",
        series_number=9001,
        title="structured report",
    ),
    DicomOutput.SECONDARY_CAPTURE: Form(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
        sop_class="Secondary Capture Image Storage",
        modality="OT",
        series_number=9002,
        title="result page",
    ),
    DicomOutput.ENCAPSULATED_PDF: Form(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.104.1",
        sop_class="Encapsulated PDF Storage",
        modality="DOC",
        series_number=9003,
        title="result as PDF",
    ),
}
"""SOP classes that the device writes (PS3.4 annex B.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What is new in an output: the device that makes it, the time, and a source of UIDs."""

    release: Release
    device: DeviceIdentity
    made_at: datetime
    """Local time of the machine, as DICOM dates and times are by default (PS3.3 C.12.1.1.8)."""
    new_uid: Callable[[], str]
    """Gives another UID at each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One output as a DICOM Part 10 file."""

    kind: DicomOutput
    sop_instance_uid: str
    data: bytes


def device_uid(device: DeviceIdentity) -> str:
    """UID of the locked device: the same wherever its configuration digest is the same."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, device.config_sha256).int}"


def begin(kind: DicomOutput, study: SourceStudy, making: Making) -> Dataset:
    """Begin an instance of `kind` in a series of its own in the source study."""
    device, form, instance = making.device, FORMS[kind], deepcopy(study.attributes)
    date, time = f"{making.made_at:%Y%m%d}", f"{making.made_at:%H%M%S}"
    instance.SOPClassUID, instance.SOPInstanceUID = form.sop_class_uid, making.new_uid()
    instance.InstanceCreationDate, instance.InstanceCreationTime = date, time
    instance.ContentDate, instance.ContentTime = date, time
    instance.SeriesInstanceUID, instance.SeriesNumber = making.new_uid(), form.series_number
    instance.InstanceNumber, instance.Modality = 1, form.modality
    instance.SeriesDescription = f"{device.name} pneumonia {device.claim}: {form.title}"
    if device.profile == Profile.RESEARCH:
        instance.SeriesDescription = f"NOT THE DEVICE, research: {form.title}"
    # The manufacturer is the word by which IMAGE_TYPE knows the device's own outputs.
    instance.Manufacturer = instance.ManufacturerModelName = device.name
    instance.SoftwareVersions = [device.version, device.weights_sha256]
    return instance


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """Return an item of a code sequence (PS3.3 table 8.8-1)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def reference_item(study: SourceStudy) -> Dataset:
    """Return a reference to the film (PS3.3 table 10-11, SOP Instance Reference)."""
    item = Dataset()
    item.ReferencedSOPClassUID = study.sop_class_uid
    item.ReferencedSOPInstanceUID = study.sop_instance_uid
    return item


def written(kind: DicomOutput, instance: Dataset) -> Written:
    """Encode an instance as a Part 10 file in Explicit VR Little Endian."""
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values: they may name a patient
        dcmwrite(buffer, instance, enforce_file_format=True)
    return Written(kind=kind, sop_instance_uid=str(instance.SOPInstanceUID), data=buffer.getvalue())
