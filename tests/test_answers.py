"""Answers: the objects that go back into a film's study."""

from io import BytesIO

from builders import to_bytes
from peers import film
from pydicom import dcmread

from cxr_device import Device
from cxr_device.node.answers import from_outputs
from verification import verifies

SR = "1.2.840.10008.5.1.4.1.1.88.34"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


@verifies("SRS-263@889dca72", "RC-263@632df2c7")
def test_a_refusal_is_answered_in_its_study_under_uids_of_its_own() -> None:
    device = Device.load_guards()
    each = film(1, PatientAge="010Y")
    data = to_bytes(each)
    answers = from_outputs(device)
    objects = answers(data, device.read(data))
    again = answers(data, device.read(data))
    device.close()
    assert {answer.sop_class_uid for answer in objects} == {SR, PDF}
    for answer in objects:
        instance = dcmread(BytesIO(answer.data))
        assert instance.SOPClassUID == answer.sop_class_uid
        assert instance.SOPInstanceUID == answer.sop_instance_uid
        assert instance.StudyInstanceUID == each.StudyInstanceUID
    assert len({answer.sop_instance_uid for answer in [*objects, *again]}) == 4


@verifies("SRS-263@889dca72")
def test_bytes_without_a_study_have_no_answer() -> None:
    device = Device.load_guards()
    data = b"no data set at all" * 9
    assert list(from_outputs(device)(data, device.read(data))) == []
    device.close()
