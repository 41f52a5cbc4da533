"""The sender: what counts as taken, what is offered again, and when."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from builders import to_bytes
from peers import HOST, Archive, archive, wait
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import evt
from study_service import PATH, StudyArchive, study_service

from cxr_device.audit import AuditTrail
from cxr_device.node import sender
from cxr_device.node.configuration import Configuration
from cxr_device.node.journal import Journal
from cxr_device.node.queue import AnswerObject, Commitment, Film, Queue, State
from cxr_device.node.sender import Sender, backoff_s
from verification import verifies

DX = "1.2.840.10008.5.1.4.1.1.1.1"
SR = "1.2.840.10008.5.1.4.1.1.88.34"
SC = "1.2.840.10008.5.1.4.1.1.7"
UID = "1.2.826.0.1.3680043.10.1559.77"


def report(number: int, kind: str = SR) -> AnswerObject:
    """A small report as a Part 10 file, with a UID of its own; of another SOP class where named."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    each = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    each.SOPClassUID, each.SOPInstanceUID, each.Modality = kind, f"{UID}.{number}", "SR"
    return AnswerObject(sop_class_uid=kind, sop_instance_uid=f"{UID}.{number}", data=to_bytes(each))


class Sending:
    """A sender with its queue, not yet started, and what it told."""

    def __init__(self, folder: Path, peer: str, audit: AuditTrail) -> None:
        self.queue, self._stream = Queue(folder / "data"), StringIO()
        self.journal = Journal(audit, self._stream)
        configuration = Configuration.parse(
            ae="CXRDEVICE", bind=f"{HOST}:0", data=folder / "data", peer=peer, allow=None, tls=None,
            metrics=None,
        )  # fmt: skip
        self.sender = Sender(configuration, self.queue, self.journal)

    def answered(self, *numbers: int, kinds: Mapping[int, str] = MappingProxyType({})) -> str:
        """A film that is answered by reports of those numbers, due now; its digest."""
        film, _ = self.queue.receive(
            b"film" + bytes(numbers), sop_class_uid=DX, sop_instance_uid=f"1.2.{numbers[0]}",
            caller="MODALITY", is_accepted=True, received_at=1.0,
        )  # fmt: skip
        self.queue.answer(
            film.sha256, [report(n, kinds.get(n, SR)) for n in numbers], now=time.time()
        )
        return film.sha256

    def film(self, digest: str) -> Film:
        """How a film stands."""
        found = self.queue.film(digest)
        assert found is not None
        return found

    def waits(self, digest: str, seconds: float, *, since: float) -> bool:
        """Whether a film that was refused after a moment waits so long before it is sent again."""
        early = self.queue.due(since + seconds - 0.01, 99)
        then = self.queue.due(time.time() + seconds, 99)
        return digest not in [each.sha256 for each in early] and digest in [
            each.sha256 for each in then
        ]

    def told(self, event: str) -> list[dict[str, Any]]:
        """Events of a name."""
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    def until(self, condition: Callable[[], object]) -> None:
        """Run the sender until something holds."""
        self.sender.start()
        try:
            wait(condition, 10)
        finally:
            self.sender.stop()
            self.sender.join(10)
            assert not self.sender.is_alive()


@contextmanager
def sending(folder: Path, peer: str) -> Iterator[Sending]:
    """A sender to `peer` that is not started."""
    with AuditTrail(folder / "audit.jsonl", at=datetime.now(UTC)) as audit:
        made = Sending(folder, peer, audit)
        yield made
        made.queue.close()


def named(peer: Archive) -> str:
    """An archive as the option names it."""
    return f"{peer.ae_title}@{HOST}:{peer.port}"


@pytest.fixture(scope="module")
def running() -> Iterator[Archive]:
    """One archive for every test that finds it as it was."""
    with archive() as each:
        yield each


@pytest.fixture
def peer(running: Archive) -> Archive:
    """The archive, which holds nothing yet and takes everything."""
    for kept in (running.statuses, running.held, running.offers, running.reports):
        kept.clear()
    running.report_status = 0x0000
    return running


@verifies("SRS-255@a2fb46e6", "RC-255@260a0abd")
def test_the_wait_doubles_up_to_its_limit() -> None:
    assert [backoff_s(n) for n in (0, 1, 2, 3, 8)] == [1, 2, 4, 8, 256]
    assert backoff_s(9) == backoff_s(10**6) == 300


