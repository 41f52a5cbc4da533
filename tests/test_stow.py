"""STOW-RS: what is posted, and what a response says of each instance."""

import http.client
import json
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from builders import to_bytes
from peers import HOST
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from study_service import PATH, StudyArchive, study_service

from cxr_device.node.configuration import StudyService, Tls, way_out
from cxr_device.node.stow import StowClient
from verification import verifies

SR, PDF = "1.2.826.0.1.3680043.10.1559.1", "1.2.826.0.1.3680043.10.1559.2"
MIB = 2**20


def instance(uid: str, modality: str) -> bytes:
    """A small Part 10 file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    each = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    each.SOPClassUID, each.SOPInstanceUID, each.Modality = "1.2.3", uid, modality
    return to_bytes(each)


ANSWERS = {SR: instance(SR, "SR"), PDF: instance(PDF, "DOC")}
UNREADABLE = dict.fromkeys(ANSWERS, "unreadable response")


def client(
    service: StudyArchive, *, tls: ssl.SSLContext | None = None, word: str | None = None
) -> StowClient:
    """A client of a service on loopback."""
    scheme = "https" if tls else "http"
    way = way_out(f"{scheme}://{HOST}:{service.port}{PATH}", option="--return")
    assert isinstance(way, StudyService)
    return StowClient(way, tls=tls, authorization=word)


def told(*, stored: tuple[str, ...] = (), failed: tuple[tuple[str, Any], ...] = ()) -> bytes:
    """A store response as DICOM JSON (PS3.18 annex F)."""
    body: dict[str, Any] = {}
    if stored:
        items = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in stored]
        body["00081199"] = {"vr": "SQ", "Value": items}
    if failed:
        reasons = [
            {
                "00081155": {"vr": "UI", "Value": [uid]},
                **({} if reason is None else {"00081197": reason}),
            }
            for uid, reason in failed
        ]
        body["00081198"] = {"vr": "SQ", "Value": reasons}
    return json.dumps(body).encode()


def reason(code: int) -> dict[str, Any]:
    """A failure reason as DICOM JSON."""
    return {"vr": "US", "Value": [code]}


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20")
def test_every_instance_that_the_service_lists_is_taken() -> None:
    with study_service() as service:
        assert client(service).store(ANSWERS) == {SR: None, PDF: None}
    assert service.answered == [200]
    assert {uid: each.Modality for uid, each in service.held.items()} == {SR: "SR", PDF: "DOC"}
    assert service.authorizations == [None]


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20")
@pytest.mark.parametrize(
    ("refused", "status", "verdicts"),
    [
        ({"DOC": 0xA700}, 202, {SR: None, PDF: "0xA700"}),
        ({"DOC": 0x0111, "SR": 0x0110}, 409, {SR: "0x0110", PDF: "0x0111"}),
    ],
)
def test_each_instance_has_its_own_verdict(
    refused: dict[str, int], status: int, verdicts: dict[str, str | None]
) -> None:
    with study_service(reasons=[refused]) as service:
        assert client(service, word="Bearer a-token").store(ANSWERS) == verdicts
    assert service.answered == [status]
    assert service.authorizations == ["Bearer a-token"]


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20")
@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 500, 503])
def test_another_status_stores_nothing(status: int) -> None:
    with study_service(statuses=[status]) as service:
        assert client(service).store(ANSWERS) == dict.fromkeys(ANSWERS, f"HTTP {status}")


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20")
@pytest.mark.parametrize(
    ("body", "verdicts"),
    [
        (told(stored=(SR,)), {SR: None, PDF: "HTTP 200, not listed"}),
        (b"[" + told(stored=(SR, PDF)) + b"]", {SR: None, PDF: None}),
        (b"{}", dict.fromkeys(ANSWERS, "HTTP 200, not listed")),
        (told(stored=("1.2.3",)), dict.fromkeys(ANSWERS, "HTTP 200, not listed")),
        (
            told(stored=(SR, PDF), failed=((PDF, reason(0x0122)),)),
            {SR: None, PDF: "0x0122"},
        ),
        (told(failed=((SR, None),)), {SR: "0x0000", PDF: "HTTP 200, not listed"}),
        (told(failed=((SR, {"Value": ["no number"]}),)), UNREADABLE),
        (b"", UNREADABLE),
        (b"[]", UNREADABLE),
        (b"<xml/>", UNREADABLE),
        (b"7", UNREADABLE),
        (b"[" * 100_000, UNREADABLE),
    ],
    ids=[
        "one listed", "in a list", "nothing listed", "another listed", "listed twice",
        "no reason", "reason that is none", "empty", "empty list", "XML", "number", "deep",
    ],
)  # fmt: skip
def test_what_is_not_listed_as_stored_was_not_taken(
    body: bytes, verdicts: dict[str, str | None]
) -> None:
    with study_service(bodies=[body]) as service:
        assert client(service).store(ANSWERS) == verdicts


@verifies("SRS-310@b3b208f8")
def test_a_response_is_read_up_to_one_mebibyte() -> None:
    def padded(size: int) -> bytes:
        response = told(stored=(SR, PDF))
        return response[:-1] + b" " * (size - len(response)) + response[-1:]

    with study_service(bodies=[padded(MIB), padded(MIB + 1)]) as service:
        assert client(service).store(ANSWERS) == {SR: None, PDF: None}
        assert client(service).store(ANSWERS) == UNREADABLE


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20")
def test_a_service_that_breaks_off_or_is_away_raises() -> None:
    with study_service(statuses=[0]) as service, pytest.raises(http.client.RemoteDisconnected):
        client(service).store(ANSWERS)
    with pytest.raises(ConnectionRefusedError):
        client(service).store(ANSWERS)


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20", "SRS-260@3213ec5b")
def test_the_certificate_of_a_service_must_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the context that is given, or else by the system's list of authorities."""
    for name in ("known", "stranger"):
        subprocess.run(  # noqa: S603  # fixed arguments
            [  # noqa: S607
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                f"subjectAltName=IP:{HOST}", "-keyout", tmp_path / f"{name}.key",
                "-out", tmp_path / f"{name}.pem",
            ],
            check=True, capture_output=True,
        )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "known.pem"))
    known = f"{tmp_path / 'known'}.pem,{tmp_path / 'known'}.key"
    stranger = Tls.parse(known.replace("known", "stranger") + f",{tmp_path / 'stranger.pem'}")
    with study_service(tls=Tls.parse(known).server()) as service:
        way = way_out(f"https://{HOST}:{service.port}{PATH}", option="--return")
        assert isinstance(way, StudyService)
        by_system = StowClient(way, tls=None, authorization=None)
        assert by_system.store(ANSWERS) == {SR: None, PDF: None}
        with pytest.raises(ssl.SSLCertVerificationError):
            client(service, tls=stranger.client()).store(ANSWERS)
    assert len(service.answered) == 1
