"""Runtimes: which one is chosen, and that the CPU's gives every head of every film."""

import numpy as np
import pytest

from cxr_device import runtimes
from cxr_device.release import Release
from verification import verifies


@verifies("SRS-141@140d2709", "RC-141@66b99488", level="integration")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_named_runtime_is_the_one_that_runs(device: str) -> None:
    assert runtimes.choose(device) == device  # type: ignore[arg-type]


@verifies("SRS-141@140d2709", "RC-141@66b99488", level="integration")
@pytest.mark.parametrize("missing", ["torch", "driver"])
def test_auto_is_the_cpu_where_torch_or_the_driver_is_missing(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda _name: None if missing == "torch" else 1)
    monkeypatch.setattr(runtimes.Path, "exists", lambda _path: missing == "torch")
    assert runtimes.choose("auto") == "cpu"


@verifies(
    "SRS-141@140d2709",
    "RC-141@66b99488",
    "SRS-180@07397333",
    "RC-180@1dfcdd47",
    level="integration",
)
def test_each_film_of_a_batch_has_the_logits_that_it_has_alone(release: Release) -> None:
    infer = runtimes.on_cpu(release.graph)
    rng = np.random.default_rng(5)
    films = rng.normal(size=(2, 1, 224, 224)).astype(np.float32)
    together = infer(films)
    assert together.shape == (2, len(release.heads))
    assert together.dtype == np.float32
    alone = np.concatenate([infer(films[:1]), infer(films[1:])])
    assert np.abs(together - alone).max() <= runtimes.LOGIT_TOLERANCE
    assert runtimes.LOGIT_TOLERANCE == 1e-4
    assert np.array_equal(infer(films), together)