@verifies("SRS-255@a2fb46e6", "RC-255@260a0abd")
def test_an_answer_counts_as_taken_when_the_peer_says_so(peer: Archive, tmp_path: Path) -> None:
    """Success, or stored with a warning (PS3.4 table B.2-1)."""
    peer.statuses += [0x0000, 0xB000, 0xB006, 0xB007]
    with sending(tmp_path, named(peer)) as made:
        films = [made.answered(n) for n in range(4)]
        assert made.sender.failures == 0
        made.until(lambda: made.queue.counts()[State.DELIVERED] == 4)
        sent = made.told("sent")
        assert made.told("send_failed") == []
        assert made.sender.failures == 0
    assert [told["film_sha256"] for told in sent] == films
    assert {told["called"] for told in sent} == {"ARCHIVE"}
    assert peer.offers == {f"{UID}.{n}": 1 for n in range(4)}


@verifies("SRS-255@a2fb46e6", "RC-255@260a0abd")
def test_an_answer_that_was_refused_waits_and_is_said(peer: Archive, tmp_path: Path) -> None:
    """0x0111 too: what was never offered before cannot be held."""
    refusals = [0xA700, 0xA900, 0xC000, 0x0122, 0xB001, 0xB008, 0x0111]
    peer.statuses += refusals
    with sending(tmp_path, named(peer)) as made:
        films = [made.answered(n) for n in range(len(refusals))]
        before = time.time()
        made.until(lambda: made.film(films[-1]).attempts == 1)
        assert all(made.waits(each, 1, since=before) for each in films)
        assert {made.film(film).state for film in films} == {State.ANSWERED}
        assert made.told("sent") == made.told("peer_away") == []
        told = made.told("send_failed")
    assert [each["film_sha256"] for each in told] == films
    assert [each["reason"] for each in told] == [f"0x{status:04X}" for status in refusals]
    assert [each["sop_instance_uid"] for each in told] == [f"{UID}.{n}" for n in range(7)]
    assert {(each["called"], each["attempt"]) for each in told} == {("ARCHIVE", 1)}


@verifies("SRS-255@a2fb46e6", "RC-255@260a0abd")
def test_the_second_wait_is_longer_and_the_taken_answer_is_not_offered_again(
    peer: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "FIRST_WAIT_S", 0.5)
    peer.statuses += [0x0000, 0xA700, 0xA700]
    with sending(tmp_path, named(peer)) as made:
        digest = made.answered(1, 2)
        before = time.time()
        made.until(lambda: made.film(digest).attempts == 2)
        assert made.waits(digest, 1, since=before + 0.5)
        assert [told["attempt"] for told in made.told("send_failed")] == [1, 2]
        assert peer.offers == {f"{UID}.1": 1, f"{UID}.2": 2}


@verifies("SRS-255@a2fb46e6", "SRS-261@b4884f46", "RC-261@68ea0417")
def test_a_duplicate_counts_as_taken_where_it_was_offered_before(
    peer: Archive, tmp_path: Path
) -> None:
    peer.statuses += [0x0111]
    with sending(tmp_path, named(peer)) as made:
        digest = made.answered(1)
        (answer,) = made.queue.unsent(digest)
        made.queue.offer(answer)  # and the process ended before the response
        made.until(lambda: made.film(digest).state is State.DELIVERED)
    assert made.told("send_failed") == []


@verifies("SRS-255@a2fb46e6", "RC-255@260a0abd")
def test_another_refusal_of_what_was_offered_before_is_none_the_less_one(
    peer: Archive, tmp_path: Path
) -> None:
    peer.statuses += [0xA700]
    with sending(tmp_path, named(peer)) as made:
        digest = made.answered(1)
        (answer,) = made.queue.unsent(digest)
        made.queue.offer(answer)
        made.until(lambda: made.told("send_failed"))
        assert made.film(digest).state is State.ANSWERED


@verifies("SRS-261@b4884f46", "RC-261@68ea0417")
def test_a_film_whose_answers_were_all_taken_before_a_crash_is_ended(
    peer: Archive, tmp_path: Path
) -> None:
    with sending(tmp_path, named(peer)) as made:
        digest = made.answered(1)
        made.queue.sent(made.queue.unsent(digest)[0])
        made.until(lambda: made.film(digest).state is State.DELIVERED)
        assert len(made.told("sent")) == 1
    assert not peer.offers


