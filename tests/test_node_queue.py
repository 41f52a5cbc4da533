"""The node's queue, files and settings, without a network."""

import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest

from cxr_device.conformance import statement
from cxr_device.errors import NodeError
from cxr_device.node import files
from cxr_device.node.commitment import MalformedRequestError, judge
from cxr_device.node.configuration import Address, Configuration, Peer, Tls
from cxr_device.node.connection import AssociationLimits
from cxr_device.node.queue import AnswerObject, Film, Queue, State
from cxr_device.node.sender import FIRST_WAIT_S, LONGEST_WAIT_S, backoff_s
from cxr_device.node.services import MESSAGE_S, PDU_S, STORAGE_CLASSES
from cxr_device.release import Release
from verification import verifies

DX = "1.2.840.10008.5.1.4.1.1.1.1"
ANSWER = AnswerObject(sop_class_uid="1.2.3", sop_instance_uid="1.2.3.4", data=b"an answer")


def keep(queue: Queue, data: bytes, uid: str = "1.2.3", *, accepted: bool = True) -> Film:
    film, _ = queue.receive(
        data,
        sop_class_uid=DX,
        sop_instance_uid=uid,
        caller="MODALITY",
        is_accepted=accepted,
        received_at=1.0,
    )
    return film


def lying(queue: Queue) -> set[str]:
    """Names of the files that lie in the queue's folders."""
    return {
        path.name for folder in ("films", "answers") for path in (queue.folder / folder).iterdir()
    }


