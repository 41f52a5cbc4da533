"""Guards: each bound on both sides, and the decision table."""

import math
from dataclasses import replace
from typing import Any

import builders
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_device.checks import DESCRIPTIONS, printable
from cxr_device.guards import HEADER_GUARDS, judge_header, resolve_view
from cxr_device.label import Label
from cxr_device.radiograph import Code, LookupTable
from cxr_device.release import Release
from cxr_device.vocabulary import CheckCode
from verification import verifies

LABEL = Release.load().label


def outcome(code: CheckCode, label: Label = LABEL, **changes: Any) -> str:
    return str(HEADER_GUARDS[code](builders.radiograph(**changes), label).outcome)


def sop(uid: str | None) -> dict[str, Any]:
    return {"sop_class_uid": uid, "media_storage_sop_class_uid": uid or ""}


def test_a_conformant_film_passes_every_header_guard() -> None:
    verdicts = judge_header(builders.radiograph(imager_pixel_spacing=(0.2, 0.2)), LABEL)
    assert {str(verdict.outcome) for verdict in verdicts.values()} == {"pass"}


@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        (builders.DX, "pass"),
        (builders.CR, "pass"),
        (builders.SC, "warn"),
        ("1.2.840.10008.5.1.4.1.1.1.1.1", "reject"),  # DX For Processing
        ("1.2.840.10008.5.1.4.1.1.2", "reject"),  # CT
        ("1.2.840.10008.5.1.4.1.1.1.2", "reject"),  # mammography
        ("1.2.840.10008.5.1.4.1.1.7.2", "reject"),  # multi-frame Secondary Capture
        ("", "reject"),
        (None, "reject"),
    ],
)
@verifies("SRS-107@5e273b0b", "RC-107@586e7552")
def test_sop_class(uid: str | None, expected: str) -> None:
    assert outcome(CheckCode.SOP_CLASS, **sop(uid)) == expected


@verifies("SRS-107@5e273b0b", "RC-107@586e7552")
def test_sop_class_that_differs_from_the_file_meta_information_rejects() -> None:
    found = outcome(CheckCode.SOP_CLASS, media_storage_sop_class_uid=builders.CR)
    assert found == "reject"


UID_64 = "1.2." + "3" * 60


@pytest.mark.parametrize("name", ["sop_instance_uid", "study_instance_uid", "series_instance_uid"])
@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        (UID_64, "pass"),
        (UID_64 + "3", "reject"),
        ("1.2.0.3", "pass"),
        ("1.02.3", "reject"),
        ("1..3", "reject"),
        ("1.2.", "reject"),
        ("1.2.a", "reject"),
        ("../../etc", "reject"),
        ("1.2\n", "reject"),
        ("1.2\\1.3", "reject"),
    ],
)
@verifies("SRS-108@cf828fbf", "RC-108@229d4e0f")
def test_uid_form(name: str, uid: str, expected: str) -> None:
    assert outcome(CheckCode.UID_FORM, **{name: uid}) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("uid", [None, ""])
@verifies("SRS-108@cf828fbf", "RC-108@229d4e0f")
def test_a_missing_instance_uid_rejects(uid: str | None) -> None:
    assert outcome(CheckCode.UID_FORM, sop_instance_uid=uid) == "reject"


@pytest.mark.parametrize("value", ["DX", "CR"])
@verifies("SRS-109@f2badfbb", "RC-109@1064b957")
def test_modality_accepted(value: str) -> None:
    assert outcome(CheckCode.MODALITY, modality=value) == "pass"


@pytest.mark.parametrize("value", ["RG", "XA", "CT", "MG", "OT", "dx", "DX\\CR", " DX", "", None])
@verifies("SRS-109@f2badfbb", "RC-109@1064b957")
def test_modality_rejected(value: str | None) -> None:
    assert outcome(CheckCode.MODALITY, modality=value) == "reject"


@given(st.text())
@verifies("SRS-109@f2badfbb", "RC-109@1064b957")
def test_no_other_text_is_a_modality(text: str) -> None:
    assert (outcome(CheckCode.MODALITY, modality=text) == "pass") == (text in {"DX", "CR"})


