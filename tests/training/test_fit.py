"""Training on a tiny set: the choice of the epoch, refusals, a kill and several ranks."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nih_layout import cohort

from verification import verifies

pytest.importorskip("torch", reason="torch is not installed")

import torch
from event_files import told
from safetensors.numpy import load_file
from timm.models.efficientnet import EfficientNet
from torch import Tensor
from torch.nn.modules.module import register_module_forward_pre_hook

from cxr_device.errors import DatasetError, TrainingError
from cxr_device.network import HEADS
from cxr_device.preprocessing import INPUT_SIZE
from cxr_device.training import cache
from cxr_device.training import fit as fit_module
from cxr_device.training.choice import best_epoch, chosen_epoch, stops
from cxr_device.training.config import TrainingConfig
from cxr_device.training.films import (
    Films,
    draw_weights,
    group_offsets,
    of_share,
    pixels_of,
    read_manifests,
)
from cxr_device.training.fit import fit
from cxr_device.training.run_folder import commit
from cxr_device.training.teachers import Answer, answering, blend
from cxr_device.training.tuning import within_view_auc

TOML = """
architecture = "efficientnet_lite0"
seed = 5
epochs = 3
sizes = [32, 48, 32]
learning_rate = 3e-4
batch_size = 4
shards = 2
manifests = ["prepared/manifest.csv"]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prepared set of 32 films, 48 pixels."""
    folder = tmp_path_factory.mktemp("data")
    cohort(folder / "nih", patients=16, side=64)
    cache.prepare(
        folder / "nih", out=folder / "prepared", size=48, rule="official", key="k3", lists=None,
        ages=(22, 120), workers=1,
    )  # fmt: skip
    return folder


def written(folder: Path, text: str = TOML) -> Path:
    """A configuration file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(text)
    return folder / "config.toml"


def config(folder: Path, **changes: object) -> TrainingConfig:
    """The tiny configuration with changes."""
    lines = [line for line in TOML.splitlines() if line.split(" = ")[0] not in changes]
    return TrainingConfig.read(
        written(
            folder, "\n".join([*lines, *(f"{k} = {json.dumps(v)}" for k, v in changes.items())])
        )
    )


