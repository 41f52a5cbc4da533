"""The structured report: Comprehensive 3D SR by TID 1500, for a film read and for one refused.

A refused film gets the same report with the status Not Attempted, presence Undetermined and its
reasons, and no certainty: silence would be read as a negative answer.
"""

from typing import Final

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    CompositeContentItem,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cxr_device.outputs.composite_instance import (
    Making,
    Written,
    begin,
    device_uid,
    reference_item,
    written,
)
from cxr_device.outputs.source_study import SourceStudy
from cxr_device.outputs.statement import Statement
from cxr_device.result import Analyzed, Failed, Rejected
from cxr_device.vocabulary import DicomOutput, Flag

__all__ = ["PNEUMONIA", "structured_report"]

PNEUMONIA: Final = Code("233604007", "SCT", "Pneumonia")
"""The finding. It stands in no DICOM context group, so the free DICOM subset of SNOMED CT does not
carry it; decision record 0010 says under which licence it is used, and the code without one."""

_CERTAINTY_DIGITS: Final = 6
"""Of a percentage: a decimal string holds 16 characters (PS3.5 6.2, DS)."""


def structured_report(
    result: Analyzed | Rejected | Failed,
    statement: Statement,
    study: SourceStudy,
    making: Making,
) -> Written:
    """Build the report of one film.

    Parameters
    ----------
    result : Analyzed, Rejected or Failed
        What the device made of the film.
    statement : Statement
        The same in words; they stand in the report as Comment and Conclusion.
    study : SourceStudy
        The study that the report joins.
    making : Making
        Device, time and new UIDs.

    References
    ----------
    .. [1] PS3.3 A.35.13 (Comprehensive 3D SR IOD), PS3.16 TID 1500, 1501 and 4019.
    """
    report = begin(DicomOutput.STRUCTURED_REPORT, study, making)
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CompletionFlag, report.VerificationFlag = "COMPLETE", "UNVERIFIED"
    report.PreliminaryFlag = "PRELIMINARY"
    report.CurrentRequestedProcedureEvidenceSequence = [_evidence(study)]
    (content,) = MeasurementReport(
        observation_context=_observer(making),
        procedure_reported=codes.cid100.XRUnspecifiedBodyRegion,
        imaging_measurements=[_group(result, statement, study, making)],
        title=codes.cid7021.ImagingMeasurementReport,
    )
    report.update(content)
    return written(DicomOutput.STRUCTURED_REPORT, report)


def _evidence(study: SourceStudy) -> Dataset:
    """Name the film as evidence (PS3.3 C.17.2.3); viewers open no report without it."""
    series, item = Dataset(), Dataset()
    series.SeriesInstanceUID = study.series_instance_uid
    series.ReferencedSOPSequence = [reference_item(study)]
    item.StudyInstanceUID = study.study_instance_uid
    item.ReferencedSeriesSequence = [series]
    return item


def _observer(making: Making) -> ObservationContext:
    device = making.device
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=device_uid(device),
                name=device.name,
                manufacturer_name=device.name,
                model_name=f"{device.name} {device.version}",
            ),
        )
    )


def _group(
    result: Analyzed | Rejected | Failed,
    statement: Statement,
    study: SourceStudy,
    making: Making,
) -> MeasurementsAndQualitativeEvaluations:
    """Build the measurement group (TID 1501): finding, site, algorithm, presence, certainty."""
    measurements = None
    presence, status = codes.SCT.Undetermined, codes.DCM.NotAttempted
    if isinstance(result, Analyzed):
        suspected = result.decision.flag is Flag.SUSPECTED
        presence = codes.SCT.Present if suspected else codes.SCT.Absent
        status = codes.DCM.Succeeded
        percent = round(100 * result.decision.probability, _CERTAINTY_DIGITS)
        measurements = [
            Measurement(name=codes.DCM.CertaintyOfFinding, value=percent, unit=codes.UCUM.Percent)
        ]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=making.new_uid(), identifier=f"{making.device.name} pneumonia"
        ),
        finding_type=PNEUMONIA,
        finding_sites=[FindingSite(codes.SCT.Lung)],
        algorithm_id=_algorithm(result, making),
        measurements=measurements,
        qualitative_evaluations=[
            QualitativeEvaluation(codes.DCM.PresenceOfProperty, presence),
            QualitativeEvaluation(codes.DCM.SummaryOfDetections, status),
        ],
        source_images=[SourceImageForMeasurementGroup(study.sop_class_uid, study.sop_instance_uid)]
        if study.is_image
        else None,
    )
    contents = group[0].ContentSequence
    if not study.is_image:  # an IMAGE item may name images alone (PS3.3 C.17.3.1)
        contents.append(
            CompositeContentItem(
                codes.DCM.SourceOfMeasurement,
                study.sop_class_uid,
                study.sop_instance_uid,
                RelationshipTypeValues.CONTAINS,
            )
        )
    conclusion = f"{statement.headline}. {' '.join(statement.sentences)}"
    contents.append(_text(codes.DCM.Conclusion, conclusion))
    comments = (
        f"{statement.banner}.",
        *(f"Reason: {reason}." for reason in statement.reasons),
        *(f"Warning: {warning}." for warning in statement.warnings),
    )
    contents.extend(_text(codes.DCM.Comment, comment) for comment in comments)
    return group


def _algorithm(result: Analyzed | Rejected | Failed, making: Making) -> AlgorithmIdentification:
    """Identify the algorithm (TID 4019) so that the result can be computed again."""
    device = making.device
    parameters = [
        f"weights SHA-256 {device.weights_sha256}",
        f"configuration SHA-256 {device.config_sha256}",
        f"preprocessing SHA-256 {device.preprocessing_sha256}",
        f"film SHA-256 {result.source.sha256}",
        f"claim {device.claim}, profile {device.profile}",
    ]
    if isinstance(result, Analyzed):
        point = result.decision.operating_point
        parameters.append(f"operating point {point.identifier}, threshold {point.threshold!r}")
    return AlgorithmIdentification(
        name=device.name,
        version=device.version,
        parameters=parameters,
        family=codes.DCM.ArtificialIntelligence,
        manufacturer=device.name,
    )


def _text(name: Code | CodedConcept, value: str) -> TextContentItem:
    return TextContentItem(name, value, RelationshipTypeValues.CONTAINS)
