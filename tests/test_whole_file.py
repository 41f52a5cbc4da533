"""Whole files: what was there stays until the new file is whole and flushed."""

import errno
import json
import os
from pathlib import Path

import pytest

from cxr_device.errors import OutputError
from cxr_device.whole_file import make_folder, put_whole, write_json, write_text, written_whole
from verification import verifies

STEPS = ["written", "flushed", "renamed", "safe"]


@verifies("SRS-345@8cb8f574", "RC-252@3a0e3938", level="unit")
def test_file_and_folder_are_flushed_around_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flush = tmp_path / "record.json", os.fsync
    told: list[str] = []

    def flushed(descriptor: int) -> None:
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"  # noqa: PTH112
        told.append(f"fsync {kind}")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", flushed)
    with put_whole(path, reached=told.append) as file:
        file.write(b"whole")
    assert told == ["written", "fsync file", "flushed", "renamed", "fsync folder", "safe"]
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


@verifies("SRS-345@8cb8f574", "RC-252@3a0e3938", level="unit")
@pytest.mark.parametrize("last", STEPS)
def test_a_refusal_leaves_what_was_there_until_the_rename(last: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"before")

    def refuse(step: str) -> None:
        if step == last:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"), put_whole(path, reached=refuse) as file:
        file.write(b"after")
    renamed = STEPS.index(last) >= STEPS.index("renamed")
    assert path.read_bytes() == (b"after" if renamed else b"before")
    assert list(tmp_path.iterdir()) == [path]


@verifies("SRS-345@8cb8f574", level="unit")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
        (OSError("cannot fit"), "cannot fit"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_result_that_cannot_be_written_is_named(
    error: OSError, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", refuse)
    path = tmp_path / "table.csv"
    with pytest.raises(OutputError) as refused, written_whole(path) as file:
        file.write(b"rows")
    assert f"{path}: {words}" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@verifies("SRS-345@8cb8f574", level="unit")
def test_texts_and_values_are_written_as_they_are(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "µ\n")
    assert (tmp_path / "a.txt").read_bytes() == "µ\n".encode()
    write_json(tmp_path / "a.json", {"share": 0.5, "name": "µ"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"share": 0.5, "name": "µ"}
    assert text.splitlines()[1] == ' "share": 0.5,'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"share": float("nan")})
    assert not (tmp_path / "b.json").exists()


@verifies("SRS-345@8cb8f574", level="unit")
def test_a_folder_is_made_with_those_above_it_or_the_refusal_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "a/b")
    make_folder(tmp_path / "a/b")
    assert (tmp_path / "a/b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Not a directory"):
        make_folder(tmp_path / "file/below")
