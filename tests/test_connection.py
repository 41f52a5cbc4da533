"""Connections: how much and how long one peer may take, and who is let in."""

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from socketserver import BaseServer
from typing import Any

import pytest
from peers import HOST, named, wait
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.presentation import build_context

from cxr_device.audit import AuditTrail
from cxr_device.node import connection
from cxr_device.node.configuration import Tls
from cxr_device.node.connection import (
    AssociationLimits,
    BoundedServer,
    MessageReader,
    end,
    grant_next,
)
from cxr_device.node.journal import Journal
from cxr_device.node.services import MESSAGE_S, PDU_S
from verification import verifies

VERIFICATION = "1.2.840.10008.1.1"
"""Verification SOP Class."""
MIB = 2**20


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4")
def test_a_message_has_a_longest_length_and_time() -> None:
    limits = AssociationLimits(max_message_bytes=100)
    assert limits.deadline(now=1000.0) == 1000.0 + PDU_S
    assert limits.deadline(now=1000.0 + MESSAGE_S - 1) == 1000.0 + MESSAGE_S
    limits.count(100)
    with pytest.raises(OSError, match="more than 100 bytes"):
        limits.count(1)
    limits.grant()
    limits.count(100)
    assert limits.deadline(now=9000.0) == 9000.0 + PDU_S


@contextmanager
def reading(max_message_bytes: int = 2 * MIB) -> Iterator[tuple[MessageReader, socket.socket]]:
    """A reader, and the other end of its connection."""
    near, far = socket.socketpair()
    reader = MessageReader(
        Association(AE("CXRDEVICE"), "acceptor"), near, AssociationLimits(max_message_bytes)
    )
    with closing(near), closing(far):
        yield reader, far


def is_shut(far: socket.socket) -> bool:
    """Whether the other end closed."""
    far.settimeout(1)  # far less than an association is waited for
    try:
        return far.recv(1) == b""
    except ConnectionResetError:
        return True


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4")
def test_a_pdu_is_read_to_its_length_and_not_beyond() -> None:
    with reading() as (reader, far):
        far.sendall(b"01234567")
        assert reader.recv(4) == b"0123"
        rest = threading.Timer(0.2, far.sendall, [b"89AB"])
        rest.start()
        assert reader.recv(6) == b"456789"
        assert reader.recv(2) == b"AB"
        rest.join()


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4")
def test_a_pdu_of_one_mebibyte_is_read_and_a_longer_one_ends_the_connection() -> None:
    with reading() as (reader, far):
        sending = threading.Thread(target=far.sendall, args=(b"\0" * MIB,))
        sending.start()
        assert len(reader.recv(MIB)) == MIB
        sending.join()
        far.sendall(b"0123456789")
        with pytest.raises(OSError, match="a PDU of 1048577 bytes"):
            reader.recv(MIB + 1)
        assert is_shut(far)


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4")
def test_a_message_longer_than_any_film_ends_the_connection() -> None:
    with reading(max_message_bytes=10) as (reader, far):
        far.sendall(b"0123456789A")
        assert reader.recv(10) == b"0123456789"
        with pytest.raises(OSError, match="a message of more than 10 bytes"):
            reader.recv(1)
        assert is_shut(far)


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4")
def test_a_peer_that_stalls_within_a_pdu_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PDU_S", 0.2)
    with reading() as (reader, far):
        far.sendall(b"half")
        rescue = threading.Timer(5, far.close)
        rescue.start()
        with pytest.raises(TimeoutError):
            reader.recv(8)
        rescue.cancel()
        assert is_shut(far)


@verifies("SRS-256@70f845e6")
def test_a_connection_that_the_peer_closed_ends_a_pdu_early_and_leaves_no_socket() -> None:
    with reading() as (reader, far):
        far.sendall(b"half")
        far.close()
        assert reader.recv(8) == b"half"
        assert reader.socket is not None
        assert reader.socket.fileno() == -1
        reader.close()
        assert reader.recv(1) == b""
    broken = socket.socket()  # the peer reset it: there is nothing to shut down
    reader = MessageReader(Association(AE("CXRDEVICE"), "acceptor"), broken, AssociationLimits(1))
    reader.end()
    assert broken.fileno() == -1


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4")
def test_the_next_message_is_granted_when_every_one_before_it_was_answered() -> None:
    with reading(max_message_bytes=10) as (reader, far):
        association = reader.assoc
        association.dul.socket = reader
        answered = evt.Event(association, evt.EVT_DIMSE_SENT)
        far.sendall(b"0123456789" * 2)
        reader.recv(10)
        association.dimse.msg_queue.put((1, C_ECHO()))
        grant_next(answered)
        with pytest.raises(OSError, match="more than 10 bytes"):
            reader.limits.count(1)
        association.dimse.msg_queue.get()
        grant_next(answered)
        assert reader.recv(10) == b"0123456789"
        end(association)
        assert is_shut(far)


@dataclass
class Served:
    """A server that is running, and what it told."""

    server: BoundedServer
    stream: StringIO

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server.server_address[1])

    def events(self, name: str) -> list[dict[str, Any]]:
        """Events of a name that it noted."""
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]

    def echo(self, tls: ssl.SSLContext | None = None) -> int | None:
        """Status of a C-ECHO over an association of its own; None without one."""
        entity = AE("MODALITY")
        entity.acse_timeout = entity.dimse_timeout = 10
        entity.add_requested_context(VERIFICATION)
        association = entity.associate(HOST, self.port, tls_args=(tls, HOST) if tls else None)
        if not association.is_established:
            return None
        status = association.send_c_echo().Status
        association.release()
        return int(status)


