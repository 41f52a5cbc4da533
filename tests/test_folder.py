"""A folder a film: its name, its files, and whole or not at all."""

import json
import os
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from answers import analyzed, checked, failed, film, rejected, release
from pydicom import dcmread

from cxr_device.errors import ClaimError, OutputError
from cxr_device.explanation import ActivationMap
from cxr_device.outputs import folder
from cxr_device.outputs.json_record import WrittenOutput
from cxr_device.result import Analyzed, Checked, Failed, Rejected
from cxr_device.vocabulary import DicomOutput
from verification import verifies

PICTURE = np.full((8, 8), 128, dtype=np.uint8)
MAP = ActivationMap(cells=np.array([[1.0, -1.0]]), offset=0.0)

SR, SC, PDF = DicomOutput


def write(
    result: Analyzed | Rejected | Failed | Checked,
    out: Path,
    *,
    dicom_source: Path | None = None,
    activation: ActivationMap | None = None,
    copy: int = 1,
) -> list[WrittenOutput]:
    return folder.write(
        result, release(), picture=PICTURE if isinstance(result, Analyzed) else None, out=out,
        dicom_source=dicom_source, activation=activation, copy=copy,
    )  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "chest.dcm"
    path.write_bytes(film())
    return path


def left_in(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.is_file()]


@verifies("SRS-152@749f56d9", "SRS-167@c6062141")
def test_a_film_has_its_page_and_its_record(tmp_path: Path) -> None:
    page, entry = write(analyzed(), tmp_path / "new/out")
    assert (page.kind, entry.kind) == ("report_html", "result_json")
    assert Path(page.path).name == "report.html"
    assert Path(entry.path).name == "result.json"
    for output in (page, entry):
        assert sha256(Path(output.path).read_bytes()).hexdigest() == output.sha256
    text = Path(entry.path).read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert '\n  "schema": ' in text  # indented, for a person
    told = json.loads(text)
    assert told["status"] == "analyzed"
    assert told["outputs"] == [
        {
            "kind": "report_html", "path": page.path, "sha256": page.sha256,
            "sop_instance_uid": None,
        }
    ]  # fmt: skip
    assert sorted(path.name for path in left_in(tmp_path)) == ["report.html", "result.json"]


@verifies("SRS-175@700100c2", "RC-175@0352d367")
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("films/chest.dcm", "chest"), ("films/chest film (2).dcm", "chest_film_2_"),
        ("/films/../..hidden.dcm", "hidden"), ("x" * 61 + ".dcm", "x" * 60), (None, "film"),
        ("\u00e4\u00f6.dcm", "_"), ("....", "film"),
    ],
)  # fmt: skip
def test_a_folder_is_named_by_the_file_and_the_digest_of_its_bytes(
    path: str | None, name: str, tmp_path: Path
) -> None:
    result = analyzed()
    result = replace(result, source=replace(result.source, path=path))
    page, _ = write(result, tmp_path)
    digest = sha256(film()).hexdigest()
    assert Path(page.path).parent == tmp_path / f"{name}-{digest[:12]}"


@verifies("SRS-362@212f3857")
@pytest.mark.parametrize(("copy", "after"), [(1, ""), (2, "-2"), (3, "-3")])
def test_copies_of_a_film_in_one_run_are_numbered(copy: int, after: str, tmp_path: Path) -> None:
    page, _ = write(analyzed(), tmp_path, copy=copy)
    assert Path(page.path).parent.name == f"{folder.name_of(analyzed())}{after}"


@verifies("SRS-175@700100c2", "SRS-170@6e5a15ee")
def test_files_that_could_not_be_read_have_a_folder_each(tmp_path: Path) -> None:
    names = set()
    for path in ("ward/a.dcm", "clinic/a.dcm", None):
        result = failed()
        unread = replace(result.source, path=path, sha256=None, sop_instance_uid=None)
        page, _ = write(replace(result, source=unread), tmp_path)
        names.add(Path(page.path).parent.name)
        digest = sha256((path or "").encode()).hexdigest()[:12]
        assert Path(page.path).parent.name.endswith(f"-{digest}")
    assert len(names) == 3


@verifies("SRS-167@c6062141")
def test_a_film_is_written_again_in_the_place_of_what_stands_there(tmp_path: Path) -> None:
    first, again = write(analyzed(0.8), tmp_path), write(analyzed(0.1), tmp_path)
    assert [output.path for output in first] == [output.path for output in again]
    assert "not suspected" in Path(again[0].path).read_text(encoding="utf-8")
    assert len(left_in(tmp_path)) == 2


