"""The sender: answers back to the peer, with retries and back-off, until it took every one.

An answer counts as sent when the peer says so (success or a warning of PS3.4 table B.2-1), never
because the association ended well. What was offered before a crash is offered again as the same
instance, so the peer holds it once.
"""

import threading
import time
from typing import Any, Final

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_role

from cxr_device.audit import AuditEvent
from cxr_device.node import commitment
from cxr_device.node.configuration import Configuration, Peer, StudyService
from cxr_device.node.failpoints import reach
from cxr_device.node.journal import Journal
from cxr_device.node.queue import Answer, Film, Queue, State
from cxr_device.node.services import (
    BATCH,
    CONNECT_S,
    FIRST_WAIT_S,
    IDLE_S,
    LONGEST_WAIT_S,
    PUSH_MODEL,
    RESPONSE_S,
    SUCCESS,
    VERIFICATION,
)
from cxr_device.node.stow import DUPLICATE as DUPLICATE_OVER_HTTP
from cxr_device.node.stow import StowClient

__all__ = ["Sender", "backoff_s"]

WARNINGS: Final = frozenset({0xB000, 0xB006, 0xB007})
"""Stored, with a coercion or a mismatch (PS3.4 table B.2-1)."""
DUPLICATE: Final = 0x0111
"""Duplicate SOP instance (PS3.7 annex C.4.4): the peer holds it from an earlier offer of ours."""


