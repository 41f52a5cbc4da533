"""The wheel, alone: built, installed into a new environment, and used there."""

import subprocess
import sys
from pathlib import Path

import pytest

from verification import verifies

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of a new environment that holds the wheel and its locked dependencies, nothing else."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)  # noqa: S603
    pip: list[str | Path] = [
        folder / "env/bin/python",
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
    ]
    wanted: tuple[list[str | Path], ...] = (
        ["--require-hashes", "-r", ROOT / "requirements/base.txt"],
        ["--no-deps", wheel],
    )
    for what in wanted:
        done = subprocess.run([*pip, *what], capture_output=True, text=True, check=False)  # noqa: S603
        if "NewConnectionError" in done.stderr:
            pytest.skip("no package registry to install the wheel's dependencies from")
        assert done.returncode == 0, done.stderr
    return folder / "env"


@verifies("SRS-162@d25da8a8", level="system")
def test_the_wheel_installed_alone_reads_the_bundled_example(clean: Path, tmp_path: Path) -> None:
    where = subprocess.run(  # noqa: S603
        [clean / "bin/python", "-c", "import cxr_device.release as r; print(r.PACKAGE)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert where.startswith(str(clean))
    done = subprocess.run(  # noqa: S603
        [clean / "bin/cxr-device", "read", f"{where}/examples/phantom_opacity.dcm"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "probability" in done.stdout


@verifies("SRS-159@24d45582", level="system")
def test_the_installed_wheel_brings_no_torch_and_stays_under_300_mb(clean: Path) -> None:
    (packages,) = clean.glob("lib/python*/site-packages")
    # The environment's own, not the wheel's: pip, and setuptools with its two other folders.
    own = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}
    brought = [path for path in packages.iterdir() if path.name.split("-")[0] not in own]
    assert not [path.name for path in brought if path.name.startswith("torch")]
    files = [file for path in brought for file in (path, *path.rglob("*")) if file.is_file()]
    megabytes = sum(file.stat().st_blocks * 512 for file in files) / 2**20
    assert megabytes < 300, f"{megabytes:.0f} MB"


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
