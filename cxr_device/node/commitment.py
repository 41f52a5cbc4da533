"""Storage commitment (PS3.4 annex J, push model): which instances are safe here.

An instance is committed when its bytes were received whole, are or were safe on the disk, and are
within the intended use. The node is no archive: it keeps a film until its answer is delivered, and
no sender may delete its own copy because of this commitment (conformance statement).
"""

from collections.abc import Callable
from typing import Final

from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.uid import UID
from pynetdicom.association import Association

from cxr_device.node.queue import Commitment
from cxr_device.node.services import PUSH_MODEL, PUSH_MODEL_INSTANCE

__all__ = [
    "INVALID_ARGUMENT",
    "Commitment",
    "MalformedRequestError",
    "judge",
    "report",
]

INVALID_ARGUMENT: Final = 0x0115
"""Invalid argument value (PS3.7 annex C.4.3)."""
NO_SUCH_INSTANCE: Final = 0x0112
"""No such object instance (PS3.3 C.14.1.1)."""
CLASS_CONFLICT: Final = 0x0119
"""Class/instance conflict: the instance was received under another SOP class."""
PROCESSING_FAILURE: Final = 0x0110
"""Received and refused: outside the intended use, or unreadable."""
_ALL_SAFE, _SOME_FAILED = 1, 2
"""Event type IDs (PS3.4 table J.3-2)."""
MAX_REFERENCES: Final = 10_000
"""Instances of one request."""


class MalformedRequestError(ValueError):
    """A storage commitment request that names no transaction or no instances."""


def judge(request: Dataset, reference: Callable[[str], tuple[str, bool] | None]) -> Commitment:
    """Say of each instance whether it is safe.

    Parameters
    ----------
    request : Dataset
        The N-ACTION's action information.
    reference : callable
        SOP class UID and acceptance of the film that was received under a UID, or None.

    Raises
    ------
    MalformedRequestError
        No transaction UID, or what is none; no reference, or too many.
    """
    transaction = str(request.get("TransactionUID") or "")
    items = request.get("ReferencedSOPSequence") or ()
    if not UID(transaction, IGNORE).is_valid or not 0 < len(items) <= MAX_REFERENCES:
        message = f"{len(items)} references; accepted: a transaction UID, 1 to {MAX_REFERENCES}"
        raise MalformedRequestError(message)
    committed, failed = [], []
    for item in items:
        sop_class = str(item.get("ReferencedSOPClassUID") or "")
        instance = str(item.get("ReferencedSOPInstanceUID") or "")
        known = reference(instance)
        if known is None:
            failed.append((sop_class, instance, NO_SUCH_INSTANCE))
        elif known[0] != sop_class:
            failed.append((sop_class, instance, CLASS_CONFLICT))
        elif not known[1]:
            failed.append((sop_class, instance, PROCESSING_FAILURE))
        else:
            committed.append((sop_class, instance))
    return Commitment(
        transaction_uid=transaction,
        committed=tuple(committed),
        failed=tuple(failed),
        attempts=0,
    )


def report(association: Association, commitment: Commitment) -> bool:
    """Send the report as N-EVENT-REPORT; True where the peer took it."""
    information = Dataset()
    information.TransactionUID = commitment.transaction_uid
    if commitment.committed:
        information.ReferencedSOPSequence = [_item(*uids) for uids in commitment.committed]
    if commitment.failed:
        information.FailedSOPSequence = []
        for sop_class, instance, reason in commitment.failed:
            item = _item(sop_class, instance)
            item.FailureReason = reason
            information.FailedSOPSequence.append(item)
    try:
        status, _ = association.send_n_event_report(
            information,
            _SOME_FAILED if commitment.failed else _ALL_SAFE,
            PUSH_MODEL,
            PUSH_MODEL_INSTANCE,
        )
    except (RuntimeError, ValueError):  # the association ended, or lacks the context
        return False
    return bool(status.get("Status") == 0)


def _item(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    return item
