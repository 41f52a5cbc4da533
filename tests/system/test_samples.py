"""Real files: the six samples, and everything that pydicom carries."""

import json
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from cxr_device import Analyzed, Device
from cxr_device.vocabulary import Outcome
from verification import verifies


@verifies(
    "SRS-112@189a8a58", "SRS-109@f2badfbb", "SRS-113@b36d290d", "SRS-151@b722b509", level="system"
)
def test_the_six_samples_end_as_the_decision_table_says(shared_data: Path) -> None:
    paths = sorted(map(str, (shared_data / "dicom").glob("test*.dcm")))
    command = [sys.executable, "-c", "from cxr_device.cli import main; main()", "read", "--json"]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 3
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["status"] for e in entries] == ["analyzed"] * 3 + ["rejected"] * 3
    stops = [[c["code"] for c in e["checks"] if c["outcome"] == "reject"] for e in entries]
    assert stops == [[], [], [], ["BODY_PART"], ["MODALITY"], ["VIEW"]]
    warned = {c["code"] for c in entries[0]["checks"] if c["outcome"] == "warn"}
    assert warned == {"SOP_CLASS", "VIEW", "AGE", "BITS", "BURNED_IN", "PIXEL_SPACING"}


@verifies("SRS-105@6aad26ca", "SRS-107@5e273b0b", level="system")
def test_no_file_that_pydicom_carries_is_analysed(device: Device) -> None:
    folder = Path(pydicom.__file__).parent / "data"
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) < 50:
        pytest.fail(f"only {len(files)} files in {folder}")
    for path in files:
        result = device.read(path)
        assert not isinstance(result, Analyzed), path
        assert any(check.outcome is Outcome.REJECT for check in result.checks), path
