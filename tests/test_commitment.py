"""Storage commitment: what is safe, why not, and what the requestor is told."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from peers import COMMITMENT, HOST
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_role

from cxr_device.node.commitment import (
    INVALID_ARGUMENT,
    Commitment,
    MalformedRequestError,
    judge,
    report,
)
from verification import verifies

DX = "1.2.840.10008.5.1.4.1.1.1.1"
KNOWN = {"1.1": (DX, True), "1.2": (DX, False), "1.3": ("1.9", True)}
MOST = 10_000
"""References of one request (conformance statement)."""


def request(*uids: str, transaction: str | None = "1.2.3") -> Dataset:
    """A request that names instances as DX."""
    asked = Dataset()
    if transaction is not None:
        asked.add(DataElement("TransactionUID", "UI", transaction, validation_mode=IGNORE))
    asked.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = DX, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
def test_commitment_tells_each_reason_apart() -> None:
    found = judge(request("1.1", "1.2", "1.3", "1.4"), KNOWN.get)
    assert found == Commitment(
        transaction_uid="1.2.3",
        committed=((DX, "1.1"),),
        failed=((DX, "1.2", 0x0110), (DX, "1.3", 0x0119), (DX, "1.4", 0x0112)),
        attempts=0,
    )


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
def test_a_reference_without_its_uids_is_not_committed() -> None:
    asked = request("1.1", "1.1")
    del asked.ReferencedSOPSequence[0].ReferencedSOPClassUID
    del asked.ReferencedSOPSequence[1].ReferencedSOPInstanceUID
    found = judge(asked, KNOWN.get)
    assert found.committed == ()
    assert found.failed == (("", "1.1", 0x0119), (DX, "", 0x0112))


@verifies("SRS-257@f76f360b")
def test_a_request_without_transaction_or_references_is_refused() -> None:
    nothing = Dataset()
    nothing.TransactionUID = "1.2.3"
    assert INVALID_ARGUMENT == 0x0115  # its answer (PS3.7 annex C.4.3)
    for asked in (nothing, request(), request("1.1", transaction=None)):
        with pytest.raises(MalformedRequestError, match="accepted: a transaction UID, 1 to 10000"):
            judge(asked, KNOWN.get)


@verifies("SRS-397@b1359006", level="unit")
@pytest.mark.parametrize("transaction", ["", "a text", "1.2.", "1..2", "1" * 65])
def test_a_transaction_is_named_by_a_uid(transaction: str) -> None:
    with pytest.raises(MalformedRequestError, match="accepted: a transaction UID"):
        judge(request("1.1", transaction=transaction), KNOWN.get)
    assert judge(request("1.1", transaction="1" * 64), KNOWN.get).transaction_uid == "1" * 64


@verifies("SRS-257@f76f360b", "SRS-256@70f845e6")
def test_a_request_has_a_largest_number_of_references() -> None:
    full = request("1.1")
    full.ReferencedSOPSequence = list(full.ReferencedSOPSequence) * MOST
    assert len(judge(full, KNOWN.get).committed) == MOST
    full.ReferencedSOPSequence.append(full.ReferencedSOPSequence[0])
    with pytest.raises(MalformedRequestError, match="10001 references"):
        judge(full, KNOWN.get)


@contextmanager
def requestor(status: int, told: list[tuple[int, Dataset]]) -> Iterator[Association]:
    """An association to a peer that takes reports with a status, and keeps them."""

    def take(event: evt.Event) -> tuple[int, None]:
        told.append((int(event.event_type or 0), event.event_information))
        return status, None

    peer = AE("MODALITY")
    peer.add_supported_context(COMMITMENT, scu_role=False, scp_role=True)
    server = peer.start_server(
        (HOST, 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)]
    )
    assert server is not None
    entity = AE("CXRDEVICE")
    entity.add_requested_context(COMMITMENT)
    association = entity.associate(
        HOST, server.server_address[1], ext_neg=[build_role(COMMITMENT, scp_role=True)]
    )
    assert association.is_established
    try:
        yield association
    finally:
        association.abort()
        server.shutdown()


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
@pytest.mark.parametrize(
    ("uids", "kind", "committed", "failed"),
    [
        (("1.1",), 1, ["1.1"], None),
        (("1.1", "1.2"), 2, ["1.1"], [("1.2", 0x0110)]),
        (("1.4",), 2, None, [("1.4", 0x0112)]),
    ],
    ids=["all safe", "some failed", "none safe"],
)
def test_the_report_names_what_is_safe_and_what_failed(
    uids: tuple[str, ...],
    kind: int,
    committed: list[str] | None,
    failed: list[tuple[str, int]] | None,
) -> None:
    """Event types of PS3.4 table J.3-2: 1 where all are safe, 2 where some failed."""
    told: list[tuple[int, Dataset]] = []
    with requestor(0x0000, told) as association:
        assert report(association, judge(request(*uids), KNOWN.get)) is True
    ((found_kind, found),) = told
    assert found_kind == kind
    assert found.TransactionUID == "1.2.3"
    safe = found.get("ReferencedSOPSequence")
    assert committed == (safe and [item.ReferencedSOPInstanceUID for item in safe])
    lost = found.get("FailedSOPSequence")
    assert failed == (
        lost and [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in lost]
    )
    assert {item.ReferencedSOPClassUID for item in [*(safe or ()), *(lost or ())]} == {DX}


@verifies("SRS-257@f76f360b", "RC-257@21184b54")
def test_a_report_that_was_not_taken_is_not_confirmed() -> None:
    told: list[tuple[int, Dataset]] = []
    found = judge(request("1.1"), KNOWN.get)
    with requestor(0x0110, told) as association:
        assert report(association, found) is False
        assert len(told) == 1
        association.abort()
        assert report(association, found) is False
    assert len(told) == 1
