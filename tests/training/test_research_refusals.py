"""Research commands refuse by name: tables, outputs, configurations and locks."""

import json
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cxr_device import Device
from cxr_device.cli import main
from cxr_device.errors import DatasetError
from verification import verifies

pytest.importorskip("torch", reason="torch is not installed")

from cxr_device.training.configuration_file import Range
from cxr_device.training.fit import _kept
from cxr_device.training.gate_rates import object_answers, real_fault_answers
from cxr_device.training.release_folder import locked_whole
from cxr_device.training.score import score_manifest, write_cases

GOOD = """
architecture = "efficientnet_lite0"
seed = 5
epochs = 1
sizes = [32]
learning_rate = 3e-4
batch_size = 4
manifests = ["manifest.csv"]
"""
GATE = 'stage = "pixel_gate"\nseed = 1\nepochs = 1\nsteps = 2\nlearning_rate = 1e-3\n'


def run(*arguments: str | Path) -> Result:
    """A command, and how it ended."""
    return CliRunner().invoke(main, list(map(str, arguments)))


def table(path: Path, **columns: list[object]) -> Path:
    """A manifest of two films, with changes; `None` leaves a column out."""
    rows: dict[str, list[object]] = {
        "file": ["a.png", "b.png"], "split": ["train", "tune"], "age": [40, 50],
        "view": ["PA", "PA"], "sex": ["F", "M"], "patient_id": ["p", "q"],
        "nih_name": ["a", "b"], "orig_w": [64, 64],
        "finding_labels": ["Pneumonia", "No Finding"], "label_pneumonia": [1, 0],
    }  # fmt: skip
    found = {name: column for name, column in {**rows, **columns}.items() if column}
    pd.DataFrame(found).to_csv(path, index=False)
    return path


@verifies("SRS-343@6fbafb0e", level="unit")
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"age": [40, "old"]}, r"manifest\.csv: row 2 \(b\.png\): age 'old'; accepted: a number"),
        ({"label_pneumonia": [0.5, 1]}, r"row 1 \(a\.png\): label_pneumonia \S*0\.5"),
        ({"label_pneumonia": ["yes", 1]}, r"row 1 \(a\.png\): label_pneumonia 'yes'"),
        ({"label_pneumonia": [], "truth": [1, 2]}, r"row 2 \(b\.png\): truth \S*2"),
        ({}, r"manifest\.csv: all 2 are left out: No such file or directory \(2\)"),
        ({"view": ["LL", "PA"]}, r"all 2 are left out: VIEW \(1\); No such file.* \(1\)"),
    ],
)
def test_a_table_that_cannot_be_scored_is_named(
    tmp_path: Path, device: Device, columns: dict[str, list[object]], words: str
) -> None:
    with pytest.raises(DatasetError, match=words):
        score_manifest(table(tmp_path / "manifest.csv", **columns), device, within_label=True)


@verifies("SRS-343@6fbafb0e", level="unit")
@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"", r"m\.csv: no rows"),
        (b"file,age\na.png,40\n\xff.png,50\n", r"m\.csv: row 2 is not UTF-8"),
        (b"\x89PNG\r\n", r"m\.csv: the heading is not UTF-8"),
        (b"file\na.png\nb.png,1,2\n", r"m\.csv: is no table \(.*line 3"),
        (b"file,split\n", r"m\.csv: no rows"),
    ],
)
def test_a_file_that_is_no_table_is_named(
    tmp_path: Path, device: Device, blob: bytes, words: str
) -> None:
    (tmp_path / "m.csv").write_bytes(blob)
    with pytest.raises(DatasetError, match=words):
        score_manifest(tmp_path / "m.csv", device)


@verifies("SRS-343@6fbafb0e", level="unit")
def test_a_missing_age_and_truth_are_no_fault(tmp_path: Path, device: Device) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64)).save(tmp_path / name)
    path = table(tmp_path / "manifest.csv", age=[None, 50], label_pneumonia=[None, 1])
    found = score_manifest(path, device).table
    assert found["age_band"].tolist() == ["outside", "40-59"]
    assert found["truth"].isna().tolist() == [True, False]


@verifies("SRS-343@6fbafb0e", level="unit")
def test_a_picture_of_too_many_pixels_is_left_out(
    tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DatasetError, match=r"more pixels than any film has \(1\)"):
        score_manifest(table(tmp_path / "manifest.csv"), device)
    with pytest.raises(DatasetError, match="no picture that Pillow opens"):
        object_answers(tmp_path)
    path = table(tmp_path / "m.csv", split=["out_of_scope"] * 2, quality_flags=["rotated"] * 2)
    with pytest.raises(DatasetError, match=r"images/a\.png: is no picture that Pillow opens"):
        real_fault_answers(path)


