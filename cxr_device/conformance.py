"""The conformance statement, printed from the tables that the code runs on."""

from typing import Final

from cxr_device.checks import DESCRIPTIONS
from cxr_device.guards import HEADER_GUARDS
from cxr_device.intake import LOSSLESS, LOSSY
from cxr_device.node import services
from cxr_device.outputs.composite_instance import FORMS
from cxr_device.outputs.source_study import COPIED
from cxr_device.release import Release

__all__ = ["statement"]

_WRITTEN: Final = (
    "DICOM objects written by `read --dicom`, each in a new series of the film's study, in "
    "Explicit VR Little Endian; a refused film gets no Secondary Capture:"
)


def statement(release: Release) -> str:
    """Build the statement as Markdown: identity, transfer syntaxes, checks and outputs."""
    rows = [
        f"| {code} | {found.tag} | {found.accepted_by(release.label)} | {found.otherwise} "
        f"| {found.hazard} | {'header' if code in HEADER_GUARDS else 'file or pixels'} |"
        for code, found in DESCRIPTIONS.items()
    ]
    outputs = [
        f"| {form.sop_class} | {form.sop_class_uid} | {form.modality} | {form.series_number} |"
        for form in FORMS.values()
    ]
    lossy = "with a warning" if release.label.lossy_accepted else "refused"
    return "\n".join(
        [
            f"# DICOM conformance of {release.name} {release.version}",
            "",
            release.label.intended_use,
            "",
            f"Transfer syntaxes read: {', '.join(sorted(LOSSLESS))}.",
            f"Lossy transfer syntaxes ({lossy}): {', '.join(sorted(LOSSY))}.",
            "",
            "| Code | Tag | Accepted | Otherwise | Hazard | Judged from |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            _WRITTEN,
            "",
            "| SOP class | UID | Modality | Series number |",
            "|---|---|---|---|",
            *outputs,
            "",
            f"Attributes copied from the film, and no others: {', '.join(COPIED)}.",
            "",
            *services.statement(),
        ]
    )
