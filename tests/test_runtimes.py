"""Runtimes: which one is chosen, and that the CPU's gives every head of every film."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cxr_device import Device, runtimes
from cxr_device.cli import main
from cxr_device.errors import CudaError
from cxr_device.release import PACKAGE, Release
from verification import verifies


@verifies("SRS-141@140d2709", "RC-141@66b99488", level="integration")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_named_runtime_is_the_one_that_runs(device: str) -> None:
    assert runtimes.choose(device) == device  # type: ignore[arg-type]


@verifies("SRS-141@140d2709", "RC-141@66b99488", level="integration")
@pytest.mark.parametrize(
    ("installed", "driver", "found", "chosen"),
    [
        (False, True, True, "cpu"),
        (True, False, True, "cpu"),
        (True, True, False, "cpu"),
        (True, True, True, "cuda"),
    ],
)
def test_auto_is_cuda_where_torch_a_driver_and_a_gpu_are_there_and_else_the_cpu(
    *, installed: bool, driver: bool, found: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The machine's parts are stood in for: no machine has all four states.
    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: found))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(runtimes, "find_spec", lambda _name: torch if installed else None)
    monkeypatch.setattr(runtimes.Path, "exists", lambda _path: driver)  # type: ignore[attr-defined]
    assert runtimes.choose("auto") == chosen


@verifies("SRS-349@652e6bb8", level="integration")
@pytest.mark.parametrize("name", ["tpu", "CUDA", "cuda:0", "", None])
def test_another_name_of_a_runtime_is_refused_with_the_three(name: Any) -> None:
    with pytest.raises(ValueError, match=r"accepted: auto, cpu, cuda$") as refused:
        Device.load(device=name)
    assert repr(name) in str(refused.value)


def without_cuda(monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> None:
    """Stand in for a machine without a GPU, or without torch."""
    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(runtimes, "find_spec", lambda _name: torch if installed else None)


@verifies("SRS-349@652e6bb8", level="integration")
@pytest.mark.parametrize(
    ("installed", "said"),
    [
        (True, "CUDA: no CUDA device was found; choose --device cpu or auto"),
        (
            False,
            (
                "CUDA: torch is not installed (pip install 'cxr-device[gpu]'); "
                "choose --device cpu or auto"
            ),
        ),
    ],
)
def test_cuda_that_is_not_there_is_told_before_a_film_is_read(
    *, installed: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_cuda(monkeypatch, installed=installed)
    with pytest.raises(CudaError) as refused:
        Device.load(device="cuda")
    assert str(refused.value) == said
    film = str(PACKAGE / "examples/phantom_opacity.dcm")
    done = CliRunner().invoke(main, ["read", film, "--device", "cuda", "--json"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: {said}"


@verifies("SRS-349@652e6bb8", level="integration")
def test_cuda_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    # The machine's parts are stood in for: what loads the network is asked for the GPU.
    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(runtimes, "find_spec", lambda _name: torch)
    asked: list[str] = []
    monkeypatch.setattr(runtimes, "on_torch", lambda *given, **_: asked.append(given[-1]))
    Device.load(device="cuda")
    assert asked == ["cuda"]


@verifies(
    "SRS-141@140d2709",
    "RC-141@66b99488",
    "SRS-180@07397333",
    "RC-180@1dfcdd47",
    level="integration",
)
def test_each_film_of_a_batch_has_the_logits_that_it_has_alone(release: Release) -> None:
    infer = runtimes.on_cpu(release.graph, threads=0)
    rng = np.random.default_rng(5)
    films = rng.normal(size=(2, 1, 224, 224)).astype(np.float32)
    together = infer(films)
    assert together.shape == (2, len(release.heads))
    assert together.dtype == np.float32
    alone = np.concatenate([infer(films[:1]), infer(films[1:])])
    assert np.abs(together - alone).max() <= runtimes.LOGIT_TOLERANCE
    assert runtimes.LOGIT_TOLERANCE == 1e-4
    assert np.array_equal(infer(films), together)


def tasks() -> int:
    """Threads of this process."""
    return len(list(Path("/proc/self/task").iterdir()))


@verifies("SRS-180@07397333", level="integration")
def test_a_network_of_one_thread_starts_no_other(release: Release) -> None:
    held = runtimes.on_cpu(release.graph, threads=1)  # a process's first starts one thread more
    before = tasks()
    one = runtimes.on_cpu(release.graph, threads=1)
    assert tasks() == before
    three = runtimes.on_cpu(release.graph, threads=3)
    assert tasks() == before + 2
    del held
    noise = np.random.default_rng(3).normal(size=(1, 1, 224, 224)).astype(np.float32)
    assert np.abs(one(noise) - three(noise)).max() <= runtimes.LOGIT_TOLERANCE


@verifies(
    "SRS-141@140d2709",
    "RC-141@66b99488",
    "SRS-303@a5d09773",
    "RC-303@947ed785",
    level="integration",
)
@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_each_runtime_gives_the_logits_of_the_first(
    name: str, release: Release, tmp_path: Path
) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    noise = np.random.default_rng(4).normal(size=(2, 1, 224, 224)).astype(np.float32)
    if name == "torch":
        other = runtimes.on_torch(release.weights, release.architectures, "cpu", side=release.side)
    else:
        for path in (release.graph, release.weights):  # OpenVINO follows no link out of a folder
            shutil.copy(path, tmp_path)
        other = runtimes.on_openvino(tmp_path / release.graph.name, threads=1)
    found = other(noise)
    assert found.dtype == np.float32
    assert found.shape == (2, len(release.heads))
    first = runtimes.on_cpu(release.graph, threads=1)(noise)
    assert np.abs(found - first).max() <= runtimes.LOGIT_TOLERANCE
    kept = found.copy()
    other(-noise)
    assert np.array_equal(found, kept)  # a later film leaves the logits of an earlier one


@verifies("SRS-237@4a917d64", "RC-237@42db4e12", level="integration")
@pytest.mark.parametrize("films", [2, 3, 8])
@pytest.mark.parametrize("name", ["network", "gate"])
def test_onnx_runtime_gives_a_film_among_others_bit_for_bit_what_it_has_alone(
    name: str, films: int, release: Release
) -> None:
    graph = {"network": release.graph, "gate": release.pixel_gate.graph}[name]
    infer = runtimes.on_cpu(graph, threads=1)
    noise = np.random.default_rng(films).normal(size=(films, 1, 224, 224)).astype(np.float32)
    noise *= np.linspace(0.3, 3.0, films, dtype=np.float32)[:, np.newaxis, np.newaxis, np.newaxis]
    alone = np.concatenate([infer(film[np.newaxis]) for film in noise])
    assert np.array_equal(infer(noise), alone)


@verifies("SRS-237@4a917d64", "RC-237@42db4e12", level="integration")
@pytest.mark.parametrize("films", [1, 3])
def test_torch_sees_one_film_after_another(
    films: int, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from cxr_device.network import Ensemble  # noqa: PLC0415  # needs torch

    shapes: list[tuple[int, ...]] = []
    forward = Ensemble.forward

    def seen(self: Ensemble, pixels: Any) -> Any:
        shapes.append(tuple(pixels.shape))
        return forward(self, pixels)

    monkeypatch.setattr(Ensemble, "forward", seen)
    infer = runtimes.on_torch(release.weights, release.architectures, "cpu", side=release.side)
    assert infer(np.zeros((films, 1, 224, 224), np.float32)).shape == (films, len(release.heads))
    assert shapes == [(1, 1, 224, 224)] * films


@verifies("SRS-353@992a8a9f", "RC-141@66b99488", level="integration")
def test_torch_computes_without_tf32(release: Release) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.backends.cudnn.allow_tf32 = True
    runtimes.on_torch(release.weights, release.architectures, "cpu", side=release.side)
    assert not torch.backends.cudnn.allow_tf32
