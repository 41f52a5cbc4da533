"""DICOM outputs: what each object says, whose study it joins, and what it leaves behind."""

import json
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import dx, pixels, to_bytes
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from cxr_device import Analyzed, Device
from cxr_device.errors import ClaimError, OutputError
from cxr_device.outputs import folder
from cxr_device.outputs.composite_instance import FORMS, Making
from cxr_device.outputs.dicom_answer import answer
from cxr_device.outputs.source_study import COPIED
from cxr_device.vocabulary import DicomOutput
from verification import verifies

SR, SC, PDF = DicomOutput
MADE_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def new_uid() -> str:
    return str(generate_uid(prefix=None))


def answered(device: Device, data: bytes) -> dict[DicomOutput, Dataset]:
    """Read a film and parse what it is answered with."""
    made = [dcmread(BytesIO(each)) for each in answered_bytes(device, data)]
    kinds = {form.sop_class_uid: kind for kind, form in FORMS.items()}
    return {kinds[each.SOPClassUID]: each for each in made}


def answered_bytes(device: Device, data: bytes) -> list[bytes]:
    """Read a film and return the files that it is answered with."""
    result = device.read(data)
    making = Making(release=device.release, device=result.device, made_at=MADE_AT, new_uid=new_uid)
    made = answer(result, making, data=data, picture=device.picture(result))
    return [each.data for each in made]


def items(report: Dataset) -> Iterator[tuple[str, Any]]:
    """Every content item of a report: its concept's code and its value."""
    for item in report.ContentSequence:
        concept = item.ConceptNameCodeSequence[0].CodeValue
        match str(item.ValueType):
            case "TEXT":
                yield concept, item.TextValue
            case "CODE":
                code = item.ConceptCodeSequence[0]
                yield concept, (code.CodeValue, code.CodingSchemeDesignator)
            case "NUM":
                measured = item.MeasuredValueSequence[0]
                unit = measured.MeasurementUnitsCodeSequence[0].CodeValue
                yield concept, (float(measured.NumericValue), unit)
            case "IMAGE" | "COMPOSITE":
                yield concept, item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            case "UIDREF":
                yield concept, item.UID
            case _:
                pass
        if "ContentSequence" in item:
            yield from items(item)


@verifies("SRS-240@13ccd97d", level="integration")
def test_a_film_that_was_read_is_answered_in_its_study(device: Device) -> None:
    film = dx()
    made = answered(device, to_bytes(film))
    assert list(made) == [SR, SC, PDF]
    assert [made[kind].Modality for kind in made] == ["SR", "OT", "DOC"]
    for each in made.values():
        assert each.StudyInstanceUID == film.StudyInstanceUID
        assert each.PatientID == film.PatientID
        assert each.Manufacturer == device.release.name
        assert list(each.SoftwareVersions) == [
            device.release.version,
            device.release.weights_sha256,
        ]
    fresh = [
        each[word].value
        for each in made.values()
        for word in ("SOPInstanceUID", "SeriesInstanceUID")
    ]
    assert len({*fresh, film.SOPInstanceUID, film.SeriesInstanceUID}) == 8


@verifies("SRS-241@8f8141b4", level="integration")
def test_the_report_says_what_the_record_says(device: Device) -> None:
    film = dx()
    result = device.read(to_bytes(film))
    assert isinstance(result, Analyzed)
    report = answered(device, to_bytes(film))[SR]
    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert report.PreliminaryFlag == "PRELIMINARY"
    said = list(items(report))
    suspected = result.decision.flag == "suspected"
    for expected in (
        ("121071", ("233604007", "SCT")),  # Finding: Pneumonia
        ("363698007", ("39607008", "SCT")),  # Finding Site: Lung
        ("121052", ("52101004" if suspected else "272519000", "SCT")),  # Presence
        ("111064", ("111222", "DCM")),  # Summary of Detections: Succeeded
        ("111000", ("123110", "DCM")),  # Algorithm Family: Artificial Intelligence
        ("111001", "cxr_device"),  # Algorithm Name
        ("111003", device.release.version),  # Algorithm Version
        ("121005", ("121007", "DCM")),  # Observer Type: Device
        ("121112", film.SOPInstanceUID),  # Source of Measurement
    ):
        assert expected in said
    ((percent, unit),) = [value for concept, value in said if concept == "111012"]  # Certainty
    assert unit == "%"
    assert percent == pytest.approx(100 * result.decision.probability, abs=1e-6)
    parameters = [value for concept, value in said if concept == "111002"]
    for digest in (
        result.source.sha256,
        device.release.weights_sha256,
        device.release.config_sha256,
    ):
        assert any(str(digest) in parameter for parameter in parameters)
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0]
    series = evidence.ReferencedSeriesSequence[0]
    assert evidence.StudyInstanceUID == film.StudyInstanceUID
    assert series.SeriesInstanceUID == film.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID


@verifies("SRS-241@8f8141b4", level="integration")
@pytest.mark.parametrize(
    ("probability", "presence"), [(0.05, codes.SCT.Absent), (0.9, codes.SCT.Present)]
)
def test_presence_follows_the_flag(
    device: Device, monkeypatch: pytest.MonkeyPatch, probability: float, presence: Any
) -> None:
    monkeypatch.setattr(
        device,
        "_infer",
        lambda _pixels: np.full(
            (1, len(device.release.heads)), _logit(device, probability), dtype=np.float32
        ),
    )
    said = list(items(answered(device, to_bytes(dx()))[SR]))
    assert ("121052", (presence.value, "SCT")) in said
    ((percent, _unit),) = [value for concept, value in said if concept == "111012"]
    assert percent == pytest.approx(100 * probability, abs=1e-3)


def _logit(device: Device, probability: float) -> float:
    """Score whose calibrated probability is `probability`, by the logistic function's inverse."""
    fitted = device.release.calibration
    return float((np.log(probability / (1 - probability)) - fitted.offset) / fitted.slope)


@verifies("SRS-242@ee6c0226", "RC-240@89b270a1", "SRS-240@13ccd97d", level="integration")
@pytest.mark.parametrize(
    ("change", "stopped_by"),
    [
        ({"ViewPosition": "LL"}, {"VIEW"}),
        ({"Modality": "CT", "PatientAge": "012Y"}, {"MODALITY", "AGE"}),
        ({"SOPClassUID": "1.2.826.0.1.3680043.10.1559.9"}, {"SOP_CLASS"}),  # a private class
        ({"PixelData": b"\0\0"}, {"LENGTH"}),
    ],
)
def test_a_refused_film_is_reported_as_not_attempted(
    device: Device, change: dict[str, Any], stopped_by: set[str]
) -> None:
    film = dx(**change)
    made = answered(device, to_bytes(film))
    assert list(made) == [SR, PDF]
    said = list(items(made[SR]))
    assert ("111064", ("111225", "DCM")) in said  # Not Attempted
    assert ("121052", ("373068000", "SCT")) in said  # Undetermined
    assert "111012" not in [concept for concept, _value in said]  # no certainty
    comments = [str(value) for concept, value in said if concept == "121106"]
    reasons = {told.split(": ")[1] for told in comments if told.startswith("Reason: ")}
    assert reasons == stopped_by
    assert ("121112", film.SOPInstanceUID) in said


@verifies("SRS-242@ee6c0226", "RC-240@89b270a1", level="integration")
def test_an_object_without_an_image_is_referenced_as_composite(device: Device) -> None:
    report = answered(device, to_bytes(dx()))[SR]
    again = answered(device, to_bytes_of(report))
    assert list(again) == [SR, PDF]
    assert ("121112", report.SOPInstanceUID) in list(items(again[SR]))


