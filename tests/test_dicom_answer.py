"""The answer in DICOM: which objects a result becomes."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from answers import analyzed, failed, film, making, rejected, source_of
from pydicom import dcmread

from cxr_device.errors import ClaimError, OutputError
from cxr_device.explanation import ActivationMap
from cxr_device.outputs.composite_instance import FORMS
from cxr_device.outputs.dicom_answer import answer
from cxr_device.result import Failed, Rejected
from cxr_device.vocabulary import DicomOutput, Profile
from verification import verifies

SR, SC, PDF = DicomOutput
PICTURE = np.full((8, 8), 128, dtype=np.uint8)
MAP = ActivationMap(cells=np.array([[1.0, -1.0]]), offset=0.0)


@verifies("SRS-240@13ccd97d", "SRS-245@98ddb9da")
def test_a_film_that_was_read_becomes_report_picture_and_pdf() -> None:
    result = analyzed()
    made = answer(result, making(result), data=film(), picture=PICTURE)
    assert [each.kind for each in made] == [SR, SC, PDF]
    for each in made:
        assert dcmread(BytesIO(each.data)).SOPClassUID == FORMS[each.kind].sop_class_uid
    without = answer(result, making(result), data=film(), picture=None)
    assert [each.kind for each in without] == [SR, PDF]


@verifies("SRS-242@ee6c0226", "RC-240@89b270a1")
@pytest.mark.parametrize("result", [rejected(), failed()])
def test_a_refused_film_has_no_result_page(result: Rejected | Failed) -> None:
    made = answer(result, making(result), data=film(), picture=PICTURE)
    assert [each.kind for each in made] == [SR, PDF]


@verifies("SRS-240@13ccd97d")
def test_a_film_without_a_study_is_answered_with_nothing() -> None:
    nameless = film().replace(
        b"1.2.826.0.1.3680043.10.1559.2\0", b"series of the third floor, A \0"
    )
    assert nameless != film()
    result = replace(analyzed(), source=source_of(nameless))
    assert answer(result, making(result), data=nameless, picture=PICTURE) == []


@verifies("SRS-244@3d709cf8", "RC-242@17131097")
def test_bytes_that_were_not_read_give_no_object() -> None:
    result = analyzed()
    with pytest.raises(OutputError, match="changed while it was read"):
        answer(result, making(result), data=film() + b"\0", picture=PICTURE)


@verifies("SRS-178@5aa37ec3", "RC-178@72e47793")
def test_a_map_is_drawn_for_research_alone() -> None:
    triage, research = analyzed(), analyzed(profile=Profile.RESEARCH)
    with pytest.raises(ClaimError, match="triage"):
        answer(triage, making(triage), data=film(), picture=PICTURE, activation=MAP)
    plain, drawn = (
        dcmread(
            BytesIO(
                answer(
                    research, making(research), data=film(), picture=PICTURE, activation=activation
                )[1].data
            )
        ).pixel_array
        for activation in (None, MAP)
    )
    assert not np.array_equal(plain, drawn)
