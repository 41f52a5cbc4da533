"""The activation map of small networks whose sums can be done by hand or by the runtime."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cxr_device.explanation import ActivationMap, ClassActivation
from cxr_device.radiograph import ModelInput
from verification import verifies

onnx = pytest.importorskip("onnx", reason="the extra training is not installed")
HEADS = ("Airspace", "Mass", "Pneumonia")
FILM = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)

KERNELS = np.array([1.0, -0.5, 2.0], dtype=np.float32)
"""Three feature maps: the film times one of these."""
WEIGHTS = np.array([[1, 2, 3], [0.5, 0, -1], [-2, 1, 0.25]], dtype=np.float32)
BIASES = np.array([0.25, -1.0, 4.0], dtype=np.float32)
SIXTEEN_BITS = np.dtype("<f2")


def safetensors(tensors: dict[str, NDArray[Any]]) -> bytes:
    """A safetensors file: length of the header, header, data."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        kind = "F16" if tensor.dtype == SIXTEEN_BITS else "F32"
        begin, data = len(data), data + tensor.tobytes()
        header[name] = {
            "dtype": kind, "shape": list(tensor.shape), "data_offsets": [begin, len(data)],
        }  # fmt: skip
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


class Net:
    """Members that each end in a mean over cells and a linear layer; their logits are averaged."""

    def __init__(self, *, pool: str = "GlobalAveragePool", suffix: str = "") -> None:
        self.pool, self.suffix = pool, suffix
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {"axes": np.array([2, 3])}
        self.tensors: dict[str, NDArray[Any]] = {"first": np.zeros(3, np.float32)}
        self.members = 0

    def member(self, kernels: NDArray[Any], weights: NDArray[Any], biases: NDArray[Any]) -> "Net":
        """Add a member: convolution by one number a map, mean, linear layer."""
        n, suffix = self.members, self.suffix
        layer = f"members.{n}.classifier"
        self.constants[f"kernels{n}"] = kernels.reshape(-1, 1, 1, 1)
        self.tensors |= {f"{layer}.bias": biases, f"{layer}.weight": weights}
        self.constants[f"{layer}.weight"] = weights.astype(np.float32)
        self.constants[f"{layer}.bias"] = biases.astype(np.float32)
        node = onnx.helper.make_node
        inputs = [f"features{n}{suffix}"] + (["axes"] if self.pool == "ReduceMean" else [])
        self.nodes += [
            node("Conv", ["pixels", f"kernels{n}"], [f"features{n}{suffix}"]),
            node(self.pool, inputs, [f"mean{n}"]),
            node("Flatten", [f"mean{n}"], [f"flat{n}"]),
            node("Dropout", [f"flat{n}"], [f"kept{n}"]),
            node(
                "Gemm", [f"kept{n}", f"{layer}.weight", f"{layer}.bias"], [f"logits{n}"], transB=1
            ),
        ]
        self.members += 1
        return self

    def graph(self) -> bytes:
        """Serialize it; `logits` is its one output."""
        logits = [f"logits{n}" for n in range(self.members)]
        mean = onnx.helper.make_node("Mean", logits, ["logits"])
        tensor = onnx.helper.make_tensor_value_info
        made = onnx.helper.make_graph(
            [*self.nodes, mean],
            "net",
            [tensor("pixels", onnx.TensorProto.FLOAT, [1, 1, None, None])],
            [tensor("logits", onnx.TensorProto.FLOAT, [1, None])],
            [onnx.numpy_helper.from_array(c, name) for name, c in self.constants.items()],
        )
        opset = [onnx.helper.make_opsetid("", 18)]
        model = onnx.helper.make_model(made, opset_imports=opset, ir_version=8)
        data: bytes = model.SerializeToString()
        return data


def taken_apart(
    net: Net,
    folder: Path,
    *,
    film: NDArray[np.float32] = FILM,
    score_heads: tuple[str, ...] = ("Pneumonia",),
    graph: bytes | None = None,
) -> ActivationMap:
    path, weights = folder / "network.onnx", folder / "network.safetensors"
    path.write_bytes(graph or net.graph())
    weights.write_bytes(safetensors(net.tensors))
    explain = ClassActivation(graph=path, weights=weights, heads=HEADS, score_heads=score_heads)
    return explain(ModelInput(pixels=film))


