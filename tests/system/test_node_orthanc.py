"""The node beside a real archive: Orthanc and dcmtk in a network namespace of their own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from verification import verifies

TESTS = Path(__file__).resolve().parents[1]
NAMESPACE = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]


def dicomweb_plugin() -> str:
    """Path of Orthanc's DICOMweb plugin; skips where something is missing."""
    missing = [name for name in ("Orthanc", "storescu", "unshare") if shutil.which(name) is None]
    plugins = sorted(Path("/usr").glob("**/libOrthancDicomWeb.so*")) if not missing else []
    if missing or not plugins:
        pytest.skip(f"system package missing: {', '.join(missing) or 'orthanc-dicomweb'}")
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:  # noqa: S603
        pytest.skip("system package util-linux: this machine allows no network namespace")
    return str(plugins[0])


def in_a_namespace(script: str, folder: Path) -> Any:
    """Run a script of this folder beside Orthanc in a network namespace; what it printed last."""
    done = subprocess.run(  # noqa: S603
        [*NAMESPACE, sys.executable, str(TESTS / script), str(folder), dicomweb_plugin()],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@verifies(
    "SRS-263@889dca72", "RC-263@632df2c7", "SRS-254@0e80cc84", "SRS-255@a2fb46e6", level="system"
)
def test_the_round_trip_through_an_archive(tmp_path: Path) -> None:
    found = in_a_namespace("orthanc_round_trip.py", tmp_path)
    assert found["accepted"] == {
        "status": "stored",
        "modalities": ["DOC", "DX", "OT", "SR"],
        "names_its_film": True,
        "says_not_attempted": False,
    }
    assert found["refused"] == {
        "status": "refused",
        "modalities": ["DOC", "DX", "SR"],
        "names_its_film": True,
        "says_not_attempted": True,
    }
    assert found["studies"] == 2
    assert found["exit_code"] == 0


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20", level="system")
def test_answers_are_posted_to_an_archive_over_dicomweb(tmp_path: Path) -> None:
    found = in_a_namespace("orthanc_stow.py", tmp_path)
    assert found == {"status": [0xA900], "modalities": ["DOC", "SR"]}