@pytest.mark.parametrize(
    ("sop_class", "intent", "expected"),
    [
        (builders.DX, "FOR PRESENTATION", "pass"),
        (builders.DX, None, "reject"),
        (builders.DX, "", "reject"),
        (builders.DX, "FOR PROCESSING", "reject"),
        (builders.CR, None, "pass"),
        (builders.SC, None, "pass"),
        (builders.CR, "FOR PROCESSING", "reject"),
    ],
)
@verifies("SRS-110@49e6aa45", "RC-110@a84b6123")
def test_intent(sop_class: str, intent: str | None, expected: str) -> None:
    found = outcome(CheckCode.INTENT, **sop(sop_class), presentation_intent_type=intent)
    assert found == expected


@verifies("SRS-110@49e6aa45", "RC-110@a84b6123")
def test_linear_intensity_under_for_presentation_warns() -> None:
    assert outcome(CheckCode.INTENT, pixel_intensity_relationship="LIN") == "warn"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("ORIGINAL", "PRIMARY"), "pass"),
        (("DERIVED", "PRIMARY", ""), "pass"),
        (("DERIVED", "SECONDARY"), "warn"),
        (("ORIGINAL", "PRIMARY", "LOCALIZER"), "reject"),
        (("ORIGINAL",), "reject"),
        (("MIXED", "PRIMARY"), "reject"),
        (("ORIGINAL", "OTHER"), "reject"),
        ((), "warn"),
    ],
)
@verifies("SRS-111@a0ea86cd", "RC-111@fd9b74ec")
def test_image_type(values: tuple[str, ...], expected: str) -> None:
    assert outcome(CheckCode.IMAGE_TYPE, image_type=values) == expected


@verifies("SRS-111@a0ea86cd", "RC-111@fd9b74ec")
def test_the_devices_own_output_rejects() -> None:
    found = outcome(
        CheckCode.IMAGE_TYPE, image_type=("DERIVED", "SECONDARY"), manufacturer="cxr_device"
    )
    assert found == "reject"


@verifies("SRS-111@a0ea86cd", "RC-111@fd9b74ec")
def test_a_secondary_capture_needs_no_image_type() -> None:
    assert outcome(CheckCode.IMAGE_TYPE, **sop(builders.SC), image_type=()) == "pass"


CHEST = (Code(value="816094009", scheme="SCT"),)
ABDOMEN = (Code(value="818983003", scheme="SCT"),)


@pytest.mark.parametrize(
    ("part", "region", "expected"),
    [
        ("CHEST", (), "pass"),
        ("CHEST", CHEST, "pass"),
        (None, CHEST, "pass"),
        ("", (Code(value="51185008", scheme="SCT"),), "pass"),
        ("", (Code(value="T-D3000", scheme="SRT"),), "pass"),
        ("", (Code(value="T-D3000", scheme="SNM3"),), "pass"),
        ("THORAX", (), "warn"),
        ("PORT CHEST", (), "warn"),
        ("LUNG", (), "warn"),
        ("", (), "warn"),
        (None, (), "warn"),
        ("CHEST", ABDOMEN, "reject"),
        ("CHEST", (*CHEST, *ABDOMEN), "reject"),
        ("CHEST", (Code(value="816094009", scheme="99LOCAL"),), "reject"),
        ("RIBCAGE", (), "reject"),
        ("RIB", (), "reject"),
        ("TSPINE", (), "reject"),
        ("CHEST_TO_ABDOMEN", (), "reject"),
        ("CHESTABDOMEN", (), "reject"),
        ("chest", (), "reject"),
        ("BABYGRAM", (), "reject"),
    ],
)
@verifies("SRS-112@189a8a58", "RC-112@256d616e")
def test_body_part(part: str | None, region: tuple[Code, ...], expected: str) -> None:
    assert outcome(CheckCode.BODY_PART, body_part_examined=part, anatomic_region=region) == expected


