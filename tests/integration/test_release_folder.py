"""A release in a folder of its own: begun as a copy, read under the research profile alone."""

from hashlib import sha256
from pathlib import Path

import pytest

from cxr_device import Device, IntegrityError
from cxr_device.errors import DatasetError, ReleaseError
from cxr_device.release import PACKAGE, Release
from verification import verifies

pytest.importorskip("torch", reason="torch is not installed")

from cxr_device.training.lock import lock
from cxr_device.training.release_folder import open_release


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A release that was begun, and not locked anew."""
    return open_release(tmp_path / "release")


@verifies("SRS-320@79c4d36e", "RC-320@0319c052", level="integration")
def test_a_new_release_begins_as_the_installed_one_without_its_cards(folder: Path) -> None:
    assert Release.load(folder).config_sha256 == Release.load().config_sha256
    assert not list((folder / "weights").glob("*card.json"))
    assert Release.load(folder).self_test.film.exists()
    (folder / "weights/note.txt").write_text("kept")
    assert open_release(folder) == folder
    assert (folder / "weights/note.txt").exists()
    assert open_release(PACKAGE) == PACKAGE


@verifies("SRS-320@79c4d36e", "RC-320@0319c052", level="integration")
def test_a_folder_of_something_else_is_not_locked_into(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"holds files and no release\.toml"):
        open_release(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@verifies("SRS-321@307293d6", "RC-320@0319c052", level="integration")
def test_another_release_is_research(folder: Path) -> None:
    device = Device.load(profile="research", folder=folder)
    assert device.identity.profile == "research"
    with pytest.raises(ReleaseError, match="research profile"):
        Device.load(folder=folder)


@verifies("SRS-321@307293d6", "RC-320@0319c052", level="integration")
def test_a_release_of_other_preprocessing_is_refused(folder: Path) -> None:
    code, path = folder / "preprocessing.py", folder / "release.toml"
    old = sha256(code.read_bytes()).hexdigest()
    code.write_bytes(code.read_bytes() + b"\n")
    text = path.read_text("utf-8").replace(old, sha256(code.read_bytes()).hexdigest())
    path.write_text(text, "utf-8")
    path.with_suffix(".sha256").write_text(sha256(text.encode()).hexdigest() + "\n", "ascii")
    Release.load(folder)  # whole in itself
    with pytest.raises(IntegrityError, match="the installed preprocessing"):
        Device.load(profile="research", folder=folder)


@verifies("SRS-320@79c4d36e", level="integration")
def test_a_run_that_is_not_finished_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(DatasetError, match=r"holds no record\.json"):
        lock([tmp_path / "run"], data=tmp_path, cache=tmp_path, package=folder)