def command(
    data: Path, run: Path, *, before: Sequence[str] = (), then: str = ""
) -> subprocess.Popen[str]:
    """Start `cxr-device train` in a process group of its own, on one thread."""
    script = run.with_suffix(".py")
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f"{then}\nfrom cxr_device.cli import main\nmain()\n")
    arguments = ["train", str(written(run.parent)), "--data", str(data), "--out", str(run)]
    return subprocess.Popen(  # noqa: S603
        [sys.executable, *before, str(script), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for a command that must succeed; its stderr."""
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    return errors


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody cut."""
    run = tmp_path_factory.mktemp("whole") / "run"
    ended(command(data, run))
    return run


def record(run: Path) -> dict[str, Any]:
    """The record of a run."""
    found: dict[str, Any] = json.loads((run / "record.json").read_text())
    return found


def kill_at(process: subprocess.Popen[str], run: Path, *, epochs: int) -> None:
    """Kill a run in the middle of the epoch after `epochs`."""
    until = time.monotonic() + 250
    log = run / "log.jsonl"
    while not log.exists() or log.read_text().count("\n") < epochs:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@verifies("SRS-274@35e64a88", "RC-267@a8921280", level="system")
def test_a_killed_run_goes_on_to_the_same_weights(data: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    kill_at(command(data, run), run, epochs=1)
    assert not (run / "record.json").exists()
    log = run / "log.jsonl"
    with log.open("a") as file:  # a kill between the log and the state leaves a line too many
        file.write(json.dumps({**json.loads(log.read_text().splitlines()[0]), "epoch": 3}) + "\n")
    ended(command(data, run))
    assert (run / "weights.safetensors").read_bytes() == (
        whole / "weights.safetensors"
    ).read_bytes()
    again, first = record(run), record(whole)
    assert again["weights_sha256"] == first["weights_sha256"]
    assert [line["loss"] for line in again["curve"]] == [line["loss"] for line in first["curve"]]
    assert [line["epoch"] for line in again["curve"]] == [1, 2, 3]


@verifies("SRS-275@d0230646", level="system")
def test_two_ranks_end_equal_and_equal_to_one(data: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended(command(data, run, before=torchrun))
    two, one = record(run), record(whole)
    assert len(two["parameters_sha256"]) == 2
    assert len(set(two["parameters_sha256"])) == 1
    assert two["hardware"].endswith("2 processes, CPU, fp32")
    mine, theirs = (load_file(r / "weights.safetensors") for r in (run, whole))
    assert mine.keys() == theirs.keys()
    for name in mine:
        np.testing.assert_allclose(mine[name], theirs[name], atol=1e-4, err_msg=name)
    moved = [np.abs(theirs[n] - load_file(run / "weights.safetensors")[n]).max() for n in theirs]
    assert max(moved) < 1e-4
    losses = [[line["loss"] for line in r["curve"]] for r in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@verifies("SRS-270@31b0e50b", "RC-267@a8921280", level="integration")
def test_the_record_names_data_choice_and_versions(data: Path, whole: Path) -> None:
    found = record(whole)
    manifest = json.loads((data / "prepared/prepared.json").read_text())
    assert found["manifest_sha256"] == {"prepared/manifest.csv": manifest["manifest_sha256"]}
    assert found["cohorts"]["prepared/manifest.csv"]["split"] == manifest["split"]
    assert found["config"]["seed"] == 5
    assert found["chosen"]["epoch"] == 3
    assert found["chosen"]["end"] == "every epoch was run"
    assert {"python", "torch", "timm", "numpy"} <= set(found["versions"])
    assert len(found["curve"]) == 3


@verifies("SRS-274@35e64a88", level="integration")
def test_another_configuration_does_not_go_on(data: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds a run of other config"):
        fit(config(tmp_path, seed=6), data=data, run=whole, cache=tmp_path / "c")


@verifies("SRS-277@6ebe88ca", level="integration")
def test_a_loss_that_is_no_number_ends_the_run_by_name(data: Path, tmp_path: Path) -> None:
    wild = config(tmp_path, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at epoch 1, step \d+; lower"):
        fit(wild, data=data, run=tmp_path / "run", cache=tmp_path / "c")
    assert not (tmp_path / "run/weights.safetensors").exists()


def lines(*values: float | None) -> list[dict[str, Any]]:
    """A log whose tuning values are these."""
    return [
        {"epoch": n, "tune_within_view_auc": {"score": value}} for n, value in enumerate(values, 1)
    ]


@verifies("SRS-276@51823be9", "RC-267@a8921280", level="integration")
def test_the_best_epoch_is_kept_and_patience_ends_the_run(tmp_path: Path) -> None:
    log = lines(0.60, 0.71, 0.71, 0.70)
    assert best_epoch(log) == 2
    assert [stops(log[:n], 2) for n in range(5)] == [False, False, False, False, True]
    assert not stops(log, 0)
    best = config(tmp_path, choose="best", patience=2, epochs=6, sizes=[32] * 6)
    found = chosen_epoch(log, best)
    assert (found["epoch"], found["value"], found["rule"]) == (2, 0.71, "best")
    assert found["end"] == "ended early: no better tuning value in 2 epochs"
    last = chosen_epoch(log, config(tmp_path, epochs=4, sizes=[32] * 4))
    assert (last["epoch"], last["best_epoch"]) == (4, 2)
    assert best_epoch(lines(None, 0.5, None)) == 2


@verifies("SRS-276@51823be9", "RC-267@a8921280", level="integration")
def test_an_early_end_keeps_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    run, data = tmp_path / "run", tmp_path
    cohort(data / "nih", patients=60, side=64)  # both classes within a view of `tune`
    cache.prepare(
        data / "nih", out=data / "prepared", size=48, rule="official", key="k3", lists=None,
        ages=(22, 120), workers=1,
    )  # fmt: skip
    chosen = config(
        tmp_path, choose="best", patience=1, epochs=6, sizes=[32] * 6, learning_rate=1e-12
    )
    fit(chosen, data=data, run=run, cache=tmp_path / "c")
    found = record(run)
    assert len(found["curve"]) < 6
    assert found["chosen"]["epoch"] == best_epoch(found["curve"]) < len(found["curve"])
    assert found["chosen"]["end"].startswith("ended early")
    assert (run / "weights.safetensors").read_bytes() == (run / "best.safetensors").read_bytes()
    before = (run / "weights.safetensors").stat().st_mtime_ns
    fit(chosen, data=data, run=run, cache=tmp_path / "c")  # ended: no epoch more
    assert record(run)["curve"] == found["curve"]
    assert (run / "weights.safetensors").stat().st_mtime_ns > before


@verifies("SRS-270@31b0e50b", "RC-267@a8921280", level="integration")
def test_altered_films_do_not_train(data: Path, tmp_path: Path) -> None:
    films = read_manifests([data / "prepared/manifest.csv"])
    assert pixels_of(films, size=None, cache=tmp_path)[0].shape == (48, 48)
    exact = pixels_of(films.head(2), size=224, cache=tmp_path)
    assert exact[0].shape == (224, 224)
    assert exact[0].dtype == np.uint16
    for file in ("manifest.csv", "pixels.npy", "prepared.json", "plan.json"):
        (tmp_path / file).write_bytes((data / "prepared" / file).read_bytes())
    (tmp_path / "manifest.csv").write_text((tmp_path / "manifest.csv").read_text() + "\n")
    with pytest.raises(DatasetError, match=r"manifest\.csv: has SHA-256"):
        read_manifests([tmp_path / "manifest.csv"])


def test_a_view_with_one_class_has_no_tuning_value() -> None:
    films = Films(
        table=pd.DataFrame({"view": ["PA", "PA", "AP", "AP"]}),
        pixels=np.zeros((4, 2, 2), np.uint16),
    )
    score = np.array([0.2, 0.9, 0.5, 0.1])
    assert within_view_auc(films, score, np.array([0, 1, 0, 0], np.float32)) == 1.0
    assert within_view_auc(films, score, np.array([1, 1, 0, 0], np.float32)) is None


@verifies("SRS-276@51823be9", level="integration")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": 1}, "unknown keys colour"),
        ({"sizes": [32]}, r"sizes \[32\] for 3 epochs"),
        ({"shards": 3}, "batch_size 4 in 3 shards"),
        ({"choose": "first"}, "choose 'first'"),
        ({"learning_rate": 0}, "learning_rate 0"),
        ({"gamma_negative": 0.5}, "gammas 0.0, 0.5"),
        ({"probability_margin": 1.0}, "probability_margin 1.0"),
        ({"share": 0.0}, r"share 0\.0"),
        ({"teacher_share": 1.5}, r"teacher_share 1\.5"),
    ],
)
def test_a_wrong_configuration_is_named(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(DatasetError, match=words):
        config(tmp_path, **changes)
    assert len(HEADS) == 16


def test_a_missing_manifest_or_empty_split_is_named(data: Path, tmp_path: Path) -> None:
    absent = config(tmp_path, manifests=["absent/manifest.csv"])
    with pytest.raises(DatasetError, match=r"absent/manifest\.csv: is missing"):
        fit(absent, data=data, run=tmp_path / "run", cache=tmp_path / "c")


@verifies("SRS-285@52fa6786", level="unit")
def test_offsets_explain_what_the_groups_explain() -> None:
    table = pd.DataFrame({"source": ["a"] * 40 + ["b"] * 40, "view": ["PA"] * 80})
    alike = np.tile(np.array([[1.0], [0.0]], dtype=np.float32), (40, 1))
    np.testing.assert_allclose(group_offsets(table, alike, ("source", "view")), 0, atol=0.05)
    apart = np.array([[1.0]] * 40 + [[0.0]] * 40, dtype=np.float32)
    offsets = group_offsets(table, apart, ("source", "view"))
    assert np.isfinite(offsets).all()
    assert (offsets[:40] > 1).all()
    assert (offsets[40:] < -1).all()
    unknown = apart.copy()
    unknown[40:] = np.nan
    assert np.abs(group_offsets(table, unknown, ("source",))[40:]).max() < 1e-6


@verifies("SRS-285@52fa6786", level="integration")
def test_a_run_with_offsets_starts_from_a_smaller_loss(data: Path, tmp_path: Path) -> None:
    found = {}
    for name, columns in (("with", ["source", "view"]), ("without", [])):
        tiny = config(tmp_path / name, offset_by=columns, learning_rate=1e-9)
        fit(tiny, data=data, run=tmp_path / name / "run", cache=tmp_path / "c")
        line, *_ = record(tmp_path / name / "run")["curve"]
        found[name] = line["loss"]
    assert found["with"] != found["without"]


@pytest.mark.parametrize(("batch_size", "enough"), [(16, False), (4, True)])
def test_a_run_of_few_steps_is_refused_or_ends(
    data: Path, tmp_path: Path, batch_size: int, *, enough: bool
) -> None:
    few = config(tmp_path, epochs=1, sizes=[32], batch_size=batch_size)
    if enough:
        assert fit(few, data=data, run=tmp_path / "run", cache=tmp_path / "c").exists()
    else:
        with pytest.raises(DatasetError, match="steps in all; 3 at least: more epochs or films"):
            fit(few, data=data, run=tmp_path / "run", cache=tmp_path / "c")


@verifies("SRS-332@43dcaf3b", level="unit")
def test_a_share_holds_whole_patients_and_is_part_of_a_larger_share() -> None:
    patients = [f"{number:08d}" for number in range(100) for _ in range(3)]
    table = pd.DataFrame({"patient_id": patients, "film": range(300)})
    quarter, half, whole = (of_share(table, share) for share in (0.25, 0.5, 1.0))
    assert 35 <= half["patient_id"].nunique() <= 65
    assert (half.groupby("patient_id").size() == 3).all()
    assert set(quarter["film"]) < set(half["film"])
    assert len(whole) == 300


@verifies("SRS-332@43dcaf3b", level="integration")
def test_a_share_of_the_patients_is_trained_on(data: Path, tmp_path: Path) -> None:
    half, run, events = config(tmp_path, share=0.5), tmp_path / "run", tmp_path / "events"
    fit(half, data=data, run=run, cache=tmp_path / "c", tensorboard=events)
    assert sorted(step for name, step in told(events) if name == "loss") == [1, 2, 3]
    table = read_manifests([data / "prepared/manifest.csv"])
    films = of_share(table[table["split"] == "train"], 0.5)
    assert record(tmp_path / "run")["films"]["train"] == len(films)


@verifies("SRS-333@e180da4f", level="integration")
def test_a_frozen_epoch_changes_the_last_layer_alone(data: Path, tmp_path: Path) -> None:
    found = []
    for name, frozen in (("start", 3), ("head", 3), ("all", 2)):
        rate = 1e-9 if name == "start" else 3e-4
        tiny = config(tmp_path / name, frozen_epochs=frozen, learning_rate=rate)
        run = tmp_path / name / "run"
        found.append(load_file(fit(tiny, data=data, run=run, cache=tmp_path / "c")))
    start, head, whole = found
    for name, value in start.items():
        last = name.startswith("classifier")
        assert np.allclose(value, head[name], atol=1e-7) is not last
        if name.endswith(("running_mean", "conv_dw.weight")):
            assert not np.array_equal(value, whole[name])


@verifies("SRS-334@d6249e02", level="integration")
def test_the_teachers_probability_softens_the_labels(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    runs = whole.parent
    losses = []
    for share in (0.0, 1.0):
        taught = config(
            tmp_path, epochs=1, sizes=[32], teachers=["run"], teacher_share=share,
            learning_rate=1e-9, label_smoothing=0.0,
        )  # fmt: skip
        student = runs / f"student-{share}"
        fit(taught, data=data, run=student, cache=tmp_path / "c")
        assert record(student)["teachers"] == {"run": record(whole)["weights_sha256"]}
        losses.append(record(student)["curve"][0]["loss"])
    assert losses[0] != losses[1]


@pytest.fixture(scope="module")
def teacher(whole: Path) -> tuple[Answer, dict[str, str]]:
    """The whole run as a teacher; its export takes longer than all that it answers."""
    return answering([whole], device=torch.device("cpu"))


@verifies("SRS-368@0808ba3f", level="integration")
@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_each_view_is_taught_by_the_answer_to_it(  # noqa: PLR0913, PLR0917  # fixtures
    data: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    teacher: tuple[Answer, dict[str, str]],
    mixup: float,
) -> None:
    taught = config(
        tmp_path, epochs=1, sizes=[INPUT_SIZE], teachers=["run"], teacher_share=1.0, shards=1,
        teach="views", learning_rate=1e-9, label_smoothing=0.0, mixup=mixup,
    )  # fmt: skip
    views: list[Tensor] = []
    wanted: list[Tensor] = []
    loss = fit_module._loss  # noqa: SLF001

    def learned(logits: Tensor, target: Tensor, **others: Any) -> Tensor:
        wanted.append(target)
        return loss(logits, target, **others)

    def exported(runs: list[Path], *, device: torch.device) -> tuple[Answer, dict[str, str]]:
        assert (runs, device.type) == ([whole], "cpu")
        return teacher

    monkeypatch.setattr(fit_module, "_loss", learned)
    monkeypatch.setattr(fit_module, "answering", exported)
    student = whole.parent / f"student-views-{mixup}"
    with register_module_forward_pre_hook(
        lambda net, given: (
            views.append(given[0]) if isinstance(net, EfficientNet) and net.training else None
        )
    ):
        fit(taught, data=data, run=student, cache=tmp_path / "c")
    assert record(student)["teachers"] == {"run": record(whole)["weights_sha256"]}
    assert wanted
    answer, _ = teacher
    films = views if mixup == 0 else [view for view in views for _ in range(2)]
    for pixels, target in zip(films, wanted, strict=True):
        np.testing.assert_allclose(answer(pixels.contiguous()), target.numpy(), atol=1e-6)
    with pytest.raises(DatasetError, match="teach 'views' without teachers; name the finished"):
        config(tmp_path, teach="views")


@verifies("SRS-372@c1a091c0", level="integration")
def test_a_run_starts_from_the_weights_of_another(data: Path, whole: Path, tmp_path: Path) -> None:
    goes_on = config(tmp_path, start_run="run", learning_rate=1e-9, epochs=1, sizes=[32])
    begun = load_file(whole / "weights.safetensors")
    run = whole.parent / "goes-on"
    for name, value in load_file(fit(goes_on, data=data, run=run, cache=tmp_path / "c")).items():
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            np.testing.assert_allclose(value, begun[name], atol=1e-7)
    first = record(whole)
    assert record(run)["start"] == {
        **first["start"], "run": "run", "run_sha256": first["weights_sha256"]
    }  # fmt: skip
    for changes, words in (
        ({"start_run": "absent"}, r"absent: holds no record\.json"),
        (
            {"start_run": "run", "architecture": "densenet121"},
            "run: is an efficientnet_lite0; start",
        ),
        ({"start_run": "run", "start": "os"}, "start and start_run; name one of them"),
    ):
        with pytest.raises(DatasetError, match=words):
            fit(config(tmp_path, **changes), data=data, run=run.parent / "x", cache=tmp_path / "c")


@verifies("SRS-334@d6249e02", level="unit")
def test_a_label_that_says_nothing_is_the_teachers() -> None:
    labels = np.array([[1.0, 0.0, np.nan]], dtype=np.float32)
    probability = np.array([[0.2, 0.4, 0.7]], dtype=np.float32)
    np.testing.assert_allclose(blend(labels, probability, 0.25), [[0.8, 0.1, 0.7]], rtol=1e-6)


@verifies("SRS-334@d6249e02", level="integration")
def test_an_unfinished_or_altered_teacher_is_refused(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    for name in ("record.json", "weights.safetensors"):
        (tmp_path / "altered").mkdir(exist_ok=True)
        (tmp_path / "altered" / name).write_bytes((whole / name).read_bytes())
    with (tmp_path / "altered/weights.safetensors").open("ab") as file:
        file.write(b" ")
    for teacher, words in (
        ("absent", r"absent: holds no record\.json"),
        ("altered", r"altered/weights\.safetensors: is not what record\.json describes"),
    ):
        taught = config(tmp_path, teachers=[teacher])
        with pytest.raises(DatasetError, match=words):
            fit(taught, data=data, run=tmp_path / "student", cache=tmp_path / "c")


def soft_labels(data: Path) -> pd.DataFrame:
    """A table that gives every film of the set the same probability for every head."""
    files = read_manifests([data / "prepared/manifest.csv"])["file"]
    return pd.DataFrame({"file": files} | dict.fromkeys(HEADS, 0.25))


@verifies("SRS-364@dc895b48", level="integration")
def test_a_table_of_soft_labels_teaches(data: Path, whole: Path, tmp_path: Path) -> None:
    table = data / "soft.parquet"
    losses = []
    for probability in (0.25, 0.75):
        labels = soft_labels(data)
        labels[list(HEADS)] = probability
        labels.to_parquet(table)
        taught = config(
            tmp_path, epochs=1, sizes=[32], soft_labels=table.name, teacher_share=1.0,
            learning_rate=1e-9, label_smoothing=0.0,
        )  # fmt: skip
        run = tmp_path / f"{probability}"
        fit(taught, data=data, run=run, cache=tmp_path / "c")
        digest = sha256(table.read_bytes()).hexdigest()
        assert record(run)["teachers"] == {"soft.parquet": digest}
        losses.append(record(run)["curve"][0]["loss"])
    assert losses[0] != losses[1]
    assert record(whole)["teachers"] == {}


@verifies("SRS-364@dc895b48", level="integration")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="Edema"), "lacks the columns Edema"),
        (lambda t: pd.concat([t, t.tail(1)]), "names .* twice"),
        (lambda t: t.iloc[:0], "has no probabilities for [0-9]+ films, as "),
        (lambda t: t.assign(Edema=1.5), "has no probabilities for"),
        (lambda t: t.assign(Edema="high"), "has no probabilities for"),
    ],
)
def test_a_wrong_table_of_soft_labels_is_refused(
    data: Path, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    change(soft_labels(data)).to_parquet(data / "wrong.parquet")
    with pytest.raises(DatasetError, match=rf"wrong\.parquet: {words}"):
        fit(
            config(tmp_path, soft_labels="wrong.parquet"),
            data=data, run=tmp_path / "run", cache=tmp_path / "c",
        )  # fmt: skip


@verifies("SRS-364@dc895b48", level="integration")
def test_no_table_of_soft_labels_and_one_beside_teachers_are_refused(
    data: Path, tmp_path: Path
) -> None:
    (data / "text.parquet").write_text("no table")
    for name, words in (("absent.parquet", "is missing"), ("text.parquet", "is no Parquet table")):
        with pytest.raises(DatasetError, match=rf"{name}: {words}"):
            fit(
                config(tmp_path, soft_labels=name),
                data=data, run=tmp_path / "run", cache=tmp_path / "c",
            )  # fmt: skip
    with pytest.raises(DatasetError, match="teachers and soft_labels; name one of them"):
        config(tmp_path, soft_labels="soft.parquet", teachers=["run"])


@verifies("SRS-350@23a572fa", level="unit")
def test_groups_are_drawn_alike_up_to_three_times_as_often() -> None:
    rows = [("a", "PA")] * 60 + [("a", "AP")] * 30 + [("b", "PA")] * 10
    films = pd.DataFrame(rows, columns=["source", "view"]).assign(path="x.png")
    weights = draw_weights(films, ("source", "view"))
    np.testing.assert_allclose(weights[[0, 60, 90]], [100 / 180, 100 / 90, 3.0])
    assert len(set(draw_weights(films, ("path",)))) == 1


@verifies("SRS-350@23a572fa", level="integration")
def test_a_balanced_run_draws_other_films(data: Path, tmp_path: Path) -> None:
    losses = []
    for name, by in (("plain", []), ("balanced", ["view", "sex"])):
        tiny = config(tmp_path / name, epochs=1, sizes=[32], balance_by=by)
        run = tmp_path / name / "run"
        fit(tiny, data=data, run=run, cache=tmp_path / "c")
        losses.append(record(run)["curve"][0]["loss"])
    assert losses[0] != losses[1]


@verifies("SRS-352@de336258", level="unit")
def test_the_commit_is_told_where_git_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_DEVICE_COMMIT", "told")
    monkeypatch.setenv("PATH", "")
    assert commit() == "told"
    monkeypatch.delenv("CXR_DEVICE_COMMIT")
    assert not commit()


@verifies("SRS-352@de336258", level="unit")
def test_the_commit_is_told_outside_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_DEVICE_COMMIT", "told")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "none"))
    assert commit() == "told"
    monkeypatch.delenv("GIT_DIR")
    assert commit() != "told"