@given(st.text(min_size=1))
@verifies("SRS-112@189a8a58", "RC-112@256d616e")
def test_synonyms_match_exactly(text: str) -> None:
    known = {"CHEST", "THORAX", "PORT CHEST", "LUNG"}
    found = outcome(CheckCode.BODY_PART, body_part_examined=text, anatomic_region=())
    assert (found == "reject") == (text not in known)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ("022Y", "pass"),
        ("021Y", "reject"),
        ("264M", "pass"),
        ("263M", "reject"),
        ("120Y", "pass"),
        ("121Y", "reject"),
        ("000Y", "reject"),
        ("999Y", "reject"),
        ("999D", "reject"),
        ("999W", "reject"),  # 19 years
        ("81", "warn"),
        ("022", "warn"),
        ("21", "reject"),
        ("45Y", "reject"),
        ("-45Y", "reject"),
        ("045y", "reject"),
        ("045Y ", "reject"),
        ("", "reject"),
        (None, "reject"),
    ],
)
@verifies("SRS-114@d7b475cd", "RC-114@9ff1c023")
def test_age(age: str | None, expected: str) -> None:
    assert outcome(CheckCode.AGE, patient_age=age, patient_birth_date="") == expected


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        ("20040101", "warn"),  # 22 on the day of the study
        ("20040102", "reject"),  # 21 until the next day
        ("19050102", "warn"),  # 120
        ("19050101", "reject"),  # 121
        ("20270101", "reject"),  # born after the study
        ("20041301", "reject"),
        ("2004", "reject"),
    ],
)
@verifies("SRS-114@d7b475cd", "RC-114@9ff1c023")
def test_age_from_the_dates(born: str, expected: str) -> None:
    found = outcome(CheckCode.AGE, patient_age=None, patient_birth_date=born, study_date="20260101")
    assert found == expected


@pytest.mark.parametrize(
    ("born", "expected"), [("19800101", "pass"), ("19790101", "reject"), ("19830101", "reject")]
)
@verifies("SRS-114@d7b475cd", "RC-114@9ff1c023")
def test_two_sources_of_the_age_may_differ_by_one_year(born: str, expected: str) -> None:
    found = outcome(
        CheckCode.AGE, patient_age="045Y", patient_birth_date=born, study_date="20260101"
    )
    assert found == expected


@given(st.integers(0, 999))
@verifies("SRS-114@d7b475cd", "RC-114@9ff1c023")
def test_every_age_in_years(years: int) -> None:
    found = outcome(CheckCode.AGE, patient_age=f"{years:03}Y", patient_birth_date="")
    assert (found == "pass") == (22 <= years <= 120)


@given(st.text(max_size=6))
@verifies("SRS-114@d7b475cd", "RC-114@9ff1c023")
def test_free_text_is_no_age_unless_it_has_the_form(text: str) -> None:
    found = outcome(CheckCode.AGE, patient_age=text, patient_birth_date="")
    if found != "reject":
        assert text.rstrip("DWMY").isascii()
        assert text.rstrip("DWMY").isdigit()


@pytest.mark.parametrize(
    ("photometric", "samples", "expected"),
    [
        ("MONOCHROME1", 1, "pass"),
        ("MONOCHROME2", 1, "pass"),
        ("MONOCHROME2", 3, "reject"),
        ("MONOCHROME2", None, "reject"),
        ("RGB", 3, "reject"),
        ("YBR_FULL", 3, "reject"),
        ("PALETTE COLOR", 1, "reject"),
        ("", 1, "reject"),
        (None, 1, "reject"),
    ],
)
@verifies("SRS-115@46d37267", "RC-115@380d82c4")
def test_photometric(photometric: str | None, samples: int | None, expected: str) -> None:
    found = outcome(
        CheckCode.PHOTOMETRIC, photometric_interpretation=photometric, samples_per_pixel=samples
    )
    assert found == expected


@pytest.mark.parametrize(
    ("photometric", "shape", "expected"),
    [
        ("MONOCHROME2", "IDENTITY", "pass"),
        ("MONOCHROME1", "INVERSE", "pass"),
        ("MONOCHROME1", None, "pass"),
        ("MONOCHROME2", None, "pass"),
        ("MONOCHROME2", "INVERSE", "reject"),
        ("MONOCHROME1", "IDENTITY", "reject"),
        ("MONOCHROME2", "LIN OD", "reject"),
        ("MONOCHROME2", "", "reject"),
    ],
)
@verifies("SRS-116@5bdc382e", "RC-116@f9a16da6")
def test_presentation_lut(photometric: str, shape: str | None, expected: str) -> None:
    found = outcome(
        CheckCode.PRESENTATION_LUT,
        photometric_interpretation=photometric,
        presentation_lut_shape=shape,
    )
    assert found == expected


