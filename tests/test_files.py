"""Files of the node: whole or absent, whatever happens while they are written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cxr_device.node import files
from cxr_device.node.failpoints import ENVIRONMENT
from verification import verifies

WRITE = """
import sys
from pathlib import Path
from cxr_device.node import files
files.write(Path(sys.argv[1]), b"0123456789", kind="film")
"""


@verifies("SRS-261@b4884f46", "RC-261@68ea0417")
@pytest.mark.parametrize(
    ("point", "aside", "whole"),
    [
        (1, b"01234", None),
        (2, b"0123456789", None),
        (3, b"0123456789", None),
        (4, None, b"0123456789"),
        (5, None, b"0123456789"),
    ],
    ids=["half written", "written", "flushed", "renamed", "safe"],
)
def test_a_kill_leaves_the_whole_file_or_none(
    tmp_path: Path, point: int, aside: bytes | None, whole: bytes | None
) -> None:
    path = tmp_path / "film.dcm"
    killed = subprocess.run(  # noqa: S603  # fixed arguments
        [sys.executable, "-c", WRITE, path],
        env={**os.environ, ENVIRONMENT: str(point)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    left = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    assert left.pop("film.dcm", None) == whole
    assert list(left.values()) == ([] if aside is None else [aside])


@verifies("SRS-252@76c77da2", "RC-252@3a0e3938")
def test_a_file_is_replaced_whole_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    for data in (b"first", b"the second, longer", b""):
        files.write(path, data, kind="film")
        assert path.read_bytes() == data
        assert list(tmp_path.iterdir()) == [path]


@verifies("SRS-252@76c77da2", "RC-252@3a0e3938")
def test_what_the_disk_refuses_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "film.dcm"
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(path, b"after", kind="film")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@verifies("SRS-254@0e80cc84")
def test_a_file_may_be_removed_twice(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    files.write(path, b"a film", kind="film")
    for _ in range(2):
        files.remove(path, kind="film")
        assert list(tmp_path.iterdir()) == []
