"""A network that training has just exported: its score can be taken apart as the shipped one's."""

from pathlib import Path

import numpy as np
import pytest
from builders import pixels

from cxr_device.explanation import ClassActivation
from cxr_device.preprocessing import INPUT_SIZE, resize, standardize
from cxr_device.radiograph import ModelInput
from cxr_device.release import Release
from verification import verifies


@verifies("SRS-235@174ea457", level="integration")
@pytest.mark.parametrize(
    ("architecture", "members", "side"), [("efficientnet_lite0", 2, 160), ("densenet121", 1, 224)]
)
def test_a_freshly_exported_network_is_taken_apart(
    architecture: str, members: int, side: int, release: Release, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from cxr_device import runtimes  # noqa: PLC0415
    from cxr_device.network import HEADS, Ensemble, build  # noqa: PLC0415
    from cxr_device.training.export import export  # noqa: PLC0415

    torch.manual_seed(0)
    net = Ensemble([build(architecture) for _ in range(members)], side=side)  # type: ignore[arg-type]
    weights, graph = tmp_path / "network.safetensors", tmp_path / "network.onnx"
    export(net, weights=weights, graph=graph)
    assert weights.stat().st_mode & 0o777 == 0o644  # every account of a machine may read it
    noise = np.random.default_rng(1).normal(size=(1, 1, 224, 224)).astype(np.float32)
    logits = runtimes.on_cpu(graph, threads=0)(noise)[0]
    score = np.mean([logits[HEADS.index(head)] for head in release.score_heads])
    explain = ClassActivation(
        graph=graph, weights=weights, heads=HEADS, score_heads=release.score_heads
    )
    found = explain(ModelInput(pixels=noise))
    assert found.cells.sum() + found.offset == pytest.approx(float(score), abs=1e-4)
    assert found.cells.shape == (side // 32, side // 32)


@verifies("SRS-369@cd113e9c", "RC-141@66b99488", level="integration")
def test_a_network_sees_the_side_that_was_locked(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from torch.nn.functional import interpolate  # noqa: PLC0415

    from cxr_device import runtimes  # noqa: PLC0415
    from cxr_device.network import Ensemble, build  # noqa: PLC0415
    from cxr_device.training.export import export  # noqa: PLC0415

    torch.manual_seed(0)
    weights, graph = tmp_path / "network.safetensors", tmp_path / "network.onnx"
    member = build("efficientnet_lite0")
    export(Ensemble([member], side=160), weights=weights, graph=graph)
    frames = [standardize(resize(pixels(opacity=opacity))) for opacity in (True, False)]
    films = np.stack(frames)[:, np.newaxis]
    with torch.inference_mode():
        reduced = interpolate(torch.from_numpy(films), size=(160, 160), mode="bilinear")
        alone = member(reduced).numpy()
    assert films.shape == (2, 1, INPUT_SIZE, INPUT_SIZE)
    on_torch = runtimes.on_torch(weights, ["efficientnet_lite0"], "cpu", side=160)
    for infer in (on_torch, runtimes.on_cpu(graph, threads=1)):
        assert np.abs(infer(films) - alone).max() <= runtimes.LOGIT_TOLERANCE


@verifies("SRS-354@8daf74c4", level="integration")
def test_the_graph_leaves_nothing_constant_to_compute(release: Release) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    graph = onnx.load(str(release.graph), load_external_data=False).graph
    makers = {name: node for node in graph.node for name in node.output}
    weights = {tensor.name for tensor in graph.initializer}
    kinds = {node.op_type for node in graph.node}
    assert {"Conv", "Clip"} <= kinds
    for node in graph.node:
        if node.op_type == "Conv":
            assert set(node.input[2:]) <= weights
        if node.op_type == "Clip":
            assert {makers[name].op_type for name in node.input[1:]} == {"Constant"}
    used = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    assert all(used & set(node.output) for node in graph.node)
