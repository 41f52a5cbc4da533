"""`cxr-device score` as its user runs it: killed and resumed, on a full disk, with each engine."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from builders import dx, pixels, to_bytes
from command import MAIN

from cxr_device.release import PACKAGE
from verification import verifies

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

import pyarrow.parquet as pq

Done = subprocess.CompletedProcess[str]
FILMS = 12


def score(*arguments: str | Path, before: Callable[[], Any] | None = None) -> Done:
    """Run `cxr-device score ARGUMENTS` with one worker."""
    command = [*MAIN, "score", *map(str, arguments), "--workers", "1"]
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, preexec_fn=before
    )


def parts(out: Path) -> list[Path]:
    return sorted(Path(f"{out}.parts").glob("0*.jsonl"))


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder of films, of which every fourth is refused."""
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(FILMS):
        view = "LL" if number % 4 == 3 else "PA"
        film = dx(pixels(side=512, seed=number), ViewPosition=view)
        (folder / f"{number:02}.dcm").write_bytes(to_bytes(film))
    return folder


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    with suppress(FileNotFoundError, ProcessLookupError):  # a thread or a child that just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                for child in map(int, (task / "children").read_text().split()):
                    found |= {child} | descendants(child)
    return found


def killed(films: Path, out: Path, *, blocks: int) -> set[int]:
    """Run until so many blocks are done, then SIGKILL; returns its workers."""
    command = [*MAIN, "score", str(films), "--out", str(out), "--workers", "1", "--resume"]
    deadline = time.monotonic() + 120
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:  # noqa: S603
        while len(parts(out)) < blocks:
            assert running.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.005)
        workers = descendants(running.pid)
        running.kill()
    assert running.returncode == -signal.SIGKILL
    return workers


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", "RC-300@a029fb1b", level="system")
def test_a_run_killed_again_and_again_ends_in_the_table_of_one_that_was_not(
    films: Path, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    assert score(films, "--out", whole).returncode == 3
    workers: set[int] = set()
    seen: list[Path] = []
    for blocks in (1, 2, 3):
        workers |= killed(films, cut, blocks=blocks)
        assert not cut.exists()
        assert set(seen) <= set(parts(cut))
        seen = parts(cut)
    assert workers
    refused = score(films, "--out", cut)
    assert (refused.returncode, "--resume" in refused.stderr) == (2, True)
    (films / "00.dcm").unlink()  # its block is done: it is not scored again
    assert score(films, "--out", cut, "--resume").returncode == 3
    assert pq.read_table(cut).to_pylist() == pq.read_table(whole).to_pylist()
    assert pq.read_table(cut).num_rows == FILMS
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cut.parquet", "films", "whole.parquet",
    ]  # fmt: skip
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its run"
        time.sleep(0.05)


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="system")
def test_a_killed_worker_ends_the_run_with_what_is_done(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    command = [*MAIN, "score", str(films), "--out", str(out), "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:  # noqa: S603
        while not parts(out):
            assert running.poll() is None
            time.sleep(0.005)
        for child in descendants(running.pid):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 70
    assert "ENGINE a worker process was killed" in told
    assert "Traceback" not in told
    assert not out.exists()
    assert score(films, "--out", out, "--resume").returncode == 3
    assert pq.read_table(out).num_rows == FILMS


@verifies("SRS-301@8ce8f2a9", level="system")
def test_a_whole_table_is_not_scored_again(films: Path, tmp_path: Path) -> None:
    for film in sorted(films.iterdir())[2:]:
        film.unlink()
    out = tmp_path / "scores.parquet"
    assert score(films, "--out", out).returncode == 0
    written = out.stat().st_ino
    again = score(films, "--out", out, "--resume")
    assert (again.returncode, out.stat().st_ino) == (0, written)
    assert "2 films: 2 analyzed" in again.stderr
    (films / "00.dcm").unlink()
    assert score(films, "--out", out, "--resume").returncode == 0
    assert pq.read_table(out).num_rows == 1


@verifies("SRS-304@57a9e1b1", "RC-301@4d82e888", level="system")
def test_a_full_disk_keeps_what_is_done(films: Path, tmp_path: Path) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4500, resource.RLIM_INFINITY))

    for film in sorted(films.iterdir())[4:]:
        film.unlink()
    out = tmp_path / "scores.parquet"
    full = score(films, "--out", out, before=small_files)
    assert full.returncode == 6, full.stderr
    assert str(out) in full.stderr
    assert "--resume" in full.stderr
    assert "Traceback" not in full.stderr
    assert not out.exists()
    assert len(parts(out)) == 4
    assert score(films, "--out", out, "--resume").returncode == 3
    assert pq.read_table(out).num_rows == 4