@pytest.mark.parametrize(
    ("allocated", "stored", "high", "representation", "expected"),
    [
        (16, 12, 11, 0, "pass"),
        (16, 12, 11, 1, "pass"),
        (16, 16, 15, 0, "pass"),
        (16, 9, 8, 0, "pass"),
        (16, 8, 7, 0, "warn"),
        (8, 8, 7, 0, "warn"),
        (16, 7, 6, 0, "reject"),
        (16, 17, 16, 0, "reject"),
        (8, 9, 8, 0, "reject"),
        (16, 12, 12, 0, "reject"),
        (16, 12, 10, 0, "reject"),
        (32, 16, 15, 0, "reject"),
        (12, 12, 11, 0, "reject"),
        (16, 12, 11, 2, "reject"),
        (16, 12, 11, None, "reject"),
        (None, 12, 11, 0, "reject"),
        (16, None, 11, 0, "reject"),
        (16, 12, None, 0, "reject"),
    ],
)
@verifies("SRS-117@847ac1b3", "RC-117@fb33b8fa")
def test_bits(
    allocated: int | None,
    stored: int | None,
    high: int | None,
    representation: int | None,
    expected: str,
) -> None:
    found = outcome(
        CheckCode.BITS,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        pixel_representation=representation,
    )
    assert found == expected


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (512, 512, "warn"),
        (511, 600, "reject"),
        (600, 511, "reject"),
        (1024, 1024, "pass"),
        (1023, 1024, "warn"),
        (1024, 1023, "warn"),
        (6000, 6000, "pass"),
        (6001, 6000, "reject"),
        (6000, 6001, "reject"),
        (2000, 1200, "pass"),  # 0.6
        (2000, 1199, "reject"),
        (2000, 3400, "pass"),  # 1.7
        (2000, 3401, "reject"),
        (0, 0, "reject"),
        (0, 1024, "reject"),
        (1024, 0, "reject"),
        (None, 1024, "reject"),
        (1024, None, "reject"),
        (None, None, "reject"),
    ],
)
@verifies("SRS-118@9bac573a", "RC-118@02e9ae59")
def test_rows_columns(rows: int | None, columns: int | None, expected: str) -> None:
    assert outcome(CheckCode.ROWS_COLUMNS, rows=rows, columns=columns) == expected


@pytest.mark.parametrize(
    ("ratio", "expected"), [(("1", "1"), "pass"), (("4", "3"), "reject"), ((), "pass")]
)
@verifies("SRS-118@9bac573a", "RC-118@02e9ae59")
def test_pixels_must_be_square(ratio: tuple[str, ...], expected: str) -> None:
    assert outcome(CheckCode.ROWS_COLUMNS, pixel_aspect_ratio=ratio) == expected


@given(st.integers(0, 65535), st.integers(0, 65535))
@verifies("SRS-118@9bac573a", "RC-118@02e9ae59")
def test_no_matrix_outside_the_limits_is_let_through(rows: int, columns: int) -> None:
    inside = (
        min(rows, columns) >= 512
        and max(rows, columns) <= 6000
        and 6 * rows <= 10 * columns <= 17 * rows
    )
    assert (outcome(CheckCode.ROWS_COLUMNS, rows=rows, columns=columns) != "reject") == inside


@pytest.mark.parametrize(
    ("count", "expected"),
    [(None, "pass"), (1, "pass"), (0, "reject"), (2, "reject"), (-1, "reject"), (10**9, "reject")],
)
@verifies("SRS-119@441dc803", "RC-119@ba6380e9")
def test_frames(count: int | None, expected: str) -> None:
    assert outcome(CheckCode.FRAMES, number_of_frames=count) == expected


