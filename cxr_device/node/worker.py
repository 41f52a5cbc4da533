"""The worker: reads queued films one by one and keeps their answers."""

import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from cxr_device.checks import Verdict
from cxr_device.device import Device
from cxr_device.errors import AuditError, OutputError
from cxr_device.node.journal import Journal
from cxr_device.node.queue import AnswerObject, Film, Queue, State
from cxr_device.node.services import IDLE_S
from cxr_device.result import Failed, Result
from cxr_device.vocabulary import CheckCode, Outcome

__all__ = ["FIRST_ARRIVAL", "Answers", "Worker"]

Answers = Callable[[bytes, Result], Sequence[AnswerObject]]
"""Makes the objects that answer a film, from its bytes and its result; none where no study is
known."""

MAX_ATTEMPTS: Final = 3
"""Readings that may end without a result (process killed, defect) before the film is answered as
failed: one film must not stop the others."""
RETRY_S: Final = 5.0
"""Seconds before a film is tried again whose reading met a full disk or a defect."""

FIRST_ARRIVAL: Final = Verdict(
    outcome=Outcome.PASS, value="first", message="no other bytes came under this UID"
)
_DUPLICATE: Final = Verdict(
    outcome=Outcome.REJECT, value="received before", message="other bytes came under this UID"
)
_ENDED: Final = Verdict(
    outcome=Outcome.REJECT,
    value=f"{MAX_ATTEMPTS} attempts",
    message="each reading ended without a result",
)


class Worker(threading.Thread):
    """Reads films until it is told to stop; then ends the one in hand and returns.

    `wake` is set when a film arrives, `answered` is called when answers wait to be sent.
    """

    def __init__(
        self,
        queue: Queue,
        device: Device,
        answers: Answers,
        journal: Journal,
        *,
        answered: Callable[[], None],
    ) -> None:
        super().__init__(name="worker")
        self.wake = threading.Event()
        self._queue, self._device, self._answers = queue, device, answers
        self._journal, self._answered = journal, answered
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask the worker to end after the film in hand."""
        self._stopping.set()
        self.wake.set()

    def run(self) -> None:  # type: ignore[explicit-override]
        """Read what is due, then wait for an arrival."""
        while not self._stopping.is_set():
            self.wake.clear()
            try:
                film = self._queue.next_film(time.time())
                if film is None:
                    self.wake.wait(IDLE_S)
                else:
                    self._step(film)
            except (OSError, sqlite3.Error, AuditError) as error:  # a full disk: no queue, no trail
                self._journal.note("queue_failed", error=type(error).__name__)
                self._stopping.wait(RETRY_S)

    def _step(self, film: Film) -> None:
        """Read one film; whatever happens, the next one is read."""
        try:
            self._read(film)
        except Exception as error:  # noqa: BLE001  # the queue goes on
            resource = isinstance(error, (OSError, sqlite3.Error, AuditError)) and not isinstance(
                error, OutputError
            )
            attempts = 0 if resource else film.attempts + 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            self._journal.note(
                "reading_failed",
                film_sha256=film.sha256,
                error=type(error).__name__,  # not its words: they may name a patient
                place=f"{Path(place.filename).name}:{place.lineno}",
            )
            if attempts > MAX_ATTEMPTS:  # not even the answer of a failure: kills never lead here
                self._close(film, reason="no answer could be made")
            else:
                self._queue.postpone(film.sha256, time.time() + RETRY_S, attempts=attempts)

    def _read(self, film: Film) -> None:
        try:
            data = self._queue.film_path(film.sha256).read_bytes()
        except FileNotFoundError:
            data = b""
        if sha256(data).hexdigest() != film.sha256:
            self._close(film, reason="bytes on the disk are not those received")
            return
        self._queue.begin(film.sha256)
        begun = time.monotonic()
        verdict = _DUPLICATE if film.is_duplicate else FIRST_ARRIVAL
        if film.attempts >= MAX_ATTEMPTS:
            result: Result = self._given_up(data, verdict)
        else:
            result = self._device.read(data, duplicate_uid=verdict)
        self._journal.read(result, seconds=time.monotonic() - begun)
        objects = self._answers(data, result)
        if not objects:
            self._close(film, reason="no study to answer in")
            return
        self._queue.answer(film.sha256, objects, now=time.time())
        self._answered()

    def _given_up(self, data: bytes, verdict: Verdict) -> Failed:
        """Make the result of a film whose readings end without one; nothing is decoded."""
        checked = self._device.check_header(data, duplicate_uid=verdict)
        return Failed(
            source=checked.source,
            device=checked.device,
            timing_ms=checked.timing_ms,
            view=checked.view,
            checks=tuple(
                replace(check, outcome=_ENDED.outcome, value=_ENDED.value, message=_ENDED.message)
                if check.code is CheckCode.DECODE
                else check
                for check in checked.checks
            ),
        )

    def _close(self, film: Film, *, reason: str) -> None:
        self._journal.note("closed", film_sha256=film.sha256, reason=reason)
        self._queue.finish(film.sha256, State.CLOSED)
