"""Outputs: the record and the page, whole or not at all."""

import json
import re
from pathlib import Path

import pytest
from builders import dx, to_bytes

from cxr_device import Device
from cxr_device.errors import OutputError
from cxr_device.outputs import folder
from cxr_device.outputs.report_html import report
from verification import verifies


@verifies("SRS-152@749f56d9", level="integration")
def test_the_page_needs_nothing_from_outside(device: Device) -> None:
    result = device.read(to_bytes(dx()))
    page = report(result, device.release, picture=device.picture(result))
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("<script>") == page.count("<script") == 1
    assert "data:image/jpeg;base64," in page
    assert all(check.code in page for check in result.checks)


@verifies("SRS-152@749f56d9", level="integration")
def test_what_a_file_says_cannot_become_markup(device: Device) -> None:
    data = to_bytes(dx()).replace(b"CS\x06\x00CHEST ", b"CS\x06\x00<B>XY ")
    page = report(device.read(data), device.release, picture=None)
    assert "<B>XY" not in page
    assert "&lt;B&gt;XY" in page


@verifies("SRS-167@c6062141", "RC-167@5ee3caae", level="integration")
def test_a_write_that_is_cut_leaves_nothing_half_written(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.os, "fsync", full)  # type: ignore[attr-defined]
    with pytest.raises(OutputError, match="No space left"):
        folder.write(device.read(to_bytes(dx())), device.release, picture=None, out=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@verifies("SRS-175@700100c2", "RC-175@0352d367", level="integration")
def test_a_hostile_uid_names_no_path(device: Device, tmp_path: Path) -> None:
    data = to_bytes(dx()).replace(
        b"1.2.826.0.1.3680043.10.1559.3\0", b"../../../../../../../etc/xxxx\0"
    )
    written = folder.write(device.read(data), device.release, picture=None, out=tmp_path)
    assert all(Path(output.path).is_relative_to(tmp_path) for output in written)
    assert not any(".." in Path(output.path).parts for output in written)


@verifies("SRS-155@5e9e6fbd", "RC-155@66076a19", level="system")
def test_research_output_says_that_it_is_not_the_device(tmp_path: Path) -> None:
    device = Device.load(profile="research")
    result = device.read(to_bytes(dx()))
    folder.write(result, device.release, picture=None, out=tmp_path)
    (page,) = tmp_path.rglob("report.html")
    (entry,) = tmp_path.rglob("result.json")
    assert "not the device" in page.read_text(encoding="utf-8")
    stated = json.loads(entry.read_text(encoding="utf-8"))["device"]
    assert stated["profile"] == "research"
    assert "not the device" in stated["notice"]
