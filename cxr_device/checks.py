"""The checks in words: one description for each code, and one check as it ended.

`explain`, `conformance`, the report and the record are all printed from `DESCRIPTIONS`; the
functions that decide stand in `intake`, `guards`, `decoding` and `device`, under the same codes.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Final

from cxr_device.label import Label
from cxr_device.vocabulary import FAILURES, CheckCode, Outcome

__all__ = ["DESCRIPTIONS", "Check", "Description", "Verdict", "accepted_by", "printable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one check says of one film."""

    outcome: Outcome
    value: str
    """What was found, as it stands in the file; never a name, an id or a date."""
    message: str
    """One sentence for the person who reads the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A verdict beside the description of the check that gave it."""

    code: CheckCode
    outcome: Outcome
    tag: str
    value: str
    accepted: str
    hazard: str
    message: str

    @property
    def is_failure(self) -> bool:
        """True where the file is unreadable or hostile (exit 4)."""
        return self.outcome is Outcome.REJECT and self.code in FAILURES

    @property
    def is_rejection(self) -> bool:
        """True where the film is outside the intended use (exit 3)."""
        return self.outcome is Outcome.REJECT and self.code not in FAILURES


_MAX_VALUE_CHARACTERS: Final = 200


def printable(text: str) -> str:
    r"""Write control codes as escapes, so that a file's text cannot drive a terminal or a log.

    >>> printable("\x1b[2J")
    '\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in text
    )


def _short(text: str) -> str:
    kept = text[:_MAX_VALUE_CHARACTERS]
    return printable(kept if kept == text else f"{kept}...")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One check in words. `accepted` may name values of the label in braces."""

    tag: str
    accepted: str
    otherwise: str
    hazard: str
    action: str
    """What the person who meets this code can do."""

    def check(self, code: CheckCode, verdict: Verdict, accepted: str) -> Check:
        """Join this description, and what it says is accepted, with a verdict."""
        return Check(
            code=code,
            outcome=verdict.outcome,
            tag=self.tag,
            value=_short(verdict.value),
            accepted=accepted,
            hazard=self.hazard,
            message=_short(verdict.message),
        )

    def accepted_by(self, label: Label) -> str:
        """Say what is accepted, with the label's values filled in."""
        share = f"{label.max_single_level_share:.0%}"
        values = {field.name: getattr(label, field.name) for field in fields(label)}
        return self.accepted.format_map(values | {"max_single_level_share": share})