@verifies("SRS-240@13ccd97d", "SRS-244@3d709cf8", "RC-242@17131097")
def test_dicom_objects_stand_beside_the_record_that_lists_them(
    source: Path, tmp_path: Path
) -> None:
    written = write(analyzed(), tmp_path / "out", dicom_source=source)
    assert [output.kind for output in written] == ["report_html", SR, SC, PDF, "result_json"]
    listed = json.loads(Path(written[-1].path).read_text(encoding="utf-8"))["outputs"]
    assert [output["path"] for output in listed] == [output.path for output in written[:-1]]
    uids = set()
    for output in written[1:-1]:
        assert Path(output.path).name == f"{output.kind}.dcm"
        made = dcmread(BytesIO(Path(output.path).read_bytes()))
        assert made.SOPInstanceUID == output.sop_instance_uid
        uids |= {made.SOPInstanceUID, made.SeriesInstanceUID}
    assert len(uids) == 6
    again = write(analyzed(), tmp_path / "again", dicom_source=source)
    assert not uids & {output.sop_instance_uid for output in again}


@verifies("SRS-242@ee6c0226", "RC-240@89b270a1")
def test_a_refused_film_is_answered_and_a_checked_or_unread_one_is_not(
    source: Path, tmp_path: Path
) -> None:
    kinds = [output.kind for output in write(rejected(), tmp_path / "a", dicom_source=source)]
    assert kinds == ["report_html", SR, PDF, "result_json"]
    kinds = [output.kind for output in write(checked(), tmp_path / "b", dicom_source=source)]
    assert kinds == ["report_html", "result_json"]
    result = failed()
    unread = replace(result, source=replace(result.source, sop_instance_uid=None))
    absent = tmp_path / "absent.dcm"  # bytes whose header was never read are not opened again
    kinds = [output.kind for output in write(unread, tmp_path / "c", dicom_source=absent)]
    assert kinds == ["report_html", "result_json"]


@verifies("SRS-244@3d709cf8", "RC-242@17131097", "SRS-167@c6062141")
def test_a_film_that_changed_or_vanished_leaves_nothing(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    source.write_bytes(film() + b"\0")
    with pytest.raises(OutputError, match="changed while it was read"):
        write(analyzed(), out, dicom_source=source)
    source.unlink()
    with pytest.raises(OutputError, match=r"OUTPUT .*out.chest-\w{12}: No such file or directory"):
        write(analyzed(), out, dicom_source=source)
    assert not out.exists()


@verifies("SRS-178@5aa37ec3", "RC-178@72e47793")
def test_a_map_is_refused_under_triage_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ClaimError, match="triage"):
        write(analyzed(), tmp_path / "out", activation=MAP)
    assert not (tmp_path / "out").exists()


@verifies("SRS-167@c6062141", "RC-167@5ee3caae", "SRS-362@212f3857")
@pytest.mark.parametrize("at", range(1, 6))
def test_a_disk_that_fills_up_at_any_file_leaves_none(
    at: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def full(_descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.os, "fsync", full)  # type: ignore[attr-defined]
    with pytest.raises(OutputError, match="No space left on device"):
        write(analyzed(), tmp_path / "out", dicom_source=source)
    assert calls == at
    assert left_in(tmp_path / "out") == []
    assert not list((tmp_path / "out").iterdir())


@verifies("SRS-167@c6062141", "RC-167@5ee3caae")
def test_a_name_that_cannot_be_taken_leaves_no_file(tmp_path: Path) -> None:
    page, entry = write(analyzed(), tmp_path)
    for output in (page, entry):
        Path(output.path).unlink()
    Path(entry.path).mkdir()  # the second rename fails, after the first
    with pytest.raises(OutputError, match="directory"):
        write(analyzed(), tmp_path)
    assert left_in(tmp_path) == []


@verifies("SRS-167@c6062141", "RC-167@5ee3caae")
def test_an_error_without_words_is_told_by_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError("the disk went away")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="the disk went away"):
        write(analyzed(), tmp_path / "a")
    with pytest.raises(OutputError, match="the disk went away"):
        folder.write_index([], release(), out=tmp_path / "b", research=False)


@verifies("SRS-234@d5f006d9", "SRS-167@c6062141")
def test_the_page_of_a_run_is_written_into_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "new/out"
    for research in (False, True):  # the second replaces the first
        folder.write_index([], release(), out=out, research=research)
        page = (out / "index.html").read_text(encoding="utf-8")
        assert ("not the device" in page) == research
        assert [path.name for path in left_in(out)] == ["index.html"]


@verifies("SRS-167@c6062141", "RC-167@5ee3caae")
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file/out"
    with pytest.raises(OutputError, match=r"OUTPUT .*file.out: Not a directory"):
        folder.write_index([], release(), out=out, research=False)
    with pytest.raises(OutputError, match="Not a directory"):
        write(analyzed(), out)
