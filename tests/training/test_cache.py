"""A prepared data set: every film as the device shapes it, damage named, a cut made good."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from nih_layout import Layout, cohort, film, name, row
from PIL import Image

from verification import verifies

pytest.importorskip("pandas", reason="pandas is not installed")

from cxr_device.cli import main
from cxr_device.errors import DatasetError
from cxr_device.preprocessing import resize
from cxr_device.training import cache
from cxr_device.training.image_file import DamagedImageError, read_image
from cxr_device.training.prepared import Rows, open_pixels, read_record


def prepared(folder: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """Prepare a download at 64 pixels with one worker."""
    options: dict[str, Any] = {
        "size": 64, "rule": "hash", "key": "k", "lists": None, "ages": (22, 120), "workers": 1,
    }  # fmt: skip
    return cache.prepare(folder, out=out, **(options | changes))


def files(out: Path) -> dict[str, bytes]:
    """What a preparation leaves."""
    return {n: (out / n).read_bytes() for n in ("pixels.npy", "manifest.csv", "prepared.json")}


@verifies("SRS-271@92699d55", level="integration")
def test_each_film_is_what_the_device_would_see(tmp_path: Path) -> None:
    cohort(tmp_path / "nih", patients=10)
    record = prepared(tmp_path / "nih", tmp_path / "out")
    pixels, table = open_pixels(tmp_path / "out"), pd.read_csv(tmp_path / "out/manifest.csv")
    assert pixels.dtype == np.uint8
    assert pixels.shape == (20, 64, 64)
    assert sum(record["films"].values()) == len(table) == 20
    for row_, file in zip(table["row"], table["file"], strict=True):
        stored = np.asarray(Image.open(tmp_path / "nih" / file))
        shaped = resize(stored, 64)
        assert np.abs(pixels[row_] - shaped / 257).max() <= 0.5
    assert table["split"].tolist() == sorted(table["split"], key=["train", "tune", "test"].index)
    assert [step["images"] for step in record["cohort"]] == [20] * 6


@verifies("SRS-271@92699d55", "RC-266@9a857f35", level="integration")
def test_damaged_images_are_named_and_the_others_kept(tmp_path: Path) -> None:
    folder = tmp_path / "nih"
    Layout(folder, [row(n) for n in range(1, 12)]).table()
    Layout(folder).images({name(n): film(n) for n in range(1, 11)})
    at = {n: folder / "images_001/images" / name(n) for n in range(1, 11)}
    blob = at[1].read_bytes()
    at[1].write_bytes(blob[: len(blob) // 2])
    at[2].write_bytes(b"")
    broken = bytearray(at[3].read_bytes())
    broken[len(broken) // 2] ^= 1  # one bit: only the chunk's checksum tells
    at[3].write_bytes(bytes(broken))
    at[4].write_bytes(b"GIF89a not a film")
    Image.fromarray(np.dstack([film(5), film(6), film(7)])).save(at[5])
    Image.fromarray(film(6).astype(np.uint16) * 200).save(at[6])
    Image.fromarray(np.dstack([*[film(7)] * 3, film(8)])).save(at[7])
    Image.fromarray(np.dstack([*[film(8)] * 3, np.full((96, 96), 255, np.uint8)])).save(at[8])
    record = prepared(folder, tmp_path / "out", rule="hash")
    reasons = record["damaged"]["reasons"]
    assert {int(n[:8]) for n in reasons} == {1, 2, 3, 4, 5, 6, 7}
    assert record["damaged"]["n"] == 7
    assert reasons[name(2)] == "empty file"
    assert "channels differ" in reasons[name(5)]
    assert "mode I;16" in reasons[name(6)]
    assert reasons[name(7)] == "transparent pixels"
    assert all(reasons[name(n)].startswith("damaged") for n in (1, 3, 4))
    table = pd.read_csv(tmp_path / "out/manifest.csv")
    assert set(table["nih_name"]) == {name(n) for n in (8, 9, 10)}
    rgba = open_pixels(tmp_path / "out")[table.set_index("nih_name")["row"][name(8)]]
    assert np.abs(rgba.mean() - film(8).mean()) < 1
    assert record["cohort"][-1] == {
        "rule": "image file present", "left_out": 1, "images": 10, "patients": 10, "pneumonia": 0,
    }  # fmt: skip


@verifies("SRS-271@92699d55", level="integration")
def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DamagedImageError, match="No such file"):
        read_image(tmp_path / "absent.png")


@verifies("SRS-272@975a2ab3", level="integration")
def test_the_number_of_workers_changes_no_byte(tmp_path: Path) -> None:
    cohort(tmp_path / "nih", patients=10)
    for workers in (1, 2):
        prepared(tmp_path / "nih", tmp_path / str(workers), workers=workers)
    assert files(tmp_path / "1") == files(tmp_path / "2")


COMMAND = """
from cxr_device.training import cache
cache._BLOCK = 4
cache.prepare(
    Path(sys.argv[1]), out=Path(sys.argv[2]), size=64, rule="hash", key="k", lists=None,
    ages=(22, 120), workers=1,
)
"""


@verifies("SRS-272@975a2ab3", level="system")
def test_a_killed_preparation_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    cohort(tmp_path / "nih", patients=40, side=256)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    prepared(tmp_path / "nih", whole)
    code = (
        f"import sys\nfrom pathlib import Path\nif __name__ == '__main__':{COMMAND}".replace(
            "\n", "\n    "
        )
        .replace("    from pathlib", "from pathlib")
        .replace("    if __name__", "if __name__")
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, str(script), str(tmp_path / "nih"), str(cut)], start_new_session=True
    )
    journal = cut / "journal.jsonl"
    until = time.monotonic() + 100
    while not journal.exists() or journal.read_text().count("\n") < 8:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = journal.read_text()
    assert 8 <= done.count("\n") < 80
    assert not (cut / "prepared.json").exists()
    with pytest.raises(DatasetError, match="not finished"):
        read_record(cut)
    journal.write_text(done + '{"nih_name": "torn')
    first = json.loads(done.splitlines()[0])["nih_name"]
    order = pd.read_csv(whole / "manifest.csv").set_index("nih_name")["row"]
    part = np.load(cut / "pixels.part.npy", mmap_mode="r+")
    part[order[first]] ^= 255  # a film that the disk lost
    part.flush()
    del part
    prepared(tmp_path / "nih", cut)
    assert files(cut) == files(whole)


@verifies("SRS-270@31b0e50b", "RC-267@a8921280", level="integration")
def test_altered_pixels_or_manifest_are_refused(tmp_path: Path) -> None:
    cohort(tmp_path / "nih", patients=5)
    prepared(tmp_path / "nih", tmp_path / "out")
    array = tmp_path / "out/pixels.npy"
    blob = bytearray(array.read_bytes())
    blob[-1] ^= 1
    array.write_bytes(bytes(blob))
    with pytest.raises(DatasetError, match=r"pixels.npy: has SHA-256"):
        open_pixels(tmp_path / "out")
    manifest = tmp_path / "out/manifest.csv"
    manifest.write_text(manifest.read_text().replace(",test,", ",train,"))
    with pytest.raises(DatasetError, match=r"manifest.csv: has SHA-256"):
        read_record(tmp_path / "out")


@verifies("SRS-272@975a2ab3", level="integration")
def test_another_plan_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    cohort(tmp_path / "nih", patients=5)
    prepared(tmp_path / "nih", tmp_path / "out")
    before = files(tmp_path / "out")
    for change, word in (
        ({"size": 96}, "size"),
        ({"key": "z"}, "split"),
        ({"ages": (33, 90)}, "cohort"),
    ):
        with pytest.raises(DatasetError, match=f"of other .*{word}"):
            prepared(tmp_path / "nih", tmp_path / "out", **change)
    assert files(tmp_path / "out") == before


FULL = """
import resource, sys
from cxr_device.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
main(sys.argv[1:])
"""


@verifies("SRS-271@92699d55", level="integration")
def test_no_room_for_the_array_is_named_before_a_film_is_decoded(tmp_path: Path) -> None:
    cohort(tmp_path / "nih", patients=30)
    out = tmp_path / "out"
    command = ["dataset", "prepare", str(tmp_path / "nih"), "--out", str(out), "--split", "hash"]
    found = subprocess.run(  # noqa: S603
        [sys.executable, "-c", FULL, *command], capture_output=True, text=True, check=False
    )
    assert found.returncode == 6, found.stderr
    assert "pixels.part.npy" in found.stderr
    assert "GB are needed" in found.stderr
    assert not (out / "journal.jsonl").exists()


@verifies("SRS-269@1433a914", "SRS-271@92699d55", level="integration")
def test_the_command_prints_the_flow_and_the_digest(tmp_path: Path) -> None:
    cohort(tmp_path / "nih", patients=20)
    (tmp_path / "nih/images_001/images" / name(1)).write_bytes(b"")
    out = tmp_path / "out"
    result = CliRunner().invoke(
        main, ["dataset", "prepare", str(tmp_path / "nih"), "--out", str(out), "--size", "64"]
    )
    assert result.exit_code == 0, result.output
    record = read_record(out)
    assert f"manifest {record['manifest_sha256']}" in result.output
    assert f"damaged: {name(1)}: empty file" in result.output
    assert "NIH official lists" in result.output
    assert "age 22 to 120 years (left out: 0)" in result.output


@verifies("SRS-270@31b0e50b", level="integration")
def test_chosen_rows_are_read_by_their_place() -> None:
    mapped = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2)
    rows = Rows(mapped, np.array([4, 1, 3]))
    assert len(rows) == 3
    assert rows[0].tolist() == mapped[4].tolist()
    assert rows[np.array([2, 0])].tolist() == [mapped[3].tolist(), mapped[4].tolist()]
    assert [r.tolist() for r in rows] == [mapped[i].tolist() for i in (4, 1, 3)]  # type: ignore[attr-defined]
