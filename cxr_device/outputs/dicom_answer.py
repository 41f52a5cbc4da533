"""The answer in DICOM: which objects a result becomes, each in the study of its film."""

import numpy as np
from numpy.typing import NDArray

from cxr_device.explanation import ActivationMap
from cxr_device.outputs.composite_instance import Making, Written
from cxr_device.outputs.dicom_sr import structured_report
from cxr_device.outputs.encapsulated_pdf import encapsulated_pdf
from cxr_device.outputs.secondary_capture import secondary_capture
from cxr_device.outputs.source_study import find_study
from cxr_device.outputs.statement import state
from cxr_device.result import Analyzed, Failed, Rejected

__all__ = ["answer"]


def answer(
    result: Analyzed | Rejected | Failed,
    making: Making,
    *,
    data: bytes,
    picture: NDArray[np.uint8] | None,
    activation: ActivationMap | None = None,
) -> list[Written]:
    """Make the DICOM objects of one result.

    A film that was read becomes a structured report, a Secondary Capture and an Encapsulated PDF;
    a refused one a structured report with the status Not Attempted and an Encapsulated PDF.

    Parameters
    ----------
    result : Analyzed, Rejected or Failed
        What `Device.read` returned for `data`.
    making : Making
        The device, the time and a source of new UIDs.
    data : bytes
        The DICOM Part 10 file that was read.
    picture : ndarray of uint8, shape (rows, columns), or None
        `Device.picture(result)`: display copy of the film.
    activation : ActivationMap or None
        `Device.activation(result)`: drawn on the Secondary Capture, research profile alone.

    Returns
    -------
    list of Written
        Empty where the header names no study that an object could join: no valid Study, Series
        or SOP Instance UID, or no header that could be read.

    Raises
    ------
    ClaimError
        `activation` was given for a result of the triage profile.
    OutputError
        `data` is not what was read, or its patient or study attributes cannot be copied.
    """
    study = find_study(data, result.source)
    if study is None:
        return []
    statement = state(result, making.release)
    objects = [structured_report(result, statement, study, making)]
    if isinstance(result, Analyzed) and picture is not None:
        page = secondary_capture(
            result, statement, study, making, picture=picture, activation=activation
        )
        objects.append(page)
    objects.append(encapsulated_pdf(result, statement, study, making, picture=picture))
    return objects
