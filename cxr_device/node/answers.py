"""Answers: the DICOM objects that a node sends back for one film, from `outputs`."""

from collections.abc import Callable, Sequence
from datetime import datetime

from pydicom.uid import generate_uid

from cxr_device.device import Device
from cxr_device.node.queue import AnswerObject
from cxr_device.outputs.composite_instance import FORMS, Making
from cxr_device.outputs.dicom_answer import answer
from cxr_device.result import Result

__all__ = ["from_outputs"]


def from_outputs(device: Device) -> Callable[[bytes, Result], Sequence[AnswerObject]]:
    """Return what answers a film: its SR, and the rest that belongs to its result.

    The answers are made once, kept, and sent as they were kept, so that a film has one set of
    SOP Instance UIDs however often the sending is tried.
    """

    def answers(data: bytes, result: Result) -> Sequence[AnswerObject]:
        making = Making(
            release=device.release,
            device=result.device,
            made_at=datetime.now().astimezone(),
            new_uid=lambda: str(generate_uid(prefix=None)),
        )
        made = answer(result, making, data=data, picture=device.picture(result))
        return [
            AnswerObject(
                sop_class_uid=FORMS[each.kind].sop_class_uid,
                sop_instance_uid=each.sop_instance_uid,
                data=each.data,
            )
            for each in made
        ]

    return answers
