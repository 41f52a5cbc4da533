"""Export: the trained network as one safetensors file and an ONNX graph that points into it.

Kernels are rounded to half precision once, before anything is measured, and kept so: half the
size, and every runtime widens the same values to float32. Biases and batch statistics, which half
precision may not hold, stay as they are.
"""

import struct
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import GraphProto, NodeProto, TensorProto, external_data_helper, helper, numpy_helper
from safetensors.torch import save_file

from cxr_device.network import HEADS, Ensemble
from cxr_device.preprocessing import INPUT_SIZE

__all__ = ["export"]

_SMALL = 1024
"""Bytes; constants of the graph up to this size stay inside it."""


def export(net: Ensemble, *, weights: Path, graph: Path) -> None:
    """Write `weights` (safetensors) and `graph` (ONNX, its tensors at their place in `weights`).

    The two lie in one folder. The graph takes `pixels` (n, 1, size, size) and gives `logits`
    (n, heads).

    Raises
    ------
    ValueError
        A tensor of the graph is not found, byte for byte, in the weights.
    """
    net.eval()
    with torch.no_grad():
        for weight in (found for found in net.parameters() if found.ndim > 1):
            weight.copy_(weight.half())
    state = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    save_file({k: v.half() if v.ndim > 1 else v for k, v in state.items()}, weights)
    weights.chmod(0o644)  # the library keeps a new file to its owner
    example = torch.zeros(2, 1, INPUT_SIZE, INPUT_SIZE)
    program = torch.onnx.export(
        net,
        (example,),
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes={"pixels": {0: torch.export.Dim("films", min=1, max=1024)}},
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    if program is None:
        message = "the exporter gave no graph"
        raise ValueError(message)
    model = program.model_proto
    places = _places(weights)
    widened = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        kernel = values.dtype == np.float32 and values.ndim > 1
        data = values.astype(np.float16).tobytes() if kernel else values.tobytes()
        if data in places:
            external_data_helper.set_external_data(
                tensor, location=weights.name, offset=places[data], length=len(data)
            )
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            if kernel:
                name, tensor.name = tensor.name, f"{tensor.name}.half"
                tensor.data_type = TensorProto.FLOAT16
                widened.append(
                    helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT)
                )
        elif len(data) > _SMALL:
            message = f"{tensor.name}: {len(data)} bytes are not in {weights.name}"
            raise ValueError(message)
    _plain(model.graph)
    nodes = [*widened, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    model.producer_name, model.producer_version = "cxr_device", ""
    graph.write_bytes(model.SerializeToString(deterministic=True))
    shape = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    if shape[-1] != len(HEADS):
        message = f"the graph gives {shape[-1]} logits, {len(HEADS)} heads are named"
        raise ValueError(message)
    onnx.checker.check_model(str(graph))


def _plain(graph: GraphProto) -> None:
    """Take out what the exporter lets every run compute anew, so that a runtime can fuse the rest.

    A convolution without a bias is given zeros, and the bounds of a clip are cast to the type of
    what is clipped: neither is a constant to a runtime, so that it fuses no batch normalization.

    Raises
    ------
    ValueError
        A convolution's bias is computed from something else than one zero.
    """
    makers = {name: node for node in graph.node for name in node.output}
    weights = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) > 2 and node.input[2] not in weights:  # noqa: PLR2004  # kernel, bias
            if not _is_zeros(makers[node.input[2]], makers):
                message = f"{node.name}: its bias is computed, and not of zeros"
                raise ValueError(message)
            del node.input[2]
        if node.op_type == "Clip":
            for place in (1, 2):
                cast = makers[node.input[place]]
                if cast.op_type == "CastLike":
                    node.input[place] = cast.input[0]
    before = -1
    while before != len(graph.node):
        before = len(graph.node)
        used = {name for node in graph.node for name in node.input}
        used |= {result.name for result in graph.output}
        kept = [node for node in graph.node if used & set(node.output)]
        del graph.node[:]
        graph.node.extend(kept)


def _is_zeros(node: NodeProto, makers: dict[str, NodeProto]) -> bool:
    """Whether a node spreads the constant zero."""
    while node.op_type in {"Expand", "CastLike"}:
        node = makers[node.input[0]]
    if node.op_type != "Constant":
        return False
    return not np.any(numpy_helper.to_array(node.attribute[0].t))


def _places(weights: Path) -> dict[bytes, int]:
    """Offset of every tensor's bytes in a safetensors file (its header: 8 bytes, then JSON)."""
    import json  # noqa: PLC0415

    blob = weights.read_bytes()
    (length,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8 : 8 + length])
    start = 8 + length
    places = {}
    for name, entry in header.items():
        if name != "__metadata__":
            low, high = entry["data_offsets"]
            places[blob[start + low : start + high]] = start + low
    return places
