"""The receiving half of a node in this process: server and queue, without worker and sender."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TextIO

from peers import HOST

from cxr_device.audit import AuditTrail
from cxr_device.device import Device
from cxr_device.node.configuration import Address, Configuration, Peer
from cxr_device.node.journal import Journal
from cxr_device.node.queue import Queue
from cxr_device.node.server import Server

__all__ = ["receiver"]


@contextmanager
def receiver(folder: Path, stream: TextIO | None = None) -> Iterator[tuple[Server, Queue]]:
    """A server that listens on loopback and keeps what it takes in `folder`; nothing is read."""
    peer = Peer(ae_title="ARCHIVE", address=Address(host=HOST, port=9))
    configuration = Configuration(
        ae_title="CXRDEVICE", bind=Address(host=HOST, port=0), data=folder, peer=peer,
        callers=frozenset(), tls=None, metrics=None,
    )  # fmt: skip
    with (
        closing(Queue(folder)) as queue,
        AuditTrail(folder / "audit.jsonl", at=datetime.now(UTC)) as audit,
    ):
        server = Server(
            configuration, queue, Device.load_guards(), Journal(audit, stream or StringIO()),
            arrived=lambda: None, promised=lambda: None,
        )  # fmt: skip
        server.start()
        try:
            yield server, queue
        finally:
            server.stop()
