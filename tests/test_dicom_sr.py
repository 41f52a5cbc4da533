"""The structured report: finding, presence, certainty and algorithm, as items of TID 1500."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from answers import (
    CHILD,
    LATERAL,
    PASSED,
    POINT,
    WARNED,
    analyzed,
    failed,
    making,
    rejected,
    release,
    study,
)
from pydicom import Dataset, dcmread

from cxr_device.outputs.dicom_sr import structured_report
from cxr_device.outputs.source_study import SourceStudy
from cxr_device.outputs.statement import state
from cxr_device.result import Analyzed, Failed, Rejected
from verification import verifies

FINDING, SITE, PRESENCE, CERTAINTY = "121071", "363698007", "121052", "111012"
STATUS, SOURCE, COMMENT, CONCLUSION = "111064", "121112", "121106", "121077"
PARAMETER = "111002"


def report_of(result: Analyzed | Rejected | Failed, film: SourceStudy | None = None) -> Dataset:
    made = structured_report(result, state(result, release()), film or study(), making(result))
    report: Dataset = dcmread(BytesIO(made.data))
    assert report.SOPInstanceUID == made.sop_instance_uid
    return report


def items(report: Dataset) -> Iterator[tuple[str, Dataset]]:
    """Every content item with the code of its concept."""
    for item in report.ContentSequence:
        yield item.ConceptNameCodeSequence[0].CodeValue, item
        yield from items(item) if "ContentSequence" in item else ()


def found(report: Dataset, concept: str) -> list[Dataset]:
    return [item for name, item in items(report) if name == concept]


def codes(report: Dataset, concept: str) -> list[str]:
    return [item.ConceptCodeSequence[0].CodeValue for item in found(report, concept)]


def texts(report: Dataset, concept: str) -> list[Any]:
    return [item.TextValue for item in found(report, concept)]


@verifies("SRS-241@8f8141b4")
@pytest.mark.parametrize(("probability", "presence"), [(0.8, "52101004"), (0.1, "272519000")])
def test_presence_and_certainty_are_those_of_the_decision(
    probability: float, presence: str
) -> None:
    report = report_of(analyzed(probability))
    assert codes(report, FINDING) == ["233604007"]  # Pneumonia
    assert codes(report, SITE) == ["39607008"]  # Lung
    assert codes(report, PRESENCE) == [presence]
    assert codes(report, STATUS) == ["111222"]  # Succeeded
    (certainty,) = found(report, CERTAINTY)
    measured = certainty.MeasuredValueSequence[0]
    assert float(measured.NumericValue) == pytest.approx(100 * probability, abs=1e-9)
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"


@verifies("SRS-241@8f8141b4")
def test_a_certainty_keeps_six_digits_and_fits_a_decimal_string() -> None:
    (certainty,) = found(report_of(analyzed(0.123456789123456)), CERTAINTY)
    assert str(certainty.MeasuredValueSequence[0].NumericValue) == "12.345679"


@verifies("SRS-242@ee6c0226", "RC-240@89b270a1")
@pytest.mark.parametrize("result", [rejected(LATERAL, CHILD), failed()])
def test_a_refused_film_has_a_status_a_reason_and_no_certainty(result: Rejected | Failed) -> None:
    report = report_of(result)
    assert codes(report, STATUS) == ["111225"]  # Not Attempted
    assert codes(report, PRESENCE) == ["373068000"]  # Undetermined
    assert found(report, CERTAINTY) == []
    reasons = [text for text in texts(report, COMMENT) if text.startswith("Reason: ")]
    codes_told = [check.code for check in result.checks]
    assert [reason.split(": ")[1] for reason in reasons] == codes_told
    (conclusion,) = texts(report, CONCLUSION)
    assert conclusion.startswith(state(result, release()).headline)
    assert "Pneumonia is not excluded" in conclusion


@verifies("SRS-246@2e3578d8", "RC-243@8470e730")
def test_the_statement_stands_in_the_report() -> None:
    result = analyzed(0.1, PASSED, WARNED)
    report, statement = report_of(result), state(result, release())
    assert texts(report, COMMENT) == [
        f"{statement.banner}.", "Warning: AGE: no age is stated (none).",
    ]  # fmt: skip
    assert texts(report, CONCLUSION) == [
        f"Pneumonia not suspected. {' '.join(statement.sentences)}"
    ]


@verifies("SRS-241@8f8141b4")
def test_the_algorithm_is_named_so_that_the_result_can_be_computed_again() -> None:
    result = analyzed(0.8)
    report, device = report_of(result), result.device
    assert texts(report, "111001") == [device.name]
    assert texts(report, "111003") == [device.version]
    assert codes(report, "111000") == ["123110"]  # Artificial Intelligence
    parameters = texts(report, PARAMETER)
    for wanted in (
        f"weights SHA-256 {device.weights_sha256}",
        f"configuration SHA-256 {device.config_sha256}",
        f"preprocessing SHA-256 {device.preprocessing_sha256}",
        f"film SHA-256 {result.source.sha256}",
        f"claim {device.claim}, profile {device.profile}",
        f"operating point {POINT.identifier}, threshold {POINT.threshold}",
    ):
        assert wanted in parameters
    assert not any("threshold" in told for told in texts(report_of(rejected()), PARAMETER))
    assert next(item.UID for item in found(report, "121012")).startswith("2.25.")  # Device UID


@verifies("SRS-241@8f8141b4", "SRS-242@ee6c0226")
def test_the_film_is_referenced_as_what_it_is() -> None:
    film = study()
    for is_image, kind in ((True, "IMAGE"), (False, "COMPOSITE")):
        report = report_of(analyzed(), replace(film, is_image=is_image))
        (item,) = found(report, SOURCE)
        assert item.ValueType == kind
        assert item.RelationshipType == "CONTAINS"
        reference = item.ReferencedSOPSequence[0]
        assert reference.ReferencedSOPClassUID == film.sop_class_uid
        assert reference.ReferencedSOPInstanceUID == film.sop_instance_uid


@verifies("SRS-241@8f8141b4", "SRS-240@13ccd97d")
def test_the_film_is_the_report_s_evidence() -> None:
    film, report = study(), report_of(analyzed())
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = evidence.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert evidence.StudyInstanceUID == film.study_instance_uid
    assert series.SeriesInstanceUID == film.series_instance_uid
    assert instance.ReferencedSOPClassUID == film.sop_class_uid
    assert instance.ReferencedSOPInstanceUID == film.sop_instance_uid
    assert (report.CompletionFlag, report.PreliminaryFlag) == ("COMPLETE", "PRELIMINARY")
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    for type_2 in ("ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence"):
        assert list(report[type_2].value) == []
