"""The release: what is read from the locked files, and what stops it."""

import tomllib
from hashlib import sha256
from pathlib import Path

import pytest

from cxr_device.errors import IntegrityError
from cxr_device.release import PACKAGE, Release
from cxr_device.vocabulary import Claim
from verification import verifies


def lock(folder: Path, text: str) -> None:
    """Write a configuration and its digest."""
    (folder / "release.toml").write_text(text, encoding="utf-8")
    digest = sha256((folder / "release.toml").read_bytes()).hexdigest()
    (folder / "release.sha256").write_text(digest + "\n", encoding="ascii")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The release's own configuration over four small locked files."""
    text = (PACKAGE / "release.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    (tmp_path / "weights").mkdir()
    for place, old in (
        ("weights/network.safetensors", table["network"]["weights_sha256"]),
        ("weights/network.onnx", table["network"]["graph_sha256"]),
        ("weights/gate.onnx", table["pixel_gate"]["graph_sha256"]),
        ("preprocessing.py", table["preprocessing"]["sha256"]),
    ):
        content = place.encode()
        (tmp_path / place).write_bytes(content)
        text = text.replace(old, sha256(content).hexdigest())
    lock(tmp_path, text)
    return tmp_path


@verifies(
    "SRS-130@d5f726ba",
    "RC-130@e432754c",
    "SRS-166@5c924c83",
    "RC-166@4af25ac0",
    level="integration",
)
def test_every_locked_value_is_the_file_s(package: Path) -> None:
    release = Release.load(package)
    table = tomllib.loads((package / "release.toml").read_text(encoding="utf-8"))
    assert (release.name, release.version) == (table["device"]["name"], table["device"]["version"])
    assert release.weights == package / "weights" / "network.safetensors"
    assert release.graph == package / "weights" / "network.onnx"
    assert release.weights_sha256 == sha256(b"weights/network.safetensors").hexdigest()
    assert release.graph_sha256 == sha256(b"weights/network.onnx").hexdigest()
    assert release.pixel_gate.graph_sha256 == sha256(b"weights/gate.onnx").hexdigest()
    assert release.pixel_gate.threshold.upright == table["pixel_gate"]["threshold"]
    assert release.preprocessing_sha256 == sha256(b"preprocessing.py").hexdigest()
    assert release.config_sha256 == (package / "release.sha256").read_text("ascii").strip()
    assert release.operating_point.threshold == table["operating_point"]["threshold"]
    assert release.calibration.slope == table["calibration"]["slope"]
    assert release.self_test.film == package / table["self_test"]["film"]
    assert release.label.claim is Claim(table["label"]["claim"])
    assert release.label.limitations == tuple(table["label"]["limitations"])
    assert release.label.min_age_years == table["label"]["min_age_years"]


@verifies("SRS-130@d5f726ba", "RC-130@e432754c", level="integration")
@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("weights/network.safetensors", "weights"),
        ("weights/network.onnx", "network graph"),
        ("preprocessing.py", "preprocessing"),
    ],
)
def test_a_changed_or_missing_file_is_named(place: str, named: str, package: Path) -> None:
    (package / place).write_bytes(b"another")
    with pytest.raises(IntegrityError, match=named):
        Release.load(package)
    (package / place).unlink()
    with pytest.raises(IntegrityError, match="No such file"):
        Release.load(package)


@verifies("SRS-130@d5f726ba", "RC-130@e432754c", level="integration")
def test_a_configuration_without_its_digest_stops_the_device(package: Path) -> None:
    with (package / "release.toml").open("a", encoding="utf-8") as file:
        file.write("# moved\n")
    with pytest.raises(IntegrityError, match="configuration"):
        Release.load(package)


@verifies("SRS-130@d5f726ba", "SRS-166@5c924c83", "RC-166@4af25ac0", level="integration")
@pytest.mark.parametrize(
    ("find", "replace"),
    [
        ("min_age_years = 22\n", ""),
        ("min_age_years = 22\n", "min_age_years = 22\nmin_age_months = 1\n"),
        ('claim = "triage"', 'claim = "diagnosis"'),
        ("threshold = 0.", "threshold = 1."),
        ("[training]", "[training"),
    ],
)
def test_a_locked_but_unsound_configuration_stops_the_device(
    find: str, replace: str, package: Path
) -> None:
    text = (package / "release.toml").read_text(encoding="utf-8")
    assert find in text
    lock(package, text.replace(find, replace))
    with pytest.raises(IntegrityError, match="a whole file"):
        Release.load(package)
