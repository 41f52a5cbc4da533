"""Connections: the limits that keep one peer from taking the node down.

pynetdicom reads a PDU as long as its header says and waits for it as long as it takes, and does
the TLS handshake in the thread that accepts. Here a PDU and a message have a longest length and a
longest time, the handshake has a thread of its own, and connections have a largest number.
"""

import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.fsm import StateMachine
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_P_ABORT
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from cxr_device.node.journal import Journal
from cxr_device.node.services import (
    ASSOCIATION_S,
    MAX_CONNECTIONS,
    MAX_READ_BYTES,
    MESSAGE_S,
    PDU_S,
)

__all__ = [
    "AssociationLimits",
    "BoundedServer",
    "MessageReader",
    "end",
    "grant_next",
]


class AssociationLimits:
    """What one connection may still do; a message's answer grants the next message."""

    def __init__(self, max_message_bytes: int) -> None:
        self._max = max_message_bytes
        self._bytes = 0
        self._begun: float | None = None

    def deadline(self, now: float) -> float:
        """When the PDU that begins now must be whole."""
        if self._begun is None:
            self._begun = now
        return min(now + PDU_S, self._begun + MESSAGE_S)

    def count(self, received: int) -> None:
        """Count bytes; raises OSError where a message is longer than any film."""
        self._bytes += received
        if self._bytes > self._max:
            message = f"a message of more than {self._max} bytes"
            raise OSError(message)

    def grant(self) -> None:
        """Begin anew: every message so far was answered."""
        self._bytes, self._begun = 0, None


class MessageReader(AssociationSocket):
    """The socket of one association, reading within limits."""

    def __init__(
        self, assoc: Association, connection: socket.socket, limits: AssociationLimits
    ) -> None:
        super().__init__(assoc, client_socket=connection)
        self.limits = limits

    def recv(self, nr_bytes: int) -> bytearray:  # type: ignore[explicit-override]
        """Read `nr_bytes`, or fewer where the peer closed; a limit passed ends the connection."""
        received = bytearray()
        if self.socket is None:
            return received
        try:
            if nr_bytes > MAX_READ_BYTES:
                message = f"a PDU of {nr_bytes} bytes"
                raise OSError(message)  # noqa: TRY301  # one place ends the connection
            deadline = self.limits.deadline(time.monotonic())
            while len(received) < nr_bytes:
                self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
                chunk = self.socket.recv(nr_bytes - len(received))
                if not chunk:
                    self.end()
                    return received
                received += chunk
                self.limits.count(len(chunk))
            self.socket.settimeout(PDU_S)  # for what is sent: a peer that reads nothing is left
        except OSError:
            self.end()
            raise
        return received

    def end(self) -> None:
        """Shut the connection down and close its socket; pynetdicom leaves it to the collector."""
        self._shutdown_socket()
        if self.socket is not None:
            self.socket.close()


class _Machine(StateMachine):
    """The upper layer's state machine, which tells its association when nothing more will come.

    pynetdicom lets an association whose connection closed, or whose reactor ended by an exception,
    wait for a request until the time to ask is over, and hold a place among the others meanwhile.
    """

    def do_action(self, event: str) -> None:  # type: ignore[explicit-override]
        """Do what PS3.8 table 9-10 says of an event in the present state."""
        try:
            super().do_action(event)
        except Exception:
            self.dul.to_user_queue.put(A_P_ABORT())
            raise
        if self.current_state == "Sta1" and self.dul.assoc.requestor.primitive is None:
            self.dul.to_user_queue.put(A_P_ABORT())


class _Handler(RequestHandler):
    """Makes an association whose socket has limits."""

    server: "BoundedServer"

    def _create_association(self) -> Association:  # type: ignore[explicit-override]
        association = super()._create_association()
        association.dul.event_queue.get_nowait()  # "connected", which the next socket tells again
        limits = AssociationLimits(self.server.max_message_bytes)
        reader = MessageReader(association, cast("socket.socket", self.request), limits)
        association.dul.socket = reader
        association.dul.state_machine = _Machine(association.dul)
        return association

    def handle(self) -> None:  # type: ignore[explicit-override]
        """Start the association, which takes over the place of its connection."""
        with self.server.handing_over(self.client_address):
            super().handle()


class BoundedServer(ThreadedAssociationServer):
    """Accepts connections, at most `MAX_CONNECTIONS` at a time; TLS in each one's own thread."""

    daemon_threads = True

    def __init__(  # noqa: PLR0913  # pynetdicom's arguments and three limits
        self,
        entity: AE,
        address: tuple[str, int],
        contexts: list[PresentationContext],
        handlers: list[evt.EventHandlerType],
        *,
        tls: ssl.SSLContext | None,
        max_message_bytes: int,
        journal: Journal,
    ) -> None:
        self.tls, self.max_message_bytes, self._journal = tls, max_message_bytes, journal
        self._connecting: set[Any] = set()  # addresses of peers that have no association yet
        self._count = threading.Lock()
        super().__init__(
            entity,
            address,
            entity.ae_title,
            contexts,
            evt_handlers=[(evt.EVT_REQUESTED, _negotiate_nothing), *handlers],
            request_handler=_Handler,
        )

    def verify_request(self, request: Any, client_address: Any) -> bool:  # type: ignore[explicit-override]  # noqa: ANN401
        """Refuse a connection beyond the limit."""
        with self._count:
            if len(self._connecting) + len(self.active_associations) >= MAX_CONNECTIONS:
                self._journal.note("connection_refused", host=str(client_address[0]))
                return False
            self._connecting.add(client_address)
        return bool(super().verify_request(request, client_address))

    def finish_request(self, request: Any, client_address: Any) -> None:  # type: ignore[explicit-override]  # noqa: ANN401
        """Shake hands within limits, then hand over to pynetdicom."""
        try:
            request.settimeout(ASSOCIATION_S)
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)
        finally:
            with self._count:
                self._connecting.discard(client_address)

    @contextmanager
    def handing_over(self, client_address: Any) -> Iterator[None]:  # noqa: ANN401
        """Count a connection as its association from here on, and at no moment as both."""
        with self._count:
            yield
            self._connecting.discard(client_address)

    def handle_error(self, _request: Any, client_address: Any) -> None:  # type: ignore[explicit-override]  # noqa: ANN401
        """Say in a line why a connection came to nothing."""
        error = sys.exception()
        self._journal.note(
            "connection_failed", host=str(client_address[0]), error=type(error).__name__
        )


def end(association: Association) -> None:
    """Close the socket of an association that ended."""
    reader = association.dul.socket
    if isinstance(reader, MessageReader):
        reader.end()


def _negotiate_nothing(event: evt.Event) -> None:
    """End an association that was told so instead of asked (bound to EVT_REQUESTED)."""
    if not isinstance(event.assoc.requestor.primitive, A_ASSOCIATE):
        event.assoc.is_aborted = True


def grant_next(event: evt.Event) -> None:
    """Grant the next message once every one received was answered (bound to EVT_DIMSE_SENT)."""
    reader = event.assoc.dul.socket
    if isinstance(reader, MessageReader) and event.assoc.dimse.msg_queue.empty():
        reader.limits.grant()