@verifies("SRS-343@6fbafb0e", level="unit")
@pytest.mark.parametrize("missing", ["view", "age", "split"])
@pytest.mark.parametrize("verb", ["gate", "renditions", "score"])
def test_a_column_that_a_command_needs_is_named(tmp_path: Path, verb: str, missing: str) -> None:
    path = table(tmp_path / "manifest.csv", **{missing: []})
    needs: dict[str, list[str | Path]] = {
        "gate": ["--cache", tmp_path / "c"], "score": ["--within-label"]
    }  # fmt: skip
    extra = needs.get(verb, [])
    words = ["dataset", verb, path, "--out", tmp_path / "x.csv", "--split", "tune", *extra]
    done = run(*words)
    assert done.exit_code == 2, done.output
    assert f"manifest.csv: no column `{missing}`" in done.stderr
    assert not (tmp_path / "x.csv").exists()


@verifies("SRS-344@c912c235", level="integration")
@pytest.mark.parametrize(
    ("out", "code", "words"),
    [
        ("x.txt", 2, "accepted: .csv, .parquet"),
        ("no/such/x.csv", 6, "no/such/x.csv"),
        ("folder.csv", 6, "folder.csv: is a folder"),
    ],
)
@pytest.mark.parametrize("verb", ["gate", "renditions", "score"])
def test_a_table_that_cannot_be_written_is_refused_first(
    tmp_path: Path, verb: str, out: str, code: int, words: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "manifest.csv").touch()  # would be refused next
    extra: list[str | Path] = ["--cache", tmp_path / "c"] if verb == "gate" else []
    done = run("dataset", verb, tmp_path / "manifest.csv", "--out", tmp_path / out,
               "--split", "tune", *extra)  # fmt: skip
    assert done.exit_code == code, done.output
    assert words in done.stderr


@verifies("SRS-344@c912c235", level="integration")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_is_written_whole(tmp_path: Path, suffix: str) -> None:
    rows = pd.DataFrame({"case_id": ["a"], "score": [0.1]})
    write_cases(rows, out := tmp_path / f"x{suffix}")
    found = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    pd.testing.assert_frame_equal(found, rows)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@verifies("SRS-344@c912c235", level="integration")
@pytest.mark.parametrize("text", [GOOD, GATE])
@pytest.mark.parametrize("out", ["config.toml", "config.toml/run"])
def test_a_run_that_cannot_be_written_is_refused_first(tmp_path: Path, text: str, out: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    done = run("train", tmp_path / "config.toml", "--data", tmp_path, "--out", tmp_path / out)
    assert done.exit_code == 6, done.output
    assert f"OUTPUT {tmp_path / out}" in done.stderr


def train(tmp_path: Path, text: str | bytes) -> str:
    """What a training that must end with exit 2 says; nothing was decoded."""
    blob = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "config.toml").write_bytes(blob)
    done = run("train", tmp_path / "config.toml", "--data", tmp_path, "--out", tmp_path / "run")
    assert done.exit_code == 2, done.output
    assert not list(tmp_path.glob("run/cache/*"))
    return done.stderr


@verifies("SRS-346@748ae784", level="integration")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('learning_rate = "x"', "learning_rate 'x'; accepted: a number above 0"),
        ("learning_rate = nan", "learning_rate nan"),
        ("learning_rate = true", "learning_rate True"),
        ("sizes = 64", "sizes 64; accepted: a list, each a whole number from 32 to 1024"),
        ("sizes = [0]", "sizes [0]"),
        ("epochs = 1.0", "epochs 1.0; accepted: a whole number from 1"),
        ("batch_size = 0", "batch_size 0; accepted: a whole number from 1"),
        ("seed = -1", "seed -1"),
        ("mixup = -1", "mixup -1; accepted: a number from 0"),
        ("share = 0", "share 0; accepted: a number above 0 to 1"),
        ('architecture = "resnet"', "architecture 'resnet'; accepted: efficientnet_lite0, "),
        ("augmentation = 5", "augmentation 5; accepted: a table of keys"),
        ('augmentation = {shift = "x"}', "augmentation.shift 'x'; accepted: a number"),
        ("augmentation = {colour = 1}", "unknown keys augmentation.colour"),
        ('start = "no_such_module"', "start 'no_such_module' is no installed module"),
        ('start = "no.such"', "start 'no.such' is no installed module"),
        ('start = "json"', "start 'json' carries no weights"),
        ('stage = "foo"', "stage 'foo'; accepted: 'pixel_gate'"),
        ("seed = ", "cannot be read (Invalid value"),
    ],
)
def test_a_value_that_a_key_cannot_take_is_named(tmp_path: Path, line: str, words: str) -> None:
    key = line.partition(" = ")[0]
    kept = [other for other in GOOD.splitlines() if other.partition(" = ")[0] != key]
    said = train(tmp_path, "\n".join([*kept, line]))
    assert f"config.toml: {words}" in said


