"""The worker: each film is read once, answered or closed, and none stops the others."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from builders import to_bytes
from peers import film, wait
from pydicom import FileDataset

from cxr_device import Device
from cxr_device.audit import AuditTrail
from cxr_device.errors import OutputError
from cxr_device.node import worker
from cxr_device.node.journal import Journal
from cxr_device.node.queue import AnswerObject, Film, Queue, State
from cxr_device.node.worker import Worker
from cxr_device.result import Failed, Rejected, Result
from cxr_device.vocabulary import CheckCode, Outcome
from verification import verifies

ANSWER = AnswerObject(sop_class_uid="1.2.3", sop_instance_uid="1.2.3.4", data=b"an answer")
REFUSED = {"PatientAge": "010Y"}
"""A film that is refused by its header: nothing is decoded."""


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    """The guards alone."""
    loaded = Device.load_guards()
    yield loaded
    loaded.close()


class Working:
    """A worker with its queue, not yet started, and what came of it."""

    def __init__(self, folder: Path, device: Device, audit: AuditTrail) -> None:
        self.queue, self._stream = Queue(folder / "data"), StringIO()
        self.journal = Journal(audit, self._stream)
        self.results: list[Result] = []
        self.answered = 0
        self.answers: Callable[[bytes, Result], Sequence[AnswerObject]] = lambda *_: [ANSWER]
        self.worker = Worker(self.queue, device, self._answer, self.journal, answered=self._count)

    def _answer(self, data: bytes, result: Result) -> Sequence[AnswerObject]:
        self.results.append(result)
        return self.answers(data, result)

    def _count(self) -> None:
        self.answered += 1

    def keep(self, each: FileDataset, *, begun: int = 0) -> str:
        """Keep a film, due now, of which so many readings ended; its digest."""
        kept, _ = self.queue.receive(
            to_bytes(each), sop_class_uid=str(each.SOPClassUID),
            sop_instance_uid=str(each.SOPInstanceUID), caller="MODALITY", is_accepted=True,
            received_at=time.time(),
        )  # fmt: skip
        for _ in range(begun):
            self.queue.begin(kept.sha256)
        return kept.sha256

    def film(self, digest: str) -> Film:
        """How a film stands."""
        found = self.queue.film(digest)
        assert found is not None
        return found

    def told(self, event: str) -> list[dict[str, Any]]:
        """Events of a name."""
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    def until(self, condition: Callable[[], object]) -> None:
        """Run the worker until something holds."""
        self.worker.start()
        try:
            wait(condition, 10)
        finally:
            self.worker.stop()
            self.worker.join(10)
            assert not self.worker.is_alive()


@pytest.fixture
def working(device: Device, tmp_path: Path) -> Iterator[Working]:
    with AuditTrail(tmp_path / "audit.jsonl", at=datetime.now(UTC)) as audit:
        made = Working(tmp_path, device, audit)
        yield made
        made.queue.close()


@verifies("SRS-263@889dca72", "RC-263@632df2c7", "SRS-254@0e80cc84", "RC-254@a42e0a0c")
def test_a_film_is_read_and_its_answer_waits_to_be_sent(working: Working) -> None:
    digest = working.keep(film(1, **REFUSED))
    begun = time.monotonic()
    working.until(lambda: working.film(digest).state is State.ANSWERED)
    elapsed = time.monotonic() - begun
    (result,) = working.results
    assert isinstance(result, Rejected)
    assert result.source.sha256 == digest
    assert working.queue.answer_path(digest, 0).read_bytes() == b"an answer"
    assert [sent.sha256 for sent in working.queue.due(time.time(), 9)] == [digest]
    assert working.answered == 1
    (told,) = working.told("read")
    assert (told["film_sha256"], told["codes"]) == (digest, ["AGE"])
    assert 0 < working.journal.reading_seconds < elapsed


@verifies("SRS-253@44cbeb95", "RC-253@6be5ac6b")
def test_other_bytes_under_a_known_uid_are_judged_as_a_duplicate(working: Working) -> None:
    working.keep(film(1, **REFUSED))
    working.keep(film(1, PatientAge="011Y"))
    working.until(lambda: working.answered == 2)
    outcomes = [
        next(check.outcome for check in result.checks if check.code is CheckCode.DUPLICATE_UID)
        for result in working.results
    ]
    assert outcomes == [Outcome.PASS, Outcome.REJECT]


@verifies("SRS-263@889dca72", "RC-263@632df2c7")
def test_a_film_without_a_study_is_closed_and_said(working: Working) -> None:
    working.answers = lambda *_: []
    digest = working.keep(film(1, **REFUSED))
    working.until(lambda: working.film(digest).state is State.CLOSED)
    (told,) = working.told("closed")
    assert (told["film_sha256"], told["reason"]) == (digest, "no study to answer in")
    assert working.answered == 0


@verifies("SRS-254@0e80cc84", "SRS-253@44cbeb95")
def test_bytes_that_are_not_those_received_are_not_read(working: Working) -> None:
    damaged, lost = working.keep(film(1, **REFUSED)), working.keep(film(2, **REFUSED))
    working.queue.film_path(damaged).write_bytes(to_bytes(film(3, **REFUSED)))
    working.queue.film_path(lost).unlink()
    working.until(lambda: working.queue.counts()[State.CLOSED] == 2)
    reason = "bytes on the disk are not those received"
    assert [(t["film_sha256"], t["reason"]) for t in working.told("closed")] == [
        (damaged, reason), (lost, reason),
    ]  # fmt: skip
    assert working.results == []


@verifies("SRS-262@f48a1b32", "RC-262@14735e54", "SRS-149@a4a13613", "RC-149@fb40471f")
def test_a_defect_costs_an_attempt_and_the_next_film_is_read(working: Working) -> None:
    poison, good = film(1, **REFUSED), film(2, **REFUSED)

    def defect(data: bytes, _result: Result) -> Sequence[AnswerObject]:
        if poison.SOPInstanceUID.encode() in data:
            int("Phantom^Chest")
        return [ANSWER]

    working.answers = defect
    before = time.time()
    bad, digest = working.keep(poison), working.keep(good)
    working.until(lambda: working.film(digest).state is State.ANSWERED)
    after = time.time()
    assert working.film(bad).attempts == 1
    assert working.queue.next_film(before + 4.9) is None
    waiting = working.queue.next_film(after + 5)  # a few seconds of rest, not for ever
    assert waiting is not None
    assert waiting.sha256 == bad
    (told,) = working.told("reading_failed")
    assert (told["film_sha256"], told["error"]) == (bad, "ValueError")
    assert told["place"] == f"test_worker.py:{defect.__code__.co_firstlineno + 2}"
    assert "Phantom" not in json.dumps(told)


@verifies("SRS-262@f48a1b32", "RC-262@14735e54")
@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (OSError(28, "No space left on device"), 0),
        (sqlite3.OperationalError("database is locked"), 0),
        (OutputError(Path("an answer"), "no form"), 3),
        (ZeroDivisionError("a defect"), 3),
    ],
    ids=["disk", "database", "output", "defect"],
)
def test_a_full_disk_is_no_fault_of_the_film(
    working: Working, error: Exception, attempts: int
) -> None:
    def fails(_data: bytes, _result: Result) -> Sequence[AnswerObject]:
        raise error

    working.answers = fails
    digest = working.keep(film(1, **REFUSED), begun=2)
    working.until(lambda: working.told("reading_failed"))
    assert working.film(digest).state is State.RECEIVED
    assert working.film(digest).attempts == attempts


@verifies("SRS-262@f48a1b32", "RC-262@14735e54")
def test_a_film_whose_three_readings_ended_is_answered_as_failed(working: Working) -> None:
    twice, thrice = film(1, **REFUSED), film(2, **REFUSED)
    working.keep(twice, begun=2)
    working.keep(thrice, begun=3)
    working.until(lambda: working.answered == 2)
    read, given_up = working.results
    assert isinstance(read, Rejected)
    assert isinstance(given_up, Failed)
    ended = [check for check in given_up.checks if check.value == "3 attempts"]
    assert [(check.code, check.outcome) for check in ended] == [(CheckCode.DECODE, Outcome.REJECT)]
    (age,) = [check for check in given_up.checks if check.code is CheckCode.AGE]
    assert age.outcome is Outcome.REJECT
    assert given_up.source.sop_instance_uid == thrice.SOPInstanceUID


@verifies("SRS-262@f48a1b32", "RC-262@14735e54", "SRS-254@0e80cc84")
def test_a_film_that_has_not_even_a_failure_s_answer_is_closed_and_kept(working: Working) -> None:
    def defect(_data: bytes, _result: Result) -> Sequence[AnswerObject]:
        message = "a defect"
        raise ZeroDivisionError(message)

    working.answers = defect
    digest = working.keep(film(1, **REFUSED), begun=3)
    working.until(lambda: working.film(digest).state is State.CLOSED)
    assert working.told("closed")[0]["reason"] == "no answer could be made"
    assert working.queue.film_path(digest).is_file()


@verifies("SRS-262@f48a1b32", "SRS-259@9dcdf119")
def test_a_queue_that_fails_is_said_and_tried_again(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RETRY_S", 0.05)
    digest = working.keep(film(1, **REFUSED))
    with monkeypatch.context() as patch:

        def locked(_now: float) -> None:
            message = "database is locked"
            raise sqlite3.OperationalError(message)

        patch.setattr(working.queue, "next_film", locked)
        working.worker.start()
        wait(lambda: len(working.told("queue_failed")) >= 2, 10)
        assert working.told("queue_failed")[0]["error"] == "OperationalError"
    wait(lambda: working.film(digest).state is State.ANSWERED, 10)
    working.worker.stop()
    working.worker.join(10)


@verifies("SRS-258@94a522ce", "RC-258@373a2435")
def test_a_worker_that_is_told_to_stop_reads_no_more_and_a_new_one_goes_on(
    working: Working, device: Device
) -> None:
    digest = working.keep(film(1, **REFUSED))
    working.worker.stop()
    working.worker.start()
    working.worker.join(10)
    assert not working.worker.is_alive()
    assert working.film(digest).state is State.RECEIVED
    again = Worker(
        working.queue, device, lambda *_: [ANSWER], working.journal, answered=lambda: None
    )
    again.start()
    wait(lambda: working.film(digest).state is State.ANSWERED, 10)
    again.stop()
    again.join(10)


@verifies("SRS-252@76c77da2")
def test_an_idle_worker_looks_by_itself_and_is_woken_at_once(working: Working) -> None:
    working.worker.start()
    first = working.keep(film(1, **REFUSED))
    wait(lambda: working.film(first).state is State.ANSWERED, 10)
    second = working.keep(film(2, **REFUSED))
    working.worker.wake.set()
    wait(lambda: working.film(second).state is State.ANSWERED, 10)
    working.worker.stop()
    working.worker.join(10)