@verifies("SRS-255@a2fb46e6", "RC-255@260a0abd", "SRS-259@9dcdf119")
def test_a_peer_that_is_away_is_asked_again_after_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "FIRST_WAIT_S", 0.4)
    with archive() as peer:
        pass  # it has a port, and listens no more
    with sending(tmp_path, named(peer)) as made:
        digest = made.answered(1)
        begun = time.monotonic()
        made.sender.start()
        wait(lambda: len(made.told("peer_away")) == 2, 10)
        assert time.monotonic() - begun >= 0.4  # the first wait
        assert {told["reason"] for told in made.told("peer_away")} == {"no association"}
        assert made.sender.failures >= 2
        assert made.told("peer_away")[0]["peer"] == named(peer)
        assert made.film(digest).attempts == 0
        peer.start()
        wait(lambda: made.film(digest).state is State.DELIVERED, 10)
        assert made.sender.failures == 0
        made.sender.stop()
        made.sender.join(10)
        assert not made.sender.is_alive()
        peer.stop()


@verifies("SRS-255@a2fb46e6", "RC-255@260a0abd")
def test_a_peer_that_breaks_off_is_away_and_the_film_waits(tmp_path: Path) -> None:
    def abort(event: evt.Event) -> None:
        event.assoc.abort()

    with archive() as peer, sending(tmp_path, named(peer)) as made:
        peer.bind(evt.EVT_DIMSE_RECV, abort)
        digest = made.answered(1, 2)
        made.until(lambda: made.told("peer_away"))
        assert made.told("peer_away")[0]["reason"] == "ConnectionError"
        assert made.sender.failures == 1
        assert made.told("send_failed")[0]["reason"] == "no response"
        assert made.film(digest).attempts == 1
        assert len(made.queue.unsent(digest)) == 2


@verifies("SRS-255@a2fb46e6", "RC-255@260a0abd")
def test_a_lost_file_holds_up_its_own_film_alone(peer: Archive, tmp_path: Path) -> None:
    with sending(tmp_path, named(peer)) as made:
        lost, whole = made.answered(1), made.answered(2)
        made.queue.answer_path(lost, 0).unlink()
        made.until(lambda: made.film(whole).state is State.DELIVERED)
        assert made.film(lost).state is State.ANSWERED
        assert made.told("send_failed")[0]["reason"] == "FileNotFoundError"


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
def test_a_commitment_report_is_sent_alone_and_forgotten_when_it_was_taken(
    peer: Archive, tmp_path: Path
) -> None:
    promised = Commitment(transaction_uid="1.2.3", committed=((DX, "1.1"),), failed=(), attempts=0)
    with sending(tmp_path, named(peer)) as made:
        made.queue.promise(promised, now=time.time())
        made.until(lambda: not made.queue.commitments(time.time() + 1e6))
        (told,) = made.told("commitment_reported")
        assert told["transaction_uid"] == "1.2.3"
    (found,) = peer.reports
    assert found.TransactionUID == "1.2.3"


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
def test_a_commitment_report_that_was_not_taken_waits(peer: Archive, tmp_path: Path) -> None:
    peer.report_status = 0x0110
    promised = Commitment(transaction_uid="1.2.3", committed=((DX, "1.1"),), failed=(), attempts=0)
    with sending(tmp_path, named(peer)) as made:
        before = time.time()
        made.queue.promise(promised, now=before)
        made.until(lambda: made.told("commitment_not_reported"))
        assert made.queue.commitments(before + 0.99) == []
        (waiting,) = made.queue.commitments(time.time() + 1)
    assert waiting.attempts == 1


@verifies("SRS-258@94a522ce", "RC-258@373a2435")
def test_a_sender_that_is_told_to_stop_sends_no_more(peer: Archive, tmp_path: Path) -> None:
    with sending(tmp_path, named(peer)) as made:
        digest = made.answered(1)
        made.sender.stop()
        made.sender.start()
        made.sender.join(10)
        assert not made.sender.is_alive()
        assert made.film(digest).state is State.ANSWERED
    assert not peer.offers


def url(service: StudyArchive) -> str:
    """A study service as the option names it."""
    return f"http://{HOST}:{service.port}{PATH}"


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20")
def test_answers_are_posted_together_and_counted_one_by_one(tmp_path: Path) -> None:
    with study_service() as service, sending(tmp_path, url(service)) as made:
        digest = made.answered(1, 2)
        made.until(lambda: made.film(digest).state is State.DELIVERED)
        assert made.told("send_failed") == []
        assert made.told("sent")[0]["called"] == url(service)
    assert service.answered == [200]
    assert service.offers == {f"{UID}.1": 1, f"{UID}.2": 1}


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20")
@pytest.mark.parametrize("reason", [0xA700, 0x0111])
def test_what_the_service_refused_waits_and_is_said(tmp_path: Path, reason: int) -> None:
    with (
        study_service(reasons=[{"SR": reason}]) as service,
        sending(tmp_path, url(service)) as made,
    ):
        digest = made.answered(1)
        made.until(lambda: made.film(digest).attempts == 1)
        (told,) = made.told("send_failed")
        assert (told["reason"], told["attempt"]) == (f"0x{reason:04X}", 1)
        assert made.film(digest).state is State.ANSWERED
        assert made.told("sent") == made.told("peer_away") == []