DESCRIPTIONS: Final[dict[CheckCode, Description]] = {
    CheckCode.FILE_READ: Description(
        tag="file",
        accepted="a regular file that can be read to its end",
        otherwise="fail: absent, no permission, a directory, vanished while it was read",
        hazard="a study is silently left out of the worklist",
        action="Check the path and its permissions, and send the file again.",
    ),
    CheckCode.FILE_SIZE: Description(
        tag="file",
        accepted="1 byte to {max_file_mib} MiB",
        otherwise="fail before anything is parsed",
        hazard="resource exhaustion stops the queue",
        action="Send single frontal films; this file holds more than any film needs, or nothing.",
    ),
    CheckCode.FILE_PREAMBLE: Description(
        tag="bytes 0-127",
        accepted="zeros, or a TIFF header",
        otherwise="fail: an executable or script header; warn: other bytes",
        hazard="a file that is also a program spreads malware (CVE-2019-11687)",
        action="Quarantine the file and find the system that wrote its preamble.",
    ),
    CheckCode.FILE_PART10: Description(
        tag="(0002,0010)",
        accepted="DICM at byte 128 and a Transfer Syntax UID in the file meta information",
        otherwise="fail; the file is never read by force",
        hazard="garbage is read as an image",
        action="Export the instance again as a DICOM Part 10 file.",
    ),
    CheckCode.TRANSFER_SYNTAX: Description(
        tag="(0002,0010)",
        accepted="Implicit or Explicit VR Little Endian, RLE Lossless, JPEG Lossless, "
        "JPEG-LS Lossless, JPEG 2000 Lossless; lossy JPEG, JPEG-LS and JPEG 2000 with a warning",
        otherwise="reject: deflated, big endian, video, anything else",
        hazard="a decompression bomb, or a compression artefact read as an opacity",
        action="Ask the archive for the instance in an uncompressed or lossless transfer syntax.",
    ),
    CheckCode.PARSE: Description(
        tag="data set",
        accepted="a data set that can be read to its pixel data: tags in ascending order, each "
        "once, at most 32 nested sequences, every value of its own type",
        otherwise="fail",
        hazard="a damaged header is half understood",
        action="Export the instance again; if it comes back the same, report it to its sender.",
    ),
    CheckCode.SOP_CLASS: Description(
        tag="(0008,0016)",
        accepted="Digital X-Ray Image Storage - For Presentation, Computed Radiography Image "
        "Storage; Secondary Capture with a warning; equal to (0002,0002)",
        otherwise="reject",
        hazard="another object, or a screenshot, is analysed",
        action="Route only DX For Presentation and CR instances to the device.",
    ),
    CheckCode.UID_FORM: Description(
        tag="(0008,0018) (0020,000D) (0020,000E)",
        accepted="UIDs by PS3.5 section 9: digits and dots, at most 64 characters",
        otherwise="reject",
        hazard="a result reaches no study, or a path is built from a hostile UID",
        action="Have the sender's UID generator corrected.",
    ),
    CheckCode.MODALITY: Description(
        tag="(0008,0060)",
        accepted="DX or CR",
        otherwise="reject",
        hazard="an image of another modality is analysed",
        action="Route only DX and CR to the device.",
    ),
    CheckCode.INTENT: Description(
        tag="(0008,0068)",
        accepted="FOR PRESENTATION; absent in CR and Secondary Capture",
        otherwise="reject; warn where (0028,1040) says LIN all the same",
        hazard="raw detector signal has a contrast never seen in training",
        action="Send the processed image (For Presentation) of the same exposure.",
    ),
    CheckCode.IMAGE_TYPE: Description(
        tag="(0008,0008)",
        accepted="ORIGINAL or DERIVED, PRIMARY; absent in Secondary Capture",
        otherwise="reject: LOCALIZER, the device's own output, malformed; warn: SECONDARY, absent",
        hazard="an overlay made by software is analysed as a film",
        action="Send the primary image.",
    ),
    CheckCode.BODY_PART: Description(
        tag="(0018,0015) (0008,2218)",
        accepted="CHEST, or the chest's code; THORAX, PORT CHEST, LUNG or empty with a warning",
        otherwise="reject",
        hazard="another anatomy is analysed",
        action="Correct the body part at the modality if this is a chest film.",
    ),
    CheckCode.VIEW: Description(
        tag="(0018,5101) (0054,0220)",
        accepted="every vote says PA, or every vote says AP",
        otherwise="reject: lateral, oblique, lordotic, decubitus, unknown, contradiction; "
        "warn where only (0018,5100), (0008,103E) or (0018,1030) says it",
        hazard="a lateral film is analysed",
        action="Correct the view at the modality if this is a frontal film.",
    ),
    CheckCode.AGE: Description(
        tag="(0010,1010)",
        accepted="{min_age_years} to {max_age_years} years, as nnnD, nnnW, nnnM or nnnY",
        otherwise="reject: outside, missing, malformed, or contradicting (0010,0030); "
        "warn: bare digits read as years, or the age taken from (0010,0030)",
        hazard="a child is analysed by a device trained on adults",
        action="Correct the age at the modality if the patient is an adult.",
    ),
    CheckCode.PHOTOMETRIC: Description(
        tag="(0028,0004) (0028,0002)",
        accepted="MONOCHROME1 or MONOCHROME2, one sample a pixel",
        otherwise="reject",
        hazard="a colour capture, or an inverted film, is analysed",
        action="Send the grey image.",
    ),
    CheckCode.PRESENTATION_LUT: Description(
        tag="(2050,0020)",
        accepted="IDENTITY with MONOCHROME2, INVERSE with MONOCHROME1, or absent",
        otherwise="reject",
        hazard="an inverted film is analysed",
        action="Have the sender's Presentation LUT Shape corrected.",
    ),
    CheckCode.BITS: Description(
        tag="(0028,0100) to (0028,0103)",
        accepted="8 or 16 allocated, 8 to 16 stored, high bit = stored - 1; 8 bits with a warning",
        otherwise="reject",
        hazard="clipped or shifted grey values hide a finding",
        action="Send the image with its full, standard bit depth.",
    ),
    CheckCode.ROWS_COLUMNS: Description(
        tag="(0028,0010) (0028,0011) (0028,0034)",
        accepted="shorter side {min_side_px} pixels or more, longer at most {max_side_px}, columns "
        "by rows {min_aspect_ratio} to {max_aspect_ratio}, square pixels; under {warn_side_px} "
        "with a warning",
        otherwise="reject",
        hazard="resampling hides a finding, or a huge frame exhausts memory",
        action="Send the full-resolution film.",
    ),
    CheckCode.FRAMES: Description(
        tag="(0028,0008)",
        accepted="absent or 1",
        otherwise="reject",
        hazard="the wrong frame is analysed",
        action="Send single-frame instances.",
    ),
    CheckCode.LENGTH: Description(
        tag="(7FE0,0010)",
        accepted="pixel data of rows x columns x samples x frames x bytes (padded to even), no "
        "element longer than the file",
        otherwise="fail",
        hazard="a truncated film is analysed",
        action="Send the instance again; the transfer was cut or the file is damaged.",
    ),
    CheckCode.BURNED_IN: Description(
        tag="(0028,0301) (60xx,3000)",
        accepted="NO and no overlay; absent with a warning",
        otherwise="reject",
        hazard="text is taken for a finding, or patient data is copied out",
        action="Send the film without annotations.",
    ),
    CheckCode.LATERALITY: Description(
        tag="(0020,0062) (0020,0060) (0020,0020)",
        accepted="both sides, unpaired or empty; orientation L\\F, other orientations with a "
        "warning",
        otherwise="reject: a one-sided image",
        hazard="half a chest is analysed, or the wrong side is reported",
        action="Send the film that shows both lungs.",
    ),
    CheckCode.RESCALE_LUT: Description(
        tag="(0028,1052) (0028,1053) (0028,1050) (0028,1051) (0028,3000) (0028,3010)",
        accepted="slope 0.000001 to 1,000,000; intercept and window within 1,000,000 of 0; window "
        "width > 0; tables of 8 to 16 bits, as long as they say",
        otherwise="reject",
        hazard="wrong contrast hides a finding",
        action="Have the sender's grey-scale transformation corrected.",
    ),
    CheckCode.PIXEL_SPACING: Description(
        tag="(0018,1164) (0028,0030)",
        accepted="{min_spacing_mm} to {max_spacing_mm} mm",
        otherwise="warn",
        hazard="a zoomed crop or a photograph of a film is analysed",
        action="Look at the film: is it the whole chest, straight from the detector?",
    ),
    CheckCode.IDENTITY: Description(
        tag="(0010,0020) (0020,000D)",
        accepted="Patient ID and Study Instance UID are not empty",
        otherwise="warn (reject in a node)",
        hazard="a result reaches the wrong patient",
        action="Reconcile the study with its patient before the result is used.",
    ),
    CheckCode.DUPLICATE_UID: Description(
        tag="(0008,0018)",
        accepted="one instance under one SOP Instance UID",
        otherwise="reject the second, where its bytes differ (node only)",
        hazard="one film's result is taken for another's",
        action="Find the system that sends two objects under one UID.",
    ),
    CheckCode.DECODE: Description(
        tag="(7FE0,0010)",
        accepted="pixel data that its decoder turns into one frame of the header's size; fragments "
        "that end with their delimiter",
        otherwise="fail: damaged stream, decoder died, time or memory limit",
        hazard="a half-decoded film is analysed, or a hostile one stops the queue",
        action="Ask the archive for the instance uncompressed.",
    ),
    CheckCode.PIXEL_RANGE: Description(
        tag="pixels",
        accepted="{min_grey_levels} grey levels or more, less than {max_single_level_share} of the "
        "pixels at one level, as stored and as the window shows them; none above the stored bits",
        otherwise="reject",
        hazard="a blank, clipped or collimation-only film is analysed",
        action="Repeat the export; the film shows too little to be read.",
    ),
    CheckCode.PIXEL_GATE: Description(
        tag="pixels",
        accepted="an upright frontal chest, neither inverted nor mirrored, at least as probable as "
        "the locked threshold",
        otherwise="reject: turned, mirrored, inverted, or no frontal chest",
        hazard="the header is wrong about what the pixels show",
        action="Look at the film: send it upright and unmirrored, with its own header.",
    ),
}
"""One description a code, in the order in which the checks run."""


@cache
def accepted_by(label: Label) -> dict[CheckCode, str]:
    """Say of every check what is accepted, once: each film's checks say it again."""
    return {code: found.accepted_by(label) for code, found in DESCRIPTIONS.items()}
