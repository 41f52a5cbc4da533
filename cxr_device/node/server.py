"""The server: films in over C-STORE, C-ECHO, and storage commitment requests (pynetdicom).

A film is answered after it is safe on the disk and its header was judged: 0x0000 within the
intended use, 0xA900 outside it, 0xC000 unreadable, 0xA700 where it could not be made safe. What is
refused is kept and answered too, because silence would read as negative. Nothing is inferred here.
"""

import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from socketserver import BaseServer
from typing import Final
from weakref import WeakKeyDictionary

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from cxr_device.audit import AuditEvent
from cxr_device.device import Device
from cxr_device.errors import AuditError, NodeError, OutputError
from cxr_device.intake import TRANSFER_SYNTAXES
from cxr_device.node import commitment
from cxr_device.node.configuration import Configuration, Peer
from cxr_device.node.connection import (
    BoundedServer,
    end,
    grant_next,
)
from cxr_device.node.failpoints import reach
from cxr_device.node.journal import Journal
from cxr_device.node.queue import Queue
from cxr_device.node.services import (
    ASSOCIATION_S,
    CANNOT_UNDERSTAND,
    DRAIN_S,
    MAX_ASSOCIATIONS,
    MAX_PDU_BYTES,
    MESSAGE_OVERHEAD_BYTES,
    MIN_FREE_BYTES,
    NETWORK_S,
    NOT_IN_USE,
    OUT_OF_RESOURCES,
    PUSH_MODEL,
    STORAGE_CLASSES,
    SUCCESS,
    VERIFICATION,
)
from cxr_device.node.worker import FIRST_ARRIVAL
from cxr_device.outputs.source_study import find_study
from cxr_device.result import ExitCode, Source

__all__ = ["Server"]

_STATUS: Final = {
    ExitCode.ANALYZED: SUCCESS,
    ExitCode.REJECTED: NOT_IN_USE,
    ExitCode.FAILED: CANNOT_UNDERSTAND,
}
_UID: Final = re.compile(r"[0-9.]{1,64}")
"""Characters of a UID; what a hostile header holds beyond them is neither kept nor told."""


