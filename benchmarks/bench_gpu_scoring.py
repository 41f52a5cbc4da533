"""Scoring by DenseNet-121 on a GPU with the layers fused (`densenet_scoring`), beside eager.

    python benchmarks/bench_gpu_scoring.py [--out FILE]

Images a second of the network alone, in bfloat16, as one CUDA graph; the largest difference of a
logit to the network itself in float32 stands beside it, with the spread of these logits. Without a
GPU, `--device cpu` runs the kernel in Triton's interpreter and shows the difference alone.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

if "cpu" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported

import torch
from bench_gpu import network, peaks, seconds
from densenet_scoring import Scorer
from torch import Tensor, nn

from cxr_device.preprocessing import INPUT_SIZE
from cxr_device.training.run_folder import commit

RESULTS = Path(__file__).parent / "results/gpu_scoring.json"
BATCHES = (512, 1024)
ROUNDS = 15
COMPARED = 64


def lively(net: nn.Module) -> nn.Module:
    """Give norms statistics that do something: those of an untrained network do nothing."""
    generator = torch.Generator().manual_seed(0)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values, low, high in (
                (part.weight.data, 0.5, 1.5), (part.bias.data, -0.1, 0.1),
                (part.running_mean, -0.1, 0.1), (part.running_var, 0.5, 1.5),
            ):  # fmt: skip
                assert values is not None
                drawn = torch.rand(values.shape, generator=generator) * (high - low) + low
                values.copy_(drawn)
    return net.eval()


def films(batch: int, side: int, device: torch.device, kind: torch.dtype) -> Tensor:
    """Noise in place of films; it costs the same."""
    drawn = torch.randn(batch, 1, side, side, generator=torch.Generator().manual_seed(1))
    return drawn.to(device, kind).contiguous(memory_format=torch.channels_last)


def difference(scorer: nn.Module, net: nn.Module, pixels: Tensor) -> dict[str, float]:
    """Largest difference of a logit to the network in float32, and the spread of its logits."""
    with torch.inference_mode():
        wanted, found = net(pixels.float()), scorer(pixels)
    return {
        "largest_difference": float((wanted - found).abs().max()),
        "spread": float(wanted.std()),
    }


def as_graph(net: nn.Module, pixels: Tensor) -> torch.cuda.CUDAGraph:
    """One CUDA graph of a forward pass."""
    with torch.inference_mode():
        with torch.cuda.stream(torch.cuda.Stream()):
            for _ in range(3):
                net(pixels)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            net(pixels)
    return graph


def on_gpu() -> dict[str, Any]:
    """Speed and difference on the GPU."""
    device, kind = torch.device("cuda"), torch.bfloat16
    torch.backends.cudnn.benchmark = True
    net = lively(network("densenet121", device))
    scorer = Scorer(net).compiled()
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device), "torch": torch.__version__,
        "measured_with": f"bench_gpu_scoring.py of commit {commit()}",
        "peak": peaks(device, side=8192, copied=2**32), "batches": [],
        **difference(scorer, net, films(COMPARED, INPUT_SIZE, device, kind)),
    }  # fmt: skip
    for batch in BATCHES:
        graph = as_graph(scorer, films(batch, INPUT_SIZE, device, kind))
        speed = batch / seconds(graph.replay, device, rounds=ROUNDS)
        found["batches"].append({"batch": batch, "images_a_second": speed})
    plain, pixels = net.to(kind), films(BATCHES[0], INPUT_SIZE, device, kind)
    with torch.inference_mode():
        eager = BATCHES[0] / seconds(lambda: plain(pixels), device, rounds=ROUNDS)
    return {**found, "eager_images_a_second": eager}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if asked.device == "cpu":
        cpu = torch.device("cpu")
        net = lively(network("densenet121", cpu))
        scorer = Scorer(net, torch.float32)
        print(json.dumps(difference(scorer, net, films(2, 64, cpu, torch.float32))))
        return
    if not torch.cuda.is_available():
        sys.exit("no CUDA device: run this where there is one, or try --device cpu")
    found = on_gpu()
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
