"""The audit trail: what the device did, as events chained by their digests; no patient in it.

A JSON Lines file that only grows. Each line holds the digest of the line before and its own, so
that a line changed, removed, moved or put in breaks the chain. Lines cut off at the end leave a
whole chain: keep the last digest elsewhere, `verify` compares it.
"""

import fcntl
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cxr_device.errors import AuditError, words_of
from cxr_device.result import Analyzed, Failed, Rejected

__all__ = ["FACTS", "AuditEvent", "AuditTrail", "Chain", "facts_of", "verify"]

SCHEMA: Final = "cxr-device/audit/1"
START: Final = "0" * 64
"""What stands for the digest before the first line."""

_UID: Final = re.compile(r"[0-9.]{1,64}")
_LINE_BYTES: Final = 32768
"""No line is longer; the events of the device have some hundred bytes."""
_TAIL_BYTES: Final = 2 * _LINE_BYTES
"""The last bytes of a file: they hold its last whole line and a torn one behind it."""


class AuditEvent(StrEnum):
    """What can happen to a film, or to the device."""

    STARTED = "started"
    STOPPED = "stopped"
    RECEIVED = "received"
    REFUSED = "refused"
    READ = "read"
    SENT = "sent"
    SEND_FAILED = "send_failed"
    TORN_LINE = "torn_line"
    """A line whose writing was cut was taken off the end."""


FACTS: Final = frozenset(
    {
        "film_sha256", "sop_instance_uid", "study_instance_uid", "transfer_syntax_uid", "status",
        "flag", "probability", "operating_point", "codes", "device", "version", "profile",
        "weights_sha256", "config_sha256", "total_ms", "caller", "called", "dicom_status",
        "attempt", "outputs", "reason", "bytes", "line_sha256",
    }
)  # fmt: skip
"""Names that an event's facts may have: none of them holds a name, an id or a date of a patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A chain that is whole."""

    lines: int
    head: str
    """Digest of the last line; kept elsewhere, it shows whether lines were cut off."""


