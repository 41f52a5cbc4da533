"""What a smaller side costs and saves: networks that see the input reduced (`lock --side`).

    PYTHONPATH=. python benchmarks/sides.py RUN... --like RUN... --data DATA --cache DIR
        [--out results/sides.json]

Each run's averaged network at each side: AUC of the score for the mined airspace label on `tune`,
with its difference to the first run at the whole input (a bootstrap between patients), and the time
of one film in ONNX Runtime on one thread, as a ratio to the same; and the correlation of its scores
with the mean of those that `--like` names, at the whole input. Results: results/sides.json.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from ablation import MANIFESTS, RESAMPLES, compared, tuning_films
from numpy.typing import NDArray
from safetensors.torch import load_file

from cxr_device.network import HEADS, Ensemble, build
from cxr_device.preprocessing import INPUT_SIZE, standardize
from cxr_device.runtimes import Infer, on_cpu
from cxr_device.training.config import SCORE_HEADS
from cxr_device.training.export import export
from cxr_device.training.films import Films

OUT: Final = Path(__file__).parent / "results" / "sides.json"
SIDES: Final = (INPUT_SIZE, 192, 176, 160, 144)
TURNS: Final = 40
HEADS_OF_THE_SCORE: Final = [HEADS.index(head) for head in SCORE_HEADS]


def network(run: Path, side: int) -> Ensemble:
    """Build the network of a run, at a side."""
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    net = build(record["config"]["architecture"])
    net.load_state_dict(load_file(run / "weights.safetensors"))
    return Ensemble([net], side=side)


def exported(net: Ensemble, folder: Path) -> Infer:
    """Open the network as a release would run it, on one thread."""
    folder.mkdir()
    export(net, weights=folder / "network.safetensors", graph=folder / "network.onnx")
    return on_cpu(folder / "network.onnx", threads=1)


def milliseconds(infers: list[Infer]) -> list[float]:
    """Median time of one film by network; they take turns."""
    film = np.random.default_rng(0).normal(size=(1, 1, INPUT_SIZE, INPUT_SIZE)).astype(np.float32)
    times: list[list[float]] = [[] for _ in infers]
    for _ in range(TURNS):
        for infer, own in zip(infers, times, strict=True):
            begun = time.perf_counter()
            infer(film)
            own.append(1e3 * (time.perf_counter() - begun))
    return [statistics.median(own) for own in times]


def score(infer: Infer, films: Films) -> NDArray[np.float64]:
    """Score of every film."""
    logits = [
        infer(standardize(films.pixels[at].astype(np.float32))[np.newaxis, np.newaxis])[0]
        for at in range(len(films.table))
    ]
    found: NDArray[np.float64] = np.array(logits, dtype=float)[:, HEADS_OF_THE_SCORE].mean(axis=1)
    return found


def main() -> None:
    """Measure every run at every side, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--like", nargs="+", type=Path, metavar="RUN", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    films = tuning_films(asked.data, asked.cache, MANIFESTS)
    asked_for = [(run, side) for run in asked.runs for side in SIDES]
    with tempfile.TemporaryDirectory() as folder:
        infers = [
            exported(network(run, side), Path(folder) / str(at))
            for at, (run, side) in enumerate([*asked_for, *((r, INPUT_SIZE) for r in asked.like)])
        ]
        times = milliseconds(infers[: len(asked_for)])
    scores = [score(infer, films) for infer in infers]
    like = np.mean(scores[len(asked_for) :], axis=0)
    named = [
        ({"run": run.name, "side": side}, own)
        for (run, side), own in zip(asked_for, scores, strict=False)
    ]
    rows: list[dict[str, Any]]
    rows, positives = compared(named, films)
    for row, (_, own), taken in zip(rows, named, times, strict=True):
        row["time_ratio"] = round(taken / times[0], 2)
        row["correlation"] = round(float(np.corrcoef(own, like)[0, 1]), 4)
        print(row["run"], row["side"], row["within_view"]["estimate"], row["time_ratio"])
    found = {
        "films": rows[0]["within_view"]["n"], "positives": positives, "resamples": RESAMPLES,
        "like": [run.name for run in asked.like], "rows": rows,
    }  # fmt: skip
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
