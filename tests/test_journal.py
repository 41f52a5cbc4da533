"""The journal: one line of JSON for what the node did, its counts, and the audit trail."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from builders import to_bytes
from peers import film

from cxr_device import Device
from cxr_device.audit import AuditEvent, AuditTrail, verify
from cxr_device.errors import AuditError
from cxr_device.node.journal import Journal
from verification import verifies


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditTrail]:
    with AuditTrail(tmp_path / "audit.jsonl", at=datetime.now(UTC)) as trail:
        yield trail


def lines(stream: StringIO) -> list[dict[str, Any]]:
    """What was written, one object a line."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@verifies("SRS-259@9dcdf119", "RC-259@da7e9c28")
def test_events_are_told_and_counted(audit: AuditTrail, tmp_path: Path) -> None:
    stream = StringIO()
    journal = Journal(audit, stream)
    assert journal.counts() == {}
    journal.note("peer_away", peer="ARCHIVE@127.0.0.1:104")
    journal.note("peer_away", peer="ARCHIVE@127.0.0.1:104")
    journal.record(AuditEvent.STOPPED)
    assert journal.counts() == {"peer_away": 2, "stopped": 1}
    assert [line["event"] for line in lines(stream)] == ["peer_away", "peer_away", "stopped"]
    assert lines(stream)[0]["peer"] == "ARCHIVE@127.0.0.1:104"
    assert datetime.fromisoformat(lines(stream)[0]["at"]).tzinfo == UTC
    (kept,) = (tmp_path / "audit.jsonl").read_text("utf-8").splitlines()
    assert json.loads(kept)["event"] == "stopped"


@verifies("SRS-259@9dcdf119")
def test_a_line_is_written_at_once(audit: AuditTrail, tmp_path: Path) -> None:
    path = tmp_path / "stderr"
    with path.open("w", buffering=1 << 16, encoding="utf-8") as stream:
        Journal(audit, stream).note("closed", reason="no study to answer in")
        assert json.loads(path.read_text("utf-8"))["event"] == "closed"


@verifies("SRS-149@a4a13613", "RC-149@fb40471f", "SRS-259@9dcdf119")
def test_a_reading_is_told_by_codes_and_kept_whole(audit: AuditTrail, tmp_path: Path) -> None:
    device = Device.load_guards()
    each = film(1, PatientAge="010Y")
    result = device.read(to_bytes(each))
    device.close()
    stream = StringIO()
    journal = Journal(audit, stream)
    assert journal.reading_seconds == 0
    journal.read(result, seconds=1.5)
    journal.read(result, seconds=0.5)
    assert journal.reading_seconds == 2.0
    assert journal.counts() == {"read": 2}
    told = lines(stream)[0]
    assert told["film_sha256"] == result.source.sha256
    assert told["sop_instance_uid"] == each.SOPInstanceUID
    assert (told["status"], told["codes"]) == ("rejected", ["AGE"])
    assert told["total_ms"] > 0
    assert set(told) == {
        "at", "event", "film_sha256", "sop_instance_uid", "status", "codes", "total_ms",
    }  # fmt: skip
    kept = (tmp_path / "audit.jsonl").read_text("utf-8")
    assert json.loads(kept.splitlines()[0])["facts"]["study_instance_uid"] == each.StudyInstanceUID
    assert verify(tmp_path / "audit.jsonl").lines == 2
    for planted in ("Phantom", "PHANTOM-1"):
        assert planted not in stream.getvalue() + kept


@verifies("SRS-149@a4a13613", "RC-149@fb40471f")
def test_an_event_that_the_trail_refuses_is_not_told(audit: AuditTrail) -> None:
    stream = StringIO()
    journal = Journal(audit, stream)
    with pytest.raises(AuditError, match="no audit fact is named patient_name"):
        journal.record(AuditEvent.SENT, patient_name="Phantom^Chest")
    assert journal.counts() == {}
    assert stream.getvalue() == ""


@verifies("SRS-391@0aaab3d7", "RC-259@da7e9c28")
@pytest.mark.parametrize(
    "failure",
    [OSError(28, "No space left on device"), BrokenPipeError(), ValueError("closed file")],
)
def test_a_line_that_cannot_be_written_is_counted(
    audit: AuditTrail, tmp_path: Path, failure: Exception
) -> None:
    class Full(StringIO):
        def write(self, _text: str) -> int:  # type: ignore[explicit-override]
            raise failure

    journal = Journal(audit, Full())
    journal.note("peer_away", peer="ARCHIVE@127.0.0.1:104")
    journal.record(AuditEvent.STOPPED)
    assert journal.counts() == {"peer_away": 1, "stopped": 1, "line_lost": 2}
    (kept,) = (tmp_path / "audit.jsonl").read_text("utf-8").splitlines()
    assert json.loads(kept)["event"] == "stopped"