class AuditTrail:
    """An audit file open for appending, by one process at a time and any of its threads.

    Parameters
    ----------
    path : Path
        The file; made where it is absent.
    at : datetime
        When it is opened. A last line whose writing was cut (the process was killed) is taken
        off, and a `torn_line` event says so.

    Raises
    ------
    AuditError
        Another process holds the file, it cannot be written, or its last line is broken.
    """

    def __init__(self, path: Path, *, at: datetime) -> None:
        self._path, self._lock = path, threading.Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise AuditError(path, words_of(error)) from error
        try:
            self._open(at)
        except BaseException:
            os.close(self._file)
            raise

    def _open(self, at: datetime) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AuditError(self._path, "another process writes it") from error
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        torn = tail[tail.rfind(b"\n") + 1 :]
        whole = tail[: len(tail) - len(torn)].splitlines()
        self._sequence, self._head = 0, START
        if whole:
            last = _parsed(whole[-1], self._path, "the last line")
            self._sequence, self._head = last["sequence"] + 1, last["sha256"]
        elif size > len(torn):
            raise AuditError(self._path, "the last line is longer than any event")
        if torn:
            os.ftruncate(self._file, size - len(torn))
            digest = sha256(torn).hexdigest()
            self.append(AuditEvent.TORN_LINE, at=at, bytes=len(torn), line_sha256=digest)

    def append(self, event: AuditEvent, *, at: datetime, **facts: object) -> None:
        """Append one event and flush it to the disk before returning.

        Parameters
        ----------
        event : AuditEvent
            What happened.
        at : datetime
            When, with its offset from UTC.
        **facts
            Named as in `FACTS`; plain JSON values.

        Raises
        ------
        AuditError
            A fact has another name, the time has no offset, or the line is too long or cannot be
            written.
        """
        unknown = sorted(facts.keys() - FACTS)
        if unknown:
            raise AuditError(self._path, f"no audit fact is named {', '.join(unknown)}")
        if at.tzinfo is None:
            raise AuditError(self._path, "the time of an event has no offset from UTC")
        with self._lock:
            entry = {
                "schema": SCHEMA,
                "sequence": self._sequence,
                "at": at.isoformat(),
                "event": str(event),
                "facts": facts,
                "previous": self._head,
            }
            digest = _digest(entry)
            line = json.dumps({**entry, "sha256": digest}).encode("ascii") + b"\n"
            if len(line) > _LINE_BYTES:
                raise AuditError(self._path, f"an event has more than {_LINE_BYTES} bytes")
            size = os.fstat(self._file).st_size
            try:
                left = line
                while left:
                    left = left[os.write(self._file, left) :]
                os.fsync(self._file)
            except OSError as error:
                os.ftruncate(self._file, size)
                raise AuditError(self._path, words_of(error)) from error
            self._sequence, self._head = self._sequence + 1, digest

    @property
    def head(self) -> str:
        """Digest of the last line."""
        return self._head

    def close(self) -> None:
        """Close the file and let another process have it."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def facts_of(result: Analyzed | Rejected | Failed) -> dict[str, Any]:
    """Say a result in facts: digests, UIDs of valid form, codes; no text of the film."""
    source, device = result.source, result.device
    facts: dict[str, Any] = {
        "film_sha256": source.sha256,
        "sop_instance_uid": _uid(source.sop_instance_uid),
        "study_instance_uid": _uid(source.study_instance_uid),
        "transfer_syntax_uid": _uid(source.transfer_syntax_uid),
        "status": type(result).__name__.lower(),
        "codes": [
            str(check.code) for check in result.checks if check.is_failure or check.is_rejection
        ],
        "device": device.name,
        "version": device.version,
        "profile": device.profile,
        "weights_sha256": device.weights_sha256,
        "config_sha256": device.config_sha256,
        "total_ms": result.timing_ms.get("total"),
    }
    if isinstance(result, Analyzed):
        facts["flag"] = str(result.decision.flag)
        facts["probability"] = result.decision.probability
        facts["operating_point"] = result.decision.operating_point.identifier
    return facts


def verify(path: Path, *, head: str | None = None) -> Chain:
    """Hold every line of an audit file against its digest and the one before it.

    Parameters
    ----------
    path : Path
        The file. It may be in use; a line that is being written counts as torn.
    head : str, optional
        Digest of a line as kept elsewhere: it must still be the digest of one of the lines.

    Returns
    -------
    Chain
        Number of lines and the digest of the last one.

    Raises
    ------
    AuditError
        A line is torn, changed, missing, moved or put in: the message names the line.
    OSError
        The file cannot be read.
    """
    previous, count, kept = START, 0, head is None or head == START
    for number, line in enumerate(_lines(path), start=1):
        entry = _parsed(line, path, f"line {number}")
        if entry["sequence"] != count or entry["previous"] != previous:
            raise AuditError(path, f"line {number} does not follow the line before it")
        previous, count = entry["sha256"], number
        kept = kept or previous == head
    if not kept:
        raise AuditError(path, f"no line has the digest {head}: lines were cut off or replaced")
    return Chain(lines=count, head=previous)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                raise AuditError(path, "the last line is torn: its writing was cut")
            yield line


def _parsed(line: bytes, path: Path, which: str) -> dict[str, Any]:
    """Parse a line and hold it against its own digest."""
    try:
        entry = json.loads(line)
        stated = entry.pop("sha256")
        whole = (
            stated == _digest(entry)
            and entry["schema"] == SCHEMA
            and isinstance(entry["sequence"], int)
            and isinstance(entry["previous"], str)
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AuditError(path, f"{which} is no audit line") from error
    if not whole:
        raise AuditError(path, f"{which} was changed: its digest is another")
    return {**entry, "sha256": stated}


def _digest(entry: Mapping[str, Any]) -> str:
    """SHA-256 of an entry as JSON with sorted keys and no spaces, in ASCII."""
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("ascii")).hexdigest()


def _uid(text: str | None) -> str | None:
    """Return a UID, or None for a text that is none: a hostile file may put a name there."""
    return text if text and _UID.fullmatch(text) else None
