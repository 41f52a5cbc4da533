"""The node with peers on loopback: films in, answers out, and peers that misbehave."""

import json
import socket
import sqlite3
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import CR, DX, SC, to_bytes
from peers import (
    COMMITMENT,
    COMMITMENT_INSTANCE,
    HOST,
    Archive,
    archive,
    associate,
    film,
    named,
    store,
    store_bytes,
    wait,
)
from pydicom import Dataset, dcmread
from pynetdicom import evt

from cxr_device import Device
from cxr_device.errors import NodeError
from cxr_device.node import connection, server, worker
from cxr_device.node.answers import from_outputs
from cxr_device.node.configuration import Address, Configuration, Peer, Tls
from cxr_device.node.queue import AnswerObject, State
from cxr_device.node.service import Node
from cxr_device.result import Result
from verification import verifies

RETRY = 0x0122
"""SOP class not supported: a refusal by the archive."""
SR = "1.2.840.10008.5.1.4.1.1.88.34"


@contextmanager
def running(
    device: Device,
    data: Path,
    peer: Archive,
    answers: Any = None,
    stream: StringIO | None = None,
    **settings: Any,
) -> Iterator[Node]:
    """A node on a free port that answers to `peer`."""
    configuration = Configuration(
        **{
            "ae_title": "CXRDEVICE",
            "bind": Address(host=HOST, port=0),
            "data": data,
            "peer": Peer(ae_title=peer.ae_title, address=Address(host=HOST, port=peer.port)),
            "callers": frozenset(),
            "tls": None,
            "metrics": None,
            **settings,
        }
    )
    node = Node(configuration, device, answers or from_outputs(device), stream=stream or StringIO())
    node.start()
    try:
        yield node
    finally:
        node.stop()


def delivered(node: Node, count: int) -> Callable[[], bool]:
    """Whether so many films are delivered and none waits."""

    def all_delivered() -> bool:
        counts = node.queue.counts()
        return counts[State.DELIVERED] == count and not counts[State.RECEIVED]

    return all_delivered


@verifies(
    "SRS-252@76c77da2",
    "SRS-254@0e80cc84",
    "RC-254@a42e0a0c",
    "SRS-263@889dca72",
    "RC-263@632df2c7",
    "SRS-149@a4a13613",
    "RC-149@fb40471f",
    level="integration",
)
def test_films_come_in_and_answers_go_back_into_their_studies(
    device: Device, tmp_path: Path
) -> None:
    accepted, refused = film(1), film(2, PatientAge="010Y")
    stream = StringIO()
    with archive() as peer, running(device, tmp_path, peer, stream=stream) as node:
        assert store(node.port, accepted, refused) == [0x0000, 0xA900]
        wait(delivered(node, 2))
        wait(lambda: not [*(tmp_path / "films").iterdir(), *(tmp_path / "answers").iterdir()])
    remembered = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    for planted in ("Phantom", "PHANTOM-1"):
        assert planted not in stream.getvalue()
        assert planted.encode() not in remembered
    by_study: dict[str, list[str]] = {}
    for answer in peer.held.values():
        by_study.setdefault(answer.StudyInstanceUID, []).append(answer.Modality)
    assert sorted(by_study[accepted.StudyInstanceUID]) == ["DOC", "OT", "SR"]
    assert sorted(by_study[refused.StudyInstanceUID]) == ["DOC", "SR"]
    (report,) = peer.answers_to(refused.SOPInstanceUID)
    assert "Not Attempted" in report.to_json()
    assert "AGE" in report.to_json()


@verifies(
    "SRS-253@44cbeb95",
    "RC-253@6be5ac6b",
    "SRS-129@30e16ddb",
    "RC-129@60ac80da",
    level="system",
)
def test_the_same_bytes_are_answered_once_and_other_bytes_refused(
    device: Device, tmp_path: Path
) -> None:
    first, second = film(1), film(1, ViewPosition="AP", ViewCodeSequence=None)
    with archive() as peer, running(device, tmp_path, peer) as node:
        assert store(node.port, first, first) == [0x0000, 0x0000]
        wait(delivered(node, 1))
        assert store(node.port, second, first) == [0xA900, 0x0000]
        wait(delivered(node, 2))
        assert node.health().events["read"] == 2
    reports = [answer.to_json() for answer in peer.answers_to(first.SOPInstanceUID)]
    assert len(reports) == 2
    assert sum("DUPLICATE_UID" in report for report in reports) == 1


