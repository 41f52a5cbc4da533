"""The journal: what the node did, one JSON line each on stderr, and the counts of it.

What happens to a film also goes into the audit trail. Events name digests, UIDs, AE titles and
codes; never a patient.
"""

import json
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from typing import Final, TextIO

from cxr_device.audit import AuditEvent, AuditTrail, facts_of
from cxr_device.result import Result

__all__ = ["Journal"]

_READ: Final = ("film_sha256", "sop_instance_uid", "status", "codes", "total_ms")
"""Facts of a reading that stderr tells; the audit trail holds all of them."""


class Journal:
    """Counts events and writes them; callable from every thread."""

    def __init__(self, audit: AuditTrail, stream: TextIO = sys.stderr) -> None:
        self._audit, self._stream = audit, stream
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._seconds = 0.0

    def note(self, event: str, **facts: object) -> None:
        """Count an event and write it on stderr; a line that cannot be written is counted."""
        line = json.dumps({"at": datetime.now(UTC).isoformat(), "event": event, **facts})
        with self._lock:
            self._counts[event] += 1
            try:
                print(line, file=self._stream, flush=True)
            except (OSError, ValueError):  # a full disk, a closed pipe: films go on without it
                self._counts["line_lost"] += 1

    def record(self, event: AuditEvent, **facts: object) -> None:
        """Append an event to the audit trail, then note it.

        Raises
        ------
        AuditError
            The audit file cannot be written.
        """
        self._audit.append(event, at=datetime.now(UTC), **facts)
        self.note(str(event), **facts)

    def read(self, result: Result, *, seconds: float) -> None:
        """Record that a film was read, and how long it took."""
        facts = facts_of(result)
        self._audit.append(AuditEvent.READ, at=datetime.now(UTC), **facts)
        with self._lock:
            self._seconds += seconds
        self.note(str(AuditEvent.READ), **{name: facts[name] for name in _READ})

    def counts(self) -> dict[str, int]:
        """How often each event happened since the start."""
        with self._lock:
            return dict(self._counts)

    @property
    def reading_seconds(self) -> float:
        """Seconds spent on reading since the start."""
        with self._lock:
            return self._seconds
