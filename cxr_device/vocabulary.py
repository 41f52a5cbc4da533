"""Closed sets of words: check codes, outcomes, views, claims. Matched to the end, never guessed."""

from enum import StrEnum
from typing import Final

__all__ = [
    "FAILURES",
    "FINDINGS",
    "UNCOMPRESSED",
    "CheckCode",
    "Claim",
    "DicomOutput",
    "Flag",
    "Outcome",
    "Profile",
    "View",
]


class CheckCode(StrEnum):
    """One word for each check, in the order in which the checks run: cheapest first."""

    FILE_READ = "FILE_READ"
    FILE_SIZE = "FILE_SIZE"
    FILE_PREAMBLE = "FILE_PREAMBLE"
    FILE_PART10 = "FILE_PART10"
    TRANSFER_SYNTAX = "TRANSFER_SYNTAX"
    PARSE = "PARSE"
    SOP_CLASS = "SOP_CLASS"
    UID_FORM = "UID_FORM"
    MODALITY = "MODALITY"
    INTENT = "INTENT"
    IMAGE_TYPE = "IMAGE_TYPE"
    BODY_PART = "BODY_PART"
    VIEW = "VIEW"
    AGE = "AGE"
    PHOTOMETRIC = "PHOTOMETRIC"
    PRESENTATION_LUT = "PRESENTATION_LUT"
    BITS = "BITS"
    ROWS_COLUMNS = "ROWS_COLUMNS"
    FRAMES = "FRAMES"
    LENGTH = "LENGTH"
    BURNED_IN = "BURNED_IN"
    LATERALITY = "LATERALITY"
    RESCALE_LUT = "RESCALE_LUT"
    PIXEL_SPACING = "PIXEL_SPACING"
    IDENTITY = "IDENTITY"
    DUPLICATE_UID = "DUPLICATE_UID"
    DECODE = "DECODE"
    PIXEL_RANGE = "PIXEL_RANGE"
    PIXEL_GATE = "PIXEL_GATE"


FAILURES: Final = frozenset(
    {
        CheckCode.FILE_READ,
        CheckCode.FILE_SIZE,
        CheckCode.FILE_PREAMBLE,
        CheckCode.FILE_PART10,
        CheckCode.PARSE,
        CheckCode.LENGTH,
        CheckCode.DECODE,
    }
)
"""Codes of an unreadable or hostile file: a rejection under one of them is `failed`, exit 4."""


class Outcome(StrEnum):
    """How one check ended."""

    PASS = "pass"  # noqa: S105  # not a password
    WARN = "warn"
    REJECT = "reject"
    NOT_RUN = "not_run"


class View(StrEnum):
    """A frontal projection (PS3.3 C.8.11.5.1.1, View Position)."""

    PA = "PA"
    AP = "AP"


class Flag(StrEnum):
    """The device's answer for one frontal chest radiograph."""

    SUSPECTED = "suspected"
    NOT_SUSPECTED = "not_suspected"


class Claim(StrEnum):
    """What the label says the device does; locked in the release (21 CFR 892.2080: triage)."""

    TRIAGE = "triage"


class Profile(StrEnum):
    """How the device is run: as labelled, or for research ("not the device")."""

    TRIAGE = "triage"
    RESEARCH = "research"


FINDINGS: Final = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis",
    "Hernia", "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
"""The 14 findings of ChestX-ray14, as its label table spells them (Wang et al., CVPR 2017)."""


class DicomOutput(StrEnum):
    """A result as a DICOM object; the word is `kind` in the record, and the file's stem."""

    STRUCTURED_REPORT = "dicom_sr"
    SECONDARY_CAPTURE = "secondary_capture"
    ENCAPSULATED_PDF = "encapsulated_pdf"


UNCOMPRESSED: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
"""Transfer syntaxes whose pixel data lies as it is; every other one holds it in fragments (PS3.5
annex A)."""