@verifies(
    "SRS-127@77a2f79f",
    "RC-127@34cef2c1",
    "SRS-252@76c77da2",
    "RC-252@3a0e3938",
    level="integration",
)
def test_each_header_has_its_status(device: Device, tmp_path: Path) -> None:
    nobody = film(1, PatientID="")
    computed = film(2, SOPClassUID=CR, PresentationIntentType=None, Modality="CR")
    capture = film(3, SOPClassUID=SC, Modality="CT")
    with archive() as peer, running(device, tmp_path, peer) as node:
        assert store(node.port, nobody, computed, capture) == [0xA900, 0x0000, 0xA900]
        association = associate(node.port)
        assert store_bytes(association, b"no data set at all" * 9) == 0xC000
        assert store_bytes(association, b"\x08\0\x16\0UI\xff\xff1.2") == 0xC000
        association.release()
        wait(delivered(node, 3))
        wait(lambda: node.queue.counts()[State.CLOSED] == 2)
        wait(lambda: not list((tmp_path / "films").iterdir()))
    (report,) = peer.answers_to(nobody.SOPInstanceUID)
    assert "IDENTITY" in report.to_json()


@verifies("SRS-250@33dff3b0", "RC-250@3de670b9", level="integration")
def test_strangers_and_other_objects_are_refused(device: Device, tmp_path: Path) -> None:
    ct, processing = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1.1.1"
    known: dict[str, Any] = {"callers": frozenset({"MODALITY"})}
    with archive() as peer, running(device, tmp_path, peer, **known) as node:
        assert associate(node.port, calling="STRANGER").is_rejected
        assert associate(node.port, called="OTHER").is_rejected
        association = associate(node.port, classes=(DX, CR, SC, ct, processing))
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        assert accepted == {DX, CR, SC, COMMITMENT, "1.2.840.10008.1.1"}
        assert association.send_c_echo().Status == 0x0000
        association.release()
        big_endian = associate(node.port, syntaxes=("1.2.840.10008.1.2.2",))
        assert DX not in {context.abstract_syntax for context in big_endian.accepted_contexts}
        big_endian.release()
        assert node.health().events["association_rejected"] == 2


@verifies(
    "SRS-255@a2fb46e6",
    "RC-255@260a0abd",
    "SRS-261@b4884f46",
    "RC-261@68ea0417",
    level="integration",
)
def test_an_answer_is_offered_until_the_peer_takes_it(device: Device, tmp_path: Path) -> None:
    with archive(statuses=[0xA700, 0x0000, RETRY]) as peer, running(device, tmp_path, peer) as node:
        assert store(node.port, film(1, PatientAge="010Y")) == [0xA900]
        wait(delivered(node, 1))
        events = node.health().events
        assert events["send_failed"] == 2
        assert len(peer.held) == 2
        assert sorted(peer.offers.values()) == [1, 3]


@verifies(
    "SRS-255@a2fb46e6",
    "RC-255@260a0abd",
    "SRS-259@9dcdf119",
    "RC-259@da7e9c28",
    level="integration",
)
def test_an_archive_that_is_away_gets_its_answers_later(device: Device, tmp_path: Path) -> None:
    with archive() as peer:
        pass  # it has a port, and listens no more
    with running(device, tmp_path, peer) as node:
        assert store(node.port, film(1, PatientAge="010Y")) == [0xA900]
        wait(lambda: node.health().peer_failures >= 1)
        assert node.health().status == "degraded"
        peer.start()
        wait(delivered(node, 1))
        assert node.health().status == "ok"
        peer.stop()
    assert len(peer.held) == 2


@verifies("SRS-255@a2fb46e6", "RC-255@260a0abd", level="integration")
def test_a_lost_answer_holds_up_no_other_film(device: Device, tmp_path: Path) -> None:
    with archive() as peer:
        pass
    with running(device, tmp_path, peer) as node:
        assert store(node.port, film(1, PatientAge="010Y"), film(2, PatientAge="010Y")) == [
            0xA900, 0xA900,
        ]  # fmt: skip
        wait(lambda: node.queue.counts()[State.ANSWERED] == 2)
        lost = node.queue.due(now=1e12, limit=1)[0].sha256
        node.queue.answer_path(lost, 0).unlink()
        peer.start()
        wait(delivered(node, 1))
        assert node.queue.counts()[State.ANSWERED] == 1
        peer.stop()


