"""The server: what a sender is told of each film, and what is kept before it is told."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import CR, DX, SC, dx, to_bytes
from peers import (
    COMMITMENT,
    COMMITMENT_INSTANCE,
    HOST,
    associate,
    film,
    store,
    store_bytes,
    wait,
)
from pydicom import Dataset, FileDataset
from pynetdicom import evt

from cxr_device import Device
from cxr_device.audit import AuditTrail
from cxr_device.errors import NodeError
from cxr_device.node import server
from cxr_device.node.configuration import Configuration
from cxr_device.node.journal import Journal
from cxr_device.node.queue import Film, Queue, State
from cxr_device.node.server import Server
from cxr_device.release import Release
from verification import verifies

MIB = 2**20
VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="module")
def small_device() -> Iterator[Device]:
    """The guards alone, of a release whose longest file is 1 MiB."""
    installed = Release.load()
    release = replace(installed, label=replace(installed.label, max_file_mib=1))

    def absent(_pixels: Any) -> Any:
        raise NotImplementedError  # a server infers nothing: coming here fails the test

    device = Device(release, infer=absent, gate=absent)
    yield device
    device.close()


class Serving:
    """A running server with its queue, and what it told."""

    def __init__(
        self, queue: Queue, device: Device, audit: AuditTrail, settings: dict[str, Any]
    ) -> None:
        self.queue, self._stream = queue, StringIO()
        self.arrivals = self.promises = 0
        options = {
            "ae": "CXRDEVICE", "bind": f"{HOST}:0", "peer": f"ARCHIVE@{HOST}:104", "allow": None,
            "tls": None, "metrics": None,
        }  # fmt: skip
        self.server = Server(
            Configuration.parse(data=queue.folder, **{**options, **settings}),
            self.queue,
            device,
            Journal(audit, self._stream),
            arrived=self._arrive,
            promised=self._promise,
        )

    def _arrive(self) -> None:
        self.arrivals += 1

    def _promise(self) -> None:
        self.promises += 1

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    def told(self, event: str) -> list[dict[str, Any]]:
        """Events of a name."""
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    def kept(self) -> list[Film]:
        """Films that wait to be read, in order."""
        found = []
        while (each := self.queue.next_film(time.time())) is not None:
            found.append(each)
            self.queue.postpone(each.sha256, 1e12, attempts=0)
        return found


@contextmanager
def serving(folder: Path, device: Device, **settings: Any) -> Iterator[Serving]:
    """A server on a free port that is stopped at the end."""
    with (
        closing(Queue(folder / "data")) as queue,
        AuditTrail(queue.folder / "audit.jsonl", at=datetime.now(UTC)) as audit,
    ):
        made = Serving(queue, device, audit, settings)
        made.server.start()
        try:
            yield made
        finally:
            if made.server.is_alive():
                made.server.stop()


def data_set(each: FileDataset) -> bytes:
    """Bytes of a film behind its file meta information."""
    whole = to_bytes(each)
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


def sized(number: int, mib: float) -> FileDataset:
    """A film whose pixels take so much."""
    rows = int(mib * MIB) // 1024
    each = film(number)
    return dx(np.zeros((rows, 512), np.uint16), SOPInstanceUID=each.SOPInstanceUID)


@verifies("SRS-258@94a522ce", "RC-258@373a2435")
def test_a_server_without_associations_stops_at_once(small_device: Device, tmp_path: Path) -> None:
    with serving(tmp_path, small_device) as made:
        assert made.server.is_alive()
        begun = time.monotonic()
        made.server.stop()
        assert time.monotonic() - begun < 5
        assert not made.server.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, made.port))


@verifies("SRS-252@76c77da2", "RC-252@3a0e3938")
def test_each_film_is_kept_and_its_sender_told_how_it_stands(
    small_device: Device, tmp_path: Path
) -> None:
    accepted, refused = film(1), film(2, PatientAge="010Y")
    with serving(tmp_path, small_device) as made:
        assert store(made.port, accepted, refused) == [0x0000, 0xA900]
        association = associate(made.port)
        assert store_bytes(association, b"no data set at all" * 9) == 0xC000
        association.release()
        films = made.kept()
        assert [each.is_accepted for each in films] == [True, False, False]
        assert [each.sop_instance_uid for each in films] == [
            accepted.SOPInstanceUID, refused.SOPInstanceUID, None,
        ]  # fmt: skip
        assert {each.caller for each in films} == {"MODALITY"}
        assert made.queue.reference(accepted.SOPInstanceUID) == (DX, True)
        assert made.arrivals == 3
        (received,), (outside, unreadable) = made.told("received"), made.told("refused")
        assert received["film_sha256"] == films[0].sha256
        assert received["sop_instance_uid"] == accepted.SOPInstanceUID
        assert received["caller"] == "MODALITY"
        assert received["bytes"] == made.queue.film_path(films[0].sha256).stat().st_size
        assert [told["dicom_status"] for told in (received, outside, unreadable)] == [
            "0x0000", "0xA900", "0xC000",
        ]  # fmt: skip


@verifies("SRS-253@44cbeb95", "RC-253@6be5ac6b", "SRS-129@30e16ddb", "RC-129@60ac80da")
def test_the_same_bytes_are_one_film_and_other_bytes_are_refused(
    small_device: Device, tmp_path: Path
) -> None:
    first, other = film(1), film(1, PatientAge="050Y")
    with serving(tmp_path, small_device) as made:
        assert store(made.port, first, first, other, first) == [0x0000, 0x0000, 0xA900, 0x0000]
        assert [each.is_duplicate for each in made.kept()] == [False, True]
        assert [told["reason"] for told in made.told("received")] == [
            "new", "received before", "received before",
        ]  # fmt: skip
        (told,) = made.told("refused")
        assert (told["reason"], told["dicom_status"]) == ("new", "0xA900")


@verifies("SRS-149@a4a13613", "RC-149@fb40471f", "SRS-256@70f845e6")
def test_a_uid_that_is_none_is_neither_kept_nor_told(small_device: Device, tmp_path: Path) -> None:
    each = film(1)
    uid = each.SOPInstanceUID.encode()
    hostile = b"Phantom^Chest".ljust(len(uid), b"x")
    with serving(tmp_path, small_device) as made:
        association = associate(made.port)
        store_bytes(association, data_set(each).replace(uid, hostile))
        association.release()
        (kept,) = made.kept()
        assert kept.sop_instance_uid is None
        (told,) = [*made.told("received"), *made.told("refused")]
        assert "Phantom" not in json.dumps(told)


@verifies("SRS-252@76c77da2", "RC-252@3a0e3938")
def test_what_cannot_be_made_safe_is_refused_and_said(
    small_device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, small_device) as made:
        with monkeypatch.context() as patch:
            patch.setattr(server, "MIN_FREE_BYTES", 1 << 62)
            assert store(made.port, film(1)) == [0xA700]
        shutil.rmtree(made.queue.folder / "films")
        assert store(made.port, film(1)) == [0xA700]
        made.queue.close()
        assert store(made.port, film(1)) == [0xA700]
        reasons = [told["reason"] for told in made.told("out_of_resources")]
        assert made.arrivals == 0
    assert reasons == [
        f"less than {1 << 62} bytes free",
        "not made safe: FileNotFoundError",
        "not made safe: ProgrammingError",
    ]


@verifies("SRS-250@33dff3b0", "RC-250@3de670b9")
def test_strangers_and_other_objects_are_refused(small_device: Device, tmp_path: Path) -> None:
    with serving(tmp_path, small_device, allow="MODALITY,OTHER") as made:
        assert associate(made.port, calling="STRANGER").is_rejected
        assert associate(made.port, called="SOMEBODY").is_rejected
        association = associate(made.port, classes=(DX, CR, SC, CT))
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        assert accepted == {DX, CR, SC, COMMITMENT, VERIFICATION}
        assert association.send_c_echo().Status == 0x0000
        assert made.server.associations == 1
        association.release()
        wait(lambda: made.server.associations == 0, 10)
        wait(lambda: len(made.told("association_rejected")) == 2, 10)
        rejected = made.told("association_rejected")
    assert [(told["caller"], told["called"], told["host"]) for told in rejected] == [
        ("STRANGER", "CXRDEVICE", HOST), ("MODALITY", "SOMEBODY", HOST),
    ]  # fmt: skip


def request(*uids: str) -> Dataset:
    """A storage commitment request for instances as DX."""
    asked = Dataset()
    asked.TransactionUID = "1.2.3.4"
    asked.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = DX, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
@pytest.mark.parametrize("peer", [f"ARCHIVE@{HOST}:104", f"http://{HOST}:104/studies"])
def test_a_requestor_gets_its_report_on_the_same_association(
    small_device: Device, tmp_path: Path, peer: str
) -> None:
    reports: list[Dataset] = []
    reporting: list[bool] = []

    def take(event: evt.Event) -> tuple[int, None]:
        reports.append(event.event_information)
        reporting.extend(t.daemon for t in threading.enumerate() if t.name == "report")
        return 0x0000, None

    with serving(tmp_path, small_device, peer=peer) as made:
        store(made.port, film(1))
        association = associate(made.port, handlers=[(evt.EVT_N_EVENT_REPORT, take)])
        asked = request(film(1).SOPInstanceUID, "1.2.3")
        status, _ = association.send_n_action(asked, 1, COMMITMENT, COMMITMENT_INSTANCE)
        assert status.Status == 0x0000
        wait(lambda: made.told("commitment_reported"), 10)
        association.release()
        (told,) = made.told("commitment")
        assert made.promises == 0
        assert made.queue.commitments(1e12) == []
    assert (told["caller"], told["committed"], told["failed"]) == ("MODALITY", 1, 1)
    (found,) = reports
    assert found.TransactionUID == "1.2.3.4"
    assert [item.ReferencedSOPInstanceUID for item in found.FailedSOPSequence] == ["1.2.3"]
    assert reporting == [True]  # a requestor that stalls keeps no stopped node alive


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
def test_the_return_peer_s_report_is_kept_to_be_sent(small_device: Device, tmp_path: Path) -> None:
    with serving(tmp_path, small_device) as made:
        association = associate(made.port, calling="ARCHIVE")
        status, _ = association.send_n_action(request("1.2.3"), 1, COMMITMENT, COMMITMENT_INSTANCE)
        assert status.Status == 0x0000
        empty, _ = association.send_n_action(request(), 1, COMMITMENT, COMMITMENT_INSTANCE)
        assert empty.Status == 0x0115
        association.release()
        (promised,) = made.queue.commitments(time.time())
        assert promised.failed == ((DX, "1.2.3", 0x0112),)
        assert made.promises == 1
        assert [told["caller"] for told in made.told("commitment_refused")] == ["ARCHIVE"]
        assert made.told("commitment_reported") == []


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4")
def test_a_message_may_be_one_mebibyte_longer_than_the_longest_film(
    small_device: Device, tmp_path: Path
) -> None:
    """A film that is too long is answered; a message that no film needs ends its association."""
    with serving(tmp_path, small_device) as made:
        assert store(made.port, *(sized(n, 0.75) for n in range(4))) == [0x0000] * 4
        association = associate(made.port)
        assert store_bytes(association, data_set(sized(9, 1.5))) == 0xC000
        assert store_bytes(association, data_set(sized(10, 2.25))) == -1
        wait(lambda: made.server.associations == 0, 10)
        wait(lambda: not association.is_established, 10)
        assert len(made.kept()) == 5


@verifies("SRS-256@70f845e6")
def test_an_association_that_is_aborted_is_said_and_leaves_no_connection(
    small_device: Device, tmp_path: Path
) -> None:
    with serving(tmp_path, small_device) as made:
        associate(made.port).abort()
        wait(lambda: made.told("association_aborted"), 10)
        wait(lambda: made.server.associations == 0, 10)
        (told,) = made.told("association_aborted")
    assert (told["caller"], told["host"]) == ("MODALITY", HOST)


@verifies("SRS-251@3d6a7be0")
def test_an_address_that_is_taken_is_refused_and_named(
    small_device: Device, tmp_path: Path
) -> None:
    with serving(tmp_path, small_device) as made:
        taken = f"{HOST}:{made.port}"
        with pytest.raises(NodeError, match=f"--bind {taken}: Address already in use"):
            serving(tmp_path / "two", small_device, bind=taken).__enter__()


@verifies("SRS-258@94a522ce", "RC-258@373a2435")
def test_a_node_that_stops_takes_no_film_and_lets_its_sender_end(
    small_device: Device, tmp_path: Path
) -> None:
    with serving(tmp_path, small_device) as made:
        association = associate(made.port)
        stopping = threading.Thread(target=made.server.stop)
        stopping.start()
        wait(lambda: not made.server.is_alive(), 10)
        assert store_bytes(association, data_set(film(1))) == 0xA700
        assert made.told("out_of_resources")[0]["reason"] == "the node stops"
        assert stopping.is_alive()  # it waits for this sender
        association.release()
        stopping.join(8)
        assert not stopping.is_alive()
        assert made.queue.counts()[State.RECEIVED] == 0
        assert made.told("association_aborted") == []


@verifies("SRS-258@94a522ce", "RC-258@373a2435", "SRS-256@70f845e6")
def test_a_sender_that_does_not_end_is_aborted(
    small_device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DRAIN_S", 0.2)
    with serving(tmp_path, small_device) as made:
        association = associate(made.port)
        stopping = threading.Thread(target=made.server.stop, daemon=True)
        stopping.start()
        stopping.join(20)
        assert not stopping.is_alive()
        wait(lambda: association.is_aborted, 10)
        wait(lambda: made.server.associations == 0, 10)


@verifies("SRS-392@a7758883", level="unit")
def test_a_film_without_a_series_is_not_told_success(small_device: Device, tmp_path: Path) -> None:
    no_series = film(1)
    del no_series.SeriesInstanceUID
    with serving(tmp_path, small_device) as made:
        assert store(made.port, no_series, film(2)) == [0xC000, 0x0000]


@verifies("SRS-367@17be9181", level="unit")
def test_a_request_that_names_another_instance_is_refused_and_nothing_kept(
    small_device: Device, tmp_path: Path
) -> None:
    first, other = film(1), film(2)
    with serving(tmp_path, small_device) as made:
        association = associate(made.port)
        named = store_bytes(association, data_set(first), sop_instance=other.SOPInstanceUID)
        association.release()
        assert named == 0xC000
        assert made.kept() == []
        (told,) = made.told("message_refused")
        assert (told["caller"], told["reason"]) == ("MODALITY", "names another instance")
        assert store(made.port, first, other) == [0x0000, 0x0000]
        assert len(made.kept()) == 2


@verifies("SRS-392@a7758883", level="unit")
def test_bytes_that_no_answer_can_name_are_told_apart(small_device: Device) -> None:
    data = to_bytes(film(1))
    source = small_device.check_header(data, duplicate_uid=server.FIRST_ARRIVAL).source  # type: ignore[attr-defined]
    assert server._can_be_answered(data, source)  # noqa: SLF001
    assert not server._can_be_answered(data + b"\0", source)  # noqa: SLF001  # not those bytes
    assert not server._can_be_answered(data, replace(source, study_instance_uid=None))  # noqa: SLF001