@verifies("SRS-310@b3b208f8", "SRS-261@b4884f46", "RC-261@68ea0417")
@pytest.mark.parametrize(("reason", "taken"), [(0x0111, True), (0xA700, False)])
def test_a_duplicate_over_http_counts_where_it_was_offered_before(
    tmp_path: Path, reason: int, *, taken: bool
) -> None:
    with (
        study_service(reasons=[{"SR": reason}]) as service,
        sending(tmp_path, url(service)) as made,
    ):
        digest = made.answered(1)
        made.queue.offer(made.queue.unsent(digest)[0])
        made.until(lambda: made.told("sent") or made.told("send_failed"))
        assert bool(made.told("sent")) is taken
        assert bool(made.told("send_failed")) is not taken


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20", "SRS-259@9dcdf119")
def test_a_service_that_breaks_off_is_away_and_gets_the_film_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "FIRST_WAIT_S", 0.4)
    with study_service(statuses=[0]) as service, sending(tmp_path, url(service)) as made:
        digest = made.answered(1)
        made.sender.start()
        wait(lambda: made.told("peer_away"), 10)
        assert made.film(digest).attempts == 1
        assert made.told("peer_away")[0]["reason"] == "RemoteDisconnected"
        wait(lambda: made.film(digest).state is State.DELIVERED, 10)
        assert made.sender.failures == 0
        made.sender.stop()
        made.sender.join(10)


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20")
def test_a_lost_file_holds_up_its_own_film_alone_over_http(tmp_path: Path) -> None:
    with study_service() as service, sending(tmp_path, url(service)) as made:
        lost, whole = made.answered(1), made.answered(2)
        made.queue.answer_path(lost, 0).unlink()
        made.until(lambda: made.film(whole).state is State.DELIVERED)
        assert made.told("send_failed")[0]["reason"] == "FileNotFoundError"
        assert made.film(lost).state is State.ANSWERED
    assert service.offers == {f"{UID}.2": 1}


@verifies("SRS-393@5d492b85", "RC-255@260a0abd")
def test_an_archive_without_structured_reports_gets_the_other_answers(tmp_path: Path) -> None:
    with (
        archive(classes=(SC,)) as peer,
        sending(tmp_path, named(peer)) as made,
    ):
        digest = made.answered(1, 2, 3, kinds={2: SC})
        before = time.time()
        made.until(lambda: made.film(digest).attempts == 1)
        assert made.waits(digest, 1, since=before)
        told = made.told("send_failed")
        waiting = made.queue.unsent(digest)
    assert set(peer.offers) == {f"{UID}.2"}
    assert [each["reason"] for each in told] == [f"SOP class {SR} not accepted"] * 2
    assert [(each.number, each.attempts) for each in waiting] == [(0, 0), (2, 0)]


@verifies("SRS-393@5d492b85", "RC-255@260a0abd")
def test_after_a_refused_answer_the_others_of_its_film_are_offered(
    peer: Archive, tmp_path: Path
) -> None:
    peer.statuses += [0xA700]
    with sending(tmp_path, named(peer)) as made:
        digest = made.answered(1, 2, 3)
        made.until(lambda: made.film(digest).attempts == 1)
        (waiting,) = made.queue.unsent(digest)
    assert waiting.number == 0
    assert peer.offers == {f"{UID}.{n}": 1 for n in (1, 2, 3)}


@verifies("SRS-395@5183b971", "RC-257@21184b54")
def test_an_archive_that_takes_no_commitment_report_is_not_away(tmp_path: Path) -> None:
    promised = Commitment(transaction_uid="1.2.3", committed=((DX, "1.1"),), failed=(), attempts=0)
    with archive(commits=False) as peer, sending(tmp_path, named(peer)) as made:
        before = time.time()
        made.queue.promise(promised, now=before)
        made.until(lambda: made.told("commitment_not_reported"))
        assert made.told("peer_away") == []
        assert made.sender.failures == 0
        assert made.queue.commitments(before + 0.99) == []
        (waiting,) = made.queue.commitments(time.time() + 1)
    assert waiting.attempts == 1