@verifies("SRS-255@a2fb46e6", level="integration")
def test_a_duplicate_counts_as_taken_only_where_it_was_offered_before(
    device: Device, tmp_path: Path
) -> None:
    refusals = [0x0111, 0x0000, 0x0111]
    with archive(statuses=refusals) as peer, running(device, tmp_path, peer) as node:
        assert store(node.port, film(1, PatientAge="010Y")) == [0xA900]
        wait(lambda: node.health().events.get("send_failed") == 1)
        wait(delivered(node, 1))
    assert len(peer.held) == 1  # the second answer; the first is held from before, says the peer


@verifies("SRS-258@94a522ce", "RC-258@373a2435", level="integration")
def test_a_node_started_again_goes_on(device: Device, tmp_path: Path) -> None:
    with archive() as peer:
        pass
    with running(device, tmp_path, peer) as node:
        assert store(node.port, film(1)) == [0x0000]
    assert len(list((tmp_path / "films").iterdir())) == 1
    peer.start()
    with running(device, tmp_path, peer) as node:
        wait(delivered(node, 1))
    peer.stop()
    assert len(peer.held) == 3


@verifies("SRS-262@f48a1b32", "RC-262@14735e54", level="integration")
def test_a_film_whose_reading_ends_is_answered_as_failed(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, good = film(1), film(2)
    read = device.read

    def ends(source: bytes, **given: Any) -> Result:
        if poison.SOPInstanceUID.encode() in source:
            message = "a defect"
            raise ZeroDivisionError(message)
        return read(source, **given)

    monkeypatch.setattr(device, "read", ends)
    monkeypatch.setattr(worker, "RETRY_S", 0.05)
    with archive() as peer, running(device, tmp_path, peer) as node:
        assert store(node.port, poison, good) == [0x0000, 0x0000]
        wait(delivered(node, 2))
        assert node.health().events["reading_failed"] == worker.MAX_ATTEMPTS
    (report,) = peer.answers_to(poison.SOPInstanceUID)
    assert "DECODE" in report.to_json()


@verifies("SRS-254@0e80cc84", "SRS-262@f48a1b32", level="integration")
def test_a_film_that_cannot_be_answered_is_closed_and_its_bytes_kept(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_data: bytes, _result: Result) -> Sequence[AnswerObject]:
        message = "a defect"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(worker, "RETRY_S", 0.05)
    with archive() as peer, running(device, tmp_path, peer, broken) as node:
        assert store(node.port, film(1, PatientAge="010Y"), film(2)) == [0xA900, 0x0000]
        wait(lambda: node.queue.counts()[State.CLOSED] == 2)
        assert len(list((tmp_path / "films").iterdir())) == 1


@verifies("SRS-252@76c77da2", "RC-252@3a0e3938", level="integration")
def test_what_cannot_be_made_safe_is_refused(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    def locked(*_arguments: object, **_named: object) -> None:
        message = "database is locked"
        raise sqlite3.OperationalError(message)

    with archive() as peer, running(device, tmp_path, peer) as node:
        for failure in (full, locked):
            with monkeypatch.context() as patch:
                patch.setattr(node.queue, "receive", failure)
                assert store(node.port, film(1)) == [0xA700]
        with monkeypatch.context() as patch:
            patch.setattr(server, "MIN_FREE_BYTES", 1 << 62)
            assert store(node.port, film(1)) == [0xA700]
        assert store(node.port, film(1)) == [0x0000]
        wait(delivered(node, 1))


@verifies("SRS-257@f76f360b", "RC-257@21184b54", level="integration")
@pytest.mark.parametrize("calling", ["ARCHIVE", "MODALITY"])
def test_storage_commitment_is_reported(device: Device, tmp_path: Path, calling: str) -> None:
    """The return peer gets its report on an association of its own, another on the same one."""
    reports: list[Dataset] = []

    def report(event: evt.Event) -> tuple[int, None]:
        reports.append(event.event_information)
        return 0x0000, None

    accepted, refused = film(1), film(2, PatientAge="010Y")
    request = Dataset()
    request.TransactionUID = "1.2.3.4"
    request.ReferencedSOPSequence = []
    for uid in (accepted.SOPInstanceUID, refused.SOPInstanceUID, "1.2.3"):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = DX, uid
        request.ReferencedSOPSequence.append(item)
    with archive() as peer, running(device, tmp_path, peer) as node:
        store(node.port, accepted, refused)
        association = associate(
            node.port, calling=calling, handlers=[(evt.EVT_N_EVENT_REPORT, report)]
        )
        status, _ = association.send_n_action(request, 1, COMMITMENT, COMMITMENT_INSTANCE)
        assert status.Status == 0x0000
        wait(lambda: [*reports, *peer.reports])
        nothing = Dataset()
        nothing.TransactionUID = "1.2.3.5"
        empty, _ = association.send_n_action(nothing, 1, COMMITMENT, COMMITMENT_INSTANCE)
        assert empty.Status == 0x0115
        association.release()
        wait(lambda: not node.queue.commitments(time.time() + 1e6))
    (found,) = peer.reports if calling == "ARCHIVE" else reports
    assert found.TransactionUID == "1.2.3.4"
    assert [i.ReferencedSOPInstanceUID for i in found.ReferencedSOPSequence] == [
        accepted.SOPInstanceUID
    ]
    assert [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in found.FailedSOPSequence] == [
        (refused.SOPInstanceUID, 0x0110), ("1.2.3", 0x0112),
    ]  # fmt: skip


@verifies("SRS-259@9dcdf119", level="integration")
def test_health_and_metrics(device: Device, tmp_path: Path) -> None:
    metrics: dict[str, Any] = {"metrics": Address(host=HOST, port=0)}
    with archive() as peer, running(device, tmp_path, peer, **metrics) as node:
        store(node.port, film(1, PatientAge="010Y"))
        wait(delivered(node, 1))
        assert node.monitor is not None
        base = f"http://{HOST}:{node.monitor.port}"
        with urllib.request.urlopen(f"{base}/health") as response:  # noqa: S310
            assert json.load(response)["status"] == "ok"
        with urllib.request.urlopen(f"{base}/metrics") as response:  # noqa: S310
            lines = response.read().decode().splitlines()
        values = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines}
        assert values['cxr_node_films{state="delivered"}'] == "1"
        assert values['cxr_node_events_total{event="refused"}'] == "1"
        assert values["cxr_node_up"] == "1"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{base}/")  # noqa: S310


@verifies("SRS-251@3d6a7be0", level="integration")
def test_an_address_that_is_taken_is_refused(device: Device, tmp_path: Path) -> None:
    with archive() as peer, running(device, tmp_path / "one", peer) as node:
        taken = Address(host=HOST, port=node.port)
        settings: tuple[dict[str, Any], ...] = ({"bind": taken}, {"metrics": taken})
        for setting in settings:
            with pytest.raises(NodeError, match="Address already in use"):
                running(device, tmp_path / "two", peer, **setting).__enter__()


def silent(port: int, first_bytes: bytes = b"") -> socket.socket:
    """A connection that sends something and then nothing."""
    connected = socket.create_connection((HOST, port))
    connected.sendall(first_bytes)
    return connected


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4", level="integration")
def test_peers_that_stall_or_lie_leave_no_thread_and_stop_nobody(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PDU_S", 1.0)
    openings = [
        b"",  # a load balancer's probe
        b"\x01",  # half a header
        b"\x01\x00\x00\x00\x01\x00" + b"\x00\x01",  # an association request that stalls
        b"\x01\x00" + struct.pack(">L", 0xFFFFFFF0) + b"\0" * 512,  # 4 GiB announced
        b"\x04\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # data before an association
        b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
    ]
    with archive() as peer, running(device, tmp_path, peer) as node:
        before = threading.active_count()
        connections = [silent(node.port, opening) for opening in openings]
        assert store(node.port, film(1, PatientAge="010Y")) == [0xA900]
        for each in connections[:2]:
            each.close()
        aborted = associate(node.port)
        aborted.abort()
        wait(lambda: not named("AcceptorThread"))
        wait(lambda: threading.active_count() <= before)
        for each in connections:
            each.close()
        wait(delivered(node, 1))


@verifies("SRS-335@238c862a", "RC-256@a19d63d4", level="integration")
@pytest.mark.parametrize(
    "opening", [b"", b"\x01\x00\x00\x00\x01\x00\x00\x01", b"GET / HTTP/1.1\r\nHost: node\r\n\r\n"]
)
def test_connections_that_closed_unasked_hold_no_place(
    device: Device, tmp_path: Path, opening: bytes
) -> None:
    with archive() as peer, running(device, tmp_path, peer) as node:
        for _ in range(40):
            silent(node.port, opening).close()
        begun = time.monotonic()
        association: Any = None
        while association is None or not association.is_established:
            assert time.monotonic() - begun < 5
            association = associate(node.port)
        association.release()
        wait(lambda: not named("AcceptorThread"), 10)


@verifies("SRS-336@402c3a27", "RC-149@fb40471f", level="integration")
def test_a_thread_that_ends_leaves_one_line_and_no_words(device: Device, tmp_path: Path) -> None:
    stream, command = StringIO(), b"PLANTED^NAME"
    data = struct.pack("<HHL", 0, 2, len(command)) + command  # a command set without its command
    value = struct.pack(">LBB", len(data) + 2, 1, 3) + data
    with archive() as peer, running(device, tmp_path, peer, stream=stream) as node:
        association = associate(node.port)
        sent = association.dul.socket.socket  # type: ignore[union-attr]
        assert sent is not None
        sent.sendall(struct.pack(">BxL", 4, len(value)) + value)
        wait(lambda: "thread_ended" in stream.getvalue())
        assert store(node.port, film(2, PatientAge="010Y")) == [0xA900]
        wait(delivered(node, 1))
    (line,) = [each for each in stream.getvalue().splitlines() if "thread_ended" in each]
    assert json.loads(line)["error"] == "AttributeError"
    assert "PLANTED" not in stream.getvalue()
    assert "Traceback" not in stream.getvalue()


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4", level="integration")
def test_a_message_longer_than_any_film_ends_its_association(
    device: Device, tmp_path: Path
) -> None:
    long = film(1)
    long.add_new(0x00091001, "OB", b"\0" * (66 << 20))
    with archive() as peer, running(device, tmp_path, peer) as node:
        association = associate(node.port)
        status = association.send_c_store(long)
        assert "Status" not in status
        assert store(node.port, film(2, PatientAge="010Y")) == [0xA900]
        wait(delivered(node, 1))
        assert node.queue.counts()[State.DELIVERED] == 1


@verifies("SRS-252@76c77da2", "SRS-256@70f845e6", "RC-256@a19d63d4", level="integration")
def test_hostile_data_sets_get_a_status_and_stop_nobody(device: Device, tmp_path: Path) -> None:
    whole = to_bytes(film(1, PatientAge="010Y"))
    start = 144 + int.from_bytes(whole[140:144], "little")  # behind the file meta information
    header, chance = whole[start : start + 2000], np.random.default_rng(15)
    hostile = [header[: int(chance.integers(8, 2000))] for _ in range(15)]
    for _ in range(25):
        flipped = bytearray(header)
        for at in chance.integers(0, len(header), 4):
            flipped[at] ^= int(chance.integers(1, 256))
        hostile.append(bytes(flipped))
    with archive() as peer, running(device, tmp_path, peer) as node:
        association = associate(node.port)
        uid = film(1).SOPInstanceUID
        statuses = [store_bytes(association, each, sop_instance=uid) for each in hostile]
        association.release()
        assert store(node.port, film(2, PatientAge="010Y")) == [0xA900]
        wait(lambda: node.queue.counts()[State.RECEIVED] == 0)
        wait(lambda: node.queue.counts()[State.ANSWERED] == 0)
        assert node.health().is_running
    assert set(statuses) <= {0xA900, 0xC000}
    assert 0xC000 in statuses
    assert len(peer.answers_to(film(2).SOPInstanceUID)) == 1


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4", level="integration")
def test_twenty_associations_at_once(device: Device, tmp_path: Path) -> None:
    films = [film(n, PatientAge="010Y") for n in range(20)]
    with archive() as peer, running(device, tmp_path, peer) as node:
        with ThreadPoolExecutor(20) as pool:
            statuses = list(pool.map(lambda each: store(node.port, each), films))
        assert statuses == [[0xA900]] * 20
        wait(delivered(node, 20))
    assert len(peer.held) == 2 * 20


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4", level="integration")
def test_one_association_too_many_is_refused_until_one_ends(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_ASSOCIATIONS", 3)
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 6)
    with archive() as peer, running(device, tmp_path, peer) as node:
        taken = [associate(node.port) for _ in range(3)]
        assert all(each.is_established for each in taken)
        assert associate(node.port).is_rejected
        for each in taken:
            each.release()
        wait(lambda: not node.health().associations)
        probes = [silent(node.port) for _ in range(7)]
        wait(lambda: node.health().events.get("connection_refused"))
        for probe in probes:
            probe.close()
        wait(lambda: not node.health().associations)
        assert store(node.port, film(1, PatientAge="010Y")) == [0xA900]
        wait(delivered(node, 1))


def certificate(folder: Path, name: str, *, signed_by: str | None) -> None:
    """Make a key and a certificate for 127.0.0.1 with openssl."""
    extension = "subjectAltName=IP:127.0.0.1"
    authority = (
        ["-CA", folder / f"{signed_by}.pem", "-CAkey", folder / f"{signed_by}.key"]
        if signed_by
        else ["-addext", "keyUsage=critical,keyCertSign,digitalSignature"]
    )
    subprocess.run(  # noqa: S603
        [  # noqa: S607
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-addext", extension, *authority,
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip


@verifies("SRS-260@3213ec5b", "RC-260@ced4c950", level="integration")
def test_tls_both_ways_with_certificates(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate(tmp_path, "authority", signed_by=None)
    certificate(tmp_path, "stranger", signed_by=None)
    for name in ("node", "modality"):
        certificate(tmp_path, name, signed_by="authority")

    def tls(name: str) -> Tls:
        return Tls.parse(",".join(str(tmp_path / f) for f in (f"{name}.pem", f"{name}.key"))
                         + f",{tmp_path / 'authority.pem'}")  # fmt: skip

    monkeypatch.setattr(connection, "ASSOCIATION_S", 2.0)
    settings: dict[str, Any] = {"tls": tls("node")}
    with (
        archive(tls=tls("modality").server()) as peer,
        running(device, tmp_path / "data", peer, **settings) as node,
    ):
        stalled = silent(node.port)  # begins no handshake, and holds nobody up
        modality = tls("modality").client()
        assert store(node.port, film(1, PatientAge="010Y"), tls=modality) == [0xA900]
        wait(delivered(node, 1))
        assert not associate(node.port).is_established
        stranger = Tls.parse(f"{tmp_path / 'stranger.pem'},{tmp_path / 'stranger.key'}").client()
        stranger.load_verify_locations(tmp_path / "authority.pem")
        assert not associate(node.port, tls=stranger).is_established
        with closing(stalled):
            wait(lambda: not named("process_request_thread"))
    assert len(peer.held) == 2


@verifies("SRS-392@a7758883", "RC-263@632df2c7", level="integration")
def test_a_film_that_no_answer_can_name_is_not_told_success(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a series, and with a name in Latin 1 that its header calls UTF-8."""
    monkeypatch.setattr(worker, "RETRY_S", 0.05)
    no_series = film(1)
    del no_series.SeriesInstanceUID
    latin = to_bytes(film(2, SpecificCharacterSet="ISO_IR 100", PatientName="MÜLLER^J"))
    misnamed = dcmread(BytesIO(latin.replace(b"ISO_IR 100", b"ISO_IR 192")))
    stream = StringIO()
    with archive() as peer, running(device, tmp_path, peer, stream=stream) as node:
        assert store(node.port, no_series, misnamed, film(3)) == [0xC000, 0xC000, 0x0000]
        for each in (no_series, misnamed):
            assert node.queue.reference(each.SOPInstanceUID) == (DX, False)
        wait(lambda: node.queue.counts()[State.CLOSED] == 2 and delivered(node, 1)())
    assert "LLER" not in stream.getvalue()
    assert {each.StudyInstanceUID for each in peer.held.values()} == {film(3).StudyInstanceUID}


@verifies("SRS-391@0aaab3d7", "RC-259@da7e9c28", level="integration")
def test_a_full_disk_of_logs_stops_no_film(device: Device, tmp_path: Path) -> None:
    class Full(StringIO):
        def write(self, _text: str) -> int:  # type: ignore[explicit-override]
            raise OSError(28, "No space left on device")

    with archive() as peer, running(device, tmp_path, peer, stream=Full()) as node:
        assert store(node.port, film(1)) == [0x0000]
        wait(delivered(node, 1))
        assert node.health().is_running
        assert node.health().events["line_lost"] > 0