def backoff_s(attempts: int) -> float:
    """Seconds to wait after so many attempts that failed."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempts, 30))


class Sender(threading.Thread):
    """Sends what is due until it is told to stop; then ends the film in hand and returns."""

    def __init__(self, configuration: Configuration, queue: Queue, journal: Journal) -> None:
        super().__init__(name="sender")
        self.wake = threading.Event()
        self._peer, self._queue, self._journal = configuration.peer, queue, journal
        self._tls = configuration.tls.client() if configuration.tls else None
        self._stow = (
            StowClient(self._peer, tls=self._tls, authorization=configuration.authorization)
            if isinstance(self._peer, StudyService)
            else None
        )
        self._stopping = threading.Event()
        self._failures = 0
        self._not_before = 0.0
        self._entity = AE(configuration.ae_title)
        self._entity.connection_timeout = CONNECT_S
        self._entity.acse_timeout = self._entity.dimse_timeout = RESPONSE_S
        self._entity.network_timeout = RESPONSE_S

    def stop(self) -> None:
        """Ask the sender to end after the film in hand."""
        self._stopping.set()
        self.wake.set()

    @property
    def failures(self) -> int:
        """Attempts to reach the peer that failed since it was last reached."""
        return self._failures

    def run(self) -> None:  # type: ignore[explicit-override]
        """Send what is due, then wait for more."""
        while not self._stopping.is_set():
            self.wake.clear()
            now = time.time()
            if now < self._not_before:
                self._stopping.wait(self._not_before - now)
                continue
            try:
                films, reports = self._queue.due(now, BATCH), self._queue.commitments(now)
                if films or reports:
                    self._send(films, reports)
                else:
                    self.wake.wait(IDLE_S)
            except Exception as error:  # noqa: BLE001  # the next attempt follows
                self._failed(f"{type(error).__name__}")

    def _failed(self, reason: str) -> None:
        """Leave the peer alone for a while."""
        self._not_before = time.time() + backoff_s(self._failures)
        self._failures += 1
        self._journal.note("peer_away", peer=str(self._peer), reason=reason)

    def _send(self, films: list[Film], reports: list[commitment.Commitment]) -> None:
        """Post each film's answers, or open one association and send everything over it."""
        work = []
        for film in films:
            answers = self._queue.unsent(film.sha256)
            if answers:
                work.append((film, answers))
            else:  # a crash came between the last answer and the end of the film
                self._finish(film)
        if not work and not reports:
            return
        if isinstance(self._peer, StudyService):  # it gets no commitment report: none is promised
            self._post_all(work)
        else:
            self._send_all(self._peer, work, reports)

    def _post_all(self, work: list[tuple[Film, list[Answer]]]) -> None:
        for film, answers in work:
            if self._stopping.is_set():
                break
            self._post(film, answers)

    def _send_all(
        self,
        peer: Peer,
        work: list[tuple[Film, list[Answer]]],
        reports: list[commitment.Commitment],
    ) -> None:
        association = self._associate(
            peer,
            [answer for _, answers in work for answer in answers],
            reports,
        )
        if not association.is_established:
            self._failed("no association")
            return
        reach("associated")
        try:
            for film, answers in work:
                if self._stopping.is_set():
                    break
                self._deliver(association, film, answers)
            for each in reports:
                self._report(association, each)
        finally:
            if association.is_established:
                association.release()
        reach("released")

    def _associate(
        self, peer: Peer, answers: list[Answer], reports: list[commitment.Commitment]
    ) -> Association:
        entity = self._entity
        roles: list[Any] = []  # any of the negotiation items
        entity.requested_contexts = []
        for sop_class in sorted({answer.sop_class_uid for answer in answers}):
            entity.add_requested_context(sop_class)
        if reports:
            entity.add_requested_context(PUSH_MODEL)
            entity.add_requested_context(VERIFICATION)  # taken even where no report is
            roles.append(build_role(PUSH_MODEL, scp_role=True))
        address = peer.address
        return entity.associate(
            address.host,
            address.port,
            ae_title=peer.ae_title,
            ext_neg=roles,
            tls_args=(self._tls, address.host) if self._tls else None,
        )

    def _deliver(self, association: Association, film: Film, answers: list[Answer]) -> None:
        """Send one film's answers; the film is delivered when the peer took all of them."""
        for answer in answers:
            reason = self._store(association, answer)
            if reason is None:
                self._queue.sent(answer)
                self._failures = 0
                continue
            self._not_taken(film, answer, reason)
            if not association.is_established:
                self._postpone(film)
                message = "the association ended"
                raise ConnectionError(message)
        if self._queue.unsent(film.sha256):
            self._postpone(film)
        else:
            self._finish(film)

    def _post(self, film: Film, answers: list[Answer]) -> None:
        """Post one film's answers; the film is delivered when the service took all of them."""
        for answer in answers:
            self._queue.offer(answer)
        try:
            found = self._stored(film, answers)
        except Exception:  # the service is away: this film waits, and so do the others
            self._postpone(film)
            raise
        reach("answers posted")
        for answer in answers:
            reason = found[answer.sop_instance_uid]
            if reason is None or (reason == DUPLICATE_OVER_HTTP and answer.attempts > 0):
                self._queue.sent(answer)
                self._failures = 0
            else:
                self._not_taken(film, answer, reason)
        if self._queue.unsent(film.sha256):
            self._postpone(film)
        else:
            self._finish(film)

    def _stored(self, film: Film, answers: list[Answer]) -> dict[str, str | None]:
        if self._stow is None:
            message = "no study service"
            raise RuntimeError(message)
        try:
            instances = {
                answer.sop_instance_uid: self._queue.answer_path(
                    film.sha256, answer.number
                ).read_bytes()
                for answer in answers
            }
        except OSError as error:  # a lost file: this film waits, the others go on
            return {answer.sop_instance_uid: type(error).__name__ for answer in answers}
        return self._stow.store(instances)

    def _not_taken(self, film: Film, answer: Answer, reason: str) -> None:
        self._journal.record(
            AuditEvent.SEND_FAILED,
            film_sha256=film.sha256,
            sop_instance_uid=answer.sop_instance_uid,
            called=self._peer.name,
            attempt=answer.attempts + 1,
            reason=reason,
        )

    def _postpone(self, film: Film) -> None:
        self._queue.postpone(
            film.sha256, time.time() + backoff_s(film.attempts), attempts=film.attempts + 1
        )

    def _finish(self, film: Film) -> None:
        """End a film whose answers the peer took, all of them."""
        self._journal.record(AuditEvent.SENT, film_sha256=film.sha256, called=self._peer.name)
        self._queue.finish(film.sha256, State.DELIVERED)

    def _store(self, association: Association, answer: Answer) -> str | None:
        """Offer one answer; returns why the peer did not take it, or None."""
        accepted = {each.abstract_syntax for each in association.accepted_contexts}
        if answer.sop_class_uid not in accepted:
            return f"SOP class {answer.sop_class_uid} not accepted"
        self._queue.offer(answer)
        path = self._queue.answer_path(answer.sha256, answer.number)
        try:
            status = association.send_c_store(path).get("Status")
        except Exception as error:  # noqa: BLE001  # no context, no association, a lost file: this film waits
            return type(error).__name__
        reach(f"answer {answer.number} taken")
        if status is None:
            return "no response"
        if status == SUCCESS or status in WARNINGS:
            return None
        if status == DUPLICATE and answer.attempts > 0:
            return None
        return f"0x{status:04X}"

    def _report(self, association: Association, each: commitment.Commitment) -> None:
        done = commitment.report(association, each)
        if done:
            self._queue.confirmed(each.transaction_uid)
        else:
            self._queue.postpone_commitment(
                each.transaction_uid, time.time() + backoff_s(each.attempts)
            )
        self._journal.note(
            "commitment_reported" if done else "commitment_not_reported",
            transaction_uid=each.transaction_uid,
        )
