"""The command chain on real films: a download as NIH ships it becomes a device that reads DICOM."""

import gzip
import json
import os
import subprocess
import tomllib
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest
from command import MAIN
from PIL import Image

from cxr_device.release import PACKAGE
from verification import verifies

pytest.importorskip("torch", reason="torch is not installed")

FILMS = 320
TABLES = (
    "Data_Entry_2017_v2020.csv", "BBox_List_2017.csv", "train_val_list.txt", "test_list.txt",
    "blacklist_non_PA_AP_view.csv", "blacklist_rotated_images.csv",
    "blacklist_other_images_with_lower_quality.csv",
)  # fmt: skip
CONFIG = """
architecture = "efficientnet_lite0"
seed = 4
epochs = 10
sizes = [64, 64, 64, 64, 64, 64, 64, 64, 64, 64]
learning_rate = 3e-3
batch_size = 16
ema_decay = 0.9
manifests = ["prepared/manifest.csv"]
"""


def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `cxr-device ARGUMENTS`, which must end with `code`."""
    done = subprocess.run(  # noqa: S603
        [*MAIN, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # threads that wait for a busy core spin
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def lay_out(shared: Path, nih: Path) -> pd.DataFrame:
    """Lay NIH's tables and real films of `train` and `tune` out as NIH ships them.

    No film of `test`: those serve the report of a locked device alone. One source, whose classes
    differ at a glance, so that ten epochs learn enough for a lock, from any seed that was tried; it
    says nothing about lungs.
    """
    nih.mkdir()
    for name in TABLES:
        packed = shared / "nih/tables" / f"{name}.gz"
        (nih / name).write_bytes(gzip.decompress(packed.read_bytes()))
    films = pd.read_csv(shared / "nih/manifest.csv")
    chosen = (films["source"] == "nih_talo") & films["split"].isin(["train", "tune"])
    films = films[chosen].sort_values("sha256_original").head(FILMS).reset_index(drop=True)
    for number, film in films.iterrows():
        folder = nih / f"images_{1 + number % 2:03d}/images"  # type: ignore[operator]
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(shared / "nih/images" / film["file"]) as image:
            image.convert("L").save(folder / film["nih_name"])
    return films


def package_digests() -> dict[str, str]:
    """Every file of the installed release, by digest."""
    files = [*PACKAGE.glob("release.*"), *(PACKAGE / "weights").iterdir()]
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


@verifies(
    "SRS-320@79c4d36e", "SRS-321@307293d6", "RC-320@0319c052",
    "SRS-164@f5c210e6", "RC-164@7c14f81f", level="system",
)  # fmt: skip
def test_a_download_becomes_a_device_that_reads(shared_data: Path, tmp_path: Path) -> None:
    before = package_digests()
    nih, prepared, trained = tmp_path / "nih", tmp_path / "prepared", tmp_path / "run"
    films = lay_out(shared_data, nih)

    run("dataset", "describe", nih, "--out", tmp_path / "describe")
    report = json.loads((tmp_path / "describe/report.json").read_text("utf-8"))
    assert (report["images"], report["files"]["found"]) == (112_120, FILMS)

    run("dataset", "prepare", nih, "--out", prepared, "--size", "64", "--workers", "1")
    record = json.loads((prepared / "prepared.json").read_text("utf-8"))
    manifest = pd.read_csv(prepared / "manifest.csv")
    assert set(manifest["nih_name"]) <= set(films["nih_name"])
    assert set(manifest["split"]) == {"train", "tune"}
    assert record["damaged"]["n"] == 0
    assert manifest.groupby("patient_id")["split"].nunique().max() == 1
    tune = manifest[manifest["split"] == "tune"]

    (tmp_path / "config.toml").write_text(CONFIG)
    run("train", tmp_path / "config.toml", "--data", tmp_path, "--out", trained)
    run("lock", trained, "--data", tmp_path, "--side", "64", "--development")
    release = trained / "release"
    locked = tomllib.loads((release / "release.toml").read_text("utf-8"))
    assert locked["network"]["side"] == 64
    assert locked["training"]["films"] == record["films"]["train"]
    assert locked["training"]["tune_films"] == len(tune)
    assert locked["training"]["start"].startswith("random")
    member = json.loads((release / "weights/training_record.json").read_text("utf-8"))["members"][0]
    assert member["manifest_sha256"] == {"prepared/manifest.csv": record["manifest_sha256"]}
    assert not (release / "weights/card.json").exists()
    assert package_digests() == before  # the shipped release is as it was

    assert "self-test passed" in run("selftest", "--release", release).stdout
    cases = tmp_path / "cases.csv"
    run("dataset", "score", prepared / "manifest.csv", "--out", cases, "--split", "tune",
        "--release", release)  # fmt: skip
    scored = pd.read_csv(cases)
    assert sorted(scored["nih_name"]) == sorted(tune["nih_name"])
    endpoint = scored["finding_labels"].str.contains("Pneumonia|Consolidation|Infiltration")
    assert scored.loc[endpoint, "flag"].mean() >= 0.8  # what the threshold was locked to keep
    assert (
        scored["flag"].tolist()
        == (scored["score"] >= locked["operating_point"]["threshold"]).tolist()
    )

    film = shared_data / "dicom/test1.dcm"
    done = run("read", film, "--json", "--profile", "research", "--release", release)
    entry = json.loads(done.stdout)
    assert entry["status"] == "analyzed"
    assert entry["device"]["profile"] == "research"
    assert entry["device"]["weights_sha256"] == locked["network"]["weights_sha256"]
    assert entry["device"]["weights_sha256"] == sha256(
        (release / "weights/network.safetensors").read_bytes()
    ).hexdigest()  # fmt: skip
    point = entry["finding"]["operating_point"]
    assert point["threshold"] == locked["operating_point"]["threshold"]
    assert "not the device" in done.stderr

    refused = run("read", film, "--json", "--release", release, code=2)
    assert "research profile" in refused.stderr
    assert refused.stdout == ""
