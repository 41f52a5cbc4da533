"""The result: which exit code each kind has, and that none shows its pixels when printed."""

from builders import dx, to_bytes

from cxr_device import Analyzed, Device, Failed, Rejected
from cxr_device.result import Checked, ExitCode
from verification import verifies


@verifies("SRS-148@b944f448", "RC-148@4c3b5db0", level="integration")
def test_each_kind_of_result_has_its_exit_code(device: Device) -> None:
    film = to_bytes(dx())
    results = (
        device.read(film), device.read(to_bytes(dx(Modality="CT"))), device.read(b""),
        device.check(film),
    )  # fmt: skip
    assert [type(result) for result in results] == [Analyzed, Rejected, Failed, Checked]
    assert [result.exit_code for result in results] == [0, 3, 4, 0]
    assert {code.name: int(code) for code in ExitCode} == {
        "ANALYZED": 0, "USAGE": 2, "REJECTED": 3, "FAILED": 4, "INTEGRITY": 5, "OUTPUT": 6,
        "INTERNAL": 70,
    }  # fmt: skip


@verifies("SRS-149@a4a13613", "RC-149@fb40471f", level="integration")
def test_a_printed_result_shows_neither_pixels_nor_identity(device: Device) -> None:
    shown = repr(device.read(to_bytes(dx())))
    assert "AcceptedRadiograph" not in shown
    assert "array" not in shown
    assert "PHANTOM" not in shown