@verifies("SRS-346@748ae784", level="integration")
def test_other_broken_configurations_are_named(tmp_path: Path) -> None:
    assert "config.toml: cannot be read ('utf-8'" in train(tmp_path, b'start = "\xff"')
    assert "config.toml: no key steps, learning_rate" in train(
        tmp_path, 'stage = "pixel_gate"\nseed = 1\nepochs = 1\n'
    )
    assert "config.toml: unknown keys colour" in train(tmp_path, GATE + "colour = 1\n")
    assert "config.toml: bfloat16 1; accepted: true or false" in train(
        tmp_path, GATE + "bfloat16 = 1\n"
    )


@verifies("SRS-346@748ae784", level="integration")
@pytest.mark.parametrize("key", ["balance_by", "offset_by"])
def test_a_column_that_no_manifest_has_is_named_with_its_key(tmp_path: Path, key: str) -> None:
    table(tmp_path / "manifest.csv")
    said = train(tmp_path, f'{GOOD}{key} = ["view", "nocol"]\n')
    assert f"no manifest has the column nocol that {key} names" in said
    table(tmp_path / "manifest.csv", finding_labels=[])
    assert "manifest.csv: no column `finding_labels`" in train(tmp_path, GOOD)
    table(tmp_path / "manifest.csv", split=["train", "test"])
    manifests = 'manifests = ["manifest.csv"]\n'
    assert "no films of split tune" in train(tmp_path, GATE + manifests)


@verifies("SRS-346@748ae784", level="integration")
def test_the_bounds_of_a_range_belong_to_it() -> None:
    assert [Range(0, 1).holds(x) for x in (-0.1, 0, 1, 1.1)] == [False, True, True, False]
    assert [Range(0, 1, open=True).holds(x) for x in (0, 0.1, 1)] == [False, True, True]


def digests(folder: Path) -> dict[str, str]:
    """Every file and folder below a folder; of a file its digest."""
    found = {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}
    return {str(path): sha256(blob).hexdigest() for path, blob in found.items()}


@verifies("SRS-347@3d7c259e", level="integration")
@pytest.mark.parametrize("graph", [False, True])
def test_a_refused_lock_leaves_what_was_there(tmp_path: Path, *, graph: bool) -> None:
    (tmp_path / "run").mkdir()
    if graph:
        (tmp_path / "run/gate.onnx").write_bytes(b"no graph")
        (tmp_path / "run/record.json").write_text(json.dumps({"graph_sha256": "0"}))
    with locked_whole(tmp_path / "before") as package:
        assert not (tmp_path / "before").exists()
        assert (package / "release.toml").exists()
    (tmp_path / "before/preprocessing.py").write_text("# of another version\n")
    (tmp_path / "empty").mkdir()
    before = digests(tmp_path)
    assert str(tmp_path / "before/release.toml") in before
    for name in ("", "new", "deep/er/new", "before", "empty"):
        where: list[str | Path] = ["--release", tmp_path / name] if name else []
        done = run("lock", tmp_path / "run", "--data", tmp_path, "--development", *where)
        assert done.exit_code == 2, done.output
        assert digests(tmp_path) == before, name


@verifies("SRS-369@cd113e9c", level="integration")
@pytest.mark.parametrize(("side", "graph"), [(225, False), (192, True)])
def test_a_side_that_no_network_sees_is_refused(tmp_path: Path, side: int, *, graph: bool) -> None:
    (tmp_path / "run").mkdir()
    if graph:
        (tmp_path / "run/gate.onnx").write_bytes(b"no graph")
    done = run("lock", tmp_path / "run", "--data", tmp_path, "--side", str(side), "--development")
    assert done.exit_code == 2
    assert f"--side {side}: the networks' alone, at most the 224 of the input" in done.output


@verifies("SRS-347@3d7c259e", level="integration")
def test_a_lock_that_nothing_refuses_stands_at_its_path(tmp_path: Path) -> None:
    with locked_whole(tmp_path / "deep/er/new") as package:
        (package / "note.txt").write_text("locked")
    assert (tmp_path / "deep/er/new/note.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    with locked_whole(tmp_path / "deep/er/new") as package:
        assert package == tmp_path / "deep/er/new"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/letter.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"holds files and no release\.toml"):
        locked_whole(tmp_path / "other").__enter__()


@verifies("SRS-348@4f9ae837", level="integration")
@pytest.mark.parametrize("verb", ["gate", "renditions", "score"])
def test_the_extra_that_brings_pandas_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    for name in [n for n in sys.modules if n.startswith("cxr_device.training.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pandas", None)
    extra: list[str | Path] = ["--cache", tmp_path / "c"] if verb == "gate" else []
    (tmp_path / "m.csv").touch()
    done = run("dataset", verb, tmp_path / "m.csv", "--out", tmp_path / "x.csv",
               "--split", "tune", *extra)  # fmt: skip
    assert done.exit_code == 2
    assert "pip install 'cxr-device[training]'" in done.stderr


@verifies("SRS-348@4f9ae837", level="integration")
def test_what_is_left_of_a_run_is_said_truly() -> None:
    assert _kept(0) == "no epoch is whole, so none is kept"
    assert _kept(1) == "state.pt is the last whole epoch"