@pytest.mark.parametrize(
    ("rows", "columns", "size", "expected"),
    [
        (1024, 1024, 2 * 1024 * 1024, "pass"),
        (1024, 1024, 2 * 1024 * 1024 - 1, "reject"),
        (1024, 1024, 2 * 1024 * 1024 + 1, "reject"),
        (1024, 1024, 2 * 1024 * 1024 + 2, "reject"),
        (1024, 1024, 0, "reject"),
    ],
)
@verifies("SRS-120@d36c9140", "RC-120@36993398")
def test_length(rows: int, columns: int, size: int, expected: str) -> None:
    found = outcome(
        CheckCode.LENGTH, rows=rows, columns=columns, pixel_data=memoryview(bytes(size))
    )
    assert found == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(1023**2, "pass"), (1023**2 + 1, "pass"), (1023**2 + 2, "reject")]
)
@verifies("SRS-120@d36c9140", "RC-120@36993398")
def test_length_with_one_byte_of_padding(size: int, expected: str) -> None:
    found = outcome(
        CheckCode.LENGTH,
        rows=1023,
        columns=1023,
        bits_allocated=8,
        pixel_data=memoryview(bytes(size)),
    )
    assert found == expected


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", builders.RLE])
@pytest.mark.parametrize("in_fragments", [True, False])
@verifies("SRS-337@8a202465", "RC-120@36993398")
def test_pixel_data_has_the_form_of_its_syntax(syntax: str, *, in_fragments: bool) -> None:
    found = outcome(
        CheckCode.LENGTH, transfer_syntax_uid=syntax, pixel_data_is_encapsulated=in_fragments
    )
    assert found == ("pass" if in_fragments == (syntax == builders.RLE) else "reject")


@verifies("SRS-120@d36c9140", "RC-120@36993398")
def test_absent_pixel_data_fails_under_length() -> None:
    assert outcome(CheckCode.LENGTH, pixel_data=None) == "reject"


@pytest.mark.parametrize(
    ("said", "overlay", "expected"),
    [
        ("NO", False, "pass"),
        (None, False, "warn"),
        ("", False, "warn"),
        ("YES", False, "reject"),
        ("no", False, "reject"),
        ("NO", True, "reject"),
        (None, True, "reject"),
    ],
)
@verifies("SRS-121@74d977ad", "RC-121@f36b4147")
def test_burned_in(said: str | None, overlay: bool, expected: str) -> None:  # noqa: FBT001
    found = outcome(CheckCode.BURNED_IN, burned_in_annotation=said, has_overlay=overlay)
    assert found == expected


@pytest.mark.parametrize("name", ["image_laterality", "laterality"])
@pytest.mark.parametrize(
    ("side", "expected"),
    [
        ("U", "pass"),
        ("B", "pass"),
        ("", "pass"),
        (None, "pass"),
        ("L", "reject"),
        ("R", "reject"),
        ("X", "reject"),
    ],
)
@verifies("SRS-122@66ee671f", "RC-122@d4d66bf7")
def test_laterality(name: str, side: str | None, expected: str) -> None:
    assert outcome(CheckCode.LATERALITY, **{name: side}) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(("L", "F"), "pass"), ((), "pass"), (("R", "F"), "warn"), (("P", "F"), "warn")],
)
@verifies("SRS-122@66ee671f", "RC-122@d4d66bf7")
def test_orientation(orientation: tuple[str, ...], expected: str) -> None:
    assert outcome(CheckCode.LATERALITY, patient_orientation=orientation) == expected


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "pass"),
        ({"rescale_slope": None, "rescale_intercept": None}, "pass"),
        ({"rescale_slope": NAN}, "reject"),
        ({"rescale_slope": INF}, "reject"),
        ({"rescale_intercept": NAN}, "reject"),
        ({"rescale_intercept": -INF}, "reject"),
        ({"rescale_slope": 0.0}, "reject"),
        ({"rescale_slope": -1.0}, "reject"),
        ({"window_center": (2048.0,), "window_width": (4096.0,)}, "pass"),
        ({"window_center": (2048.0,), "window_width": (1.0,)}, "pass"),
        ({"window_center": (2048.0,), "window_width": (0.999,)}, "reject"),
        ({"window_center": (2048.0,), "window_width": (0.0,)}, "reject"),
        ({"window_center": (2048.0,), "window_width": (-5.0,)}, "reject"),
        ({"window_center": (NAN,), "window_width": (5.0,)}, "reject"),
        ({"window_center": (5.0,), "window_width": (INF,)}, "reject"),
        ({"window_center": (5.0, 6.0), "window_width": (5.0,)}, "reject"),
        ({"window_center": (5.0,), "window_width": ()}, "reject"),
        (
            {"window_center": (5.0,), "window_width": (0.5,), "voi_lut_function": "LINEAR_EXACT"},
            "pass",
        ),
        (
            {"window_center": (5.0,), "window_width": (0.0,), "voi_lut_function": "SIGMOID"},
            "reject",
        ),
        (
            {"window_center": (5.0,), "window_width": (9.0,), "voi_lut_function": "CUBIC"},
            "reject",
        ),
    ],
)
@verifies("SRS-123@3478abff", "RC-123@fded557a")
def test_rescale_and_window(changes: dict[str, Any], expected: str) -> None:
    assert outcome(CheckCode.RESCALE_LUT, **changes) == expected


