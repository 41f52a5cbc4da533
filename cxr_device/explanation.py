"""The class activation map: what each cell of the film adds to the score (research claim only).

The networks end in a mean over the cells of their last feature map and one linear layer, so the
score is a sum over cells, and the map is that sum before it is taken: exact, not an estimate. The
graph of the release gives logits alone; the map runs in a session of its own, on a copy of the
graph in memory that also gives the feature maps. No torch, no onnx.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxr_device.radiograph import ModelInput

__all__ = ["ActivationMap", "ClassActivation"]

_POOLS: Final = frozenset({"ReduceMean", "GlobalAveragePool"})
_GRAPH, _NODE, _OUTPUT, _NAME = 7, 1, 12, 1
"""Field numbers of onnx.proto: ModelProto.graph; GraphProto.node, .output; ValueInfoProto.name."""
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATION = 1, 2, 4
"""NodeProto.input, .output, .op_type."""
_DTYPES: Final = {"F32": "<f4", "F16": "<f2"}
"""What kernels and biases are kept in (`training.export`)."""
_LENGTH_DELIMITED: Final = 2
"""Wire type of strings and messages (protocol buffers, encoding)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationMap:
    """The score of one film, taken apart by cell: `cells.sum() + offset` is the score."""

    cells: NDArray[np.float64]
    """Logits that each cell adds, shape (rows, columns); they lie over the whole film."""
    offset: float
    """Logits that belong to no cell."""


class ClassActivation:
    """Maps films to activation maps.

    Parameters
    ----------
    graph, weights : path
        The exported graph, and the safetensors file of its weights in the same folder.
    heads, score_heads : sequence of str
        The names of the network's logits, and those whose mean is the score.

    Raises
    ------
    ValueError
        The graph does not end in a mean over cells and one linear layer `members.N.classifier`.

    References
    ----------
    .. [1] Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
    """

    def __init__(
        self, *, graph: Path, weights: Path, heads: Sequence[str], score_heads: Sequence[str]
    ) -> None:
        import onnxruntime  # noqa: PLC0415  # 0.2 s that the triage profile need not pay

        model = graph.read_bytes()
        layers = _pooled(model)
        if not layers:
            message = f"{graph.name}: no linear layer follows a mean over cells"
            raise ValueError(message)
        chosen = [list(heads).index(head) for head in score_heads]
        tensors = _Tensors(weights)
        self._weights = [
            tensors.read(f"{layer}.weight")[chosen].mean(axis=0, dtype=np.float64)
            for layer in layers
        ]
        self._offset = float(
            np.mean([tensors.read(f"{layer}.bias")[chosen] for layer in layers], dtype=np.float64)
        )
        self._features = list(layers.values())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry(
            # Where the files are links, the weights lie beside what the graph's link points to.
            "session.model_external_initializers_file_folder_path",
            str(graph.resolve().parent),
        )
        self._session = onnxruntime.InferenceSession(
            model + _outputs(self._features), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def __call__(self, film: ModelInput) -> ActivationMap:
        """Take one film's score apart."""
        features = self._session.run(self._features, {self._input: film.pixels})
        maps = [
            np.tensordot(weights, feature[0].astype(np.float64), axes=1) / feature[0, 0].size
            for weights, feature in zip(self._weights, features, strict=True)
        ]
        return ActivationMap(cells=np.mean(maps, axis=0), offset=self._offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """One operation of a graph, and the names of what it takes and makes."""

    operation: str
    inputs: list[str]
    outputs: list[str]


def _nodes(graph: bytes) -> Iterator[_Node]:
    """Read the operations of a serialized model."""
    for body in _only(_joined(graph, _GRAPH), _NODE):
        inputs, outputs, operations = (
            [value.decode("utf-8") for value in _only(body, field)]
            for field in (_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATION)
        )
        yield _Node(operation="".join(operations), inputs=inputs, outputs=outputs)


def _pooled(graph: bytes) -> dict[str, str]:
    """Find each linear layer, and the feature map whose mean over cells it is given, by name."""
    nodes = list(_nodes(graph))
    made_by = {output: node for node in nodes for output in node.outputs}
    found = {}
    for node in nodes:
        if node.operation != "Gemm" or not node.inputs[1].endswith(".classifier.weight"):
            continue
        before = made_by.get(node.inputs[0])
        while before is not None and before.operation not in _POOLS:
            before = made_by.get(before.inputs[0]) if before.inputs else None
        if before is not None:
            found[node.inputs[1].removesuffix(".weight")] = before.inputs[0]
    return found


def _outputs(names: Sequence[str]) -> bytes:
    """Serialize a model that has these outputs and nothing else.

    Appended to a serialized model it is merged into it: repeated fields of two messages of one
    type are joined (protocol buffers, encoding, "Last One Wins").
    """
    outputs = b"".join(_field(_OUTPUT, _field(_NAME, name.encode("utf-8"))) for name in names)
    return _field(_GRAPH, outputs)


def _field(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004  # seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _only(message: bytes, number: int) -> list[bytes]:
    return [body for field, body in _fields(message) if field == number]


def _joined(message: bytes, number: int) -> bytes:
    return b"".join(_only(message, number))


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each length-delimited field of a message; others are passed.

    Wire types: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes.
    """
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        match key & 7:
            case 0:
                _, at = _read_varint(message, at)
            case 1:
                at += 8
            case 2:
                length, at = _read_varint(message, at)
                yield key >> 3, message[at : at + length]
                at += length
            case 5:
                at += 4
            case wire:
                raise ValueError(f"wire type {wire} in a graph")


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004  # the last of seven bits each
            return value, at


class _Tensors:
    """Reads tensors of a safetensors file, widened to float32.

    The file: 8 bytes of length, a JSON header of that length, the data.
    """

    def __init__(self, path: Path) -> None:
        self._blob = np.memmap(path, dtype=np.uint8, mode="r")
        length = int(self._blob[:8].view("<u8")[0])
        self._start = 8 + length
        self._header = json.loads(self._blob[8 : self._start].tobytes())

    def read(self, name: str) -> NDArray[np.float32]:
        entry = self._header[name]
        low, high = entry["data_offsets"]
        data = self._blob[self._start + low : self._start + high].tobytes()
        values = np.frombuffer(data, dtype=_DTYPES[entry["dtype"]])
        return values.reshape(entry["shape"]).astype(np.float32)
