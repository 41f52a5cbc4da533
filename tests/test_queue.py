"""The node's queue: films, duplicates, answers and commitments, across restarts and crashes."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from cxr_device.errors import NodeError
from cxr_device.node.queue import AnswerObject, Commitment, Film, Queue, State
from verification import verifies

DX = "1.2.840.10008.5.1.4.1.1.1.1"
ANSWER = AnswerObject(sop_class_uid="1.2.3", sop_instance_uid="1.2.3.4", data=b"an answer")


def keep(queue: Queue, data: bytes, uid: str | None = "1.2.3", *, accepted: bool = True) -> Film:
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
    again = queue.receive(
        b"one", sop_class_uid=DX, sop_instance_uid="1.2.3", caller="OTHER", is_accepted=False,
        received_at=9.0,
    )  # fmt: skip
    assert again == (first, False)
    second = keep(queue, b"two")
    assert not first.is_duplicate
    assert second.is_duplicate
    assert not second.is_accepted
    assert not keep(queue, b"three", uid="9.9").is_duplicate
    assert not keep(queue, b"four", uid=None).is_duplicate
    assert not keep(queue, b"five", uid=None).is_duplicate
    assert queue.counts() == {
        State.RECEIVED: 5, State.ANSWERED: 0, State.DELIVERED: 0, State.CLOSED: 0,
    }  # fmt: skip
    assert queue.film_path(second.sha256).read_bytes() == b"two"
    queue.close()


@verifies("SRS-252@76c77da2", "RC-252@3a0e3938")
def test_a_film_that_could_not_be_written_is_not_in_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    queue = Queue(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
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
    assert film.state is State.ANSWERED
    assert queue.oldest() == 1.0
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
    (tmp_path / "text").mkdir()
    (tmp_path / "text/queue.sqlite").write_bytes(b"not a database" * 99)
    with pytest.raises(NodeError, match=r"queue\.sqlite: file is not a database"):
        Queue(tmp_path / "text")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NodeError, match="--data"):
        Queue(tmp_path / "file")


@verifies("SRS-251@3d6a7be0")
def test_a_queue_of_another_version_is_refused_and_not_changed(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "queue.sqlite")
    database.execute("PRAGMA user_version = 2")
    for _ in range(2):
        with pytest.raises(NodeError, match=r"version 2; accepted: 1"):
            Queue(tmp_path)
    assert database.execute("PRAGMA user_version").fetchone() == (2,)
    assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    database.close()


@verifies("SRS-251@3d6a7be0")
def test_a_queue_with_a_damaged_page_is_refused(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    with queue._transaction("filling") as database:  # noqa: SLF001  # 200 flushes take long
        database.executemany(
            "INSERT INTO film VALUES (?, ?, ?, 'M', 1, 'received', 0, 1, 0, 1)",
            [(f"{n:064}", f"1.2.{n}", DX) for n in range(200)],
        )
        (root,) = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'film_uid'"
        ).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    queue.close()
    with (tmp_path / "queue.sqlite").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(NodeError, match=r"queue\.sqlite: (damaged|.*malformed)"):
        Queue(tmp_path)


@verifies("SRS-252@76c77da2")
def test_the_folder_is_made_for_the_node_s_user_alone_and_serves_every_thread(
    tmp_path: Path,
) -> None:
    queue = Queue(tmp_path / "site" / "node")
    for each in (queue.folder, queue.folder / "films", queue.folder / "answers"):
        assert each.stat().st_mode & 0o777 == 0o700
    with ThreadPoolExecutor(1) as other:
        film = other.submit(keep, queue, b"a film").result()
    assert queue.film(film.sha256) == film
    queue.close()


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
def test_a_reference_is_the_film_that_came_first_under_its_uid(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    keep(queue, b"one", "1.1")
    keep(queue, b"other bytes", "1.1")
    keep(queue, b"two", "1.2", accepted=False)
    assert queue.reference("1.1") == (DX, True)
    assert queue.reference("1.2") == (DX, False)
    assert queue.reference("1.3") is None
    queue.close()


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
def test_a_commitment_report_is_kept_until_it_is_confirmed(tmp_path: Path) -> None:
    promised = Commitment(
        transaction_uid="1.2.3", committed=((DX, "1.1"),), failed=((DX, "1.2", 0x0112),), attempts=0
    )
    queue = Queue(tmp_path)
    queue.promise(promised, now=5.0)
    assert queue.commitments(now=4.0) == []
    assert queue.commitments(now=5.0) == [promised]
    queue.postpone_commitment("1.2.3", 50.0)
    assert queue.commitments(now=49.0) == []
    queue.close()
    again = Queue(tmp_path)
    (waiting,) = again.commitments(now=50.0)
    assert (waiting.committed, waiting.failed) == (promised.committed, promised.failed)
    assert waiting.attempts == 1
    again.confirmed("1.2.3")
    assert again.commitments(now=1e9) == []
    again.close()


@verifies("SRS-262@f48a1b32", "RC-262@14735e54")
def test_a_reading_that_began_is_remembered_and_a_film_can_wait(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    digest = keep(queue, b"a film").sha256
    queue.begin(digest)
    queue.close()
    again = Queue(tmp_path)
    film = again.next_film(now=2.0)
    assert film is not None
    assert film.attempts == 1
    again.postpone(digest, 60.0, attempts=2)
    assert again.next_film(now=59.0) is None
    film = again.next_film(now=60.0)
    assert film is not None
    assert film.attempts == 2
    again.close()


@verifies("SRS-261@b4884f46", "RC-261@68ea0417")
def test_an_offer_that_was_begun_is_remembered(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    digest = keep(queue, b"a film").sha256
    queue.answer(digest, [ANSWER], now=5.0)
    (answer,) = queue.unsent(digest)
    assert (answer.number, answer.attempts) == (0, 0)
    assert (answer.sop_class_uid, answer.sop_instance_uid) == ("1.2.3", "1.2.3.4")
    assert queue.answer_path(digest, 0).read_bytes() == b"an answer"
    queue.offer(answer)
    queue.close()
    again = Queue(tmp_path)
    (answer,) = again.unsent(digest)
    assert answer.attempts == 1
    assert lying(again) == {f"{digest}.dcm", f"{digest}-0.dcm"}
    again.close()


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


@verifies("SRS-390@ab801eb5", "RC-254@a42e0a0c")
@pytest.mark.parametrize("place", ["films/mine.dcm", "answers/1.dcm", "films/sub/1.dcm"])
def test_a_folder_of_other_files_is_refused_and_left_as_it_was(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes(b"precious")
    for _ in range(2):
        with pytest.raises(NodeError, match=r"queue\.sqlite: .*hold files.*use another --data"):
            Queue(tmp_path)
        assert (tmp_path / place).read_bytes() == b"precious"


@verifies("SRS-390@ab801eb5", "RC-254@a42e0a0c")
def test_films_whose_queue_was_lost_are_not_removed(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    film = keep(queue, b"a film")
    queue.close()
    for path in tmp_path.glob("queue.sqlite*"):
        path.unlink()
    with pytest.raises(NodeError, match="hold files"):
        Queue(tmp_path)
    assert (tmp_path / "films" / f"{film.sha256}.dcm").read_bytes() == b"a film"


@verifies("SRS-390@ab801eb5", "RC-254@a42e0a0c")
def test_what_the_node_did_not_write_is_left_beside_a_queue(tmp_path: Path) -> None:
    Queue(tmp_path).close()
    digest = "0" * 64
    strange = ["mine.dcm", f"{digest}.dcm.copy", f"{digest}.txt", "x.part", f"{digest}-a.dcm"]
    for name in strange:
        (tmp_path / "films" / name).write_bytes(b"another's")
    (tmp_path / "films" / f"{digest}.dcm").mkdir()
    linked = f"{'1' * 64}.dcm"
    (tmp_path / "films" / linked).symlink_to(tmp_path / "films/mine.dcm")
    (tmp_path / "answers" / f"{digest}-12.dcm").write_bytes(b"written, not committed")
    again = Queue(tmp_path)
    assert lying(again) == {*strange, f"{digest}.dcm", linked}
    again.close()


@verifies("SRS-394@ce9c926f", "RC-254@a42e0a0c")
def test_an_accepted_film_that_was_closed_is_read_again_when_it_is_sent_again(
    tmp_path: Path,
) -> None:
    queue = Queue(tmp_path)
    film = keep(queue, b"a film")
    queue.begin(film.sha256)
    queue.postpone(film.sha256, 9e9, attempts=4)
    queue.finish(film.sha256, State.CLOSED)
    queue.film_path(film.sha256).write_bytes(b"damaged")
    again, is_new = queue.receive(
        b"a film", sop_class_uid=DX, sop_instance_uid="1.2.3", caller="OTHER", is_accepted=True,
        received_at=7.0,
    )  # fmt: skip
    assert is_new
    assert (again.state, again.attempts, again.is_duplicate) == (State.RECEIVED, 0, False)
    assert queue.film_path(film.sha256).read_bytes() == b"a film"
    assert queue.next_film(7.0) == again
    assert queue.next_film(6.9) is None
    assert queue.oldest() == 7.0
    queue.close()


@verifies("SRS-394@ce9c926f", "SRS-253@44cbeb95")
def test_a_refused_film_that_was_closed_and_a_delivered_one_are_not_read_again(
    tmp_path: Path,
) -> None:
    queue = Queue(tmp_path)
    for accepted, end in ((False, State.CLOSED), (True, State.DELIVERED)):
        film = keep(queue, bytes([accepted]), f"1.2.{int(accepted)}", accepted=accepted)
        queue.finish(film.sha256, end)
        again, is_new = queue.receive(
            bytes([accepted]), sop_class_uid=DX, sop_instance_uid=film.sop_instance_uid,
            caller="MODALITY", is_accepted=accepted, received_at=7.0,
        )  # fmt: skip
        assert (again.state, is_new) == (end, False)
    assert queue.next_film(9e9) is None
    assert lying(queue) == set()
    queue.close()
