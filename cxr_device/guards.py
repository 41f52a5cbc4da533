"""Guards: the intended-use table as data, one function a header check, all findings reported.

Each function judges one fact of a `Radiograph` against the label and says what it found; nothing
is guessed, repaired or clipped. The words of each check stand in `checks.DESCRIPTIONS`.
"""

import math
import re
from collections.abc import Callable
from datetime import date
from typing import Final

from cxr_device.checks import Verdict
from cxr_device.label import Label
from cxr_device.radiograph import Code, LookupTable, Radiograph
from cxr_device.views import Vote, votes
from cxr_device.vocabulary import UNCOMPRESSED, CheckCode, Outcome

__all__ = ["HEADER_GUARDS", "judge_header", "resolve_view"]

DIGITAL_X_RAY: Final = "1.2.840.10008.5.1.4.1.1.1.1"
COMPUTED_RADIOGRAPHY: Final = "1.2.840.10008.5.1.4.1.1.1"
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"

CHEST_CODES: Final = frozenset(
    {
        Code(value="816094009", scheme="SCT"),
        Code(value="51185008", scheme="SCT"),
        Code(value="T-D3000", scheme="SRT"),
        Code(value="T-D3000", scheme="SNM3"),
    }
)
"""Codes of the chest in Anatomic Region Sequence (PS3.16 CID 4009, with its legacy values)."""

BODY_PART_SYNONYMS: Final = frozenset({"THORAX", "PORT CHEST", "LUNG"})
"""Body parts that senders write for a chest film; matched exactly."""

_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_MAX_UID_CHARACTERS: Final = 64
_AGE: Final = re.compile(r"([0-9]{3})([DWMY])")
_BARE_AGE: Final = re.compile(r"[0-9]{1,3}")
_PER_YEAR: Final = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
_DATE_CHARACTERS: Final = 8
_LARGEST: Final = 1e6
"""Largest slope, intercept and window taken as finite, and the inverse of the smallest slope: 16
bits a pixel need less than a tenth, and beyond it floating point loses grey levels."""

Guard = Callable[[Radiograph, Label], Verdict]


def _passed(value: str, message: str = "within the intended use") -> Verdict:
    return Verdict(outcome=Outcome.PASS, value=value, message=message)


def _warned(value: str, message: str) -> Verdict:
    return Verdict(outcome=Outcome.WARN, value=value, message=message)


def _rejected(value: str, message: str) -> Verdict:
    return Verdict(outcome=Outcome.REJECT, value=value, message=message)


def _shown(value: object) -> str:
    """Text of a value, with absent and empty told apart."""
    if value is None:
        return "absent"
    return "empty" if value in ("", ()) else str(value)


def sop_class(film: Radiograph, _: Label) -> Verdict:
    """Judge the SOP class, and that data set and file meta information agree (PS3.10 7.1)."""
    found = film.sop_class_uid
    if found != film.media_storage_sop_class_uid:
        return _rejected(
            _shown(found), f"the file meta information says {film.media_storage_sop_class_uid}"
        )
    if found in (DIGITAL_X_RAY, COMPUTED_RADIOGRAPHY):
        return _passed(found)
    if found == SECONDARY_CAPTURE:
        return _warned(found, "a Secondary Capture: it may be a copy or a screenshot of a film")
    return _rejected(_shown(found), "not a digital or computed radiograph for presentation")


def uid_form(film: Radiograph, _: Label) -> Verdict:
    """Judge the form of the three UIDs (PS3.5 section 9)."""
    named = {
        "SOPInstanceUID": film.sop_instance_uid,
        "StudyInstanceUID": film.study_instance_uid or None,
        "SeriesInstanceUID": film.series_instance_uid or None,
    }
    for keyword, uid in named.items():
        if uid is None and keyword != "SOPInstanceUID":
            continue
        if uid is None or len(uid) > _MAX_UID_CHARACTERS or not _UID.fullmatch(uid):
            return _rejected(_shown(uid)[:80], f"{keyword} is no UID")
    return _passed("well formed")