@pytest.mark.parametrize("name", ["modality_lut", "voi_lut"])
@pytest.mark.parametrize(
    ("descriptor", "entries", "expected"),
    [
        ((4, 0, 12), 4, "pass"),
        ((0, 0, 16), 65536, "pass"),  # 0 stands for 65,536 (PS3.3 C.11.1.1)
        ((4, 0, 12), 3, "reject"),
        ((4, 0, 12), 5, "reject"),
        ((4, 0), 4, "reject"),
    ],
)
@verifies("SRS-123@3478abff", "RC-123@fded557a")
def test_table_length(name: str, descriptor: tuple[int, ...], entries: int, expected: str) -> None:
    table = LookupTable(descriptor=descriptor, data=(0,) * entries)
    assert outcome(CheckCode.RESCALE_LUT, **{name: table}) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["imager_pixel_spacing", "pixel_spacing"])
@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((0.08, 0.08), "pass"),
        ((0.3, 0.3), "pass"),
        ((0.079, 0.079), "warn"),
        ((0.2, 0.301), "warn"),
        ((0.2,), "warn"),
        ((0.0, 0.0), "warn"),
        ((-0.2, -0.2), "warn"),
        ((NAN, NAN), "warn"),
        ((), "warn"),
    ],
)
@verifies("SRS-126@e2adc6e6", "RC-126@89089458")
def test_pixel_spacing(name: str, spacing: tuple[float, ...], expected: str) -> None:
    changes: dict[str, Any] = {"imager_pixel_spacing": (), "pixel_spacing": (), name: spacing}
    assert outcome(CheckCode.PIXEL_SPACING, **changes) == expected


@pytest.mark.parametrize(
    ("patient", "study", "expected"),
    [(True, "1.2", "pass"), (False, "1.2", "warn"), (True, None, "warn"), (True, "", "warn")],
)
@verifies("SRS-127@77a2f79f", "RC-127@34cef2c1")
def test_identity(patient: bool, study: str | None, expected: str) -> None:  # noqa: FBT001
    found = outcome(CheckCode.IDENTITY, has_patient_id=patient, study_instance_uid=study)
    assert found == expected


SILENT: dict[str, Any] = {
    "view_position": None, "view_codes": (), "patient_position": None,
    "series_description": None, "protocol_name": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected", "value", "message"),
    [
        ({"view_position": "PA"}, "pass", "ViewPosition PA", "within the intended use"),
        ({"patient_position": "AP"}, "warn", "PatientPosition AP", "only PatientPosition says"),
        ({}, "reject", "ViewPosition absent", "no tag says"),
        (
            {"view_position": "", "patient_position": "HFS"},
            "reject",
            "ViewPosition empty, PatientPosition HFS",
            "no tag says",
        ),
        ({"view_position": "LL"}, "reject", "ViewPosition LL", "not frontal"),
        (
            {"view_position": "PA", "patient_position": "AP"},
            "reject",
            "ViewPosition PA, PatientPosition AP",
            "contradict",
        ),
        (
            {"view_position": "PA", "series_description": "LAT"},
            "reject",
            "ViewPosition PA, SeriesDescription LAT",
            "not frontal",
        ),
    ],
)
@verifies("SRS-113@b36d290d", "RC-113@702f05b3")
def test_view_says_which_tags_decide(
    changes: dict[str, str], expected: str, value: str, message: str
) -> None:
    verdict = HEADER_GUARDS[CheckCode.VIEW](builders.radiograph(**{**SILENT, **changes}), LABEL)
    assert (str(verdict.outcome), verdict.value) == (expected, value)
    assert message in verdict.message


@verifies("SRS-171@ec46c465")
def test_the_first_vote_is_the_source_of_the_view() -> None:
    film = builders.radiograph(**{**SILENT, "view_position": "PA", "patient_position": "PA"})
    vote = resolve_view(film)
    assert vote is not None
    assert (vote.source, vote.view) == ("ViewPosition", "PA")
    assert resolve_view(builders.radiograph(**{**SILENT, "view_position": "LL"})) is None
    assert resolve_view(builders.radiograph(**SILENT)) is None


