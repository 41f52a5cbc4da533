"""Films of an archive: which files of a folder, and which paths of a manifest, in which order."""

import os
from pathlib import Path
from typing import Any

import pytest

from cxr_device.archive.films import list_films
from cxr_device.archive.ledger import parts_of
from cxr_device.errors import ArchiveError
from verification import verifies


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_a_folder_s_files_are_sorted_and_links_are_kept_as_named(tmp_path: Path) -> None:
    archive, elsewhere = tmp_path / "films", tmp_path / "elsewhere"
    for name in ("b/2.dcm", "b/1.dcm", "a.dcm", "c"):
        (archive / name).parent.mkdir(parents=True, exist_ok=True)
        (archive / name).touch()
    elsewhere.mkdir()
    (elsewhere / "other.dcm").touch()
    (archive / "gone.dcm").symlink_to("nowhere")
    (archive / "linked").symlink_to(elsewhere)  # a link to a folder is not followed
    found = [str(film.relative_to(archive)) for film in list_films(archive)]
    assert found == ["a.dcm", "b/1.dcm", "b/2.dcm", "c", "gone.dcm"]


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


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_the_run_s_own_files_are_left_out_however_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    for name in ("scores.parquet", "film.dcm", "below/scores.parquet"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    found = list_films(tmp_path, leave_out=(Path("below/../scores.parquet"),))
    assert found == [tmp_path / "below/scores.parquet", tmp_path / "film.dcm"]


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_a_manifest_names_films_beside_it_below_images_and_by_their_whole_path(
    tmp_path: Path,
) -> None:
    (tmp_path / "images").mkdir()
    for name in ("images/near.dcm", "near.dcm", "beside.dcm"):
        (tmp_path / name).touch()
    (tmp_path / "images/gone.dcm").symlink_to("nowhere")
    whole = tmp_path / "whole.dcm"
    manifest = tmp_path / "films.csv"
    names = ["near.dcm", "beside.dcm", str(whole), "absent.dcm", "gone.dcm", "near.dcm", "a,b.dcm"]
    lines = [f'1,"{name}"' for name in names]
    manifest.write_text("\n".join(["truth,file", *lines]) + "\n", encoding="utf-8-sig")
    assert list_films(manifest) == [
        tmp_path / "images/near.dcm", tmp_path / "beside.dcm", whole, tmp_path / "absent.dcm",
        tmp_path / "images/gone.dcm", tmp_path / "images/near.dcm", tmp_path / "a,b.dcm",
    ]  # fmt: skip


@verifies("SRS-304@57a9e1b1", level="integration")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("path,truth\na.dcm,1\n", "no column `file`; it has path, truth"),
        ("file\n", "no rows"),
        ("", "no rows"),
        ("file,truth\na.dcm,1\n,0\n", "line 3: no path"),
        ("truth,file\n1,a.dcm\n0\n", "line 3: no path"),  # the row ends before the column
        ("file\na\0b.dcm\n", "line 2: no path"),  # no path holds a NUL
        ('file\n"a.dcm\n', "no CSV in UTF-8"),  # a quote without its end
        (b"file\n\xff\xfe.dcm\n", "no CSV in UTF-8"),
        (bytes(128) + b"DICM\n", "is one DICOM film, no archive; cxr-device read "),
    ],
)
def test_a_table_that_is_no_manifest_is_refused_by_its_fault(
    content: str | bytes, words: str, tmp_path: Path
) -> None:
    manifest = tmp_path / "films.csv"
    manifest.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ArchiveError, match=words) as refused:
        list_films(manifest)
    assert str(refused.value).startswith(f"ARCHIVE {manifest}: ")


@verifies("SRS-304@57a9e1b1", level="integration")
def test_an_absent_manifest_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"absent\.csv: No such file or directory; check"):
        list_films(tmp_path / "absent.csv")
    with pytest.raises(ArchiveError, match=f"{tmp_path}: no files"):
        list_films(tmp_path)