def modality(film: Radiograph, _: Label) -> Verdict:
    """Judge the modality."""
    if film.modality in ("DX", "CR"):
        return _passed(film.modality)
    return _rejected(_shown(film.modality), "not a digital or computed radiograph")


def intent(film: Radiograph, _: Label) -> Verdict:
    """Judge the presentation intent (PS3.3 C.8.11.1)."""
    found = film.presentation_intent_type
    if found is None and film.sop_class_uid == DIGITAL_X_RAY:
        return _rejected("absent", "a DX image must say what it is for")
    if found not in (None, "FOR PRESENTATION"):
        return _rejected(_shown(found), "not an image for presentation")
    if film.pixel_intensity_relationship == "LIN" and found is not None:
        return _warned("LIN", "PixelIntensityRelationship LIN contradicts FOR PRESENTATION")
    return _passed(_shown(found))


def image_type(film: Radiograph, _: Label) -> Verdict:
    """Judge the image type (PS3.3 C.7.6.1.1.2)."""
    found = film.image_type
    shown = "\\".join(found) or "absent"
    if not found:
        if film.sop_class_uid == SECONDARY_CAPTURE:
            return _passed("absent", "not required in a Secondary Capture")
        return _warned("absent", "Image Type is missing")
    if (film.manufacturer or "").startswith("cxr_device"):
        return _rejected(shown, "this is an output of the device itself")
    if "LOCALIZER" in found or found[0] not in ("ORIGINAL", "DERIVED") or len(found) == 1:
        return _rejected(shown, "not an original or derived primary image")
    match found[1]:
        case "PRIMARY":
            return _passed(shown)
        case "SECONDARY":
            return _warned(shown, "made after the examination: it may be a copy of the film")
        case _:
            return _rejected(shown, "not an original or derived primary image")


def body_part(film: Radiograph, _: Label) -> Verdict:
    """Judge the body part and the coded anatomic region together."""
    found = film.body_part_examined or ""
    codes = ", ".join(f"{code.value} {code.scheme}" for code in film.anatomic_region)
    shown = " / ".join(part for part in (found, codes) if part) or "empty"
    if any(code not in CHEST_CODES for code in film.anatomic_region):
        return _rejected(shown, "the coded anatomic region is not the chest")
    if found == "CHEST":
        return _passed(shown)
    if found in BODY_PART_SYNONYMS:
        return _warned(shown, "a synonym for the chest")
    if found:
        return _rejected(shown, "not the chest")
    if film.anatomic_region:
        return _passed(shown)
    return _warned("empty", "no tag says which body part this is")


def resolve_view(film: Radiograph) -> Vote | None:
    """Return the vote that names the frontal view, or None where the votes do not allow one."""
    found = votes(film)
    views = {vote.view for vote in found}
    if len(views) != 1 or None in views:
        return None
    return found[0]


def view(film: Radiograph, _: Label) -> Verdict:
    """Judge the votes on the projection: one frontal view, and no vote against it."""
    found = votes(film)
    shown = ", ".join(f"{vote.source} {vote.said}" for vote in found)
    winner = resolve_view(film)
    if winner is not None and winner.is_primary:
        return _passed(shown)
    if winner is not None:
        return _warned(shown, f"only {winner.source} says that the view is {winner.view}")
    if not found:
        shown = f"ViewPosition {_shown(film.view_position)}"
        if film.patient_position:
            shown += f", PatientPosition {film.patient_position}"
        return _rejected(shown, "no tag says that the view is frontal")
    if any(vote.view is None for vote in found):
        return _rejected(shown, "a tag says that the view is not frontal, or is unknown")
    return _rejected(shown, "the tags contradict each other")


