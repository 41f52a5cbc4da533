"""Runtimes: one function from the network's input to its logits, on the CPU or on CUDA.

The CPU runs the exported graph with ONNX Runtime (the base install has no torch); CUDA runs the
network itself with torch, and an archive may run the graph with OpenVINO, each imported only when
it is asked for. All are held equal to eager torch on the CPU: |difference| <= 1e-4 logits.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cxr_device.errors import CudaError

__all__ = [
    "LOGIT_TOLERANCE",
    "Infer",
    "choose",
    "on_cpu",
    "on_openvino",
    "on_torch",
    "require_cuda",
]

LOGIT_TOLERANCE: Final = 1e-4
"""Logits; largest difference between a runtime and eager torch on the CPU."""

Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Logits, shape (n, heads), from pixels, shape (n, 1, size, size).

A film has bit for bit the logits alone that it has among others: ONNX Runtime gives them so, the
other runtimes, whose sums may depend on how many films there are, see one film after another.
"""


_Named = Literal["auto", "cpu", "cuda"]


def choose(device: _Named) -> Literal["cpu", "cuda"]:
    """Resolve `auto`: CUDA where torch is installed and finds a GPU, else the CPU.

    Raises
    ------
    ValueError
        Another name: nothing is guessed from it.
    """
    accepted = get_args(_Named)
    if device not in accepted:
        message = f"device {device!r}; accepted: {', '.join(accepted)}"
        raise ValueError(message)
    if device != "auto":
        return device
    if find_spec("torch") is None or not Path("/dev/nvidiactl").exists():
        return "cpu"
    import torch  # noqa: PLC0415  # only where a GPU is likely

    return "cuda" if torch.cuda.is_available() else "cpu"


def require_cuda() -> None:
    """Refuse CUDA that was named where torch is not installed or finds no GPU, by `CudaError`."""
    if find_spec("torch") is None:
        reason = "torch is not installed (pip install 'cxr-device[gpu]')"
        raise CudaError(reason)
    import torch  # noqa: PLC0415  # only where CUDA is asked for

    if not torch.cuda.is_available():
        reason = "no CUDA device was found"
        raise CudaError(reason)


def on_cpu(graph: Path, *, threads: int) -> Infer:
    """Load the exported graph (its weights lie beside it) into ONNX Runtime.

    `threads` is how many cores one film may use; 0 leaves it to ONNX Runtime. A thread that has
    nothing to do sleeps: kept spinning, as is ONNX Runtime's way, it takes a core from the decoding
    of the next film. Logits do not depend on either.
    """
    import onnxruntime  # noqa: PLC0415  # 0.2 s that `--help` need not pay

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = session.run(None, {name: pixels})[0]
        return logits

    return infer


def on_openvino(graph: Path, *, threads: int) -> Infer:
    """Load the exported graph into OpenVINO, in float32: an archive's option, never `read`'s.

    `threads` as in `on_cpu`. Safe to share between threads: each call has a request of its own.
    """
    import openvino  # noqa: PLC0415  # only where it is asked for

    network = openvino.Core().compile_model(
        graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    )

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        request = network.create_infer_request()
        return np.concatenate(
            [request.infer(film)[0].copy() for film in np.split(pixels, len(pixels))]
        )

    return infer


def on_torch(weights: Path, architectures: Sequence[str], device: str, *, side: int) -> Infer:
    """Build the network and run it with torch on `device` ("cpu" or "cuda"), in float32.

    A GPU would round the inputs of convolutions to 10 bits by default (TF32), which moves logits by
    more than the tolerance: that is switched off, for the whole process.
    """
    import torch  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    from cxr_device.network import Ensemble, build  # noqa: PLC0415

    torch.backends.cudnn.allow_tf32 = False
    net = Ensemble([build(name) for name in architectures], side=side)  # type: ignore[arg-type]
    net.load_state_dict(load_file(weights))
    net.eval().to(device)

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            films = torch.from_numpy(pixels).to(device)
            found: NDArray[np.float32] = (
                torch.cat([net(film[None]) for film in films]).cpu().numpy()
            )
        return found

    return infer
