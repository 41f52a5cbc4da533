"""The wheel, alone: built, unpacked where nothing else of the project is, and used."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from verification import verifies

ROOT = Path(__file__).resolve().parents[2]


@verifies("SRS-162@d25da8a8", level="system")
def test_the_wheel_reads_the_bundled_example(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 100 * 2**20
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    script = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import cxr_device\n"
        f"assert cxr_device.__file__.startswith({str(site)!r}), cxr_device.__file__\n"
        "from cxr_device.cli import main\n"
        "from cxr_device.release import PACKAGE\n"
        "main(['read', str(PACKAGE / 'examples/phantom_opacity.dcm')])\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "probability" in done.stdout


@verifies("SRS-188@fff21301", level="unit")
@pytest.mark.parametrize("name", ["base.txt", "dev.txt"])
def test_locks_hold_hashes_and_no_address(name: str) -> None:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and line[0].isalpha()]
    assert pins
    assert all("==" in line and line.endswith("\\") for line in pins)
    assert sum("--hash=sha256:" in line for line in lines) >= len(pins)
    assert not any("://" in line or line.startswith("--") for line in lines)


@verifies("SRS-159@24d45582", level="system")
def test_the_base_lock_holds_no_torch() -> None:
    text = (ROOT / "requirements/base.txt").read_text(encoding="utf-8")
    assert "onnxruntime==" in text
    assert "torch" not in text