def _age_from_dates(film: Radiograph) -> int | None:
    """Completed years between birth and study, or None where a date is missing or malformed."""
    days = []
    for text in (film.patient_birth_date, film.study_date):
        if text is None or len(text) != _DATE_CHARACTERS:
            return None
        try:
            days.append(date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:]}"))
        except ValueError:
            return None
    born, studied = days
    return studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))


def age(film: Radiograph, label: Label) -> Verdict:
    """Judge the age: stated (PS3.5 6.2, AS), or from the dates; the two may not contradict."""
    stated, dated = film.patient_age or None, _age_from_dates(film)
    if stated is None:
        if dated is None:
            return _rejected("absent", "neither an age nor a birth date: an adult is never assumed")
        shown, years = f"{dated} years by birth date", float(dated)
        verdict = _warned(shown, "Patient Age is missing; taken from birth date and study date")
    else:
        shown = stated
        if exact := _AGE.fullmatch(stated):
            years = int(exact[1]) / _PER_YEAR[exact[2]]
            verdict = _passed(shown)
        elif _BARE_AGE.fullmatch(stated):
            years = float(stated)
            verdict = _warned(shown, "digits without a unit, read as years")
        else:
            return _rejected(shown[:16], "not an age (nnnD, nnnW, nnnM or nnnY)")
    if years < label.min_age_years:
        return _rejected(shown, f"younger than {label.min_age_years} years")
    if math.floor(years) > label.max_age_years:
        return _rejected(shown, f"older than {label.max_age_years} years: not believable")
    if (
        stated is not None
        and dated is not None
        and abs(math.floor(years) - dated) > label.age_agreement_years
    ):
        return _rejected(shown, f"the birth date says {dated} years")
    return verdict


def photometric(film: Radiograph, _: Label) -> Verdict:
    """Judge the photometric interpretation and the samples of a pixel (PS3.3 C.7.6.3.1.2)."""
    shown = f"{_shown(film.photometric_interpretation)}, {_shown(film.samples_per_pixel)} sample"
    if film.photometric_interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        return _rejected(shown, "not a grey image")
    if film.samples_per_pixel != 1:
        return _rejected(shown, "a grey pixel has one sample")
    return _passed(shown)


def presentation_lut(film: Radiograph, _: Label) -> Verdict:
    """Judge the presentation LUT shape against the photometric interpretation (PS3.3 C.11.6)."""
    found = film.presentation_lut_shape
    wanted = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}
    if found is None:
        return _passed("absent")
    if found != wanted.get(film.photometric_interpretation or ""):
        return _rejected(_shown(found), f"contradicts {_shown(film.photometric_interpretation)}")
    return _passed(found)


def bits(film: Radiograph, _: Label) -> Verdict:
    """Judge the bit depth (PS3.3 C.8.11.3, PS3.5 8.1.1)."""
    allocated, stored, high = film.bits_allocated, film.bits_stored, film.high_bit
    shown = (
        f"{_shown(allocated)} allocated, {_shown(stored)} stored, high bit {_shown(high)}, "
        f"representation {_shown(film.pixel_representation)}"
    )
    if allocated is None or stored is None or high is None:
        return _rejected(shown, "the bit depth is incomplete")
    if allocated not in (8, 16) or not 8 <= stored <= allocated or high != stored - 1:  # noqa: PLR2004
        return _rejected(shown, "not a bit depth of a radiograph")
    if film.pixel_representation not in (0, 1):
        return _rejected(shown, "Pixel Representation is neither 0 nor 1")
    if stored == 8:  # noqa: PLR2004
        return _warned(shown, "8 bits: the grey scale was already reduced")
    return _passed(shown)


