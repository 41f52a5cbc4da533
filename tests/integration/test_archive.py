"""An archive: a row for every file, whatever it is; runs that go on; sources that are none."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import JPEG_LS, compressed, dx, pixels, to_bytes

from cxr_device import Analyzed, Device

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

import pyarrow.parquet as pq

from cxr_device import archive
from cxr_device.archive import scoring
from cxr_device.archive.films import list_films
from cxr_device.archive.ledger import Ledger, Plan, parts_of
from cxr_device.archive.row import row
from cxr_device.archive.table import write_table
from cxr_device.errors import ArchiveError, IntegrityError
from verification import verifies

NAMES = {"PatientName": "Zanzibar^Quokka", "PatientID": "ID-987123", "AccessionNumber": "ACC-4711"}


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


@verifies("SRS-300@f5f6d75e", level="integration")
def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "film.dcm").touch()
    real = os.scandir

    def scandir(path: str) -> Any:
        if str(path).endswith("closed"):  # root may list every folder
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert list_films(tmp_path) == [tmp_path / "closed", tmp_path / "film.dcm"]


@verifies("SRS-300@f5f6d75e", level="integration")
def test_the_runs_own_files_are_no_films(tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    parts_of(out).mkdir()
    for path in (out, parts_of(out) / "plan.json", tmp_path / "film.dcm"):
        path.touch()
    assert list_films(tmp_path, leave_out=(out, parts_of(out))) == [tmp_path / "film.dcm"]


@verifies("SRS-304@97ef52ca", level="integration")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("path,truth\na.dcm,1\n", "no column `file`; it has path, truth"),
        ("file\n", "no rows"),
        ("", "no rows"),
        ("file,truth\na.dcm,1\n,0\n", "line 3: no path"),
        (b"file\n\xff\xfe.dcm\n", "no CSV in UTF-8"),
        (b"DICM\0\0file", "no column `file`"),
    ],
)
def test_a_table_that_is_no_manifest_is_refused(
    content: str | bytes, words: str, tmp_path: Path
) -> None:
    manifest = tmp_path / "films.csv"
    manifest.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ArchiveError, match=words) as refused:
        archive.score(manifest, out=tmp_path / "scores.parquet", workers=1)
    assert str(manifest) in str(refused.value)
    assert os.listdir(tmp_path) == ["films.csv"]  # noqa: PTH208


@verifies("SRS-304@97ef52ca", level="integration")
def test_an_absent_source_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"absent: No such file"):
        archive.score(tmp_path / "absent", out=tmp_path / "scores.parquet", workers=1)
    with pytest.raises(ArchiveError, match="no files"):
        archive.score(tmp_path, out=tmp_path / "scores.parquet", workers=1)


def plan(films: int = 5, block: int = 2) -> Plan:
    device = Device.load_guards().identity
    paths = [Path(f"{number}.dcm") for number in range(films)]
    return Plan(source="/films", device=device, runtime="onnxruntime", films=paths, block=block)


def rows(made: Plan, number: int) -> str:
    """Rows of a block as an engine gives them: the files are absent."""
    reader = Device.load_guards()
    told = [json.dumps(row(reader.read(film))) + "\n" for film in made.films_of(number)]
    return "".join(told)


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_finished_blocks_are_found_again_and_damaged_ones_are_not(tmp_path: Path) -> None:
    made = plan()
    ledger = Ledger(tmp_path / "parts", made)
    ledger.begin()
    for number in (0, 2):
        ledger.keep(number, rows(made, number))
    again = Ledger.resume(
        tmp_path / "parts", device=made.device, runtime="onnxruntime", source="/films"
    )
    assert (again.left, again.films_done) == ([1], 3)
    assert again.plan == replace(made, films=list(made.films))
    (part,) = (tmp_path / "parts").glob("000002-*")
    part.write_text(part.read_text().replace("failed", "analyzed"))
    again = Ledger.resume(
        tmp_path / "parts", device=made.device, runtime="onnxruntime", source="/films"
    )
    assert again.left == [1, 2]
    assert not part.exists()


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
@pytest.mark.parametrize("what", ["device", "runtime", "source"])
def test_a_run_goes_on_only_as_it_was_begun(what: str, tmp_path: Path) -> None:
    made = plan()
    Ledger(tmp_path, made).begin()
    now: dict[str, Any] = {"device": made.device, "runtime": made.runtime, "source": made.source}
    now[what] = replace(made.device, weights_sha256="0" * 64) if what == "device" else "other"
    with pytest.raises(ArchiveError, match=f"begun with {what}"):
        Ledger.resume(tmp_path, **now)
    with pytest.raises(ArchiveError, match="--resume"):
        Ledger(tmp_path, made).begin()
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(ArchiveError, match="plan is damaged"):
        Ledger.resume(tmp_path, device=made.device, runtime=made.runtime, source=made.source)


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_blocks_without_their_plan_are_never_taken(tmp_path: Path) -> None:
    made = plan()
    stray = Ledger(tmp_path, made)
    stray.begin()
    stray.keep(0, rows(made, 0))
    (tmp_path / "plan.json").unlink()  # as a removal leaves it that was cut
    Ledger(tmp_path, made).begin()
    again = Ledger.resume(tmp_path, device=made.device, runtime=made.runtime, source=made.source)
    assert again.left == [0, 1, 2]


@verifies("SRS-302@8f2d2113", "RC-302@f2ea7ca6", "RC-300@a029fb1b", level="integration")
def test_rows_of_another_device_or_other_films_are_not_kept() -> None:
    made = plan()
    told = rows(made, 0)
    scoring._hold(told, made.films_of(0), made.device)  # noqa: SLF001
    with pytest.raises(RuntimeError, match="not those of the block"):
        scoring._hold(told, made.films_of(1), made.device)  # noqa: SLF001
    with pytest.raises(RuntimeError, match="not those of the block"):
        scoring._hold(told.splitlines()[0], made.films_of(0), made.device)  # noqa: SLF001
    for name in ("weights_sha256", "config_sha256", "preprocessing_sha256", "version"):
        other = replace(made.device, **{name: "another"})
        with pytest.raises(IntegrityError, match=name):
            scoring._hold(told, made.films_of(0), other)  # noqa: SLF001


@verifies("SRS-300@f5f6d75e", level="integration")
def test_a_film_on_which_the_device_fails_ends_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cxr_device.archive.engines import Scorer  # noqa: PLC0415

    films = [tmp_path / f"{number}.dcm" for number in range(3)]
    real = Device.read

    def read(self: Device, film: Path) -> Any:
        if film == films[1]:
            raise MemoryError("Zanzibar")
        return real(self, film)

    monkeypatch.setattr(Device, "read", read)
    told = [json.loads(line) for line in Scorer("onnxruntime")(films).splitlines()]
    assert [each["exit_code"] for each in told] == [4, 70, 4]
    assert [each["path"] for each in told] == [str(film) for film in films]
    assert "Zanzibar" not in json.dumps(told)


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
    eager = runtimes.on_torch(release.weights, release.architectures, "cpu")(films)
    for other in (eager, runtimes.on_cpu(release.graph, threads=1)(films), alone):
        assert other.shape == together.shape == (3, len(release.heads))
        assert np.abs(together - other).max() <= runtimes.LOGIT_TOLERANCE


@verifies("SRS-303@a5d09773", "RC-303@947ed785", level="integration")
def test_the_table_names_its_device_and_runtime(tmp_path: Path) -> None:
    made = replace(plan(films=2), runtime="openvino")
    told = [json.loads(line) for line in rows(made, 0).splitlines()]
    write_table(told, made, out=tmp_path / "scores.parquet")
    metadata = pq.read_metadata(tmp_path / "scores.parquet").metadata
    assert metadata[b"cxr-device.runtime"] == b"openvino"
    named = json.loads(metadata[b"cxr-device.device"])
    assert named["weights_sha256"] == made.device.weights_sha256
