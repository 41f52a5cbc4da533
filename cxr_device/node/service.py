"""The service: the node's parts, started in order and stopped in order."""

import os
import signal
import sys
import threading
import warnings
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

from cxr_device.audit import AuditEvent, AuditTrail
from cxr_device.device import Device
from cxr_device.errors import AuditError, NodeError
from cxr_device.node.answers import from_outputs
from cxr_device.node.configuration import Configuration
from cxr_device.node.journal import Journal
from cxr_device.node.monitor import Health, Monitor, age_s
from cxr_device.node.queue import Queue
from cxr_device.node.sender import Sender
from cxr_device.node.server import Server
from cxr_device.node.worker import Answers, Worker

__all__ = ["Node", "run"]

_LOOK_S: Final = 0.5
"""Seconds between looks whether every part is alive."""


class Node:
    """A running node; `serve` returns when it was told to stop.

    Raises
    ------
    NodeError
        The node cannot start as configured.
    """

    def __init__(
        self,
        configuration: Configuration,
        device: Device,
        answers: Answers,
        *,
        stream: TextIO = sys.stderr,
    ) -> None:
        self._configuration, self._device = configuration, device
        self._stop = threading.Event()
        self._excepthook = threading.excepthook
        with ExitStack() as opened:
            self.queue = opened.enter_context(closing(Queue(configuration.data)))
            audit = opened.enter_context(_audit(configuration.data / "audit.jsonl"))
            self._journal = Journal(audit, stream)
            self._sender = Sender(configuration, self.queue, self._journal)
            self._worker = Worker(
                self.queue, device, answers, self._journal, answered=self._sender.wake.set
            )
            self._server = Server(
                configuration,
                self.queue,
                device,
                self._journal,
                arrived=self._worker.wake.set,
                promised=self._sender.wake.set,
            )
            opened.callback(self._server.close)
            self.monitor = (
                Monitor(configuration.metrics, self.health) if configuration.metrics else None
            )
            self._opened = opened.pop_all()

    @property
    def port(self) -> int:
        """The DICOM port."""
        return self._server.port

    def health(self) -> Health:
        """How the node is now."""
        return Health(
            is_running=all(part.is_alive() for part in (self._worker, self._sender, self._server)),
            associations=self._server.associations,
            films={str(state): count for state, count in self.queue.counts().items()},
            oldest_waiting_s=age_s(self.queue.oldest()),
            peer_failures=self._sender.failures,
            events=self._journal.counts(),
            reading_seconds=self._journal.reading_seconds,
        )

    def start(self) -> None:
        """Go on with what the folder holds, then accept films."""
        self._excepthook, threading.excepthook = threading.excepthook, self._ended
        self._sender.start()
        self._worker.start()
        self._server.start()
        if self.monitor is not None:
            self.monitor.start()
        self._journal.record(
            AuditEvent.STARTED,
            device=self._device.release.name,
            version=self._device.release.version,
            config_sha256=self._device.release.config_sha256,
            weights_sha256=self._device.release.weights_sha256,
        )
        self._journal.note(
            "listening",
            ae_title=self._configuration.ae_title,
            address=f"{self._configuration.bind.host}:{self.port}",
            peer=str(self._configuration.peer),
            tls=self._configuration.tls is not None,
            metrics_port=self.monitor.port if self.monitor else None,
        )

    def _ended(self, failed: threading.ExceptHookArgs) -> None:
        """Say in a line which thread ended by an exception; its words may quote a film."""
        thread = failed.thread.name if failed.thread else ""
        self._journal.note("thread_ended", thread=thread, error=failed.exc_type.__name__)

    def stop(self) -> None:
        """Accept no more, finish what is in hand, and close the queue."""
        self._server.stop()
        self._worker.stop()
        self._worker.join()
        self._sender.stop()
        self._sender.join()
        if self.monitor is not None:
            self.monitor.stop()
        threading.excepthook = self._excepthook
        try:
            self._journal.record(AuditEvent.STOPPED)
        finally:
            self._opened.close()

    def serve(self) -> None:
        """Run until SIGTERM or SIGINT; a part that ends by itself ends the node.

        Raises
        ------
        RuntimeError
            A part ended although nobody stopped it.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        self.start()
        alive = True
        while alive and not self._stop.wait(_LOOK_S):
            alive = self.health().is_running
        self.stop()
        if not alive:
            message = "server, worker or sender ended; the queue is safe, start the node again"
            raise RuntimeError(message)


def run(device: Device, configuration: Configuration) -> None:
    """Run `cxr-device node` in this process until it is told to stop.

    Raises
    ------
    NodeError
        The node cannot start as asked.
    """
    os.umask(0o077)  # films and answers are for the node's user alone
    warnings.simplefilter("ignore")  # pydicom's quote values; in threads no narrower place holds
    try:
        Node(configuration, device, from_outputs(device)).serve()
    finally:
        device.close()


def _audit(path: Path) -> AuditTrail:
    try:
        return AuditTrail(path, at=datetime.now(UTC))
    except AuditError as error:
        raise NodeError(f"--data: {error}") from error