def to_bytes_of(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@verifies("SRS-240@13ccd97d", level="integration")
@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2.3.", "1." + "2" * 64, ""])
def test_a_header_without_a_valid_study_is_answered_with_nothing(device: Device, uid: str) -> None:
    film = dx()
    film["StudyInstanceUID"]._value = uid  # noqa: SLF001  # past the writer's own check
    assert answered(device, to_bytes(film)) == {}


@verifies("SRS-240@13ccd97d", level="integration")
def test_the_device_refuses_its_own_outputs(device: Device) -> None:
    for kind, made in answered(device, to_bytes(dx())).items():
        again = device.read(to_bytes_of(made))
        assert not isinstance(again, Analyzed), kind


PLANTED: dict[str, Any] = {
    "StudyDescription": "No Finding PLANTED",
    "SeriesDescription": "PLANTED series",
    "ProtocolName": "PLANTED protocol",
    "ImageComments": "PLANTED comment",
    "PatientComments": "PLANTED patient comment",
    "AdditionalPatientHistory": "PLANTED history",
    "InstitutionName": "PLANTED hospital",
    "OperatorsName": "PLANTED^Operator",
    "PatientAddress": "PLANTED street",
    "RequestedProcedureDescription": "PLANTED request",
    "OtherPatientIDs": "PLANTED-OTHER",
    "DeviceSerialNumber": "PLANTED-SERIAL",
}


@verifies("SRS-243@7e4c2e1f", "RC-241@234e672e", level="integration")
@pytest.mark.parametrize("view", ["PA", "LL"])
def test_no_other_text_of_the_film_is_copied(device: Device, view: str) -> None:
    made = answered(device, to_bytes(dx(ViewPosition=view, **PLANTED)))
    assert made
    for each in made.values():
        assert b"PLANTED" not in to_bytes_of(each)


@verifies("SRS-243@7e4c2e1f", "RC-241@234e672e", level="integration")
@pytest.mark.parametrize("view", ["PA", "LL"])
def test_identity_stands_in_the_patient_and_study_attributes_alone(
    device: Device, view: str
) -> None:
    film = dx(
        ViewPosition=view,
        SpecificCharacterSet="ISO_IR 192",
        PatientName="Geheim^Jürgen",
        PatientID="SECRET-ID",
        PatientBirthDate="19610203",
        PatientAge="064Y",
        AccessionNumber="SECRET-ACC",
        ReferringPhysicianName="Secret^Referrer",
        IssuerOfPatientID="SECRET-ISSUER",
    )
    for each in answered(device, to_bytes(film)).values():
        for keyword in COPIED:
            assert each[keyword].value == film[keyword].value, keyword
        for keyword in COPIED:
            del each[keyword]
        rest = to_bytes_of(each).decode("latin-1")
        for planted in ("Geheim", "SECRET", "19610203", "Secret"):
            assert planted not in rest


@verifies("SRS-243@7e4c2e1f", "RC-241@234e672e", level="integration")
def test_what_a_film_lacks_stays_empty(device: Device) -> None:
    film = dx(PatientName=None, PatientBirthDate=None, StudyID=None, AccessionNumber=None)
    for each in answered(device, to_bytes(film)).values():
        for keyword in ("PatientName", "PatientBirthDate", "StudyID", "AccessionNumber"):
            assert not each[keyword].value
        assert "SpecificCharacterSet" not in each


def _in_place_of(keyword: str, element: bytes, charset: str = "ISO_IR 100") -> bytes:
    """A film whose element is replaced by raw bytes; explicit VR, two bytes of length."""
    data = to_bytes(dx(SpecificCharacterSet=charset))
    group, number = divmod(tag_for_keyword(keyword) or 0, 0x10000)
    at = data.index(struct.pack("<HH", group, number), 132)
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    return data[:at] + struct.pack("<HH", group, number) + element + data[at + 8 + length :]


@verifies("SRS-243@7e4c2e1f", "RC-241@234e672e", level="integration")
def test_a_name_is_copied_byte_for_byte(device: Device) -> None:
    name = "J\xfcrgen^\xc4".encode("latin-1")
    data = _in_place_of("PatientName", b"PN" + struct.pack("<H", len(name)) + name)
    for made in answered_bytes(device, data):
        assert name in made


@verifies("SRS-243@7e4c2e1f", "RC-241@234e672e", level="integration")
@pytest.mark.parametrize(
    ("keyword", "element", "charset"),
    [
        ("PatientName", b"PN\x08\0J\xfcrgen^X", "ISO_IR 192"),  # Latin-1 under UTF-8
        ("PatientID", b"FD\x08\0ABCDEFGH", "ISO_IR 100"),  # an identifier stored as a number
        (  # a sequence that carries comments in the name's place
            "PatientName",
            b"SQ\0\0\x1a\0\0\0\xfe\xff\0\xe0\x12\0\0\0\x10\0\0\x40LT\x0a\0PLANTED..!",
            "ISO_IR 100",
        ),
    ],
)
def test_identity_that_cannot_be_copied_is_refused(
    device: Device, keyword: str, element: bytes, charset: str
) -> None:
    data = _in_place_of(keyword, element, charset)
    assert device.read(data).source.sop_instance_uid
    with pytest.raises(OutputError, match=f"{keyword} of the film cannot be copied") as refused:
        answered(device, data)
    assert "PLANTED" not in str(refused.value)
    assert "rgen" not in str(refused.value)


@verifies("SRS-244@3d709cf8", "RC-242@17131097", level="integration")
def test_a_film_that_changed_gives_nothing(device: Device, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(to_bytes(dx(PatientID="FIRST")))
    result = device.read(path)
    path.write_bytes(to_bytes(dx(PatientID="SECOND")))
    with pytest.raises(OutputError, match="changed while it was read"):
        folder.write(result, device.release, picture=None, out=tmp_path / "out", dicom_source=path)
    assert not list((tmp_path / "out").rglob("*"))


@verifies("SRS-244@3d709cf8", "RC-242@17131097", level="integration")
def test_the_record_lists_each_object(device: Device, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(to_bytes(dx()))
    result = device.read(path)
    written = folder.write(
        result, device.release, picture=device.picture(result), out=tmp_path, dicom_source=path
    )
    (record,) = tmp_path.rglob("result.json")
    listed = json.loads(record.read_text(encoding="utf-8"))["outputs"]
    assert [output["kind"] for output in listed] == ["report_html", *DicomOutput]
    assert [output.kind for output in written][-1] == "result_json"
    for output in listed:
        assert sha256(Path(output["path"]).read_bytes()).hexdigest() == output["sha256"]
    for output in listed[1:]:
        assert dcmread(output["path"]).SOPInstanceUID == output["sop_instance_uid"]
    assert listed[0]["sop_instance_uid"] is None


@verifies("SRS-167@c6062141", "RC-167@5ee3caae", level="integration")
@pytest.mark.parametrize("at", range(1, 6))
def test_a_disk_that_fills_up_at_any_file_leaves_none(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(to_bytes(dx()))
    result = device.read(path)
    calls = 0

    def full(_descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.os, "fsync", full)  # type: ignore[attr-defined]
    with pytest.raises(OutputError, match="No space left"):
        folder.write(
            result, device.release, picture=device.picture(result), out=tmp_path / "out",
            dicom_source=path,
        )  # fmt: skip
    assert calls == at
    assert not [left for left in (tmp_path / "out").rglob("*") if left.is_file()]


@verifies("SRS-246@2e3578d8", "RC-243@8470e730", level="integration")
@pytest.mark.parametrize(
    ("profile", "said"), [("triage", "not for primary diagnosis"), ("research", "not the device")]
)
def test_every_object_says_what_it_is_not(device: Device, profile: str, said: str) -> None:
    other = Device.load(profile=profile)
    made = answered(other, to_bytes(dx()))
    other.close()
    assert any(said in str(value) for _concept, value in items(made[SR]))
    assert said in str(made[SC].DerivationDescription)
    assert said in _pdf_text(made[PDF])
    refused = answered(device, to_bytes(dx(ViewPosition="LL")))
    assert any("Pneumonia is not excluded" in str(value) for _, value in items(refused[SR]))
    assert "Pneumonia is not excluded" in _pdf_text(refused[PDF])


def _pdf_text(document: Dataset) -> str:
    """Text of an encapsulated document, by poppler's pdftotext."""
    tool = shutil.which("pdftotext")
    if tool is None:
        pytest.skip("system package missing: poppler-utils (pdftotext)")
    done = subprocess.run(  # noqa: S603
        [tool, "-", "-"],
        input=document.EncapsulatedDocument[: document.EncapsulatedDocumentLength],
        capture_output=True, check=True,
    )  # fmt: skip
    return " ".join(done.stdout.decode("utf-8").split())


@verifies("SRS-245@98ddb9da", level="integration")
def test_the_picture_shows_the_film_unmarked(device: Device) -> None:
    data = to_bytes(dx(pixels(side=600)))
    result = device.read(data)
    picture = device.picture(result)
    assert picture is not None
    capture = answered(device, data)[SC]
    page = capture.pixel_array
    assert page.shape == (1000, 1600, 3)
    shown = page[84 : 84 + 600, 28 : 28 + 600]
    assert np.array_equal(shown, np.repeat(picture[:, :, None], 3, axis=2))
    assert capture.ImageType == ["DERIVED", "SECONDARY"]
    assert capture.BurnedInAnnotation == "YES"


@verifies("SRS-243@7e4c2e1f", level="integration")
def test_text_of_the_film_cannot_become_markup_of_the_page(device: Device) -> None:
    data = to_bytes(dx()).replace(b"CS\x06\x00CHEST ", b"CS\x06\x00<B>XY ")
    assert "<B>XY" in _pdf_text(answered(device, data)[PDF])


@verifies("SRS-178@5aa37ec3", "RC-178@72e47793", "SRS-246@2e3578d8", level="integration")
def test_a_map_is_drawn_for_research_alone(device: Device) -> None:
    data = to_bytes(dx())
    research = Device.load(profile="research")
    result = research.read(data)
    activation, picture = research.activation(result), research.picture(result)
    research.close()
    assert activation is not None
    making = Making(release=device.release, device=result.device, made_at=MADE_AT, new_uid=new_uid)
    made = answer(result, making, data=data, picture=picture, activation=activation)
    page = dcmread(BytesIO(made[1].data)).pixel_array[84:964, 28:908].astype(int)
    assert abs(page[..., 0] - page[..., 2]).max() > 30  # orange and blue lie over the grey film
    triage = device.read(data)
    with pytest.raises(ClaimError, match="triage"):
        answer(
            triage, replace(making, device=triage.device), data=data, picture=picture,
            activation=activation,
        )  # fmt: skip
    plain = answered(device, data)[SC].pixel_array[84:964, 28:908]
    assert np.array_equal(plain[..., 0], plain[..., 2])
