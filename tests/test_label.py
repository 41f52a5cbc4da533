"""The label: its values are the release's, and each moves its guard on both sides of the bound."""

import tomllib
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import numpy as np
import pytest
from builders import JPEG_BASELINE, compressed, dx, pixels, radiograph, to_bytes

from cxr_device.guards import HEADER_GUARDS
from cxr_device.intake import receive
from cxr_device.label import Label
from cxr_device.pixel_range import judge_pixels
from cxr_device.release import PACKAGE
from cxr_device.vocabulary import CheckCode
from verification import verifies


@verifies("SRS-166@5c924c83", "RC-166@4af25ac0")
def test_the_label_is_the_release_file_s_whole_and_frozen(label: Label) -> None:
    table = tomllib.loads((PACKAGE / "release.toml").read_text("utf-8"))["label"]
    assert asdict(label) == {**table, "limitations": tuple(table["limitations"])}
    with pytest.raises(FrozenInstanceError):
        label.min_age_years = 0  # type: ignore[misc]
    del table["min_age_years"]  # a value that is left out has no default
    with pytest.raises(TypeError, match="min_age_years"):
        Label(**table)


@verifies("SRS-166@5c924c83", "RC-166@4af25ac0")
@pytest.mark.parametrize(
    ("value", "code", "inside", "outside"),
    [
        ({"max_age_years": 90}, CheckCode.AGE, {"patient_age": "090Y"}, {"patient_age": "091Y"}),
        (
            {"age_agreement_years": 3},
            CheckCode.AGE,
            {"patient_age": "043Y", "patient_birth_date": "19800101", "study_date": "20260101"},
            {"patient_age": "042Y", "patient_birth_date": "19800101", "study_date": "20260101"},
        ),
        (
            {"warn_side_px": 1000},
            CheckCode.ROWS_COLUMNS,
            {"rows": 1000, "columns": 1000},
            {"rows": 999, "columns": 1000},
        ),
        (
            {"min_aspect_ratio": 0.5},
            CheckCode.ROWS_COLUMNS,
            {"rows": 3000, "columns": 1500},
            {"rows": 3000, "columns": 1499},
        ),
        (
            {"max_aspect_ratio": 2.0},
            CheckCode.ROWS_COLUMNS,
            {"rows": 1500, "columns": 3000},
            {"rows": 1500, "columns": 3001},
        ),
        (
            {"min_spacing_mm": 0.2},
            CheckCode.PIXEL_SPACING,
            {"imager_pixel_spacing": (0.2, 0.2)},
            {"imager_pixel_spacing": (0.199, 0.2)},
        ),
        (
            {"max_spacing_mm": 0.4},
            CheckCode.PIXEL_SPACING,
            {"imager_pixel_spacing": (0.4, 0.4)},
            {"imager_pixel_spacing": (0.401, 0.4)},
        ),
    ],
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else None,
)
def test_a_moved_value_moves_its_header_guard(
    value: dict[str, Any],
    code: CheckCode,
    inside: dict[str, Any],
    outside: dict[str, Any],
    label: Label,
) -> None:
    moved = replace(label, **value)
    assert HEADER_GUARDS[code](radiograph(**inside), moved).outcome == "pass"
    assert HEADER_GUARDS[code](radiograph(**outside), moved).outcome != "pass"


@verifies("SRS-166@5c924c83", "RC-166@4af25ac0")
def test_moved_grey_levels_and_shares_move_the_pixel_range(label: Label) -> None:
    frame = (np.arange(600 * 600) % 40).reshape(600, 600).astype(np.uint16)
    for levels, expected in ((40, "pass"), (41, "reject")):
        moved = replace(label, min_grey_levels=levels)
        assert judge_pixels(frame, bits_stored=12, label=moved).outcome == expected
    frame[:300] = 0  # 51.25 % of the pixels
    for share, expected in ((0.52, "pass"), (0.51, "reject")):
        moved = replace(label, max_single_level_share=share)
        assert judge_pixels(frame, bits_stored=12, label=moved).outcome == expected


@verifies("SRS-166@5c924c83", "RC-166@4af25ac0")
def test_a_moved_file_size_and_lossy_word_move_the_intake(label: Label) -> None:
    film = to_bytes(dx())  # 1,024 x 1,024 pixels of 2 bytes, and a header
    for mebibytes, expected in ((3, "pass"), (2, "reject")):
        taken = receive(film, replace(label, max_file_mib=mebibytes))
        assert taken.verdicts[CheckCode.FILE_SIZE].outcome == expected
    lossy = to_bytes(compressed(dx((pixels() >> 4).astype(np.uint8), bits_stored=8), JPEG_BASELINE))
    for accepted, expected in ((True, "warn"), (False, "reject")):
        taken = receive(lossy, replace(label, lossy_accepted=accepted))
        assert taken.verdicts[CheckCode.TRANSFER_SYNTAX].outcome == expected
