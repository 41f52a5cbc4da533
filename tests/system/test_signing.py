"""Signed releases: locked with a key, read, verified outside the device, refused when altered."""

import json
import os
import shutil
import subprocess
import tomllib
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import MAIN
from PIL import Image

from cxr_device.phantom import draw
from cxr_device.release import PACKAGE
from verification import verifies

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("cryptography", reason="cryptography is not installed")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

Done = subprocess.CompletedProcess[str]
HOLDER = "release manager of the test"
PHRASE = "a phrase"


def run(root: Path, *arguments: str | Path, typed: str = "") -> Done:
    """Run `cxr-device ARGUMENTS` from the package below `root`."""
    return subprocess.run(  # noqa: S603
        [*MAIN, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"},
        cwd=root, capture_output=True, text=True, check=False, input=typed,
        start_new_session=True,  # no terminal to ask on: the pass phrase comes from the input
    )  # fmt: skip


def write_key(path: Path, key: Ed25519PrivateKey | X25519PrivateKey, phrase: str = "") -> Path:
    """Write a private key as its owner's alone."""
    how = (
        serialization.BestAvailableEncryption(phrase.encode())
        if phrase
        else serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(*pem, how))
    path.chmod(0o600)
    return path


def trust(root: Path, *keys: Ed25519PrivateKey) -> None:
    """Name keys in the installation below `root`."""
    lines = [
        f'[[keys]]\nholder = "{HOLDER}"\npublic_key = "{k.public_key().public_bytes_raw().hex()}"\n'
        for k in keys
    ]
    (root / "cxr_device/release_keys.toml").write_text("".join(lines) or "keys = []\n", "utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with an installation of its own."""
    folder = tmp_path / "root"
    folder.mkdir()
    shutil.copytree(PACKAGE, folder / "cxr_device", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def gate(tmp_path: Path) -> list[str | Path]:
    """Words of a lock of the shipped pixel gate: its graph, its record, and drawn tuning films."""
    data, trained = tmp_path / "data", tmp_path / "run"
    (data / "images").mkdir(parents=True)
    trained.mkdir()
    rows = []
    for number in range(4):
        frame = draw(opacity=False, rng=np.random.default_rng(number), side=320)
        Image.fromarray((frame >> 4).astype(np.uint8)).save(data / f"images/{number}.png")
        rows.append((f"{number}.png", f"n{number}", f"p{number}", "tune", 50, "F", "PA", 1024))
    columns = ["file", "nih_name", "patient_id", "split", "age", "sex", "view", "orig_w"]
    pd.DataFrame(rows, columns=columns).to_csv(data / "manifest.csv", index=False)
    record = json.loads((PACKAGE / "weights/gate_record.json").read_text("utf-8"))
    record["config"]["manifests"] = ["manifest.csv"]
    digest = sha256((data / "manifest.csv").read_bytes()).hexdigest()
    record["manifest_sha256"] = {"manifest.csv": digest}
    (trained / "record.json").write_text(json.dumps(record), "utf-8")
    shutil.copyfile(PACKAGE / "weights/gate.onnx", trained / "gate.onnx")
    return ["lock", trained, "--data", data]


@verifies("SRS-322@025ff24b", "SRS-323@9181c2d8", "RC-321@f26a91e6", level="system")
def test_a_signed_release_is_read_and_an_altered_one_is_refused(
    root: Path, gate: list[str | Path], tmp_path: Path
) -> None:
    package, key = root / "cxr_device", Ed25519PrivateKey.generate()
    film = package / "examples/phantom_opacity.dcm"
    path = write_key(tmp_path / "key.pem", key, PHRASE)
    trust(root, key)
    unsigned = run(root, "read", film, "--json")
    assert (unsigned.returncode, unsigned.stdout) == (5, "")
    assert "the release is unsigned" in unsigned.stderr

    done = run(root, *gate, "--release", package, "--key", path, typed=PHRASE + "\n")
    assert done.returncode == 0, done.stderr
    assert "locked (signed)" in done.stderr
    stated = tomllib.loads((package / "release.toml").read_text("utf-8"))["signature"]
    assert stated == {"public_key": key.public_key().public_bytes_raw().hex()}
    key.public_key().verify(
        (package / "release.sig").read_bytes(), (package / "release.toml").read_bytes()
    )
    read = run(root, "check", film, "--json")
    assert read.returncode == 0, read.stderr
    assert json.loads(run(root, "info", "--json").stdout)["signed_by"] == HOLDER
    assert f"signed by {HOLDER}" in run(root, "selftest").stdout

    refused = run(root, *gate, "--release", package, "--development")
    assert refused.returncode == 2
    assert "the installed release is a signed one" in refused.stderr

    signature, text = (package / "release.sig"), package / "release.toml"
    whole, locked = signature.read_bytes(), text.read_bytes()
    turned = bytes([*whole[:40], whole[40] ^ 1, *whole[41:]])
    other = Ed25519PrivateKey.generate()
    moved = locked.replace(b"threshold = 0.", b"threshold = 0.0", 1)
    assert moved != locked
    for changed, by, keys, words in (
        (locked, turned, (key,), "the signature is not that of release.toml"),
        (locked, other.sign(locked), (key,), "the signature is not that of release.toml"),
        (moved, whole, (key,), "the signature is not that of release.toml"),
        (locked, whole, (other,), "the signature is of key"),
        (locked, whole, (), "the signature is of key"),
        (locked, None, (key,), "release.sig is No such file"),
    ):
        trust(root, *keys)
        text.write_bytes(changed)
        text.with_suffix(".sha256").write_text(sha256(changed).hexdigest() + "\n", "ascii")
        signature.unlink(missing_ok=True)
        if by is not None:
            signature.write_bytes(by)
        done = run(root, "read", film, "--json")
        assert (done.returncode, done.stdout) == (5, ""), words
        assert words in done.stderr


@verifies("SRS-323@9181c2d8", "RC-321@f26a91e6", level="system")
def test_openssl_makes_the_key_and_verifies_the_signature(
    root: Path, gate: list[str | Path], tmp_path: Path
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("system package missing: openssl")
    private, public, release = (tmp_path / n for n in ("key.pem", "public.pem", "release"))
    making: tuple[list[str | Path], ...] = (
        ["genpkey", "-algorithm", "ed25519", "-out", private],
        ["pkey", "-in", private, "-pubout", "-out", public],
    )
    for words in making:
        subprocess.run([openssl, *words], check=True, capture_output=True)  # noqa: S603
    private.chmod(0o600)
    key = serialization.load_pem_private_key(private.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    trust(root, key)
    done = run(root, *gate, "--release", release, "--key", private)
    assert done.returncode == 0, done.stderr
    verify: list[str | Path] = [
        openssl, "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin",
        "-in", release / "release.toml", "-sigfile", release / "release.sig",
    ]  # fmt: skip
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0  # noqa: S603
    with (release / "release.toml").open("a") as file:
        file.write("\n")
    assert subprocess.run(verify, check=False, capture_output=True).returncode != 0  # noqa: S603


@verifies("SRS-323@9181c2d8", "RC-321@f26a91e6", level="system")
def test_a_lock_without_a_sound_key_or_the_word_development_writes_nothing(
    root: Path, gate: list[str | Path], tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    sound, strange = write_key(tmp_path / "sound.pem", key, PHRASE), tmp_path / "strange.pem"
    write_key(strange, Ed25519PrivateKey.generate())
    shared = write_key(tmp_path / "shared.pem", key)
    shared.chmod(0o640)
    agreement = write_key(tmp_path / "x.pem", X25519PrivateKey.generate())
    text = tmp_path / "text.pem"
    text.write_text("no key")
    text.chmod(0o600)
    trust(root, key)
    release = tmp_path / "release"
    for words, typed, said in (
        ([], "", "--development"),
        (["--key", sound, "--development"], "", "--development"),
        (["--key", tmp_path / "none.pem"], "", "No such file"),
        (["--key", shared], "", "chmod 600"),
        (["--key", strange], "", "is not in release_keys.toml"),
        (["--key", agreement], "", "another algorithm"),
        (["--key", text], "", "is no private key"),
        (["--key", sound], "another phrase\n", "the pass phrase is wrong"),
    ):
        done = run(root, *gate, "--release", release, *map(str, words), typed=typed)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert not release.exists()


@verifies("SRS-323@9181c2d8", level="system")
def test_the_shipped_release_says_that_nobody_signed_it() -> None:
    done = run(PACKAGE.parent, "info")
    assert "signed by: nobody: a development release" in done.stdout
    assert "development, unsigned" in run(PACKAGE.parent, "selftest").stdout
