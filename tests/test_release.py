"""The release: what is read from the locked files, and what stops it."""

import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cxr_device import release as module
from cxr_device.errors import IntegrityError, NoReleaseError
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


@verifies("SRS-359@3a2d6280", level="integration")
def test_a_folder_without_a_release_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(IntegrityError) as refused:
            Release.load(folder)
        assert isinstance(refused.value, NoReleaseError)
        assert str(refused.value) == (
            f"FOLDER {folder}: holds no release (no release.toml); "
            "choose one that `cxr-device lock` wrote"
        )


@verifies("SRS-359@3a2d6280", level="integration")
def test_an_installation_without_its_release_is_damaged(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PACKAGE", package)
    (package / "release.toml").unlink()
    with pytest.raises(IntegrityError, match=r"SELF: release\.toml is No such file.*reinstall"):
        Release.load(package)


@verifies("SRS-359@3a2d6280", level="integration")
def test_a_release_that_cannot_be_opened_is_not_called_absent(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(IntegrityError, match=r"SELF: release\.toml is Permission denied"):
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


@verifies("SRS-321@307293d6", "RC-320@0319c052", level="integration")
def test_a_release_of_other_preprocessing_than_the_installed_one_does_not_run(
    package: Path,
) -> None:
    other = Release.load(package)  # whole in itself
    with pytest.raises(IntegrityError, match="the installed preprocessing"):
        other.hold_code()
    Release.load().hold_code()


HOLDER = "release manager of the test"


def private(number: int) -> Any:
    """Make one private key of several."""
    name = "cryptography.hazmat.primitives.asymmetric.ed25519"
    crypto = pytest.importorskip(name, reason="cryptography is not installed")
    return crypto.Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))


def public(key: Any) -> str:
    """Public key in hexadecimal digits."""
    digits: str = key.public_key().public_bytes_raw().hex()
    return digits


TRUSTED, STRANGE = 1, 2
"""Numbers of private keys."""


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that trusts one key."""
    folder = tmp_path / "installed"
    folder.mkdir()
    keys = f'[[keys]]\nholder = "{HOLDER}"\npublic_key = "{public(private(TRUSTED))}"\n'
    (folder / "release_keys.toml").write_text(keys, "utf-8")
    monkeypatch.setattr(module, "PACKAGE", folder)
    return folder


def sign(package: Path, key: Any) -> None:
    """State a key in a release file, and sign the file with it."""
    text = (package / "release.toml").read_text("utf-8")
    lock(package, f'{text}\n[signature]\npublic_key = "{public(key)}"\n')
    (package / "release.sig").write_bytes(key.sign((package / "release.toml").read_bytes()))


@verifies("SRS-322@025ff24b", "RC-321@f26a91e6", level="integration")
@pytest.mark.usefixtures("trusting")
def test_a_release_that_a_trusted_key_signed_names_its_signer(package: Path) -> None:
    sign(package, private(TRUSTED))
    signer = Release.load(package).signer
    assert signer is not None
    assert signer.holder == HOLDER


@verifies("SRS-322@025ff24b", "RC-321@f26a91e6", level="integration")
@pytest.mark.usefixtures("trusting")
def test_a_signature_that_is_not_the_trusted_key_s_stops_the_device(package: Path) -> None:
    other = private(STRANGE)
    sign(package, private(TRUSTED))
    (package / "release.sig").write_bytes(other.sign((package / "release.toml").read_bytes()))
    with pytest.raises(IntegrityError, match=f"not that of release.toml.*{HOLDER}"):
        Release.load(package)
    (package / "release.sig").unlink()
    with pytest.raises(IntegrityError, match=r"release\.sig"):
        Release.load(package)


@verifies("SRS-322@025ff24b", "RC-321@f26a91e6", level="integration")
@pytest.mark.usefixtures("trusting")
def test_a_release_of_an_unknown_key_stops_the_device(package: Path) -> None:
    other = private(STRANGE)
    sign(package, other)
    with pytest.raises(IntegrityError, match=f"of key {public(other)[:16]}"):
        Release.load(package)


@verifies("SRS-322@025ff24b", "RC-321@f26a91e6", level="integration")
def test_an_unsigned_release_is_not_the_installed_one_of_an_installation_with_keys(
    trusting: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Release.load(package).signer is None  # another folder: research alone reads with it
    keys = (trusting / "release_keys.toml").read_text("utf-8")
    (package / "release_keys.toml").write_text(keys, "utf-8")
    monkeypatch.setattr(module, "PACKAGE", package)
    with pytest.raises(IntegrityError, match="unsigned"):
        Release.load(package)
    (package / "release_keys.toml").write_text("keys = []\n", "utf-8")
    assert Release.load(package).signer is None  # a development installation trusts no key