class Server:
    """Listens on the configured address until it is stopped."""

    def __init__(  # noqa: PLR0913  # its collaborators
        self,
        configuration: Configuration,
        queue: Queue,
        device: Device,
        journal: Journal,
        *,
        arrived: Callable[[], None],
        promised: Callable[[], None],
    ) -> None:
        self._configuration = configuration
        self._queue, self._device, self._journal = queue, device, journal
        self._arrived, self._promised = arrived, promised
        self._stopping = False
        self._reports: WeakKeyDictionary[Association, commitment.Commitment] = WeakKeyDictionary()
        entity = AE(configuration.ae_title)
        entity.require_called_aet = True
        entity.require_calling_aet = sorted(configuration.callers)
        entity.maximum_associations = MAX_ASSOCIATIONS
        entity.maximum_pdu_size = MAX_PDU_BYTES
        entity.acse_timeout = entity.dimse_timeout = ASSOCIATION_S
        entity.network_timeout = NETWORK_S
        contexts = [build_context(each, sorted(TRANSFER_SYNTAXES)) for each in STORAGE_CLASSES]
        contexts += [build_context(VERIFICATION), build_context(PUSH_MODEL)]
        address = (configuration.bind.host, configuration.bind.port)
        limit = device.release.label.max_file_mib * 2**20 + MESSAGE_OVERHEAD_BYTES
        try:
            self._server = BoundedServer(
                entity,
                address,
                contexts,
                [
                    (evt.EVT_C_STORE, self._store),
                    (evt.EVT_N_ACTION, self._commit),
                    (evt.EVT_DIMSE_SENT, self._responded),
                    (evt.EVT_REJECTED, self._rejected),
                    (evt.EVT_ABORTED, self._aborted),
                ],
                tls=configuration.tls.server() if configuration.tls else None,
                max_message_bytes=limit,
                journal=journal,
            )
        except OSError as error:
            raise NodeError(f"--bind {configuration.bind}: {error.strerror}") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="server"
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def is_alive(self) -> bool:
        """Whether it accepts."""
        return self._thread.is_alive()

    @property
    def associations(self) -> int:
        """Associations that are open now."""
        return len(self._server.active_associations)

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._server.server_close()

    def stop(self) -> None:
        """Accept no more; let messages in hand end, then abort what is still open."""
        self._stopping = True
        BaseServer.shutdown(self._server)
        self.close()
        self._thread.join()
        deadline = time.monotonic() + DRAIN_S
        for association in self._server.active_associations:
            association.join(deadline - time.monotonic())
        for association in self._server.active_associations:
            association.abort()

    def _store(self, event: evt.Event) -> int:
        """Keep a film, judge its header, and say how it stands."""
        caller = str(event.assoc.requestor.ae_title).strip()
        try:
            if self._stopping:
                return self._refused(caller, "the node stops")
            if shutil.disk_usage(self._queue.folder).free < MIN_FREE_BYTES:
                return self._refused(caller, f"less than {MIN_FREE_BYTES} bytes free")
            status = self._keep(event.encoded_dataset(), event, caller)
        except (OSError, sqlite3.Error, AuditError) as error:
            return self._refused(caller, f"not made safe: {type(error).__name__}")
        self._arrived()
        return status

    def _keep(self, data: bytes, event: evt.Event, caller: str) -> int:
        checked = self._device.check_header(data, duplicate_uid=FIRST_ARRIVAL)
        uid = checked.source.sop_instance_uid
        uid = uid if uid and _UID.fullmatch(uid) else None
        named = getattr(event.request, "AffectedSOPInstanceUID", None)  # as a C-STORE has
        if uid not in (None, named):
            # kept, it would be the first arrival of its bytes: their right request got no answer
            self._journal.note("message_refused", caller=caller, reason="names another instance")
            return CANNOT_UNDERSTAND
        status = _STATUS[checked.exit_code]
        if status == SUCCESS and not _can_be_answered(data, checked.source):
            status = CANNOT_UNDERSTAND
        film, is_new = self._queue.receive(
            data,
            sop_class_uid=str(event.request.AffectedSOPClassUID),
            sop_instance_uid=uid,
            caller=caller,
            is_accepted=status == SUCCESS,
            received_at=time.time(),
        )
        if film.is_duplicate and status == SUCCESS:
            status = NOT_IN_USE
        self._journal.record(
            AuditEvent.RECEIVED if status == SUCCESS else AuditEvent.REFUSED,
            film_sha256=film.sha256,
            sop_instance_uid=film.sop_instance_uid,
            caller=caller,
            dicom_status=f"0x{status:04X}",
            bytes=len(data),
            reason="new" if is_new else "received before",
        )
        return status

    def _refused(self, caller: str, reason: str) -> int:
        self._journal.note("out_of_resources", caller=caller, reason=reason)
        return OUT_OF_RESOURCES

    def _commit(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Take a storage commitment request; its report follows (PS3.4 annex J)."""
        caller = str(event.assoc.requestor.ae_title).strip()
        try:
            asked = commitment.judge(event.action_information, self._queue.reference)
        except commitment.MalformedRequestError as error:
            self._journal.note("commitment_refused", caller=caller, reason=str(error))
            return commitment.INVALID_ARGUMENT, None
        self._journal.note(
            "commitment",
            caller=caller,
            transaction_uid=asked.transaction_uid,
            committed=len(asked.committed),
            failed=len(asked.failed),
        )
        peer = self._configuration.peer
        if isinstance(peer, Peer) and caller == peer.ae_title:
            self._queue.promise(asked, now=time.time())
            self._promised()
        else:  # its address is not known: the report follows the response on this association
            self._reports[event.assoc] = asked
        return SUCCESS, None

    def _report(self, association: Association, asked: commitment.Commitment) -> None:
        done = commitment.report(association, asked)
        self._journal.note(
            "commitment_reported" if done else "commitment_not_reported",
            transaction_uid=asked.transaction_uid,
        )

    def _responded(self, event: evt.Event) -> None:
        reach(f"response sent {type(event.message).__name__}")
        grant_next(event)
        asked = self._reports.pop(event.assoc, None)
        if asked is not None:
            threading.Thread(
                target=self._report, args=(event.assoc, asked), name="report", daemon=True
            ).start()

    def _rejected(self, event: evt.Event) -> None:
        requestor = event.assoc.requestor
        self._journal.note(
            "association_rejected",
            caller=str(requestor.ae_title).strip(),
            called=str(requestor.primitive.called_ae_title).strip() if requestor.primitive else "",
            host=requestor.address,
        )

    def _aborted(self, event: evt.Event) -> None:
        end(event.assoc)
        self._journal.note(
            "association_aborted",
            caller=str(event.assoc.requestor.ae_title).strip(),
            host=event.assoc.requestor.address,
        )


def _can_be_answered(data: bytes, source: Source) -> bool:
    """Whether an answer can join the film's study under its patient's name."""
    try:
        return find_study(data, source) is not None
    except OutputError:
        return False
