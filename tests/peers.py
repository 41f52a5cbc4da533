"""Peers of the node: an archive that takes answers, and senders of films; on loopback alone."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from ssl import SSLContext
from time import monotonic, sleep
from typing import Any

import numpy as np
from builders import DX, dx, pixels, to_bytes
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context, build_role

COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
ANSWER_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.88.34",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.104.1",
)
HOST = "127.0.0.1"


def film(number: int = 1, **changes: Any) -> FileDataset:
    """A conformant film with UIDs of its own; `number` makes them."""
    root = f"1.2.826.0.1.3680043.10.1559.{number}"
    uids = {
        "SOPInstanceUID": f"{root}.3",
        "StudyInstanceUID": f"{root}.1",
        "SeriesInstanceUID": f"{root}.2",
    }
    return dx(_frame(), **{**uids, **changes})


@cache
def _frame() -> NDArray[np.uint16]:
    return pixels(side=512)


@dataclass
class Archive:
    """A storage SCP that keeps what it takes and may be told what to answer."""

    ae_title: str = "ARCHIVE"
    classes: tuple[str, ...] = ANSWER_CLASSES
    statuses: list[int] = field(default_factory=list)
    """Status of each next C-STORE; success when empty."""
    held: dict[str, Dataset] = field(default_factory=dict)
    """Instances by SOP Instance UID."""
    offers: Counter[str] = field(default_factory=Counter)
    reports: list[Dataset] = field(default_factory=list)
    report_status: int = 0x0000
    """Status of each N-EVENT-REPORT."""
    commits: bool = True
    """Whether it takes N-EVENT-REPORT at all."""
    port: int = 0
    tls: SSLContext | None = None
    _server: Any = None

    @property
    def address(self) -> str:
        """As `--return` names it."""
        return f"{self.ae_title}@{HOST}:{self.port}"

    def start(self) -> None:
        """Listen on a free port, or on the one that it had before."""
        entity = AE(self.ae_title)
        for each in self.classes:
            entity.add_supported_context(each)
        entity.add_supported_context("1.2.840.10008.1.1")
        if self.commits:
            entity.add_supported_context(COMMITMENT, scu_role=False, scp_role=True)
        self._server = entity.start_server(
            (HOST, self.port),
            block=False,
            ssl_context=self.tls,
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_N_EVENT_REPORT, self._report)],
        )
        self.port = self._server.server_address[1]

    def bind(self, event: evt.EventType, handler: Callable[[evt.Event], Any]) -> None:
        """Do something more at an event of its associations."""
        self._server.bind(event, handler)

    def stop(self) -> None:
        """End every association and listen no more."""
        self._server.ae.shutdown()

    def answers_to(self, sop_instance_uid: str) -> list[Dataset]:
        """Structured reports that reference a film."""
        return reports_of(self.held.values(), sop_instance_uid)

    def _store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]  # C-STORE
        self.offers[uid] += 1
        status = self.statuses.pop(0) if self.statuses else 0x0000
        if status in (0x0000, 0xB000):
            self.held[uid] = event.dataset
        return status

    def _report(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append(event.event_information)
        return self.report_status, None


def reports_of(held: Iterable[Dataset], sop_instance_uid: str) -> list[Dataset]:
    """Structured reports among instances that reference a film."""
    return [
        each for each in list(held) if each.Modality == "SR" and sop_instance_uid in each.to_json()
    ]


@contextmanager
def archive(**settings: Any) -> Iterator[Archive]:
    """A running archive."""
    running = Archive(**settings)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def associate(  # noqa: PLR0913
    port: int,
    *,
    calling: str = "MODALITY",
    called: str = "CXRDEVICE",
    classes: tuple[str, ...] = (DX,),
    syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian,),
    tls: SSLContext | None = None,
    handlers: list[Any] | None = None,
    timeout_s: float = 120.0,
) -> Association:
    """Ask the node for an association."""
    entity = AE(calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout_s
    contexts = [build_context(each, list(syntaxes)) for each in classes]
    contexts.append(build_context("1.2.840.10008.1.1"))
    contexts.append(build_context(COMMITMENT))
    return entity.associate(
        HOST,
        port,
        contexts,
        ae_title=called,
        tls_args=(tls, HOST) if tls else None,
        evt_handlers=handlers or [],
        ext_neg=[build_role(COMMITMENT, scu_role=True)],
    )


def store(port: int, *films: FileDataset, **settings: Any) -> list[int]:
    """Send films over one association; the status of each."""
    classes = tuple({str(each.SOPClassUID) for each in films})
    association = associate(port, classes=classes, **settings)
    assert association.is_established
    sent = (dcmread(BytesIO(to_bytes(each))) for each in films)
    statuses = [association.send_c_store(each).get("Status", -1) for each in sent]
    association.release()
    return statuses


def store_bytes(
    association: Association, data: bytes, *, sop_class: str = DX, sop_instance: str | None = None
) -> int:
    """Send bytes as a data set, whatever they are; the status, or -1 without a response."""
    (context,) = (c for c in association.accepted_contexts if c.abstract_syntax == sop_class)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = sop_instance or generate_uid()
    request.DataSet = BytesIO(data)
    association._reactor_checkpoint.clear()  # noqa: SLF001  # as send_c_store does
    association.dimse.send_msg(request, context.context_id or 0)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()  # noqa: SLF001
    return -1 if response is None else int(getattr(response, "Status", -1))


def wait(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until a condition holds, or fail."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.02)


def named(names: str) -> list[str]:
    """Names of the threads that run now and contain a word."""
    return [thread.name for thread in threading.enumerate() if names in thread.name]


__all__ = [
    "ANSWER_CLASSES", "COMMITMENT", "COMMITMENT_INSTANCE", "HOST", "Archive", "archive",
    "associate", "film", "named", "reports_of", "store", "store_bytes", "wait",
]  # fmt: skip
