"""An archive: a row for every file, whatever it is; runs that go on; sources that are none."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import JPEG_LS, compressed, dx, pixels, to_bytes

from cxr_device import Analyzed, Device

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

import pyarrow.parquet as pq

from cxr_device import archive
from cxr_device.archive.ledger import parts_of
from cxr_device.errors import ArchiveError
from verification import verifies

NAMES: dict[str, Any] = {
    "PatientName": "Zanzibar^Quokka",
    "PatientID": "ID-987123",
    "AccessionNumber": "ACC-4711",
}


def fill(folder: Path) -> None:
    """Films and what is none."""
    (folder / "below").mkdir(parents=True)
    for seed in (1, 2):
        film = dx(pixels(side=512, seed=seed, opacity=seed == 1), **NAMES)
        (folder / f"film{seed}.dcm").write_bytes(to_bytes(film))
    packed = compressed(dx(pixels(side=512)), JPEG_LS)
    (folder / "below/packed.dcm").write_bytes(to_bytes(packed))
    whole = to_bytes(packed)
    (folder / "below/cut.dcm").write_bytes(whole[: len(whole) - 3000])
    (folder / "lateral.dcm").write_bytes(to_bytes(dx(pixels(side=512), ViewPosition="LL")))
    (folder / "text").write_text("no film")
    (folder / "gone.dcm").symlink_to("nowhere")
    (folder / os.fsdecode(b"odd\xff.dcm")).write_bytes(b"")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("archive")
    fill(made / "films")
    return made


@pytest.fixture(scope="module")
def scored(folder: Path) -> tuple[archive.Scored, list[dict[str, Any]]]:
    told = archive.score(folder / "films", out=folder / "scores.parquet", workers=1)
    return told, rows_of(folder / "scores.parquet")


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out).to_pylist()
    return rows


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_every_file_of_a_folder_has_its_row_in_order(
    folder: Path, scored: tuple[archive.Scored, list[dict[str, Any]]]
) -> None:
    told, rows = scored
    found = {Path(each["path"]).name: (each["status"], each["codes"]) for each in rows}
    assert found == {
        "cut.dcm": ("failed", found["cut.dcm"][1]),
        "packed.dcm": ("analyzed", []),
        "film1.dcm": ("analyzed", []),
        "film2.dcm": ("analyzed", []),
        "gone.dcm": ("failed", ["FILE_READ"]),
        "lateral.dcm": ("rejected", ["VIEW"]),
        "odd\\xff.dcm": ("failed", ["FILE_SIZE"]),
        "text": ("failed", ["FILE_PART10"]),
    }
    assert found["cut.dcm"][1]
    assert [each["path"] for each in rows] == sorted(each["path"] for each in rows)
    assert (told.films, told.exit_code) == (8, 4)
    assert told.by_status == {"analyzed": 3, "rejected": 1, "failed": 4}
    assert not parts_of(folder / "scores.parquet").exists()


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_a_film_has_what_the_device_says_of_it_alone(
    folder: Path, device: Device, scored: tuple[archive.Scored, list[dict[str, Any]]]
) -> None:
    by_name = {Path(each["path"]).name: each for each in scored[1]}
    for path in ("film1.dcm", "film2.dcm", "below/packed.dcm"):
        alone, told = device.read(folder / "films" / path), by_name[Path(path).name]
        assert isinstance(alone, Analyzed)
        assert told["score"] == pytest.approx(alone.decision.probability, abs=1e-6)
        assert told["flag"] == str(alone.decision.flag)
        assert told["sha256"] == alone.source.sha256
        assert told["weights_sha256"] == device.release.weights_sha256


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_no_patient_stands_in_the_table(
    folder: Path, scored: tuple[archive.Scored, list[dict[str, Any]]]
) -> None:
    told = json.dumps(scored[1]) + repr(pq.read_metadata(folder / "scores.parquet").metadata)
    for words in NAMES.values():
        assert not any(word in told for word in words.split("^"))


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_a_manifest_gives_rows_in_its_order(tmp_path: Path, folder: Path) -> None:
    films = folder / "films"
    (tmp_path / "images").mkdir()
    (tmp_path / "images/near.dcm").write_bytes((films / "film1.dcm").read_bytes())
    manifest = tmp_path / "films.csv"
    manifest.write_text(
        f"truth,file\n1,{films / 'lateral.dcm'}\n0,near.dcm\n1,absent.dcm\n0,near.dcm\n",
        encoding="utf-8-sig",
    )
    told = archive.score(manifest, out=tmp_path / "scores.parquet", workers=1)
    rows = rows_of(tmp_path / "scores.parquet")
    near = str(tmp_path / "images/near.dcm")
    assert [each["path"] for each in rows] == [
        str(films / "lateral.dcm"), near, str(tmp_path / "absent.dcm"), near,
    ]  # fmt: skip
    assert [each["status"] for each in rows] == ["rejected", "analyzed", "failed", "analyzed"]
    assert rows[1] == rows[3]
    assert told.exit_code == 4


@verifies("SRS-304@57a9e1b1", level="integration")
def test_a_run_over_what_is_no_manifest_writes_nothing(tmp_path: Path) -> None:
    manifest = tmp_path / "films.csv"
    manifest.write_bytes(b"DICM\0\0file")
    with pytest.raises(ArchiveError, match="no column `file`"):
        archive.score(manifest, out=tmp_path / "scores.parquet", workers=1)
    assert os.listdir(tmp_path) == ["films.csv"]  # noqa: PTH208


@verifies("SRS-303@a5d09773", "RC-303@947ed785", level="integration")
def test_openvino_equals_eager_torch_and_onnx_runtime_on_real_films(
    shared_data: Path, device: Device
) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    pytest.importorskip("torch", reason="torch is not installed")
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    from cxr_device import runtimes  # noqa: PLC0415
    from cxr_device.preprocessing import prepare  # noqa: PLC0415

    release = device.release
    results = [device.read(path) for path in sorted((shared_data / "dicom").glob("test[123].dcm"))]
    films = np.concatenate([prepare(r.film).pixels for r in results if isinstance(r, Analyzed)])
    assert len(films) == 3
    found = runtimes.on_openvino(release.graph, threads=1)
    together = found(films)
    with ThreadPoolExecutor(3) as pool:
        alone = np.concatenate(list(pool.map(found, [films[i : i + 1] for i in range(3)])))
    eager = runtimes.on_torch(release.weights, release.architectures, "cpu", side=release.side)(
        films
    )
    for other in (eager, runtimes.on_cpu(release.graph, threads=1)(films), alone):
        assert other.shape == together.shape == (3, len(release.heads))
        assert np.abs(together - other).max() <= runtimes.LOGIT_TOLERANCE