def rows_columns(film: Radiograph, label: Label) -> Verdict:
    """Judge the size and the shape of the frame."""
    rows, columns = film.rows or 0, film.columns or 0
    shown = f"{_shown(film.rows)} x {_shown(film.columns)}"
    if film.pixel_aspect_ratio and len(set(film.pixel_aspect_ratio)) != 1:
        return _rejected("\\".join(film.pixel_aspect_ratio), "the pixels are not square")
    short, long = min(rows, columns), max(rows, columns)
    if short < label.min_side_px:
        return _rejected(shown, f"the shorter side has fewer than {label.min_side_px} pixels")
    if long > label.max_side_px:
        return _rejected(shown, f"the longer side has more than {label.max_side_px} pixels")
    if not label.min_aspect_ratio <= columns / rows <= label.max_aspect_ratio:
        return _rejected(shown, "not the shape of a chest film")
    if short < label.warn_side_px:
        return _warned(shown, f"the shorter side has fewer than {label.warn_side_px} pixels")
    return _passed(shown)


def frames(film: Radiograph, _: Label) -> Verdict:
    """Judge the number of frames."""
    if film.number_of_frames in (None, 1):
        return _passed(_shown(film.number_of_frames))
    return _rejected(_shown(film.number_of_frames), "more or fewer than one frame")


