"""The record: one JSON object for a result, in the published schema."""

import json

import pytest
from answers import (
    LATERAL,
    PASSED,
    POINT,
    WARNED,
    Told,
    analyzed,
    checked,
    failed,
    rejected,
)

from cxr_device.outputs.json_record import WrittenOutput, record
from cxr_device.result import Checked, Failed, Rejected
from cxr_device.vocabulary import CheckCode, Outcome, Profile
from verification import verifies

PAGE = WrittenOutput(kind="report_html", path="out/a", sha256="00ff", sop_instance_uid=None)


@verifies("SRS-147@8b6ad5e8")
def test_the_record_of_a_film_that_was_read_has_the_keys_of_the_contract() -> None:
    result = analyzed(0.8, PASSED, WARNED)
    entry = json.loads(json.dumps(record(result, [PAGE])))
    assert list(entry) == [
        "schema", "status", "source", "device", "checks", "view", "finding", "outputs", "timing_ms",
    ]  # fmt: skip
    assert entry["schema"] == "cxr-device/result/1"
    assert entry["status"] == "analyzed"
    assert entry["source"] == {
        "path": "films/chest.dcm", "sha256": result.source.sha256,
        "sop_instance_uid": result.source.sop_instance_uid,
        "study_instance_uid": result.source.study_instance_uid,
        "transfer_syntax_uid": result.source.transfer_syntax_uid,
    }  # fmt: skip
    assert entry["view"] == {"value": "PA", "source": "ViewPosition"}
    assert entry["finding"] == {
        "probability": 0.8, "flag": "suspected",
        "operating_point": {"name": POINT.identifier, "threshold": POINT.threshold},
    }  # fmt: skip
    assert entry["outputs"] == [
        {"kind": "report_html", "path": "out/a", "sha256": "00ff", "sop_instance_uid": None}
    ]
    assert entry["timing_ms"] == {"total": 12.4}
    assert set(entry["device"]) == {
        "name", "version", "claim", "profile", "weights_sha256", "config_sha256",
        "preprocessing_sha256",
    }  # fmt: skip
    assert [check["outcome"] for check in entry["checks"]] == ["pass", "warn"]
    assert set(entry["checks"][0]) == {
        "code", "outcome", "tag", "value", "accepted", "hazard", "message",
    }  # fmt: skip


@verifies("SRS-148@b944f448", "RC-148@4c3b5db0")
@pytest.mark.parametrize(
    ("result", "status"), [(rejected(), "rejected"), (failed(), "failed"), (checked(), "analyzed")]
)
def test_only_a_film_that_was_read_has_a_finding(
    result: Rejected | Failed | Checked, status: str
) -> None:
    entry = record(result)
    assert entry["status"] == status
    assert entry["finding"] is None
    assert "probability" not in json.dumps(entry)
    assert entry["outputs"] == []


@verifies("SRS-147@8b6ad5e8")
def test_a_view_that_was_not_established_is_null() -> None:
    assert record(failed())["view"] is None


@verifies("SRS-147@8b6ad5e8")
@pytest.mark.parametrize(
    ("told", "outcome"),
    [(LATERAL, "reject"), ((CheckCode.DUPLICATE_UID, Outcome.NOT_RUN, "", "no node"), "not_run")],
)
def test_a_check_is_written_in_the_words_of_the_contract(told: Told, outcome: str) -> None:
    (check,) = record(rejected(told))["checks"]
    assert (check["code"], check["outcome"]) == (str(told[0]), outcome)
    assert (check["value"], check["message"]) == (told[2], told[3])


@verifies("SRS-155@5e9e6fbd", "RC-155@66076a19")
def test_the_research_record_says_that_it_is_not_the_device() -> None:
    research = record(analyzed(profile=Profile.RESEARCH))["device"]
    assert research["profile"] == "research"
    assert "not the device" in research["notice"]
    assert "notice" not in record(analyzed())["device"]