@verifies("SRS-252@76c77da2", "RC-252@3a0e3938")
def test_what_was_received_is_there_after_a_restart(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    film = keep(queue, b"a film")
    assert film.sha256 == sha256(b"a film").hexdigest()
    queue.close()
    again = Queue(tmp_path)
    assert again.next_film(now=2.0) == film
    assert again.film_path(film.sha256).read_bytes() == b"a film"
    again.close()


@verifies("SRS-253@44cbeb95", "RC-253@6be5ac6b")
def test_the_same_bytes_are_one_film_and_other_bytes_a_duplicate(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    first = keep(queue, b"one")
    assert keep(queue, b"one") == first
    second = keep(queue, b"two")
    assert not first.is_duplicate
    assert second.is_duplicate
    assert not second.is_accepted
    assert not keep(queue, b"three", uid="9.9").is_duplicate
    assert queue.counts()[State.RECEIVED] == 3
    assert queue.film_path(second.sha256).read_bytes() == b"two"
    queue.close()


@verifies("SRS-252@76c77da2", "RC-252@3a0e3938")
def test_a_film_that_could_not_be_written_is_not_in_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    queue = Queue(tmp_path)
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        keep(queue, b"a film")
    assert queue.next_film(now=2.0) is None
    assert lying(queue) == set()
    queue.close()


@verifies("SRS-254@0e80cc84", "RC-254@a42e0a0c")
def test_a_film_is_kept_until_every_answer_was_taken(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    digest = keep(queue, b"a film").sha256
    queue.answer(digest, [ANSWER, ANSWER], now=5.0)
    assert queue.next_film(now=6.0) is None
    (film,) = queue.due(now=6.0, limit=9)
    first, second = queue.unsent(digest)
    queue.sent(first)
    assert queue.unsent(digest) == [second]
    assert lying(queue) == {f"{digest}.dcm", f"{digest}-0.dcm", f"{digest}-1.dcm"}
    queue.finish(film.sha256, State.DELIVERED)
    assert lying(queue) == set()
    assert queue.oldest() is None
    queue.close()


@verifies("SRS-254@0e80cc84", "RC-254@a42e0a0c")
def test_an_accepted_film_without_an_answer_keeps_its_bytes(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    accepted, refused = keep(queue, b"one", "1.1"), keep(queue, b"two", "1.2", accepted=False)
    for film in (accepted, refused):
        queue.finish(film.sha256, State.CLOSED)
    assert lying(queue) == {f"{accepted.sha256}.dcm"}
    queue.close()
    again = Queue(tmp_path)
    assert lying(again) == {f"{accepted.sha256}.dcm"}
    again.close()


@verifies("SRS-252@76c77da2", "RC-252@3a0e3938")
def test_what_a_crash_left_is_swept_at_the_start(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    film = keep(queue, b"a film")
    queue.close()
    (tmp_path / "films/.half.dcm.1.2.part").write_bytes(b"ha")
    (tmp_path / "films" / f"{'0' * 64}.dcm").write_bytes(b"renamed, not committed")
    (tmp_path / "answers" / f"{film.sha256}-0.dcm").write_bytes(b"written, not committed")
    again = Queue(tmp_path)
    assert lying(again) == {f"{film.sha256}.dcm"}
    again.close()


@verifies("SRS-251@3d6a7be0")
def test_a_folder_in_use_or_damaged_is_refused(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "one")
    with pytest.raises(NodeError, match="another node"):
        Queue(tmp_path / "one")
    queue.close()
    for name, content in (("text", b"not a database" * 99), ("newer", None)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "queue.sqlite"
        if content is None:
            database = sqlite3.connect(path)
            database.execute("PRAGMA user_version = 99")
            database.close()
        else:
            path.write_bytes(content)
        with pytest.raises(NodeError, match=r"queue\.sqlite"):
            Queue(tmp_path / name)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NodeError, match="--data"):
        Queue(tmp_path / "file")


@verifies("SRS-254@0e80cc84", "RC-254@a42e0a0c")
def test_ten_thousand_films_wait_in_order(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    with queue._transaction("filling") as database:  # noqa: SLF001  # 10,000 flushes take minutes
        database.executemany(
            "INSERT INTO film VALUES (?, ?, ?, 'M', ?, 'received', 0, 1, 0, ?)",
            [(f"{n:064}", f"1.2.{n}", DX, float(n), float(n)) for n in range(10_000)],
        )
    for expected in range(5):
        film = queue.next_film(now=1e9)
        assert film is not None
        assert film.received_at == expected
        queue.finish(film.sha256, State.CLOSED)
    assert queue.counts()[State.RECEIVED] == 9_995
    queue.close()


@verifies("SRS-255@a2fb46e6", "RC-255@260a0abd")
def test_the_wait_doubles_up_to_its_limit() -> None:
    assert [backoff_s(n) for n in (0, 1, 2, 3)] == [
        FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S, 8 * FIRST_WAIT_S,
    ]  # fmt: skip
    assert backoff_s(8) < LONGEST_WAIT_S
    assert backoff_s(9) == backoff_s(10**6) == LONGEST_WAIT_S


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


@verifies("SRS-251@3d6a7be0")
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ae", ""), ("ae", "SEVENTEEN_LETTERS"), ("ae", "BACK\\SLASH"), ("ae", "UMLAUT_Ä"),
        ("bind", "127.0.0.1"), ("bind", ":104"), ("bind", "127.0.0.1:dicom"),
        ("bind", "127.0.0.1:65536"), ("peer", "ARCHIVE"), ("peer", "@127.0.0.1:104"),
        ("peer", "ARCHIVE@127.0.0.1"), ("allow", "A,,B"), ("tls", "absent.pem"),
        ("tls", "absent.pem,absent.key"), ("metrics", "0.0.0.0:9104"),
        ("metrics", "192.0.2.1:9104"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_and_named(option: str, value: str, tmp_path: Path) -> None:
    settings = {
        "ae": "CXRDEVICE", "bind": "127.0.0.1:0", "peer": "ARCHIVE@127.0.0.1:104",
        "allow": None, "tls": None, "metrics": None,
    }  # fmt: skip
    Configuration.parse(data=tmp_path, **settings)  # type: ignore[arg-type]
    with pytest.raises(NodeError, match=f"--{'return' if option == 'peer' else option}"):
        Configuration.parse(data=tmp_path, **{**settings, option: value})  # type: ignore[arg-type]


@verifies("SRS-251@3d6a7be0")
def test_settings_are_read() -> None:
    peer = Peer.parse("ARCHIVE@[::1]:104", option="--return")
    assert peer == Peer(ae_title="ARCHIVE", address=Address(host="::1", port=104))
    assert peer.address.is_loopback
    assert Address.parse("localhost:1", option="--metrics").is_loopback


@verifies("SRS-251@3d6a7be0")
def test_a_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    for name in ("node.pem", "node.key"):
        (tmp_path / name).write_text("no certificate")
    tls = Tls.parse(f"{tmp_path / 'node.pem'},{tmp_path / 'node.key'}")
    with pytest.raises(NodeError, match="--tls"):
        tls.server()


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
def test_commitment_tells_each_reason_apart() -> None:
    from pydicom import Dataset  # noqa: PLC0415

    known = {"1.1": (DX, True), "1.2": (DX, False), "1.3": ("1.9", True)}
    request = Dataset()
    request.TransactionUID = "1.2.3"
    with pytest.raises(MalformedRequestError):
        judge(request, known.get)
    request.ReferencedSOPSequence = []
    for uid in ("1.1", "1.2", "1.3", "1.4"):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = DX, uid
        request.ReferencedSOPSequence.append(item)
    found = judge(request, known.get)
    assert found.committed == ((DX, "1.1"),)
    assert found.failed == ((DX, "1.2", 0x0110), (DX, "1.3", 0x0119), (DX, "1.4", 0x0112))


@verifies("SRS-250@33dff3b0", "RC-257@21184b54")
def test_the_conformance_statement_says_what_the_node_takes_and_promises(release: Release) -> None:
    text = statement(release)
    assert all(str(uid) in text for uid in STORAGE_CLASSES)
    assert all(f"| 0x{status:04X} |" in text for status in (0x0000, 0xA700, 0xA900, 0xC000))
    assert "The node is no archive" in text
