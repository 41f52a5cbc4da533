"""Training and scoring on a GPU, beside what the GPU itself can do: `make bench-gpu`.

    python benchmarks/bench_gpu.py [--architecture densenet121] [--films 112120] [--out FILE]

Measured in one run: the peaks (a large bf16 matrix product, a copy in memory), then training steps
of the project's own augmentation, network and loss from films that lie in the GPU's memory, scoring
at batch 512, and one film at a time with and without a CUDA graph. FLOP are counted by torch, bytes
of scoring are a bound from below: every operator's inputs and outputs once. Goals (an H100, 224
pixels): 4,000 images/s in training, 20,000 in scoring. Without a GPU it ends with a message, unless
`--device cpu` asks for a small run that only shows that it works.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from cxr_device.network import HEADS, build
from cxr_device.preprocessing import INPUT_SIZE
from cxr_device.training.augmentation import Augmentation
from cxr_device.training.graphs import Graphs
from cxr_device.training.loss import Focus

RESULTS = Path(__file__).parent / "results/gpu.json"
NIH_FILMS = 112_120
TRAIN_BATCH, SCORE_BATCH = 256, 512


class Bytes(TorchDispatchMode):
    """Counts the bytes that operators read and write, each tensor once an operator."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Run an operator and count it; views move nothing."""
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            given = [*args, *(found if isinstance(found, tuple | list) else (found,))]
            tensors = [e for each in given for e in (each if isinstance(each, list) else [each])]
            self.total += sum(t.nbytes for t in tensors if isinstance(t, Tensor))
        return found


