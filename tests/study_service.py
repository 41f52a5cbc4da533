"""A DICOMweb study service on loopback (STOW-RS), by the standard library.

It parses the multipart request by its own boundary, reads each part with pydicom, and answers with
DICOM JSON; it may be told what to refuse.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from ssl import SSLContext
from typing import Any

from peers import HOST, reports_of
from pydicom import Dataset, dcmread

PATH = "/dicom-web/studies"


@dataclass
class StudyArchive:
    """A running service, and what it was offered."""

    reasons: list[dict[str, int]] = field(default_factory=list)
    """Failure reason by modality for each next request; nothing fails when empty."""
    statuses: list[int] = field(default_factory=list)
    """Status of each next request instead of its own, without a body; 0 breaks off."""
    bodies: list[bytes] = field(default_factory=list)
    """Body of each next response instead of its own, under 200; nothing is stored."""
    held: dict[str, Dataset] = field(default_factory=dict)
    offers: Counter[str] = field(default_factory=Counter)
    answered: list[int] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        """As `--return` names it."""
        return f"http://{HOST}:{self.port}{PATH}"

    def answers_to(self, sop_instance_uid: str) -> list[Dataset]:
        """Structured reports that reference a film."""
        return reports_of(self.held.values(), sop_instance_uid)

    def take(self, handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        """Store what a request holds; status and body of the response."""
        assert handler.path == PATH
        self.authorizations.append(handler.headers["Authorization"])
        raw = handler.rfile.read(int(handler.headers["Content-Length"]))
        kind = handler.headers["Content-Type"].encode()
        message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind + b"\r\n\r\n" + raw)
        assert message.get_content_type() == "multipart/related"
        boundary = b"--" + message.get_boundary("").encode()
        first, *parts, last = raw.split(boundary)
        assert (first, last) == (b"", b"--\r\n")
        statuses, self.statuses = self.statuses[:1], self.statuses[1:]
        reasons = self.reasons.pop(0) if self.reasons else {}
        referenced, failed = [], []
        for part in parts:
            head, _, data = part.partition(b"\r\n\r\n")
            assert head == b"\r\nContent-Type: application/dicom"
            instance = dcmread(BytesIO(data.removesuffix(b"\r\n")))
            uid = str(instance.SOPInstanceUID)
            self.offers[uid] += 1
            item = {"00081155": {"vr": "UI", "Value": [uid]}}
            if statuses or self.bodies:
                continue
            if instance.Modality in reasons:
                reason = {"vr": "US", "Value": [reasons[instance.Modality]]}
                failed.append({**item, "00081197": reason})
            else:
                self.held[uid] = instance
                referenced.append(item)
        if statuses:
            return statuses[0], b""
        if self.bodies:
            return 200, self.bodies.pop(0)
        told = {"00081199": {"vr": "SQ", "Value": referenced}} if referenced else {}
        if failed:
            told["00081198"] = {"vr": "SQ", "Value": failed}
        return (409 if not referenced else 202 if failed else 200), json.dumps(told).encode()


@contextmanager
def study_service(tls: SSLContext | None = None, **settings: Any) -> Iterator[StudyArchive]:
    """A running service on a free loopback port."""
    archive = StudyArchive(**settings)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = archive.take(self)
            if status == 0:
                self.connection.close()
                return
            archive.answered.append(status)
            self.send_response(status)
            self.send_header("Content-Type", "application/dicom+json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # type: ignore[explicit-override]  # noqa: A002
            """Log nothing."""

        def handle(self) -> None:  # type: ignore[explicit-override]
            try:
                super().handle()
            except OSError:  # broken off on purpose
                return

    server = ThreadingHTTPServer((HOST, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    archive.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


__all__ = ["PATH", "StudyArchive", "study_service"]