@contextmanager
def serving(
    folder: Path,
    tls: ssl.SSLContext | None = None,
    *,
    to_ask_s: float = 2,
    max_message_bytes: int = MIB,
) -> Iterator[Served]:
    """A server of Verification on a free port."""
    stream = StringIO()
    with AuditTrail(folder / "audit.jsonl", at=datetime.now(UTC)) as audit:
        entity = AE("CXRDEVICE")
        entity.acse_timeout = to_ask_s
        server = BoundedServer(
            entity, (HOST, 0), [build_context(VERIFICATION)], [(evt.EVT_DIMSE_SENT, grant_next)],
            tls=tls, max_message_bytes=max_message_bytes, journal=Journal(audit, stream),
        )  # fmt: skip
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Served(server, stream)
        finally:
            BaseServer.shutdown(server)
            server.server_close()
            thread.join()
            for association in server.active_associations:
                association.abort()


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4")
def test_messages_that_are_answered_one_by_one_have_no_largest_sum(tmp_path: Path) -> None:
    with serving(tmp_path, max_message_bytes=1000) as served:
        entity = AE("MODALITY")
        entity.add_requested_context(VERIFICATION)
        association = entity.associate(HOST, served.port)
        assert [association.send_c_echo().Status for _ in range(30)] == [0x0000] * 30
        association.release()


def request(port: int) -> bytearray:
    """An association request, as pynetdicom writes it."""
    sent: list[bytes] = []
    entity = AE("MODALITY")
    entity.add_requested_context(VERIFICATION)
    handlers: list[Any] = [(evt.EVT_DATA_SENT, lambda event: sent.append(event.data))]
    entity.associate(HOST, port, ae_title="CXRDEVICE", evt_handlers=handlers).release()
    return bytearray(sent[0])


@verifies("SRS-335@238c862a", "RC-256@a19d63d4")
@pytest.mark.parametrize("opening", [b"", b"\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_connection_that_closed_unasked_frees_its_place(tmp_path: Path, opening: bytes) -> None:
    with serving(tmp_path, to_ask_s=60) as served:
        with socket.create_connection((HOST, served.port)) as probe:
            wait(lambda: served.server.active_associations, 5)
            probe.sendall(opening)
        wait(lambda: not served.server.active_associations, 5)
        assert served.echo() == 0x0000


@verifies("SRS-335@238c862a", "RC-256@a19d63d4")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_request_that_ends_the_reactor_ends_its_association(tmp_path: Path) -> None:
    with serving(tmp_path, to_ask_s=60) as served:
        wrong = request(served.port)
        context = wrong.index(b"\x20\x00", 74)  # PS3.8 table 9-13: a presentation context
        wrong[context + 4] = 2  # its identifier, which must be odd
        with socket.create_connection((HOST, served.port)) as peer:
            peer.settimeout(5)
            peer.sendall(wrong)
            assert is_shut(peer)
        wait(lambda: not served.server.active_associations, 5)
        assert served.echo() == 0x0000


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4")
def test_connections_have_a_largest_number_and_are_counted_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 3)
    with serving(tmp_path) as served:
        for _ in range(5):
            assert served.echo() == 0x0000
            wait(lambda: not served.server.active_associations, 10)
        probes = []
        for count in (1, 2, 3):
            probes.append(socket.create_connection((HOST, served.port)))
            wait(lambda n=count: len(served.server.active_associations) == n, 10)  # type: ignore[misc]
        with socket.create_connection((HOST, served.port)) as refused:
            assert is_shut(refused)
        (told,) = served.events("connection_refused")
        assert told["host"] == HOST
        for each in probes:
            each.close()
        wait(lambda: not served.server.active_associations, 10)
        assert served.echo() == 0x0000


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4")
def test_a_connection_counts_once_while_its_association_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    handler = connection._Handler  # noqa: SLF001
    monkeypatch.setattr(handler, "finish", lambda _self: over.wait(30))
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 2)
    with serving(tmp_path) as served, ExitStack() as probes:
        for count in (1, 2):
            probes.enter_context(socket.create_connection((HOST, served.port)))
            wait(lambda n=count: len(served.server.active_associations) == n, 10)  # type: ignore[misc]
        assert len([t for t in threading.enumerate() if "process_request_thread" in t.name]) == 2
        over.set()
        assert not served.events("connection_refused")


@verifies("SRS-260@3213ec5b", "RC-260@ced4c950", "SRS-256@70f845e6")
def test_a_tls_handshake_holds_nobody_up_and_a_plain_caller_is_told(tmp_path: Path) -> None:
    subprocess.run(  # noqa: S603  # fixed arguments
        [  # noqa: S607
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=node", "-addext", f"subjectAltName=IP:{HOST}",
            "-keyout", tmp_path / "node.key", "-out", tmp_path / "node.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    node = Tls.parse(f"{tmp_path / 'node.pem'},{tmp_path / 'node.key'},{tmp_path / 'node.pem'}")
    with serving(tmp_path, tls=node.server()) as served:
        stalled = socket.create_connection((HOST, served.port))
        wait(lambda: named("process_request_thread"), 10)
        shaking = [t for t in threading.enumerate() if "process_request_thread" in t.name]
        assert all(thread.daemon for thread in shaking)  # none keeps a stopped node alive
        assert served.echo(node.client()) == 0x0000
        assert served.echo() is None
        wait(lambda: served.events("connection_failed"), 10)
        (told,) = served.events("connection_failed")
        assert (told["host"], told["error"]) == (HOST, "SSLError")
        stalled.close()
        wait(lambda: not named("process_request_thread"), 10)
