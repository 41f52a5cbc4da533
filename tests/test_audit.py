"""The audit trail: a chain that shows every change, and holds no patient."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from builders import dx, to_bytes

from cxr_device import Device
from cxr_device.audit import FACTS, START, AuditEvent, AuditTrail, facts_of, verify
from cxr_device.errors import AuditError
from verification import verifies

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """An audit file of five events."""
    path = tmp_path / "audit.jsonl"
    with AuditTrail(path, at=AT) as opened:
        for number in range(5):
            opened.append(AuditEvent.RECEIVED, at=AT, bytes=number, caller="MODALITY")
    return path


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
def test_a_chain_is_whole_and_goes_on(trail: Path) -> None:
    first = verify(trail)
    assert first.lines == 5
    with AuditTrail(trail, at=AT) as opened:
        assert opened.head == first.head
        opened.append(AuditEvent.STOPPED, at=AT)
    assert verify(trail, head=first.head).lines == 6


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
def test_the_digest_can_be_computed_without_the_device(trail: Path) -> None:
    previous = "0" * 64
    for number, line in enumerate(trail.read_text(encoding="ascii").splitlines()):
        entry = json.loads(line)
        stated = entry.pop("sha256")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        assert sha256(text.encode()).hexdigest() == stated
        assert (entry["previous"], entry["sequence"]) == (previous, number)
        previous = stated


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (lambda ls: [*ls[:2], ls[2].replace(b"MODALITY", b"ANOTHER1"), *ls[3:]], "line 3"),
        (lambda ls: ls[:2] + ls[3:], "line 3"),  # removed
        (lambda ls: ls[1:], "line 1"),  # removed at the start
        (lambda ls: [ls[1], ls[0], *ls[2:]], "line 1"),  # moved
        (lambda ls: [*ls[:2], ls[1], *ls[2:]], "line 3"),  # put in twice
        (lambda ls: [*ls[:2], b"{}\n", *ls[2:]], "line 3"),
        (lambda ls: [*ls[:2], b"[1]\n", *ls[2:]], "line 3"),
        (lambda ls: [*ls[:2], b"\n", *ls[2:]], "line 3"),
        (lambda ls: [*ls[:2], b"\xff\xfe\n", *ls[2:]], "line 3"),
        (lambda ls: [*ls, ls[-1][:40]], "torn"),
        (lambda ls: [*ls[:-1], ls[-1][:-1]], "torn"),
    ],
)  # fmt: skip
def test_every_change_is_found(trail: Path, fault: object, named: str) -> None:
    assert callable(fault)
    trail.write_bytes(b"".join(fault(_lines(trail))))
    with pytest.raises(AuditError, match=named):
        verify(trail)


def _forged(line: bytes, **changes: Any) -> bytes:
    """A line that was changed by somebody who also made its digest anew."""
    entry = {**json.loads(line), **changes}
    del entry["sha256"]
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return json.dumps({**entry, "sha256": sha256(text.encode()).hexdigest()}).encode() + b"\n"


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sequence": 5}, "line 5 does not follow"),
        ({"previous": "1" * 64}, "line 5 does not follow"),
        ({"schema": "cxr-device/audit/0"}, "line 5 was changed"),
        ({"sequence": "4"}, "line 5 was changed"),
        ({"previous": None}, "line 5 was changed"),
    ],
)
def test_a_line_with_a_digest_made_anew_must_still_follow_the_line_before(
    trail: Path, changes: dict[str, Any], said: str
) -> None:
    *whole, last = _lines(trail)
    trail.write_bytes(b"".join([*whole, _forged(last)]))
    assert verify(trail).lines == 5
    trail.write_bytes(b"".join([*whole, _forged(last, **changes)]))
    with pytest.raises(AuditError, match=said):
        verify(trail)


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
def test_every_changed_byte_is_found(trail: Path) -> None:
    data = trail.read_bytes()
    for at in range(0, len(data), 7):
        trail.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(AuditError):
            verify(trail)


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
def test_a_cut_tail_is_found_by_the_head_kept_elsewhere(trail: Path) -> None:
    head = verify(trail).head
    trail.write_bytes(b"".join(_lines(trail)[:-1]))
    assert verify(trail).lines == 4  # a whole chain, only shorter
    with pytest.raises(AuditError, match="cut off or replaced"):
        verify(trail, head=head)
    assert verify(trail, head=START).lines == 4


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
@pytest.mark.parametrize("left", [1, 40, -1])
def test_a_torn_line_is_taken_off_and_told(trail: Path, left: int) -> None:
    *whole, last = _lines(trail)
    torn = last[:left]
    trail.write_bytes(b"".join(whole) + torn)
    with AuditTrail(trail, at=AT) as opened:
        opened.append(AuditEvent.STARTED, at=AT)
    told = [json.loads(line) for line in _lines(trail)]
    assert verify(trail).lines == 6
    assert [entry["event"] for entry in told[4:]] == ["torn_line", "started"]
    assert told[4]["facts"] == {"bytes": len(torn), "line_sha256": sha256(torn).hexdigest()}


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
def test_a_trail_of_one_line_and_one_that_was_torn_at_its_first_go_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    AuditTrail(path, at=AT).close()
    assert path.read_bytes() == b""
    assert path.stat().st_mode & 0o777 == 0o600  # nobody else reads it
    path.write_bytes(b'{"schema"')
    with AuditTrail(path, at=AT) as opened:
        assert opened.head == verify(path).head
    assert [json.loads(line)["facts"]["bytes"] for line in _lines(path)] == [9]
    with AuditTrail(path, at=AT) as opened:
        opened.append(AuditEvent.STARTED, at=AT)
    assert verify(path).lines == 2


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
def test_the_longest_event_leaves_a_trail_that_goes_on_and_a_longer_one_is_refused(
    trail: Path,
) -> None:
    with AuditTrail(trail, at=AT) as opened:
        opened.append(AuditEvent.SEND_FAILED, at=AT, reason="")
        room = 32768 - len(_lines(trail)[-1])
        opened.append(AuditEvent.SEND_FAILED, at=AT, reason="x" * room)
        assert len(_lines(trail)[-1]) == 32768
        before = trail.read_bytes()
        with pytest.raises(AuditError, match="more than 32768 bytes"):
            opened.append(AuditEvent.SEND_FAILED, at=AT, reason="x" * (room + 1))
        assert trail.read_bytes() == before
    trail.write_bytes(before + before[-32768:-1])  # the next one was torn before its end
    AuditTrail(trail, at=AT).close()
    assert verify(trail).lines == 8
    trail.write_bytes(b"x" * 70_000 + b"\n" + b"y" * 70_000)
    with pytest.raises(AuditError, match="longer than any event"):
        AuditTrail(trail, at=AT)


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
def test_a_trail_in_a_folder_that_is_absent_says_why(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "audit.jsonl"
    with pytest.raises(AuditError, match=f"{path}: No such file or directory"):
        AuditTrail(path, at=AT)


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="unit")
def test_nothing_is_appended_to_a_broken_line(trail: Path) -> None:
    trail.write_bytes(trail.read_bytes().replace(b'"bytes": 4', b'"bytes": 5'))
    before = trail.read_bytes()
    with pytest.raises(AuditError, match="last line"):
        AuditTrail(trail, at=AT)
    assert trail.read_bytes() == before


@verifies("SRS-248@fba2de1f", level="unit")
def test_one_process_writes_at_a_time(trail: Path) -> None:
    with AuditTrail(trail, at=AT), pytest.raises(AuditError, match="another process"):
        AuditTrail(trail, at=AT)
    AuditTrail(trail, at=AT).close()


@verifies("SRS-248@fba2de1f", level="unit")
def test_threads_append_to_one_chain(trail: Path) -> None:
    with AuditTrail(trail, at=AT) as opened:

        def work() -> None:
            for _ in range(10):
                opened.append(AuditEvent.READ, at=AT)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert verify(trail).lines == 45


@verifies("SRS-248@fba2de1f", level="unit")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("cannot fit"), "cannot fit"),
        (TimeoutError(), "TimeoutError"),
    ],
)
@pytest.mark.parametrize("call", ["open", "write"])
def test_what_the_system_refuses_is_told_in_words_also_where_it_gave_none(
    call: str, error: OSError, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> int:
        raise error

    path = tmp_path / "audit.jsonl"
    with AuditTrail(path, at=AT) as opened:
        monkeypatch.setattr(os, call, refuse)
        with pytest.raises(AuditError) as told:
            AuditTrail(path, at=AT) if call == "open" else opened.append(AuditEvent.STOPPED, at=AT)
        monkeypatch.undo()
    assert str(told.value).startswith(f"AUDIT {path}: {words}; ")


@verifies("SRS-248@fba2de1f", level="unit")
def test_a_full_disk_leaves_a_whole_chain(trail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write = trail.read_bytes(), os.write

    def full(file: int, line: bytes) -> int:
        if not line.startswith(b"{"):  # the rest of a line whose beginning was written
            raise OSError(28, "No space left on device")
        return write(file, line[:5])

    with AuditTrail(trail, at=AT) as opened:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(AuditError, match="No space left"):
            opened.append(AuditEvent.READ, at=AT)
        monkeypatch.undo()
        assert trail.read_bytes() == before
        opened.append(AuditEvent.READ, at=AT)
    assert verify(trail).lines == 6


@verifies("SRS-248@fba2de1f", level="unit")
def test_a_time_without_an_offset_is_refused(trail: Path) -> None:
    with AuditTrail(trail, at=AT) as opened, pytest.raises(AuditError, match="offset"):
        opened.append(AuditEvent.READ, at=AT.replace(tzinfo=None))
    assert verify(trail).lines == 5


@verifies("SRS-249@be0e6c70", "RC-149@fb40471f", level="unit")
def test_the_closed_list_of_facts_holds_nothing_of_a_patient(trail: Path) -> None:
    digests = "film_sha256 weights_sha256 config_sha256 line_sha256"
    uids = "sop_instance_uid study_instance_uid transfer_syntax_uid"
    codes = "status flag operating_point codes dicom_status reason"
    others = "caller called device version profile probability total_ms attempt outputs bytes"
    names = f"{digests} {uids} {codes} {others}".split()
    assert set(names) == FACTS
    with AuditTrail(trail, at=AT) as opened:
        opened.append(AuditEvent.READ, at=AT, **dict.fromkeys(names, 1))
    assert json.loads(_lines(trail)[-1])["facts"] == dict.fromkeys(names, 1)


@verifies("SRS-249@be0e6c70", "RC-149@fb40471f", level="unit")
def test_a_fact_with_another_name_is_refused(trail: Path) -> None:
    before = trail.read_bytes()
    with AuditTrail(trail, at=AT) as opened, pytest.raises(AuditError, match="patient_name"):
        opened.append(AuditEvent.READ, at=AT, patient_name="Planted^Name")
    assert trail.read_bytes() == before


@verifies("SRS-249@be0e6c70", "RC-149@fb40471f", level="integration")
def test_no_patient_stands_in_the_trail(device: Device, tmp_path: Path) -> None:
    planted = {
        "PatientName": "Planted^Name", "PatientID": "PLANTED-ID", "PatientBirthDate": "19610203",
        "PatientAge": "064Y", "AccessionNumber": "PLANTED-ACC", "StudyDescription": "PLANTED text",
        "OtherPatientIDs": "PLANTED-OTHER",
    }  # fmt: skip
    films = [
        to_bytes(dx(**planted)),  # type: ignore[arg-type]
        to_bytes(dx(**planted, ViewPosition="LL")),  # type: ignore[arg-type]
        to_bytes(dx(**planted, SeriesDescription="PLANTED LAT", ProtocolName="PLANTED PA")),  # type: ignore[arg-type]
        to_bytes(dx(**planted)).replace(  # type: ignore[arg-type]
            b"1.2.826.0.1.3680043.10.1559.3\0", b"PLANTED^NAME".ljust(30)
        ),
        b"PLANTED-ID is no DICOM",
    ]  # fmt: skip
    path = tmp_path / "audit.jsonl"
    with AuditTrail(path, at=AT) as opened:
        for film in films:
            opened.append(AuditEvent.READ, at=AT, **facts_of(device.read(film)))
    text = path.read_text(encoding="ascii")
    entries = [json.loads(line)["facts"] for line in text.splitlines()]
    assert [entry["status"] for entry in entries] == ["analyzed"] + ["rejected"] * 3 + ["failed"]
    assert [entry["film_sha256"] for entry in entries] == [sha256(f).hexdigest() for f in films]
    assert "probability" in entries[0]
    uids = {name: value for name, value in entries[0].items() if name.endswith("_uid")}
    assert uids == {
        "sop_instance_uid": dx().SOPInstanceUID,
        "study_instance_uid": dx().StudyInstanceUID,
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
    }
    assert entries[3]["sop_instance_uid"] is None  # what stands there is no UID
    assert "VIEW" in entries[1]["codes"]
    assert "probability" not in entries[1]
    for word in ("planted", "19610203"):
        assert word not in text.lower()


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd", level="system")
def test_the_command_verifies(trail: Path) -> None:
    def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", "from cxr_device.cli import main; main()", "audit", "verify"]
        return subprocess.run(  # noqa: S603
            [*line, *map(str, arguments)], capture_output=True, text=True, check=False
        )

    head = verify(trail).head
    done = command(trail, "--head", head)
    assert (done.returncode, "5 lines" in done.stdout, head in done.stdout) == (0, True, True)
    trail.write_bytes(trail.read_bytes().replace(b"MODALITY", b"ANOTHER1", 1))
    done = command(trail)
    assert (done.returncode, done.stdout, "line 1" in done.stderr) == (5, "", True)
    done = command(trail.with_name("absent.jsonl"))
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (4, "", False)
