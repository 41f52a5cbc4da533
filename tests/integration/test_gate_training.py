"""The gate's training: its faults are exact, its threshold keeps its rule, its lock is whole."""

import json
import shutil
import tomllib
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxr_device import Device, IntegrityError, runtimes
from cxr_device.errors import DatasetError
from cxr_device.phantom import draw
from cxr_device.pixel_gate import CONTENTS, Content
from cxr_device.preprocessing import resize, standardize
from cxr_device.release import PACKAGE, Release
from cxr_device.result import Analyzed
from verification import verifies

pytest.importorskip("torch", reason="torch is not installed")

import torch

from cxr_device.training.gate import GateConfig, fit_gate
from cxr_device.training.gate_batches import Batches
from cxr_device.training.gate_films import FAULTS, FaultName, draw_object
from cxr_device.training.gate_rates import every_answer
from cxr_device.training.lock import gate_threshold, lock, lock_gate
from cxr_device.training.renditions import FORMS, render

RATES = ("films", "errors", "error")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of what the release locks."""
    copy = tmp_path / "package"
    copy.mkdir()
    for name in ("release.toml", "release.sha256", "preprocessing.py"):
        shutil.copy(PACKAGE / name, copy / name)
    shutil.copytree(PACKAGE / "weights", copy / "weights")
    return copy


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A manifest of drawn films, as small pictures: 6 of train, 6 of tune."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(12):
        frame = draw(opacity=False, rng=np.random.default_rng(number), side=320)
        Image.fromarray((frame >> 4).astype(np.uint8)).save(folder / f"images/{number}.jpg")
        split = "train" if number < 6 else "tune"
        rows.append((f"{number}.jpg", f"n{number}", f"p{number}", split, 50, "F", "PA", 1024))
    columns = ["file", "nih_name", "patient_id", "split", "age", "sex", "view", "orig_w"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "manifest.csv", index=False)
    return folder


@verifies("SRS-281@7a0f251a", "RC-281@d91b7742", level="integration")
@given(upright=st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=400))
def test_the_threshold_refuses_at_most_one_in_a_hundred_and_no_higher_one_would(
    upright: list[float],
) -> None:
    good = np.array(upright)
    at = gate_threshold(good)
    assert (good < at).sum() <= 0.01 * len(good)
    assert (good <= at).sum() > 0.01 * len(good)


@verifies(
    "SRS-280@05e5849f",
    "RC-280@3ca69b79",
    "SRS-281@7a0f251a",
    "RC-281@d91b7742",
    level="integration",
)
def test_a_gate_is_trained_locked_and_held(package: Path, data: Path, tmp_path: Path) -> None:
    config = GateConfig(
        seed=1, epochs=1, steps=2, batch_size=25, learning_rate=1e-3,
        manifests=("manifest.csv",), phantoms=2, others=4,
    )  # fmt: skip
    run, cache = tmp_path / "run", tmp_path / "cache"
    fit_gate(config, data=data, run=run, cache=cache)
    before = tomllib.loads((package / "release.toml").read_text(encoding="utf-8"))
    threshold = lock_gate(run, data=data, cache=cache, package=package)
    after = tomllib.loads((package / "release.toml").read_text(encoding="utf-8"))
    gate = after.pop("pixel_gate")
    before.pop("pixel_gate", None)
    assert after == before
    assert gate["threshold"] == threshold
    blob = (package / "weights/gate.onnx").read_bytes()
    assert gate["graph_sha256"] == sha256(blob).hexdigest()
    release = Release.load(package)
    assert release.pixel_gate.threshold.upright == threshold
    answers = every_answer([data / "manifest.csv"], splits=["tune"], cache=cache, package=package)
    assert len(answers) == 6 * len(FAULTS)
    assert set(answers["kind"]) == set(FAULTS)
    assert answers[answers["wanted"] == "accept"]["refused"].sum() == 0  # 1 % of 6 films is none
    fewer = every_answer(
        [data / "manifest.csv"], splits=["tune"], cache=cache, films=2, package=package
    )
    assert len(fewer) == 4 + 2 * len(FAULTS)
    (run / "gate.onnx").write_bytes(blob + b"\0")
    with pytest.raises(ValueError, match=r"gate\.onnx"):
        lock_gate(run, data=data, cache=cache, package=package)


@verifies("SRS-356@3716b242", level="integration")
@pytest.mark.parametrize("fault", ["other", "missing"])
def test_other_manifests_than_the_run_learned_from_lock_nothing(
    package: Path, data: Path, tmp_path: Path, fault: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    network, gate = b"network", b"graph"
    (run / "weights.safetensors").write_bytes(network)
    (run / "gate.onnx").write_bytes(gate)
    name = "manifest.csv" if fault == "other" else "none.csv"
    record = {
        "config": {"architecture": "efficientnet_lite0", "manifests": [name]},
        "manifest_sha256": {name: "0" * 64},
        "weights_sha256": sha256(network).hexdigest(), "graph_sha256": sha256(gate).hexdigest(),
    }  # fmt: skip
    (run / "record.json").write_text(json.dumps(record))
    before = {path: path.read_bytes() for path in package.rglob("*") if path.is_file()}
    with pytest.raises(DatasetError, match=name):
        lock_gate(run, data=data, cache=tmp_path / "cache", package=package)
    with pytest.raises(DatasetError, match=name):
        lock([run], data=data, cache=tmp_path / "cache", package=package)
    assert {p: p.read_bytes() for p in package.rglob("*") if p.is_file()} == before


@verifies("SRS-280@05e5849f", "RC-280@3ca69b79", level="integration")
@pytest.mark.parametrize(
    ("line", "other"),
    [("threshold = ", "threshold = 1"), ('"no frontal chest"', '"a hand"')],
)
def test_a_release_with_another_gate_is_refused(line: str, other: str, package: Path) -> None:
    path = package / "release.toml"
    head, _, gate = path.read_text(encoding="utf-8").partition("[pixel_gate]")
    changed = f"{head}[pixel_gate]{gate.replace(line, other, 1)}"
    assert line in gate
    path.write_text(changed, encoding="utf-8")
    digest = sha256(changed.encode()).hexdigest()
    path.with_suffix(".sha256").write_text(digest + "\n", encoding="ascii")
    with pytest.raises(IntegrityError, match=r"release\.toml"):
        Release.load(package)


def test_faults_are_what_they_are_called() -> None:
    film = np.arange(36, dtype=np.float32).reshape(6, 6)
    others = np.stack([film + n for n in range(1, 5)])
    rng = np.random.default_rng(0)

    def made(name: FaultName) -> list[list[float]]:
        found: list[list[float]] = FAULTS[name].make(film, others, rng).tolist()
        return found

    assert made(FaultName.NONE) == film.tolist()
    assert made(FaultName.MIRRORED)[0] == [5, 4, 3, 2, 1, 0]
    assert made(FaultName.FLIPPED)[0] == film[5].tolist()
    assert made(FaultName.TURNED_180)[0] == [35, 34, 33, 32, 31, 30]
    assert made(FaultName.TURNED_90)[0] == film[:, 5].tolist()  # counter-clockwise
    assert made(FaultName.INVERTED)[0] == [35, 34, 33, 32, 31, 30]
    assert made(FaultName.INVERTED)[5] == [5, 4, 3, 2, 1, 0]
    assert {fault.content for fault in FAULTS.values()} == set(CONTENTS)
    assert [n for n, f in FAULTS.items() if f.content is Content.UPRIGHT] == [FaultName.NONE]


def test_pictures_of_no_chest_are_drawn_alike_from_one_seed() -> None:
    first = [draw_object(48, np.random.default_rng(s), photographs=True) for s in range(40)]
    again = [draw_object(48, np.random.default_rng(s), photographs=True) for s in range(40)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(np.isfinite(picture).all() and picture.shape == (48, 48) for picture in first)
    assert len({picture.tobytes() for picture in first}) == 40


def test_a_batch_holds_each_content_and_films_of_the_networks_side() -> None:
    rng = np.random.default_rng(2)
    films = rng.integers(0, 65_535, size=(5, 224, 224), dtype=np.uint16)
    batches = Batches(films, rng=rng, batch_size=40, phantoms=1, others=3)
    for seed in range(3):
        drawn, contents = batches.draw(torch.Generator().manual_seed(seed))
        assert drawn.shape == (len(contents), 1, 112, 112)
        assert torch.isfinite(drawn).all()
        assert set(contents.tolist()) == set(range(len(CONTENTS)))


@verifies("SRS-125@1d130270", level="integration")
def test_the_gate_exchanges_upright_and_mirrored_in_a_mirror_image(release: Release) -> None:
    infer = runtimes.on_cpu(release.pixel_gate.graph, threads=1)
    frame = draw(opacity=True, rng=np.random.default_rng(3), side=448)
    film = standardize(resize(frame, 224))[np.newaxis, np.newaxis]
    seen, mirrored = infer(film)[0], infer(np.ascontiguousarray(film[..., ::-1]))[0]
    assert int(np.argmax(seen)) == CONTENTS.index(Content.UPRIGHT)
    assert int(np.argmax(mirrored)) == CONTENTS.index(Content.MIRRORED)
    assert mirrored == pytest.approx(seen[[2, 1, 0, 3, 4]], abs=1e-4)


@verifies("SRS-284@9afe2b00", "RC-284@ef8e8375", level="integration")
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_rendition_is_read_as_the_picture_it_was_made_from(form: object, device: Device) -> None:
    frame = draw(opacity=True, rng=np.random.default_rng(7), side=320)
    picture = (frame >> 4).astype(np.uint8)
    result = device.read(render(picture, form))  # type: ignore[arg-type]
    assert isinstance(result, Analyzed)
    assert result.film.stored.shape == (form.short_side, form.short_side)  # type: ignore[attr-defined]
    shown = device.picture(result)
    assert shown is not None
    small = np.asarray(Image.fromarray(shown).resize((320, 320)), dtype=np.float64)
    assert np.corrcoef(small.ravel(), picture.ravel().astype(np.float64))[0, 1] > 0.98


@verifies("SRS-283@aa941f78", level="integration")
def test_the_gate_card_states_the_rates_of_the_locked_gate(release: Release) -> None:
    card = json.loads((PACKAGE / "weights/gate_card.json").read_text(encoding="utf-8"))
    assert card["guard_sha256"] == release.pixel_gate.graph_sha256
    assert float(card["guard_threshold"]) == release.pixel_gate.threshold.upright
    stated = {(rate["split"], rate["kind"]) for rate in card["rates"]}
    assert {(split, str(kind)) for split in ("tune", "test") for kind in FAULTS} <= stated
    for rate in card["rates"]:
        assert all(name in rate for name in RATES)
        assert rate["error"]["method"] == "clopper-pearson"
        assert rate["error"]["estimate"] == pytest.approx(rate["errors"] / rate["films"])
    good = next(r for r in card["rates"] if (r["split"], r["kind"]) == ("tune", "none"))
    assert good["error"]["estimate"] <= 0.01
