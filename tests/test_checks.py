"""The checks in words: which code ends a film how, and what of a file's text is printed."""

from dataclasses import replace

import pytest

from cxr_device.checks import DESCRIPTIONS, Check, Verdict, accepted_by, printable
from cxr_device.label import Label
from cxr_device.vocabulary import CheckCode, Outcome
from verification import verifies

UNREADABLE = {"FILE_READ", "FILE_SIZE", "FILE_PREAMBLE", "FILE_PART10", "PARSE", "LENGTH", "DECODE"}
"""Codes of files that are unreadable or hostile, as the contract lists them."""


def check(label: Label, code: CheckCode = CheckCode.VIEW, **changes: str | Outcome) -> Check:
    """One check as it ended."""
    verdict = replace(Verdict(outcome=Outcome.REJECT, value="found", message="why"), **changes)  # type: ignore[arg-type]
    return DESCRIPTIONS[code].check(code, verdict, accepted_by(label)[code])


@verifies("SRS-182@1cf56f19", level="unit")
@pytest.mark.parametrize("code", CheckCode)
def test_only_a_rejecting_check_ends_a_film_and_its_code_says_how(
    code: CheckCode, label: Label
) -> None:
    for outcome in Outcome:
        ended = check(label, code, outcome=outcome)
        rejects = outcome == "reject"
        assert ended.is_failure is (rejects and code in UNREADABLE)
        assert ended.is_rejection is (rejects and code not in UNREADABLE)


@verifies("SRS-182@1cf56f19", level="unit")
@pytest.mark.parametrize("code", CheckCode)
def test_a_check_is_its_description_beside_its_verdict(code: CheckCode, label: Label) -> None:
    described, ended = DESCRIPTIONS[code], check(label, code, outcome=Outcome.WARN)
    assert (ended.code, ended.outcome) == (code, "warn")
    assert (ended.value, ended.message) == ("found", "why")
    assert (ended.tag, ended.hazard) == (described.tag, described.hazard)


@verifies("SRS-182@1cf56f19", "SRS-166@5c924c83", level="unit")
def test_what_is_accepted_is_said_with_the_label_s_values(label: Label) -> None:
    moved = replace(label, min_age_years=18, max_single_level_share=0.75, max_file_mib=7)
    for code, words in (
        (CheckCode.AGE, f"18 to {label.max_age_years} years"),
        (CheckCode.PIXEL_RANGE, "less than 75% of the"),
        (CheckCode.FILE_SIZE, "1 byte to 7 MiB"),
    ):
        assert words in check(moved, code).accepted


@verifies("SRS-227@dfef6f36", "RC-220@d1c54305", level="unit")
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("CHEST", "CHEST"),
        ("Thorax, größer als 2 µm", "Thorax, größer als 2 µm"),
        ("\x1b[2J", "\\x1b[2J"),  # clears a terminal
        ("a\nb\r\t", "a\\nb\\r\\t"),  # adds a line to a log
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("a\u202eb", "a\\u202eb"),  # writes from right to left
        ("\udcff", "\\udcff"),  # a byte of a file name that is no text
    ],
)
def test_control_codes_are_written_as_escapes(text: str, written: str, label: Label) -> None:
    assert printable(text) == written
    ended = check(label, value=text, message=text)
    assert (ended.value, ended.message) == (written, written)


@verifies("SRS-227@dfef6f36", "RC-220@d1c54305", level="unit")
def test_at_most_200_characters_of_a_value_are_written(label: Label) -> None:
    whole = "x" * 200
    assert check(label, value=whole, message=whole).value == whole
    for length in (201, 60_000):
        ended = check(label, value="x" * length, message="y" * length)
        assert (ended.value, ended.message) == (whole + "...", "y" * 200 + "...")
