"""What each network says of the films of `tune`: by it, teachers and students are chosen.

    PYTHONPATH=. python benchmarks/tuned.py RUN[:SIDE]... --like RUN... --data DATA --cache DIR

Each run's averaged network, at the device's whole input or reduced to SIDE pixels, as a release
would run it: AUC of the score for the mined airspace label, within view and within source and view,
and for lung opacity as RSNA's radiologists marked it, within view (their marks measure and teach
nothing); each with a bootstrap between patients. And the correlation of the scores with the mean of
those of the networks that `--like` names. `A+B` is the mean of the logits of two. Results:
results/tuned.json.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from ablation import MANIFESTS, RESAMPLES, Floats, compared, tuning_films
from sides import exported, network, score

from cxr_device.preprocessing import INPUT_SIZE
from cxr_device.training.films import Films

OUT: Final = Path(__file__).parent / "results" / "tuned.json"


def scored(name: str, films: Films, work: Path) -> Floats:
    """Score of every film by a run at a side, or by several."""
    parts = []
    for number, one in enumerate(name.split("+")):
        run, _, side = one.partition(":")
        net = network(Path(run), int(side or INPUT_SIZE))
        parts.append(score(exported(net, work / str(number)), films))
    found: Floats = np.mean(parts, axis=0)
    return found


def told(name: str) -> dict[str, Any]:
    """Names and sides of a row."""
    parts = [one.partition(":") for one in name.split("+")]
    return {
        "run": "+".join(Path(run).name for run, _, _ in parts),
        "side": int(parts[0][2] or INPUT_SIZE),
    }


def main() -> None:
    """Measure every run, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--like", nargs="+", metavar="RUN", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    films = tuning_films(asked.data, asked.cache, MANIFESTS)
    scores: dict[str, Floats] = {}
    with tempfile.TemporaryDirectory() as work:
        for number, name in enumerate(dict.fromkeys([*asked.runs, *asked.like])):
            (Path(work) / str(number)).mkdir()
            scores[name] = scored(name, films, Path(work) / str(number))
            print(name, flush=True)
    like = np.mean([scores[name] for name in asked.like], axis=0)
    named = [(told(name), scores[name]) for name in asked.runs]
    rows, positives = compared(named, films)
    marks = films.table["rsna_target"].to_numpy(dtype=np.float64)
    read, _ = compared(named, films, label=marks, within_groups={"rsna_within_view": ["view"]})
    for row, by_marks, (_, own) in zip(rows, read, named, strict=True):
        row["rsna_within_view"] = by_marks["rsna_within_view"]
        row["correlation"] = round(float(np.corrcoef(own, like)[0, 1]), 4)
        values = (
            row[name]["estimate"] for name in row if name.endswith(("within_view", "_and_view"))
        )
        print(row["run"], row["side"], *values, row["correlation"])
    found = {
        "films": rows[0]["within_view"]["n"], "positives": positives, "resamples": RESAMPLES,
        "like": [Path(name).name for name in asked.like], "rows": rows,
    }  # fmt: skip
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