def length(film: Radiograph, _: Label) -> Verdict:
    """Judge the length of the pixel data against the header (PS3.5 8.1.1, annex A.4).

    Colour and many frames are refused under their own codes, whether one frame lies there or all.
    """
    if not (film.rows and film.columns and film.bits_allocated in (8, 16)):
        return Verdict(
            outcome=Outcome.NOT_RUN, value="unknown", message="the header gives no frame size"
        )
    if film.pixel_data is None:
        return _rejected("absent", "there is no pixel data")
    found = len(film.pixel_data)
    if film.pixel_data_is_encapsulated == (film.transfer_syntax_uid in UNCOMPRESSED):
        form = "in fragments" if film.pixel_data_is_encapsulated else "without fragments"
        return _rejected(f"{found} bytes {form}", "not the form of pixel data of this syntax")
    if film.pixel_data_is_encapsulated:
        return _passed(f"{found} bytes in fragments")
    one = film.rows * film.columns * (film.bits_allocated // 8)
    parts = max(1, film.samples_per_pixel or 1) * max(1, film.number_of_frames or 1)
    if not any(found in (wanted, wanted + wanted % 2) for wanted in (one, one * parts)):
        return _rejected(f"{found} bytes", f"the header asks for {one * parts} bytes")
    return _passed(f"{found} bytes")


def burned_in(film: Radiograph, _: Label) -> Verdict:
    """Judge annotations in the pixels and overlays (PS3.3 C.7.6.1, C.9.2)."""
    if film.has_overlay:
        return _rejected("overlay", "an overlay lies on the film")
    match film.burned_in_annotation:
        case "NO":
            return _passed("NO")
        case None | "":
            return _warned(
                _shown(film.burned_in_annotation), "no tag says that the pixels hold no text"
            )
        case found:
            return _rejected(found, "text is burned into the pixels")


def laterality(film: Radiograph, _: Label) -> Verdict:
    """Judge the side and the orientation (PS3.3 C.7.6.1.1.1)."""
    for found in (film.image_laterality, film.laterality):
        if found not in (None, "", "B", "U"):
            return _rejected(found, "a one-sided image")
    orientation = "\\".join(film.patient_orientation)
    if orientation not in ("", "L\\F"):
        return _warned(orientation, "not the usual orientation of a frontal film")
    return _passed(orientation or "empty")


def _table_fault(table: LookupTable) -> str | None:
    """Say what is wrong with a lookup table, or None."""
    if len(table.descriptor) != 3:  # noqa: PLR2004
        return "its descriptor has not three values"
    entries = table.descriptor[0] or 65536
    if len(table.data) != entries:
        return f"it holds {len(table.data)} entries, its descriptor says {entries}"
    bits = table.descriptor[2]
    if not 8 <= bits <= 16:  # noqa: PLR2004
        return f"its entries have {bits} bits"
    if max(table.data) >= 1 << bits:
        return f"an entry exceeds {bits} bits"
    return None


def rescale_lut(film: Radiograph, _: Label) -> Verdict:
    """Judge the modality and VOI transformations (PS3.3 C.11.1, C.11.2)."""
    slope = 1.0 if film.rescale_slope is None else film.rescale_slope
    intercept = 0.0 if film.rescale_intercept is None else film.rescale_intercept
    centers, widths = film.window_center, film.window_width
    shown = f"slope {slope:g}, intercept {intercept:g}"
    if widths or centers:
        shown += f", window {centers}/{widths}"
    if not (1 / _LARGEST <= slope <= _LARGEST and abs(intercept) <= _LARGEST):
        return _rejected(shown, "the rescale is not finite with a positive slope")
    if len(centers) != len(widths):
        return _rejected(shown, "as many window centers as widths are needed")
    if not all(abs(value) <= _LARGEST for value in (*centers, *widths)):
        return _rejected(shown, "the window is not finite")
    function = film.voi_lut_function or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        return _rejected(function, "not a VOI LUT function")
    if any(width < 1 if function == "LINEAR" else width <= 0 for width in widths):
        return _rejected(shown, "a window of no width")
    for name, table in (("modality", film.modality_lut), ("VOI", film.voi_lut)):
        if table is not None and (fault := _table_fault(table)):
            return _rejected(f"{name} LUT", f"the {name} LUT is damaged: {fault}")
    return _passed(shown)


def pixel_spacing(film: Radiograph, label: Label) -> Verdict:
    """Judge the spacing at the detector, or in the patient's plane (PS3.3 C.8.11.4)."""
    spacing = film.imager_pixel_spacing or film.pixel_spacing
    if not spacing:
        return _warned("absent", "the size of a pixel is unknown")
    shown = "\\".join(f"{value:g}" for value in spacing) + " mm"
    inside = all(label.min_spacing_mm <= value <= label.max_spacing_mm for value in spacing)
    if inside and len(spacing) == 2:  # noqa: PLR2004  # between rows, between columns
        return _passed(shown)
    return _warned(shown, "not the pixel of a radiography detector")


def identity(film: Radiograph, _: Label) -> Verdict:
    """Judge that the film belongs to somebody and to a study; neither is repeated here."""
    missing = [
        name
        for name, there in (
            ("PatientID", film.has_patient_id),
            ("StudyInstanceUID", bool(film.study_instance_uid)),
        )
        if not there
    ]
    if missing:
        return _warned(f"no {' and no '.join(missing)}", "the film belongs to nobody known")
    return _passed("present")


HEADER_GUARDS: Final[dict[CheckCode, Guard]] = {
    CheckCode.SOP_CLASS: sop_class,
    CheckCode.UID_FORM: uid_form,
    CheckCode.MODALITY: modality,
    CheckCode.INTENT: intent,
    CheckCode.IMAGE_TYPE: image_type,
    CheckCode.BODY_PART: body_part,
    CheckCode.VIEW: view,
    CheckCode.AGE: age,
    CheckCode.PHOTOMETRIC: photometric,
    CheckCode.PRESENTATION_LUT: presentation_lut,
    CheckCode.BITS: bits,
    CheckCode.ROWS_COLUMNS: rows_columns,
    CheckCode.FRAMES: frames,
    CheckCode.LENGTH: length,
    CheckCode.BURNED_IN: burned_in,
    CheckCode.LATERALITY: laterality,
    CheckCode.RESCALE_LUT: rescale_lut,
    CheckCode.PIXEL_SPACING: pixel_spacing,
    CheckCode.IDENTITY: identity,
}
"""The intended-use table: which function decides which code, in the order of the checks."""


def judge_header(film: Radiograph, label: Label) -> dict[CheckCode, Verdict]:
    """Run every guard on a header; all findings, not the first alone."""
    return {code: guard(film, label) for code, guard in HEADER_GUARDS.items()}
