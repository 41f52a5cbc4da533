"""Scoring an archive against torchxrayvision, whole files, in one run: one worker and two.

    PYTHONPATH=tests python benchmarks/bench_archive.py [--films N] [--rounds N]

writes results/archive.json. The peer is torchxrayvision 1.5.7 or newer on its documented path
(`utils.read_xray_dcm`, `XRayCenterCrop`, `XRayResizer(224)`, its DenseNet-121 class with random
weights: the time is that of trained ones), in as many processes of one thread each. It is no
dependency of this project (pip install torchxrayvision).

Each side is measured in a process of its own that loads first and is then given the films, so that
start-up is left out of both; sides take turns in each round. The claim is the ratio of processor
times, which holds on a machine that others load too; wall clock and load are stated beside it.
The device's part holds what the peer has not: SHA-256 of the file, every guard, the pixel gate, two
networks, a row of JSON.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
from builders import dx, pixels, to_bytes
from PIL import Image

RESULTS = Path(__file__).parent / "results/archive.json"
SIDES = ("onnxruntime", "openvino", "torchxrayvision")


def films(folder: Path, count: int) -> list[Path]:
    """Write films of 12 bits, 2048 x 2048, each with noise of its own."""
    small = Image.fromarray(pixels())
    large = np.asarray(small.resize((2048, 2048)))
    paths = []
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 12, large.shape)
        frame = (large + noise).round().clip(0, 4095).astype(np.uint16)
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(to_bytes(dx(frame, ImagerPixelSpacing=[0.175, 0.175])))
    return paths


def loaded(side: str) -> Callable[[Sequence[Path]], object]:
    """Load one side; what comes back reads films to their answers."""
    if side != "torchxrayvision":
        from cxr_device.archive.engines import Scorer  # noqa: PLC0415

        return Scorer(side)  # type: ignore[arg-type]
    torch: Any = import_module("torch")
    xrv: Any = import_module("torchxrayvision")
    torch.set_num_threads(1)
    crop, resize = xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)
    net = xrv.models.DenseNet(num_classes=18, in_channels=1).eval()

    def read(paths: Sequence[Path]) -> object:
        with torch.inference_mode():
            return [
                net(torch.from_numpy(resize(crop(xrv.utils.read_xray_dcm(path)[None])))[None])
                for path in paths
            ]

    return read


def work(side: str, pipe: Connection) -> None:
    """Serve films in a process of its own: processor seconds of each share, then peak memory."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # its loaders talk
    read = loaded(side)
    pipe.send("ready")
    while (share := pipe.recv()) is not None:
        begun = time.process_time()
        read(share)
        pipe.send(time.process_time() - begun)
    pipe.send(getrusage(RUSAGE_SELF).ru_maxrss / 1024)


class Workers:
    """One side in so many processes."""

    def __init__(self, side: str, count: int) -> None:
        context = get_context("spawn")
        self._pipes: list[Connection] = []
        for _ in range(count):
            here, there = context.Pipe()
            context.Process(target=work, args=(side, there), daemon=True).start()
            there.close()  # a worker that dies is then an EOFError here
            self._pipes.append(here)
        for pipe in self._pipes:
            pipe.recv()

    def __call__(self, paths: Sequence[Path]) -> tuple[float, float]:
        """Processor and wall-clock seconds of all films."""
        begun = time.perf_counter()
        for number, pipe in enumerate(self._pipes):
            pipe.send(paths[number :: len(self._pipes)])
        own = sum(pipe.recv() for pipe in self._pipes)
        return own, time.perf_counter() - begun

    def end(self) -> float:
        """End them; the most memory that one of them held, MiB."""
        for pipe in self._pipes:
            pipe.send(None)
        return max(float(pipe.recv()) for pipe in self._pipes)


def measure(paths: list[Path], count: int, rounds: int) -> dict[str, Any]:
    """Medians of interleaved rounds after one warm-up, and the peer's time by each runtime's."""
    sides = {side: Workers(side, count) for side in SIDES}
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for number in range(rounds + 1):
        for side, workers in sides.items():
            times = workers(paths)
            if number:
                found[side].append(times)
    figures: dict[str, Any] = {}
    for side, workers in sides.items():
        own, wall = (statistics.median(column) for column in zip(*found[side], strict=True))
        figures[side] = {
            "processor_ms_a_film": round(1e3 * own / len(paths), 1),
            "films_per_s": round(len(paths) / wall, 2),
            "peak_mib_a_worker": round(workers.end()),
        }
    for runtime in SIDES[:2]:
        for place, name in enumerate(("processor_ratio", "wall_ratio")):
            ratios = [
                peer[place] / own[place]
                for peer, own in zip(found["torchxrayvision"], found[runtime], strict=True)
            ]
            figures[runtime][name] = round(statistics.median(ratios), 2)
    return figures


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    figures: dict[str, Any] = {
        "films": asked.films,
        "film": "phantom with noise, raw, 12 bits, 2048 x 2048",
        "rounds": asked.rounds,
        "cores": os.cpu_count(),
        "torchxrayvision": version("torchxrayvision"),
        "method": "ratios are medians over rounds of the peer's time by the device's; start-up "
        "left out; a shared machine, so processor time is the claim; a worker of the device "
        "prepares films while its network works, so one alone can keep two cores busy",
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = films(Path(folder), asked.films)
        for count in (1, 2):
            figures[f"workers_{count}"] = measure(paths, count, asked.rounds)
            figures["load_average"] = [round(load, 1), round(os.getloadavg()[0], 1)]
            print(figures[f"workers_{count}"], flush=True)
    for runtime in SIDES:
        one, two = (figures[f"workers_{count}"][runtime]["films_per_s"] for count in (1, 2))
        figures.setdefault("films_per_s_two_by_one", {})[runtime] = round(two / one, 2)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
