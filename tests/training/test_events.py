"""TensorBoard's event files: every figure of the log, at its epoch, once."""

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from verification import verifies

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")

from event_files import told

from cxr_device.cli import main
from cxr_device.training.events import events

LINES = [
    {"epoch": 1, "loss": 0.5, "seconds": 3.0, "tune_within_view_auc": {"score": 0.6, "Any": None}},
    {"epoch": 2, "loss": 0.25, "seconds": 2.0, "tune_within_view_auc": {"score": 0.7, "Any": 0.8}},
]


@verifies("SRS-338@977007f0", level="unit")
def test_event_files_hold_every_number_of_the_log_once(tmp_path: Path) -> None:
    for line in LINES:  # a run that was cut after its first epoch, and went on
        with events(tmp_path / "events") as add:
            add(line)
    assert told(tmp_path / "events") == {
        ("loss", 1): [0.5], ("loss", 2): [0.25], ("seconds", 1): [3.0], ("seconds", 2): [2.0],
        ("tune_within_view_auc/score", 1): [pytest.approx(0.6)],
        ("tune_within_view_auc/score", 2): [pytest.approx(0.7)],
        ("tune_within_view_auc/Any", 2): [pytest.approx(0.8)],
    }  # fmt: skip


@verifies("SRS-338@977007f0", level="unit")
def test_without_a_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the library's own folder would stand here
    with events(None) as add:
        add(LINES[0])
    assert not list(tmp_path.iterdir())


@verifies("SRS-338@977007f0", level="unit")
def test_without_the_package_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('architecture = "efficientnet_lite0"\n')
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboardX" else there(name)
    )
    words = ["train", str(tmp_path / "config.toml"), "--data", str(tmp_path)]
    words += ["--out", str(tmp_path / "run"), "--tensorboard", str(tmp_path / "events")]
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 2
    assert "cxr-device[tensorboard]" in found.output
    assert not (tmp_path / "run").exists()


@verifies("SRS-338@977007f0", level="unit")
def test_the_gate_writes_no_event_files_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text('stage = "pixel_gate"\n')
    words = ["train", str(tmp_path / "gate.toml"), "--data", str(tmp_path)]
    words += ["--out", str(tmp_path / "run"), "--tensorboard", str(tmp_path / "events")]
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 2
    assert "gate" in found.output