def logits(net: Net, film: NDArray[np.float32] = FILM) -> NDArray[np.float32]:
    """What the runtime makes of the film."""
    import onnxruntime  # noqa: PLC0415  # beside onnx alone

    session = onnxruntime.InferenceSession(net.graph(), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(["logits"], {"pixels": film})[0][0]
    return found


@verifies("SRS-235@174ea457")
@pytest.mark.parametrize("pool", ["GlobalAveragePool", "ReduceMean"])
def test_each_cell_adds_its_weighted_features(pool: str, tmp_path: Path) -> None:
    net = Net(pool=pool).member(KERNELS, WEIGHTS, BIASES)
    found = taken_apart(net, tmp_path)
    # Pneumonia: -2 x 1 + 1 x -0.5 + 0.25 x 2 = -2 times the film's value, a sixteenth a cell.
    assert found.cells == pytest.approx(-2.0 * FILM[0, 0].astype(np.float64) / 16)
    assert found.offset == 4.0
    assert found.cells.sum() + found.offset == pytest.approx(float(logits(net)[2]))


@verifies("SRS-235@174ea457")
@pytest.mark.parametrize(
    "score_heads", [("Airspace",), ("Mass",), ("Pneumonia", "Airspace"), HEADS]
)
def test_the_score_is_the_mean_of_its_heads(score_heads: tuple[str, ...], tmp_path: Path) -> None:
    net = Net().member(KERNELS, WEIGHTS, BIASES)
    found = taken_apart(net, tmp_path, score_heads=score_heads)
    score = np.mean([logits(net)[HEADS.index(head)] for head in score_heads])
    assert found.cells.sum() + found.offset == pytest.approx(float(score), abs=1e-5)


@verifies("SRS-235@174ea457")
def test_members_are_averaged_cell_by_cell(tmp_path: Path) -> None:
    net = Net(pool="ReduceMean").member(KERNELS, WEIGHTS, BIASES)
    net.member(-3 * KERNELS, WEIGHTS[::-1].copy(), BIASES + 1)
    found = taken_apart(net, tmp_path)
    # The second member's row for Pneumonia is Airspace's: (1 - 1 + 6) x -3 = -18; mean -10.
    assert found.cells == pytest.approx(-10.0 * FILM[0, 0].astype(np.float64) / 16)
    assert found.offset == 4.5
    assert found.cells.sum() + found.offset == pytest.approx(float(logits(net)[2]), abs=1e-4)


@verifies("SRS-235@174ea457")
def test_rows_and_columns_of_the_map_are_those_of_the_film(tmp_path: Path) -> None:
    film = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    found = taken_apart(Net().member(KERNELS, WEIGHTS, BIASES), tmp_path, film=film)
    assert found.cells == pytest.approx(-2.0 * np.array([[0, 1, 2], [3, 4, 5]]) / 6)


@verifies("SRS-235@174ea457")
def test_kernels_in_half_precision_are_widened(tmp_path: Path) -> None:
    net = Net().member(KERNELS, WEIGHTS.astype(SIXTEEN_BITS), BIASES)
    found = taken_apart(net, tmp_path)  # these weights are the same in half precision
    assert found.cells == pytest.approx(-2.0 * FILM[0, 0].astype(np.float64) / 16)
    assert found.offset == 4.0


@verifies("SRS-235@174ea457")
@pytest.mark.parametrize("length", [1, 109, 110, 111, 112, 113, 114, 115, 116, 118, 300, 16_400])
def test_names_of_any_length_are_found(length: int, tmp_path: Path) -> None:
    """Lengths in a graph take one byte up to 127, two up to 16,383, then three."""
    found = taken_apart(Net(suffix="x" * length).member(KERNELS, WEIGHTS, BIASES), tmp_path)
    assert found.cells.shape == (4, 4)


@verifies("SRS-235@174ea457")
def test_fields_that_a_later_form_of_graphs_may_hold_are_passed(tmp_path: Path) -> None:
    net = Net().member(KERNELS, WEIGHTS, BIASES)
    fixed = (
        b"\xf9\x07" + bytes(range(8)) + b"\xfd\x07" + bytes(range(4))
    )  # field 127, 8 and 4 bytes
    found = taken_apart(net, tmp_path, graph=b"\xf8\x07\xff\x01" + fixed + net.graph())
    assert found.cells.shape == (4, 4)
    with pytest.raises(ValueError, match="wire type 3"):
        taken_apart(net, tmp_path, graph=b"\xfb\x07" + net.graph())  # a group, long out of use


@verifies("SRS-235@174ea457")
def test_a_graph_of_another_form_is_refused(tmp_path: Path) -> None:
    for graph in (
        Net(pool="GlobalMaxPool").member(KERNELS, WEIGHTS, BIASES).graph(),  # no mean
        Net().member(KERNELS, WEIGHTS, BIASES).graph().replace(b".classifier", b".classifies"),
        Net().member(KERNELS, WEIGHTS, BIASES).graph().replace(b"\x22\x04Gemm", b"\x22\x04Gemn"),
    ):
        with pytest.raises(ValueError, match=r"network\.onnx: no linear layer follows a mean"):
            taken_apart(Net().member(KERNELS, WEIGHTS, BIASES), tmp_path, graph=graph)


@verifies("SRS-235@174ea457")
def test_a_linear_layer_before_the_mean_is_no_classifier(tmp_path: Path) -> None:
    """A gate inside a member is a linear layer after a mean too; its name tells it apart."""
    net = Net().member(KERNELS, WEIGHTS, BIASES)
    node = onnx.helper.make_node
    net.constants["members.0.gate.weight"] = np.eye(3, dtype=np.float32)
    net.nodes.insert(4, node("Gemm", ["kept0", "members.0.gate.weight"], ["gated0"], transB=1))
    net.nodes[5].input[0] = "gated0"
    found = taken_apart(net, tmp_path)
    assert found.cells == pytest.approx(-2.0 * FILM[0, 0].astype(np.float64) / 16)
