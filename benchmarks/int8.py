"""Whether eight bits are enough: the locked graph quantized after training, beside itself.

    PYTHONPATH=. python benchmarks/int8.py --data DATA --cache DIR

Weights and activations are quantized by ONNX Runtime (QDQ, by channel, ranges from films of `train`
in several ways). Accepted only where the AUC on `tune` within view falls by no more than 0.002
and fewer than 0.5 % of decisions at the locked threshold turn. Results: results/int8.json.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from ablation import tuning_films
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from cxr_device.network import HEADS
from cxr_device.preprocessing import INPUT_SIZE, standardize
from cxr_device.release import Release
from cxr_device.training.films import Films, pixels_of, read_manifests, targets
from cxr_device.training.tuning import within_view_auc

OUT = Path(__file__).parent / "results" / "int8.json"
LARGEST_FALL: Final = 0.002
LARGEST_SHARE_TURNED: Final = 0.005
METHODS: Final[dict[str, dict[str, Any]]] = {
    "min and max": {},
    "moving average of min and max": {"CalibMovingAverage": True},
    "moving average, symmetric": {
        "CalibMovingAverage": True, "ActivationSymmetric": True, "WeightSymmetric": True,
    },
}  # fmt: skip
"""Ways to set the ranges of activations (entropy and percentiles keep every activation: they need
more memory than 20 GiB here)."""
MANIFESTS: Final = ["nih/manifest.csv", "nih_extra/manifest.csv"]


def inputs(films: Films) -> Iterator[NDArray[np.float32]]:
    """Network inputs of films, one by one, shape (1, 1, side, side)."""
    for film in films.pixels[:]:
        yield standardize(film.astype(np.float32))[np.newaxis, np.newaxis]


class Reader(CalibrationDataReader):
    """Hands films to the calibrator."""

    def __init__(self, films: Films, name: str) -> None:
        self._films, self._name = inputs(films), name

    def get_next(self) -> dict[str, Any] | None:
        """One film, or None at the end."""
        film = next(self._films, None)
        return None if film is None else {self._name: film}


def session(graph: Path) -> InferenceSession:
    """Open a graph on one thread."""
    options = SessionOptions()
    options.intra_op_num_threads = 1
    return InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def logits(graph: Path, films: Films) -> NDArray[np.float64]:
    """Logits of films, shape (n, heads)."""
    opened = session(graph)
    name = opened.get_inputs()[0].name
    return np.array([opened.run(None, {name: film})[0][0] for film in inputs(films)], np.float64)


def calibration_films(data: Path, cache: Path, count: int) -> Films:
    """Films of `train`, evenly spread over the table."""
    table = read_manifests([data / name for name in MANIFESTS])
    table = table[table["split"] == "train"].reset_index(drop=True)
    table = table.iloc[:: len(table) // count].reset_index(drop=True)
    return Films(table=table, pixels=pixels_of(table, size=INPUT_SIZE, cache=cache))


def main() -> None:
    """Quantize by each method, compare, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--films", type=int, default=200, help="films that set the ranges")
    given = parser.parse_args()
    release = Release.load()
    tune = tuning_films(given.data, given.cache, MANIFESTS)
    truth = targets(tune.table)[:, HEADS.index("Airspace")]
    chosen = [release.heads.index(name) for name in release.score_heads]

    def judged(kind: str, graph: Path) -> tuple[NDArray[np.float64], dict[str, Any]]:
        score = logits(graph, tune)[:, chosen].mean(axis=1)
        size = sum(path.stat().st_size for path in graph.parent.glob(f"{graph.stem}.*"))
        value = within_view_auc(tune, score, truth)
        return score, {"graph": kind, "auc_within_view": value, "mib": round(size / 2**20, 1)}

    before, own = judged("as locked", release.graph)
    at = release.operating_point.threshold
    threshold = np.log(at / (1 - at))
    cut = (threshold - release.calibration.offset) / release.calibration.slope
    rows = [{**own, "fall_of_auc": 0.0, "share_turned": 0.0, "accepted": True}]
    calibrating = calibration_films(given.data, given.cache, given.films)
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        whole = onnx.load(release.graph)  # with the weights, which lie beside it
        quant_pre_process(whole, str(ready), skip_symbolic_shape=True)
        name = session(ready).get_inputs()[0].name
        for number, (method, options) in enumerate(METHODS.items()):
            graph = Path(folder) / f"{number}.onnx"
            quantize_static(
                str(ready), str(graph), Reader(calibrating, name), per_channel=True,
                calibrate_method=CalibrationMethod.MinMax, weight_type=QuantType.QInt8,
                activation_type=(
                    QuantType.QInt8 if "ActivationSymmetric" in options else QuantType.QUInt8
                ),
                extra_options=options,
            )  # fmt: skip
            after, entry = judged(f"int8, {method}", graph)
            entry["fall_of_auc"] = own["auc_within_view"] - entry["auc_within_view"]
            entry["share_turned"] = float(np.mean((before >= cut) != (after >= cut)))
            entry["largest_change_of_score"] = float(np.abs(after - before).max())
            entry["accepted"] = bool(
                entry["fall_of_auc"] <= LARGEST_FALL
                and entry["share_turned"] < LARGEST_SHARE_TURNED
            )
            rows.append(entry)
            print(entry, flush=True)
    OUT.write_text(
        json.dumps({"films": len(truth), "rows": rows}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