@verifies("SRS-304@57a9e1b1", level="system")
@pytest.mark.parametrize("missing", ["pyarrow", "ray", "openvino"])
def test_what_is_not_installed_is_named_with_its_extra(missing: str, tmp_path: Path) -> None:
    hidden = (
        "import sys, importlib.util as u; real = u.find_spec;"
        f"u.find_spec = lambda n, p=None: None if n == {missing!r} else real(n, p);"
        "from cxr_device.cli import main; main()"
    )
    options = ["--engine", "ray", "--runtime", "openvino"]
    command = [MAIN[0], "-c", hidden, "score", str(tmp_path), "--out", "s.parquet", *options]
    told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    extra = {"pyarrow": "archive"}.get(missing, missing)
    assert told.returncode == 2
    assert missing in told.stderr
    assert extra in told.stderr.partition("cxr-device[")[2].partition("]")[0].split(",")


@verifies("SRS-304@57a9e1b1", level="system")
def test_an_absent_source_is_exit_2_in_one_line(tmp_path: Path) -> None:
    told = score(tmp_path / "absent", "--out", tmp_path / "scores.parquet")
    assert told.returncode == 2
    assert told.stderr.startswith(f"ARCHIVE {tmp_path / 'absent'}: No such file")
    assert len(told.stderr.splitlines()) == 1
    nowhere = score(PACKAGE / "examples", "--out", "/proc/absent/scores.parquet")
    assert nowhere.returncode == 6


@verifies("SRS-302@8f2d2113", "RC-302@f2ea7ca6", level="system")
def test_ray_gives_the_table_of_worker_processes(films: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    for film in sorted(films.iterdir())[4:]:
        film.unlink()
    (films / "gone.dcm").symlink_to("nowhere")
    tables = {}
    for engine in ("local", "ray"):
        out = tmp_path / f"{engine}.parquet"
        told = score(films, "--out", out, "--engine", engine)
        for _ in range(2):  # on a busy machine Ray may not start within its own 30 s
            if "Ray did not start" in told.stderr:
                told = score(films, "--out", out, "--engine", engine, "--resume")
        assert told.returncode == 4, told.stderr
        tables[engine] = pq.read_table(out).to_pylist()
    assert [each["status"] for each in tables["ray"]].count("analyzed") == 3
    for one, other in zip(tables["local"], tables["ray"], strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-6)
        assert {**one, "score": 0} == {**other, "score": 0}


@verifies("SRS-303@a5d09773", "RC-303@947ed785", level="system")
def test_a_run_with_openvino_says_so_and_decides_the_same(films: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    for film in sorted(films.iterdir())[4:]:
        film.unlink()
    rows = {}
    for runtime in ("onnxruntime", "openvino"):
        out = tmp_path / f"{runtime}.parquet"
        assert score(films, "--out", out, "--runtime", runtime).returncode == 3
        assert pq.read_metadata(out).metadata[b"cxr-device.runtime"] == runtime.encode()
        rows[runtime] = pq.read_table(out).to_pylist()
    for one, other in zip(rows["onnxruntime"], rows["openvino"], strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)
        assert one["flag"] == other["flag"]
