"""Views: votes of the tags, and what they say together."""

from typing import Any

import builders
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_device.guards import resolve_view, view
from cxr_device.radiograph import Code
from cxr_device.release import Release
from verification import verifies

LABEL = Release.load().label
PA, AP = Code(value="272479007", scheme="SCT"), Code(value="399348003", scheme="SCT")
LEFT = Code(value="399173006", scheme="SCT")


def film(**changes: Any) -> Any:
    """A film of which no tag says the view, but for `changes`."""
    silent: dict[str, Any] = {
        "view_position": None, "view_codes": (), "patient_position": None,
        "series_description": None, "protocol_name": None,
    }  # fmt: skip
    return builders.radiograph(**{**silent, **changes})


def outcome(**changes: Any) -> str:
    return str(view(film(**changes), LABEL).outcome)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"view_position": "PA"}, "pass"),
        ({"view_position": "AP"}, "pass"),
        ({"view_codes": (PA,)}, "pass"),
        ({"view_codes": (AP,)}, "pass"),
        ({"view_codes": (Code(value="R-10206", scheme="SRT"),)}, "pass"),
        ({"view_position": "PA", "view_codes": (PA,)}, "pass"),
        ({"patient_position": "PA"}, "warn"),
        ({"patient_position": "AP", "view_position": ""}, "warn"),
        ({"series_description": "Chest PA"}, "warn"),
        ({"protocol_name": "chest_ap"}, "warn"),
        ({}, "reject"),
        ({"view_position": ""}, "reject"),
        ({"patient_position": "XX"}, "reject"),
        ({"patient_position": "HFS"}, "reject"),
        ({"view_position": "LL"}, "reject"),
        ({"view_position": "RL"}, "reject"),
        ({"view_position": "LAT"}, "reject"),
        ({"view_position": "RLO"}, "reject"),
        ({"view_position": "LLD"}, "reject"),
        ({"view_position": "LORDOTIC"}, "reject"),
        ({"view_position": "pa"}, "reject"),
        ({"view_codes": (LEFT,)}, "reject"),
        ({"view_codes": (Code(value="272479007", scheme="99LOCAL"),)}, "reject"),
        ({"view_position": "PA", "view_codes": (LEFT,)}, "reject"),
        ({"view_position": "PA", "view_codes": (AP,)}, "reject"),
        ({"view_position": "PA", "view_codes": (PA, LEFT)}, "reject"),
        ({"view_position": "PA", "patient_position": "AP"}, "reject"),
        ({"view_position": "PA", "patient_position": "HFS"}, "pass"),
        ({"view_position": "PA", "series_description": "CHEST LATERAL"}, "reject"),
        ({"view_position": "PA", "series_description": "PA and LAT"}, "reject"),
        ({"view_position": "PA", "protocol_name": "THORAX AP"}, "reject"),
        ({"series_description": "CHAP PALM FLAT"}, "reject"),
    ],
)
@verifies("SRS-113@b36d290d", "RC-113@702f05b3")
def test_the_votes_decide(changes: dict[str, Any], expected: str) -> None:
    assert outcome(**changes) == expected


@given(st.text())
@verifies("SRS-113@b36d290d", "RC-113@702f05b3")
def test_no_other_text_is_a_frontal_view(text: str) -> None:
    assert (outcome(view_position=text) == "pass") == (text in {"PA", "AP"})


@given(st.text(alphabet="APLRT _-/"))
@verifies("SRS-113@b36d290d", "RC-113@702f05b3")
def test_only_whole_words_of_a_description_vote(text: str) -> None:
    words = set(text.replace("_", " ").replace("-", " ").replace("/", " ").split())
    said = words & {"PA", "AP", "LAT", "LL", "RL"}
    assert (outcome(series_description=text) == "warn") == (said in ({"PA"}, {"AP"}))


@pytest.mark.parametrize("value", ["PA", "AP"])
@pytest.mark.parametrize(
    ("keyword", "field"),
    [
        ("ViewPosition", "view_position"),
        ("PatientPosition", "patient_position"),
        ("SeriesDescription", "series_description"),
        ("ProtocolName", "protocol_name"),
    ],
)
@verifies("SRS-171@ec46c465")
def test_the_view_travels_with_the_tag_that_said_it(value: str, keyword: str, field: str) -> None:
    vote = resolve_view(film(**{field: value}))
    assert vote is not None
    assert (vote.view, vote.source) == (value, keyword)


@pytest.mark.parametrize(("code", "value"), [(PA, "PA"), (AP, "AP")])
@verifies("SRS-171@ec46c465")
def test_the_view_code_is_named_as_source(code: Code, value: str) -> None:
    vote = resolve_view(film(view_codes=(code,)))
    assert vote is not None
    assert (vote.view, vote.source) == (value, "ViewCodeSequence")


@verifies("SRS-171@ec46c465", "SRS-113@b36d290d")
def test_a_rejected_view_lists_its_votes() -> None:
    verdict = view(film(view_position="PA", patient_position="LAT"), LABEL)
    assert verdict.value == "ViewPosition PA, PatientPosition LAT"
    assert resolve_view(film(view_position="PA", patient_position="LAT")) is None
