"""Asymmetric loss: the paper's equations by hand; the shipped configuration of DenseNet-121."""

import json
import math
import tomllib
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from nih_layout import cohort

from verification import verifies

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch.nn import functional

from cxr_device.release import PACKAGE
from cxr_device.training import cache
from cxr_device.training.config import TrainingConfig
from cxr_device.training.fit import fit
from cxr_device.training.gate import GateConfig
from cxr_device.training.loss import Focus

CONFIGS = PACKAGE / "training/configs"


@verifies("SRS-324@7f20e1b4", level="unit")
@pytest.mark.parametrize(
    ("focus", "probability", "label", "loss"),
    [
        (Focus(0, 4, 0.05), 0.5, 0, -(0.45**4) * math.log(0.55)),
        (Focus(0, 4, 0.05), 0.5, 1, math.log(2)),
        (Focus(1, 4, 0.05), 0.5, 1, 0.5 * math.log(2)),
        (Focus(2, 4, 0.05), 0.9, 1, -(0.1**2) * math.log(0.9)),
        (Focus(0, 4, 0.05), 0.04, 0, 0.0),
        (Focus(0, 2, 0.0), 0.8, 0, -(0.8**2) * math.log(0.2)),
        (Focus(0, 1, 0.2), 0.9, 0, -0.7 * math.log(0.3)),
    ],
)
def test_the_loss_is_the_paper_s(focus: Focus, probability: float, label: int, loss: float) -> None:
    logit = torch.tensor([math.log(probability / (1 - probability))], dtype=torch.float64)
    found = focus.loss(logit, torch.tensor([float(label)], dtype=torch.float64))
    assert float(found) == pytest.approx(loss, abs=1e-6)


@verifies("SRS-324@7f20e1b4", level="unit")
def test_without_exponents_it_is_cross_entropy_and_positives_take_their_weight() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(64, 3, generator=generator) * 4
    target = torch.rand(64, 3, generator=generator)
    weights = torch.tensor([1.0, 5.0, 20.0])
    theirs = functional.binary_cross_entropy_with_logits(
        logits, target, reduction="none", pos_weight=weights
    )
    torch.testing.assert_close(Focus().loss(logits, target, weights=weights), theirs)
    nearly = Focus(0, 0, 1e-9).loss(logits.double(), target.double(), weights=weights.double())
    torch.testing.assert_close(nearly, theirs.double(), atol=1e-5, rtol=1e-5)
    once, thrice = (
        Focus(1, 4, 0.05).loss(logits, torch.ones(64, 3), weights=torch.full((3,), w))
        for w in (1.0, 3.0)
    )
    torch.testing.assert_close(thrice, 3 * once)


@verifies("SRS-324@7f20e1b4", level="unit")
@pytest.mark.parametrize("focus", [Focus(0, 4, 0.05), Focus(1, 1, 0.0), Focus(2, 4, 0.2)])
def test_a_certain_network_has_a_finite_loss_and_gradient(focus: Focus) -> None:
    for target in (torch.zeros(5), torch.ones(5)):
        logits = torch.tensor([-90.0, -20.0, 0.0, 20.0, 90.0], requires_grad=True)
        focus.loss(logits, target).sum().backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


@verifies("SRS-325@362cb7f4", level="integration")
def test_the_shipped_densenet_trains_on_a_prepared_cache(tmp_path: Path) -> None:
    shipped = TrainingConfig.read(CONFIGS / "densenet121-nih.toml")
    assert shipped.architecture == "densenet121"
    assert shipped.manifests == ("prepared/manifest.csv",)
    assert set(shipped.sizes) == {224}
    cohort(tmp_path / "nih", patients=60, side=64)  # both classes within a view of `tune`
    prepared = cache.prepare(
        tmp_path / "nih", out=tmp_path / "prepared", size=48, rule="official", key="k3", lists=None,
        ages=(22, 120), workers=1,
    )  # fmt: skip
    small = replace(shipped, epochs=1, sizes=(32,), batch_size=8)
    weights = fit(small, data=tmp_path, run=tmp_path / "run", cache=tmp_path / "cache")
    record = json.loads((tmp_path / "run/record.json").read_text("utf-8"))
    assert record["weights_sha256"] == sha256(weights.read_bytes()).hexdigest()
    assert record["config"]["gamma_negative"] == 4.0
    assert record["cohorts"]["prepared/manifest.csv"]["split"] == prepared["split"]
    assert np.isfinite(record["curve"][0]["loss"])


@verifies("SRS-325@362cb7f4", level="integration")
def test_every_shipped_configuration_is_read() -> None:
    found = sorted(CONFIGS.glob("*.toml"))
    assert len(found) >= 5
    for path in found:
        gate = "stage" in tomllib.loads(path.read_text("utf-8"))
        (GateConfig if gate else TrainingConfig).read(path)
