"""A step of training on the CPU with freed memory kept, beside the same without, in one run.

    python benchmarks/bench_training_step.py [--rounds N]

Each side is a process of its own (what glibc keeps is set for a whole process), and they take
turns: EfficientNet-Lite0, 32 films of 224 pixels, forward, backward and AdamW. Processor time, for
a shared machine; results/training_step.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results/training_step.json"
BATCH, SIZE, STEPS = 32, 224, 4
SIDE = f"""
import sys, time, torch
from cxr_device.network import build
from cxr_device.training.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
net = build("efficientnet_lite0").to(memory_format=torch.channels_last).train()
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
films = torch.randn({BATCH}, 1, {SIZE}, {SIZE}).contiguous(memory_format=torch.channels_last)
times = []
for _ in range({STEPS} + 2):
    begun = time.process_time()
    optimizer.zero_grad()
    net(films).square().mean().backward()
    optimizer.step()
    times.append(time.process_time() - begun)
print(sorted(times[2:])[{STEPS} // 2])
"""


def step_s(kept: str) -> float:
    """Processor seconds of the median step of one process."""
    command = [sys.executable, "-c", SIDE, kept]
    told = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return float(told.stdout.split()[-1])


def main() -> None:
    """Measure in turns and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    times: dict[str, list[float]] = {"kept": [], "returned": []}
    for _ in range(asked.rounds):
        for name, found in times.items():
            found.append(step_s(name))
    medians = {name: statistics.median(found) for name, found in times.items()}
    figures = {
        **{f"{name}_processor_s": round(value, 3) for name, value in medians.items()},
        "ratio": round(medians["returned"] / medians["kept"], 2),
        "rounds": asked.rounds,
        "batch": BATCH,
        "size_px": SIZE,
        "load_average": round(load, 1),
    }
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(figures)


if __name__ == "__main__":
    main()