@pytest.mark.parametrize(
    ("code", "changes", "value"),
    [
        (CheckCode.MODALITY, {"modality": None}, "absent"),
        (CheckCode.MODALITY, {"modality": ""}, "empty"),
        (CheckCode.MODALITY, {"modality": "XA"}, "XA"),
        (CheckCode.IMAGE_TYPE, {"image_type": ("DERIVED", "SECONDARY")}, "DERIVED\\SECONDARY"),
        (CheckCode.IMAGE_TYPE, {"image_type": ()}, "absent"),
        (CheckCode.UID_FORM, {"sop_instance_uid": "x" * 200}, "x" * 80),
        (CheckCode.BODY_PART, {"body_part_examined": None, "anatomic_region": ()}, "empty"),
        (CheckCode.BODY_PART, {"body_part_examined": "HAND", "anatomic_region": ()}, "HAND"),
        (CheckCode.AGE, {"patient_age": "x" * 200}, "x" * 16),
        (CheckCode.LATERALITY, {"patient_orientation": ()}, "empty"),
        (CheckCode.LATERALITY, {"patient_orientation": ("L", "F")}, "L\\F"),
        (
            CheckCode.RESCALE_LUT,
            {"rescale_slope": None, "rescale_intercept": None},
            "slope 1, intercept 0",
        ),
        (
            CheckCode.RESCALE_LUT,
            {"window_center": (5.0,), "window_width": ()},
            "slope 1, intercept 0, window (5.0,)/()",
        ),
        (CheckCode.PIXEL_SPACING, {"imager_pixel_spacing": (0.2, 0.25)}, "0.2\\0.25 mm"),
    ],
)
@verifies("SRS-131@86618d56", "RC-131@bd2090ae")
def test_the_verdict_shows_the_value_that_was_found(
    code: CheckCode, changes: dict[str, Any], value: str
) -> None:
    assert HEADER_GUARDS[code](builders.radiograph(**changes), LABEL).value == value


@pytest.mark.parametrize(
    ("age", "expected"),
    [("731D", "pass"), ("730D", "reject"), ("105W", "pass"), ("104W", "reject")],
)
@verifies("SRS-114@d7b475cd", "RC-114@9ff1c023", "SRS-166@5c924c83", "RC-166@4af25ac0")
def test_days_and_weeks_are_years_of_365_and_a_quarter_days(age: str, expected: str) -> None:
    moved = replace(LABEL, min_age_years=2)
    assert outcome(CheckCode.AGE, moved, patient_age=age, patient_birth_date="") == expected


@pytest.mark.parametrize("missing", ["patient_birth_date", "study_date"])
@verifies("SRS-114@d7b475cd", "RC-114@9ff1c023")
def test_an_absent_date_gives_no_age(missing: str) -> None:
    dates: dict[str, Any] = {"patient_birth_date": "19800101", "study_date": "20260101"}
    dates[missing] = None
    assert outcome(CheckCode.AGE, patient_age=None, **dates) == "reject"


@pytest.mark.parametrize("missing", ["rows", "columns"])
@verifies("SRS-118@9bac573a", "RC-118@02e9ae59")
def test_a_missing_side_is_no_side_of_one_pixel(missing: str) -> None:
    moved = replace(LABEL, min_side_px=1, min_aspect_ratio=0.0, max_aspect_ratio=1e9)
    assert outcome(CheckCode.ROWS_COLUMNS, moved, **{missing: None}) == "reject"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rows": None}, "not_run"),
        ({"columns": 0}, "not_run"),
        ({"bits_allocated": 32}, "not_run"),
        (
            {
                "pixel_data": memoryview(b"123"),
                "pixel_data_is_encapsulated": True,
                "transfer_syntax_uid": builders.RLE,
            },
            "pass",
        ),
    ],
)
@verifies("SRS-120@d36c9140", "RC-120@36993398")
def test_length_is_judged_where_the_header_gives_one(
    changes: dict[str, Any], expected: str
) -> None:
    assert outcome(CheckCode.LENGTH, **changes) == expected


