"""What helped in training: every run's averaged network on the same tuning films, with intervals.

    python benchmarks/ablation.py BASE RUN... --data DATA --cache DIR

The value is the AUC of the score (mean logit of the airspace heads) for the mined airspace label:
within a view, and within a source and view, where knowing the source of a film earns nothing.
Intervals and differences to the first run are of a bootstrap between patients. Rows of other runs
on the same films stay in the table; BASE must be the run that they were compared with. A RUN of
several folders, DIR+DIR, is the mean of their networks' logits: so releases are compared.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.stats import rankdata

from cxr_device.network import HEADS, build
from cxr_device.preprocessing import INPUT_SIZE
from cxr_device.training.config import SCORE_HEADS
from cxr_device.training.films import Films, pixels_of, read_manifests, targets
from cxr_device.training.tuning import logits_of

OUT = Path(__file__).parent / "results" / "ablation.json"
MANIFESTS = ["nih/manifest.csv", "nih_extra/manifest.csv"]
RESAMPLES = 1000
GROUPS = {"within_view": ["view"], "within_source_and_view": ["source", "view"]}
TOLD = ("architecture", "seed", "epochs", "sizes", "ema_decay", "offset_by", "mixup")

Floats = NDArray[np.float64]


def within(score: Floats, truth: Floats, groups: NDArray[np.int64]) -> float:
    """AUC of pairs of films of one group, over all groups."""
    pairs = won = 0.0
    for group in np.unique(groups):
        rows = groups == group
        positive = truth[rows] == 1
        n = int(positive.sum())
        count = n * (int(rows.sum()) - n)
        if count:
            ranks = rankdata(score[rows])[positive].sum()
            won += (ranks - n * (n + 1) / 2) / count * n
            pairs += n
    return won / pairs


def resampled(patients: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of patients drawn with replacement."""
    order = np.argsort(patients, kind="stable")
    edges = np.flatnonzero(np.diff(patients[order])) + 1
    rows = np.split(order, edges)
    return np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])


def tuning_films(data: Path, cache: Path, manifests: list[str]) -> Films:
    """Read the films of tune, at the device's own preprocessing."""
    table = read_manifests([data / name for name in manifests])
    table = table[table["split"] == "tune"].reset_index(drop=True)
    return Films(table=table, pixels=pixels_of(table, size=INPUT_SIZE, cache=cache))


def scored(run: Path, films: Films) -> tuple[Floats, dict[str, Any]]:
    """Score of every film by the network of a run, and what the run's record says of it."""
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    net = build(record["config"]["architecture"])
    net.load_state_dict(load_file(run / "weights.safetensors"))
    logits = logits_of(net, films)
    config = {name: record["config"].get(name) for name in TOLD}
    softest = record["config"]["augmentation"].get("softest")
    told = {**config, "softest": softest, "commit": record.get("commit")}
    return logits[:, [HEADS.index(head) for head in SCORE_HEADS]].mean(axis=1), told


def compared(
    named: list[tuple[dict[str, Any], Floats]],
    films: Films,
    *,
    label: Floats | None = None,
    within_groups: dict[str, list[str]] = GROUPS,
) -> tuple[list[dict[str, Any]], int]:
    """Rows with the AUC of each score and its difference to the first, and the positive films.

    `named`: what a row says beside its figures, and a score for each of `films`. `label`: 1, 0 or
    NaN of each; the mined airspace label when None.
    """
    if label is None:
        label = targets(films.table)[:, HEADS.index("Airspace")].astype(np.float64)
    known = np.flatnonzero(~np.isnan(label))
    table, truth = films.table.iloc[known], label[known]
    groups = {n: table.groupby(by).ngroup().to_numpy(np.int64) for n, by in within_groups.items()}
    patients = table.groupby("patient_id").ngroup().to_numpy(np.int64)
    rng = np.random.default_rng(0)
    draws = [resampled(patients, rng) for _ in range(RESAMPLES)]
    rows, first = [], {}
    for told, every_score in named:
        row, score = dict(told), every_score[known]
        for name, group in groups.items():
            again = np.array([within(score[d], truth[d], group[d]) for d in draws])
            row[name] = _estimate(within(score, truth, group), again, len(truth))
            base_value, base_again = first.setdefault(name, (row[name]["estimate"], again))
            row[f"{name}_difference"] = _estimate(
                row[name]["estimate"] - base_value, again - base_again, len(truth)
            )
        rows.append(row)
    return rows, int(truth.sum())


def main() -> None:
    """Measure every run and the mean of them all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    films = tuning_films(asked.data, asked.cache, MANIFESTS)
    named = []
    for run in asked.runs:
        parts = [scored(Path(folder), films) for folder in run.split("+")]
        names = "+".join(Path(folder).name for folder in run.split("+"))
        told = {"run": names, **(parts[0][1] if len(parts) == 1 else {})}
        named.append((told, np.mean([score for score, _ in parts], axis=0)))
    rows, positives = compared(named, films)
    for row in rows:
        print(row["run"], {name: row[name]["estimate"] for name in GROUPS})
    before = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else None
    if before and (before["films"], before["positives"]) == (
        rows[0]["within_view"]["n"],
        positives,
    ):
        measured = {row["run"] for row in rows}
        rows += [row for row in before["runs"] if row["run"] not in measured]
    found = {
        "films": rows[0]["within_view"]["n"],
        "positives": positives,
        "resamples": RESAMPLES,
        "runs": rows,
    }
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _estimate(value: float, again: Floats, n: int) -> dict[str, Any]:
    low, high = np.percentile(again, [2.5, 97.5])
    return {
        "estimate": round(float(value), 4), "lower": round(float(low), 4),
        "upper": round(float(high), 4), "n": n,
        "method": f"bootstrap between patients, {RESAMPLES} resamples",
    }  # fmt: skip


if __name__ == "__main__":
    main()
