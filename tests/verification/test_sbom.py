"""The bill of materials: every locked package, the weights, their licences."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from verification import licences, sbom, verifies
from verification.cli import main
from verification.findings import ProjectError
from verification.licences import Licence
from verification.locks import Pinned, read_lock

ROOT = Path(__file__).resolve().parents[2]

LOCK = """\
click==8.5.1 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via
    #   cxr-device (pyproject.toml)
    #   typer
numpy[extra]==2.4.6 \\
    --hash=sha256:{a}
    # via click
""".format(a="a" * 64, b="b" * 64)


@pytest.fixture(scope="module")
def found() -> list[sbom.Entry]:
    return sbom.entries(ROOT)


def test_a_lock_is_read_with_digests_and_what_needs_each(tmp_path: Path) -> None:
    path = tmp_path / "base.txt"
    path.write_text(LOCK, "utf-8")
    assert read_lock(path) == [
        Pinned("click", "8.5.1", ("a" * 64, "b" * 64), ("cxr-device", "typer")),
        Pinned("numpy", "2.4.6", ("a" * 64,), ("click",)),
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [("click==8.5.1\n    # via x\n", "click has no digest"), ("# nothing\n", "no pinned package")],
)
def test_a_lock_without_digest_or_package_is_refused(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "base.txt").write_text(text, "utf-8")
    with pytest.raises(ProjectError, match=named):
        sbom.entries(tmp_path)
    with pytest.raises(ProjectError, match=r"base\.txt does not exist"):
        sbom.entries(tmp_path / "none")


def test_two_locks_with_two_versions_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "requirements"
    folder.mkdir()
    (folder / "base.txt").write_text(LOCK, "utf-8")
    (folder / "dev.txt").write_text(LOCK.replace("8.5.1", "8.5.2"), "utf-8")
    with pytest.raises(ProjectError, match=r"click is 8\.5\.2, but 8\.5\.1"):
        sbom.entries(tmp_path)


@verifies("SRS-215@836a3b39", "RC-205@d2bf3147", level="integration")
def test_the_bill_of_materials_holds_each_locked_package_and_the_weights(
    found: list[sbom.Entry],
) -> None:
    """CycloneDX's own schema accepts it; the locks are counted here by another rule."""
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415  # an extra

    text = sbom.to_json(ROOT, found)
    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert sbom.to_json(ROOT, found) == text
    document = json.loads(text)
    known = {c["name"]: c for c in document["components"]}
    for lock, scope in (("base", "required"), ("dev", "excluded")):
        lines = (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8").splitlines()
        for line in lines:
            if pin := re.match(r"([A-Za-z0-9_.-]+)==(\S+)", line):
                component = known[pin[1].lower()]
                assert component["version"] == pin[2]
                assert component["hashes"]
                assert component["scope"] in {"required", scope}
    for name in ("network.safetensors", "network.onnx"):
        component = known[f"cxr_device/weights/{name}"]
        assert component["type"] == "machine-learning-model"
        assert component["hashes"][0]["content"] in (
            ROOT / "cxr_device" / "release.toml"
        ).read_text("utf-8")
    needs = {d["ref"]: d.get("dependsOn", []) for d in document["dependencies"]}
    assert any(ref.startswith("pydicom@") for ref in needs["cxr-device@0.1.0"])
    assert not any(ref.startswith("torch@") for ref in needs["cxr-device@0.1.0"])


@verifies("SRS-215@836a3b39", level="integration")
def test_other_weights_than_the_release_names_are_refused(
    tmp_path: Path, found: list[sbom.Entry]
) -> None:
    pytest.importorskip("cyclonedx")
    (tmp_path / "cxr_device" / "weights").mkdir(parents=True)
    for name in ("pyproject.toml", "cxr_device/release.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    weights = tmp_path / "cxr_device" / "weights" / "network.safetensors"
    weights.write_bytes(b"other")
    with pytest.raises(ProjectError, match=r"network\.safetensors: .* lock again"):
        sbom.to_json(tmp_path, found)
    weights.unlink()
    with pytest.raises(ProjectError, match=r"network\.safetensors: absent"):
        sbom.to_json(tmp_path, found)


@verifies("SRS-216@a45ede3c", "RC-205@d2bf3147", level="integration")
def test_every_package_of_run_time_is_permissive(found: list[sbom.Entry]) -> None:
    pytest.importorskip("license_expression")
    assert sum(entry.run_time for entry in found) >= 5
    assert sbom.run_time_faults(found) == []


@verifies("SRS-216@a45ede3c", level="unit")
@pytest.mark.parametrize(
    ("spdx", "permissive"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("BSD-3-Clause AND MIT", True),
        ("(MIT OR GPL-2.0-only) AND Zlib", True),
        ("BSD-3-Clause AND LGPL-2.1-or-later", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("LGPL-3.0-only", False),
        ("MPL-2.0", False),
        ("no licence", False),
    ],
)
def test_copyleft_is_told_from_permissive(spdx: str, *, permissive: bool) -> None:
    pytest.importorskip("license_expression")
    assert licences.is_permissive(spdx) is permissive


@verifies("SRS-216@a45ede3c", "RC-205@d2bf3147", level="unit")
def test_a_copyleft_or_unknown_licence_at_run_time_is_a_fault() -> None:
    package = Pinned("some", "1.0", ("a" * 64,), ())
    gpl = Licence("GPL-3.0-only", "GPL-3.0-only")
    assert sbom.run_time_faults([sbom.Entry(package, run_time=True, licence=gpl)]) == [
        "some 1.0: GPL-3.0-only is not on the permissive list"
    ]
    assert sbom.run_time_faults([sbom.Entry(package, run_time=True, licence=None)]) == [
        "some 1.0: not installed at this version, or states no licence"
    ]
    assert sbom.run_time_faults([sbom.Entry(package, run_time=False, licence=gpl)]) == []


@verifies("SRS-215@836a3b39", level="system")
@pytest.mark.system
def test_the_command_lists_licences_and_writes_the_file(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx")
    out = tmp_path / "new" / "sbom.cdx.json"
    result = CliRunner().invoke(main, ["--root", str(ROOT), "sbom", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert re.search(r"^pydicom +[\d.]+ +MIT", result.output, re.MULTILINE)
    assert json.loads(out.read_text("utf-8"))["bomFormat"] == "CycloneDX"