@verifies("SRS-131@86618d56", "RC-131@bd2090ae")
def test_every_fault_is_listed_in_the_order_of_the_table() -> None:
    film = builders.radiograph(
        modality="CT", body_part_examined="HAND", anatomic_region=(), view_position="LL",
        view_codes=(), patient_age="010Y", number_of_frames=2, image_laterality="L",
    )  # fmt: skip
    rejected = [
        code for code, verdict in judge_header(film, LABEL).items() if verdict.outcome == "reject"
    ]
    assert rejected == ["MODALITY", "BODY_PART", "VIEW", "AGE", "FRAMES", "LATERALITY"]


@verifies("SRS-166@5c924c83", "RC-166@4af25ac0")
def test_label_values_move_the_guards() -> None:
    moved = replace(LABEL, min_age_years=18, min_side_px=256, max_side_px=5000)
    assert outcome(CheckCode.AGE, moved, patient_age="018Y") == "pass"
    assert outcome(CheckCode.AGE, moved, patient_age="017Y") == "reject"
    assert outcome(CheckCode.ROWS_COLUMNS, moved, rows=256, columns=256) == "warn"
    assert outcome(CheckCode.ROWS_COLUMNS, moved, rows=255, columns=256) == "reject"
    assert outcome(CheckCode.ROWS_COLUMNS, moved, rows=5000, columns=5000) == "pass"
    assert outcome(CheckCode.ROWS_COLUMNS, moved, rows=5001, columns=5000) == "reject"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rescale_slope": 1e6}, "pass"),
        ({"rescale_slope": 1.001e6}, "reject"),
        ({"rescale_slope": 1e-6}, "pass"),
        ({"rescale_slope": 0.99e-6}, "reject"),
        ({"rescale_intercept": -1e6}, "pass"),
        ({"rescale_intercept": -1.001e6}, "reject"),
        ({"window_center": (1e6,), "window_width": (1e6,)}, "pass"),
        ({"window_center": (1.001e6,), "window_width": (100.0,)}, "reject"),
        ({"window_center": (100.0,), "window_width": (1.001e6,)}, "reject"),
        ({"window_center": (math.nan,), "window_width": (100.0,)}, "reject"),
    ],
)
@verifies("SRS-225@1b7590db", "RC-123@fded557a")
def test_the_grey_scale_is_bounded(changes: dict[str, Any], expected: str) -> None:
    assert outcome(CheckCode.RESCALE_LUT, **changes) == expected


@pytest.mark.parametrize(
    ("bits", "highest", "expected"),
    [
        (7, 127, "reject"), (8, 255, "pass"), (8, 256, "reject"), (16, 65535, "pass"),
        (17, 65535, "reject"), (0, 0, "reject"), (65535, 9, "reject"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["modality_lut", "voi_lut"])
@verifies("SRS-225@1b7590db", "RC-123@fded557a")
def test_a_table_s_entries_are_bounded(name: str, bits: int, highest: int, expected: str) -> None:
    table = LookupTable(descriptor=(4, 0, bits), data=(0, 1, 2, highest))
    assert outcome(CheckCode.RESCALE_LUT, **{name: table}) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"samples_per_pixel": 3}, 3),
        ({"number_of_frames": 2}, 2),
        ({"samples_per_pixel": 3, "number_of_frames": 4}, 12),
        ({"samples_per_pixel": -1, "number_of_frames": 0}, 1),
    ],
)
@verifies("SRS-120@d36c9140", "RC-120@36993398")
def test_colour_and_frames_count_towards_the_length(changes: dict[str, Any], expected: int) -> None:
    one = len(builders.radiograph().pixel_data or b"")
    whole = {**changes, "pixel_data": memoryview(bytes(one * expected))}
    assert outcome(CheckCode.LENGTH, **whole) == "pass"
    cut = {**changes, "pixel_data": memoryview(bytes(one * expected - 2))}
    assert outcome(CheckCode.LENGTH, **cut) == "reject"


@verifies("SRS-227@dfef6f36", "RC-220@d1c54305")
def test_values_are_written_without_control_codes_and_shortened() -> None:
    verdict = HEADER_GUARDS[CheckCode.BODY_PART](
        builders.radiograph(body_part_examined="A\x1b[2J\n" + "B" * 60_000), LABEL
    )
    check = DESCRIPTIONS[CheckCode.BODY_PART].check(CheckCode.BODY_PART, verdict, "CHEST")
    assert check.value.startswith("A\\x1b[2J\\nBBB")
    assert len(check.value) < 220
    assert printable("PA \u00e9\u200b\udcff") == "PA \u00e9\\u200b\\udcff"
