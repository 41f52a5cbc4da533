"""The queue: what was received, what became of it, and what is still to be sent (SQLite, WAL).

A film is known by the SHA-256 of its bytes, never by a UID. Its states::

    received -> answered -> delivered
        |
        +-> closed        nothing can be answered (no study), or nobody could be told

Each change is one transaction, flushed before it counts. Files lie beside the database: `films/`
until the film is delivered, `answers/` until they are. The database holds UIDs and digests, no
patient.
"""

import fcntl
import json
import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

from cxr_device.errors import NodeError
from cxr_device.node import files
from cxr_device.node.failpoints import reach

__all__ = ["Answer", "AnswerObject", "Commitment", "Film", "Queue", "State"]

SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE film (
    sha256 TEXT PRIMARY KEY, sop_instance_uid TEXT, sop_class_uid TEXT, caller TEXT NOT NULL,
    received_at REAL NOT NULL, state TEXT NOT NULL, is_duplicate INTEGER NOT NULL,
    is_accepted INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL
) STRICT;
CREATE INDEX film_uid ON film (sop_instance_uid);
CREATE INDEX film_work ON film (state, due_at);
CREATE TABLE answer (
    sha256 TEXT NOT NULL REFERENCES film, number INTEGER NOT NULL, sop_instance_uid TEXT NOT NULL,
    sop_class_uid TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    is_sent INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (sha256, number)
) STRICT;
CREATE TABLE commitment (
    transaction_uid TEXT PRIMARY KEY, report TEXT NOT NULL, due_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
"""


_OWN_NAME: Final = re.compile(r"[0-9a-f]{64}(-[0-9]+)?\.dcm|\..+\.part")
"""Names that the node gives: films, answers, and what was begun of them."""


class State(StrEnum):
    """Where a film stands."""

    RECEIVED = "received"
    ANSWERED = "answered"
    DELIVERED = "delivered"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film that the node received."""

    sha256: str
    sop_instance_uid: str | None
    caller: str
    received_at: float
    """Seconds since the epoch."""
    state: State
    is_duplicate: bool
    """Other bytes came first under this SOP Instance UID."""
    is_accepted: bool
    """The header was within the intended use, and the sender was told 0x0000."""
    attempts: int
    """How often its present step was begun and not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerObject:
    """One DICOM object that answers a film, as it is sent."""

    sop_class_uid: str
    sop_instance_uid: str
    data: bytes
    """A Part 10 file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An object that answers a film, and whether the peer took it."""

    sha256: str
    number: int
    sop_instance_uid: str
    sop_class_uid: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """A storage commitment report that the peer has not confirmed yet."""

    transaction_uid: str
    committed: tuple[tuple[str, str], ...]
    """SOP class and instance UID of each instance that is safe."""
    failed: tuple[tuple[str, str, int], ...]
    """SOP class and instance UID, and the failure reason (PS3.3 C.14.1.1)."""
    attempts: int


_FILM: Final = (
    "SELECT sha256, sop_instance_uid, caller, received_at, state, is_duplicate, is_accepted, "
    "attempts FROM film "
)


def _film(row: tuple[str, str | None, str, float, str, int, int, int]) -> Film:
    digest, uid, caller, received_at, state, is_duplicate, is_accepted, attempts = row
    return Film(
        sha256=digest,
        sop_instance_uid=uid,
        caller=caller,
        received_at=received_at,
        state=State(state),
        is_duplicate=bool(is_duplicate),
        is_accepted=bool(is_accepted),
        attempts=attempts,
    )


class Queue:
    """The node's memory in one folder; one process holds it at a time.

    Raises
    ------
    NodeError
        Another node holds the folder, the folder cannot be written, its database is damaged or of
        another version, or it holds films or answers and no database that knows them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._films, self._answers = folder / "films", folder / "answers"
        try:
            for each in (folder, self._films, self._answers):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._held = (folder / "node.lock").open("w")
        except OSError as error:
            raise NodeError(f"--data {folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._held.close()
            raise NodeError(f"--data {folder}: another node works in this folder") from error
        self._lock = threading.RLock()
        try:
            holds_files = any([*os.scandir(self._films), *os.scandir(self._answers)])
            self._database = _open(folder / "queue.sqlite", holds_files=holds_files)
        except NodeError:
            self._held.close()
            raise
        self._sweep()

    def close(self) -> None:
        """Close the database and leave the folder to another node."""
        with self._lock:
            self._database.close()
            self._held.close()

    def film_path(self, digest: str) -> Path:
        """Where a film's bytes lie."""
        return self._films / f"{digest}.dcm"

    def answer_path(self, digest: str, number: int) -> Path:
        """Where an answer's bytes lie."""
        return self._answers / f"{digest}-{number}.dcm"

    def receive(  # noqa: PLR0913  # one column each
        self,
        data: bytes,
        *,
        sop_class_uid: str | None,
        sop_instance_uid: str | None,
        caller: str,
        is_accepted: bool,
        received_at: float,
    ) -> tuple[Film, bool]:
        """Keep a film; when this returns, its bytes and its row are on the disk.

        Returns
        -------
        Film, bool
            The film as the queue knows it, and whether it is new. The same bytes are kept once;
            other bytes under a known SOP Instance UID are kept as a duplicate. A film that was
            accepted and closed without an answer is new again.

        Raises
        ------
        OSError, sqlite3.Error
            The film could not be made safe: nothing of it is kept.
        """
        digest = sha256(data).hexdigest()
        known = self.film(digest)
        if known is not None and not (known.state is State.CLOSED and known.is_accepted):
            return known, False
        files.write(self.film_path(digest), data, kind="film")
        with self._transaction("film") as database:
            first = (
                sop_instance_uid
                and database.execute(
                    "SELECT 1 FROM film WHERE sop_instance_uid = ? AND sha256 <> ?",
                    (sop_instance_uid, digest),
                ).fetchone()
            )
            inserted = database.execute(
                "INSERT INTO film (sha256, sop_instance_uid, sop_class_uid, caller, received_at, "
                "state, is_duplicate, is_accepted, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET state = excluded.state, attempts = 0, "
                "received_at = excluded.received_at, due_at = excluded.due_at "
                "WHERE film.state = 'closed' AND film.is_accepted",
                (
                    digest, sop_instance_uid, sop_class_uid, caller, received_at, State.RECEIVED,
                    bool(first), is_accepted and not first, received_at,
                ),
            ).rowcount  # fmt: skip
        kept = self.film(digest)
        if kept is None:
            message = f"film {digest} vanished from the queue"
            raise sqlite3.IntegrityError(message)
        return kept, bool(inserted)

    def film(self, digest: str) -> Film | None:
        """Look a film up by its digest."""
        row = self._row(_FILM + "WHERE sha256 = ?", digest)
        return _film(row) if row else None

    def next_film(self, now: float) -> Film | None:
        """Return the film that has waited longest to be read, of those that are due."""
        row = self._row(
            _FILM + "WHERE state = 'received' AND due_at <= ? ORDER BY due_at, rowid LIMIT 1", now
        )
        return _film(row) if row else None

    def begin(self, digest: str) -> None:
        """Note that a film's reading begins, so that one that ends the process is found out."""
        with self._transaction("reading") as database:
            database.execute("UPDATE film SET attempts = attempts + 1 WHERE sha256 = ?", (digest,))

    def postpone(self, digest: str, until: float, *, attempts: int) -> None:
        """Leave a film alone for a while."""
        with self._transaction("wait") as database:
            database.execute(
                "UPDATE film SET due_at = ?, attempts = ? WHERE sha256 = ?",
                (until, attempts, digest),
            )

    def answer(self, digest: str, objects: Sequence[AnswerObject], *, now: float) -> None:
        """Keep a film's answers; when this returns, they are on the disk."""
        for number, each in enumerate(objects):
            files.write(self.answer_path(digest, number), each.data, kind=f"answer {number}")
        with self._transaction("answers") as database:
            database.executemany(
                "INSERT INTO answer (sha256, number, sop_class_uid, sop_instance_uid) "
                "VALUES (?, ?, ?, ?)",
                [
                    (digest, number, each.sop_class_uid, each.sop_instance_uid)
                    for number, each in enumerate(objects)
                ],
            )
            database.execute(
                "UPDATE film SET state = 'answered', attempts = 0, due_at = ? WHERE sha256 = ?",
                (now, digest),
            )

    def due(self, now: float, limit: int) -> list[Film]:
        """Return the films whose answers are to be sent now, the longest waiting first."""
        with self._lock:
            rows = self._database.execute(
                _FILM + "WHERE state = 'answered' AND due_at <= ? ORDER BY due_at, rowid LIMIT ?",
                (now, limit),
            ).fetchall()
        return [_film(row) for row in rows]

    def unsent(self, digest: str) -> list[Answer]:
        """Return a film's answers that the peer has not taken yet."""
        with self._lock:
            rows = self._database.execute(
                "SELECT sha256, number, sop_instance_uid, sop_class_uid, attempts FROM answer "
                "WHERE sha256 = ? AND NOT is_sent ORDER BY number",
                (digest,),
            ).fetchall()
        return [
            Answer(
                sha256=digest,
                number=number,
                sop_instance_uid=uid,
                sop_class_uid=class_uid,
                attempts=attempts,
            )
            for digest, number, uid, class_uid, attempts in rows
        ]

    def offer(self, answer: Answer) -> None:
        """Note that an answer is about to be offered to the peer."""
        with self._transaction(f"offer {answer.number}") as database:
            database.execute(
                "UPDATE answer SET attempts = attempts + 1 WHERE sha256 = ? AND number = ?",
                (answer.sha256, answer.number),
            )

    def sent(self, answer: Answer) -> None:
        """Note that the peer took an answer."""
        with self._transaction(f"sent {answer.number}") as database:
            database.execute(
                "UPDATE answer SET is_sent = 1 WHERE sha256 = ? AND number = ?",
                (answer.sha256, answer.number),
            )

    def finish(self, digest: str, state: State) -> None:
        """End a film as delivered or closed, then remove its files.

        A closed film that was accepted keeps its bytes: somebody must look at it.
        """
        with self._transaction(state) as database:
            database.execute(
                "UPDATE film SET state = ?, attempts = 0 WHERE sha256 = ?", (state, digest)
            )
        film = self.film(digest)
        if film and not (state is State.CLOSED and film.is_accepted):
            files.remove(self.film_path(digest), kind="film")
        for path in sorted(self._answers.glob(f"{digest}-*.dcm")):
            files.remove(path, kind="answer")

    def reference(self, sop_instance_uid: str) -> tuple[str, bool] | None:
        """Return SOP class UID and acceptance of the film first received under a UID."""
        row = self._row(
            "SELECT sop_class_uid, is_accepted FROM film WHERE sop_instance_uid = ? "
            "AND NOT is_duplicate",
            sop_instance_uid,
        )
        return (row[0], bool(row[1])) if row else None

    def promise(self, commitment: Commitment, *, now: float) -> None:
        """Keep a storage commitment report until the peer confirmed it."""
        report = json.dumps({"committed": commitment.committed, "failed": commitment.failed})
        with self._transaction("commitment") as database:
            database.execute(
                "INSERT INTO commitment (transaction_uid, report, due_at) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET report = excluded.report, due_at = excluded.due_at",
                (commitment.transaction_uid, report, now),
            )

    def commitments(self, now: float) -> list[Commitment]:
        """Return the storage commitment reports that are to be sent now."""
        with self._lock:
            rows = self._database.execute(
                "SELECT transaction_uid, report, attempts FROM commitment WHERE due_at <= ? "
                "ORDER BY due_at",
                (now,),
            ).fetchall()
        found = []
        for uid, text, attempts in rows:
            report = json.loads(text)
            found.append(
                Commitment(
                    transaction_uid=uid,
                    committed=tuple(map(tuple, report["committed"])),
                    failed=tuple(map(tuple, report["failed"])),
                    attempts=attempts,
                )
            )
        return found

    def postpone_commitment(self, transaction_uid: str, until: float) -> None:
        """Leave a storage commitment report alone for a while."""
        with self._transaction("commitment wait") as database:
            database.execute(
                "UPDATE commitment SET due_at = ?, attempts = attempts + 1 "
                "WHERE transaction_uid = ?",
                (until, transaction_uid),
            )

    def confirmed(self, transaction_uid: str) -> None:
        """Forget a storage commitment report that the peer confirmed."""
        with self._transaction("commitment confirmed") as database:
            database.execute("DELETE FROM commitment WHERE transaction_uid = ?", (transaction_uid,))

    def counts(self) -> dict[State, int]:
        """Count the films by state."""
        with self._lock:
            rows = self._database.execute("SELECT state, count(*) FROM film GROUP BY state")
            found = dict(rows.fetchall())
        return {state: found.get(state, 0) for state in State}

    def oldest(self) -> float | None:
        """Return when the oldest film was received that is not delivered yet."""
        row = self._row("SELECT min(received_at) FROM film WHERE state IN ('received', 'answered')")
        return float(row[0]) if row and row[0] is not None else None

    def _row(self, query: str, *values: object) -> tuple | None:  # type: ignore[type-arg]
        with self._lock:
            row: tuple | None = self._database.execute(query, values).fetchone()  # type: ignore[type-arg]
        return row

    @contextmanager
    def _transaction(self, name: str) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                reach(f"{name} before commit")
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        reach(f"{name} committed")

    def _sweep(self) -> None:
        """Remove what a crash left: files begun, and files that no open film needs.

        What has no name that the node gives is another's, and stays.
        """
        needed = set()
        with self._lock:
            for (digest,) in self._database.execute(
                "SELECT sha256 FROM film WHERE state IN ('received', 'answered') "
                "OR (state = 'closed' AND is_accepted)"
            ):
                needed.add(self.film_path(digest))
            for digest, number in self._database.execute(
                "SELECT answer.sha256, number FROM answer JOIN film USING (sha256) "
                "WHERE state = 'answered'"
            ):
                needed.add(self.answer_path(digest, number))
        for folder in (self._films, self._answers):
            for entry in os.scandir(folder):
                is_own = _OWN_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
                if is_own and Path(entry.path) not in needed:
                    Path(entry.path).unlink()


def _open(path: Path, *, holds_files: bool) -> sqlite3.Connection:
    """Open the database, or make it in a folder that holds no files; whole, of this version."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        wrong = _prepare(database, holds_files=holds_files)
    except sqlite3.Error as error:
        wrong = str(error)
    if wrong is not None:
        database.close()
        raise NodeError(f"{path}: {wrong}; restore it or use another --data")
    return database


def _prepare(database: sqlite3.Connection, *, holds_files: bool) -> str | None:
    """Set the database up; returns what is wrong with it, or None."""
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0 and holds_files:
        return "it knows no film, and films/ or answers/ beside it hold files"
    if version == 0:
        database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    elif version != SCHEMA_VERSION:
        return f"version {version}; accepted: {SCHEMA_VERSION}"
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    return None if verdict == "ok" else f"damaged ({verdict})"