def wait(device: torch.device) -> None:
    """Let the device finish."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(job: Callable[[], object], device: torch.device, *, rounds: int) -> float:
    """Median seconds of a job after three warm-ups."""
    for _ in range(3):
        job()
    times = []
    for _ in range(rounds):
        wait(device)
        begun = time.perf_counter()
        job()
        wait(device)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def peaks(device: torch.device, *, side: int, copied: int) -> dict[str, float]:
    """TFLOP/s of a bf16 matrix product, and TB/s of a copy (read and written)."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = seconds(lambda: left @ right, device, rounds=10)
    source = torch.empty(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = seconds(lambda: target.copy_(source), device, rounds=10)
    return {"tflops": 2 * side**3 / product / 1e12, "terabytes_a_second": 2 * copied / copy / 1e12}


def network(architecture: str, device: torch.device) -> nn.Module:
    """Build a network as training does."""
    net = build(architecture)  # type: ignore[arg-type]
    return net.to(memory_format=torch.channels_last).to(device)


def cost(net: nn.Module, pixels: Tensor) -> tuple[float, float]:
    """FLOP and bytes of one forward pass, an image."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(pixels)
    with torch.inference_mode(), Bytes() as moved:
        net(pixels)
    return counter.get_total_flops() / len(pixels), moved.total / len(pixels)


def training(
    net: nn.Module, films: Tensor, device: torch.device, *, batch: int, rounds: int
) -> dict[str, float]:
    """Images a second of whole steps: gather, augment, forward, backward, AdamW.

    On a GPU forward and backward are a CUDA graph, as in training; eager and compiled beside.
    """
    augment, generator = Augmentation(), torch.Generator().manual_seed(0)
    focus = Focus(0.0, 4.0, 0.05)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=device.type == "cuda")
    wanted = (torch.rand(batch, len(HEADS), device=device) < 0.1).float()
    net.train()

    def step(whole: nn.Module) -> float:
        rows = torch.randint(len(films), (batch,), generator=generator).to(films.device)
        block = films[rows].float()[:, None]
        pixels = augment(block, size=INPUT_SIZE, generator=generator)
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = whole(pixels.contiguous(memory_format=torch.channels_last)).float()
        loss = focus.loss(logits, wanted, weights=None).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(loss.detach())

    eager = batch / seconds(lambda: step(net), device, rounds=rounds)
    found = {"images_a_second": eager, "batch": batch}
    if device.type == "cuda":
        graph = Graphs(net).of(torch.randn(batch, 1, INPUT_SIZE, INPUT_SIZE, device=device))
        quick = batch / seconds(lambda: step(graph), device, rounds=rounds)
        fused = torch.compile(net)
        compiled = batch / seconds(lambda: step(fused), device, rounds=rounds)
        found |= {
            "images_a_second": quick,
            "eager_images_a_second": eager,
            "compiled_images_a_second": compiled,
        }
    return found


def largest_difference(architecture: str, device: torch.device) -> float:
    """Largest difference of a gradient between a CUDA graph and the network itself, relative."""
    net = network(architecture, device).train()
    pixels = torch.randn(32, 1, INPUT_SIZE, INPUT_SIZE, device=device)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    found = []
    for whole in (net, Graphs(net).of(torch.zeros_like(pixels))):
        net.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            whole(pixels).float().square().mean().backward()
        found.append(torch.cat([p.grad.flatten().clone() for p in net.parameters()]))  # type: ignore[union-attr]
    return float((found[0] - found[1]).norm() / found[0].norm())


def scoring(net: nn.Module, device: torch.device, *, batch: int, rounds: int) -> dict[str, float]:
    """Images a second of the network alone, in bf16 on a GPU."""
    net = net.eval()
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    net = net.to(kind)
    pixels = torch.randn(batch, 1, INPUT_SIZE, INPUT_SIZE, device=device, dtype=kind)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        eager = batch / seconds(lambda: net(pixels), device, rounds=rounds)
        compiled = torch.compile(net) if device.type == "cuda" else net
        speed = batch / seconds(lambda: compiled(pixels), device, rounds=rounds)
    flop, moved = cost(net, pixels[:8])
    return {
        "images_a_second": speed,
        "batch": batch,
        "eager_images_a_second": eager,
        "tflops": speed * flop / 1e12,
        "eager_terabytes_a_second": eager * moved / 1e12,
    }


def one_film(net: nn.Module, device: torch.device, *, rounds: int) -> dict[str, float | None]:
    """Milliseconds of a single film, eager and as a CUDA graph."""
    net = net.eval().float()
    pixels = torch.randn(1, 1, INPUT_SIZE, INPUT_SIZE, device=device)
    graphed = None
    with torch.inference_mode():
        eager = seconds(lambda: net(pixels), device, rounds=rounds)
        if device.type == "cuda":
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                net(pixels)
            graphed = 1e3 * seconds(graph.replay, device, rounds=rounds)
    return {"eager_ms": 1e3 * eager, "cuda_graph_ms": graphed}


def measured(architecture: str, device: torch.device, films: int) -> dict[str, Any]:
    """Everything, in one run."""
    small = device.type == "cpu"
    rounds = 2 if small else 20
    found: dict[str, Any] = {
        "device": platform.machine() if small else torch.cuda.get_device_name(device),
        "torch": torch.__version__, "architecture": architecture, "side": INPUT_SIZE,
        "peak": peaks(device, side=256 if small else 8192, copied=2**20 if small else 2**32),
    }  # fmt: skip
    held = torch.randint(256, (films, INPUT_SIZE, INPUT_SIZE), dtype=torch.uint8, device=device)
    found["films_in_memory"] = {"films": films, "gib": held.nbytes / 2**30}
    net = network(architecture, device)
    sizes = (2, 2) if small else (TRAIN_BATCH, SCORE_BATCH)
    found["training"] = training(net, held, device, batch=sizes[0], rounds=rounds)
    if not small:
        found["peak_memory_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
    found["scoring"] = scoring(network(architecture, device), device, batch=sizes[1], rounds=rounds)
    scored = found["scoring"]
    scored["share_of_tflops"] = scored["tflops"] / found["peak"]["tflops"]
    scored["eager_share_of_bandwidth"] = (
        scored["eager_terabytes_a_second"] / found["peak"]["terabytes_a_second"]
    )
    if not small:
        found["graph_against_eager"] = largest_difference(architecture, device)
    found["one_film"] = one_film(network(architecture, device), device, rounds=rounds)
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="densenet121")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--films", type=int, default=NIH_FILMS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device: run this where there is one, or try --device cpu --films 4")
    found = measured(asked.architecture, torch.device(asked.device), asked.films)
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
