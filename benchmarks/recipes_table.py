"""Table of the recipes that `recipes.py` trained, by the films that each network had not seen.

    python benchmarks/recipes_table.py ANSWERS_DIR --data DATA [--resamples 1000] [--out FILE]

The score is the mean logit of the airspace heads. Its AUC is taken within fold, source and view
(knowing any of them earns nothing), for the mined airspace label and, where RSNA's radiologists
read the film, for their lung opacity within fold and view: their marks measure here and teach
nothing. Intervals, and those of the difference to the first recipe, are of a bootstrap between
patients; they hold what the films vary, not what another seed would bring: `seed_12` shows that.
`a+b` is the mean of the logits of two recipes.
"""

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ablation import Floats, resampled, within
from recipes import MANIFESTS, RECIPES

from cxr_device.network import HEADS
from cxr_device.training.config import SCORE_HEADS
from cxr_device.training.films import read_manifests, targets

RESULTS = Path(__file__).parent / "results/recipes.json"
BASE = "member"
TOGETHER = (
    ("member", "seed_12"),
    ("member", "seed_12", "lite1"),
    ("member", "seed_12", "lite1", "lite2"),
)


def answers(path: Path) -> tuple[pd.DataFrame, float]:
    """Fold and score of each film that was left out of training, by the film's name."""
    found = np.load(path)
    rows = [HEADS.index(head) for head in SCORE_HEADS]
    parts = []
    for key in sorted(found):
        if key.endswith("-held"):
            score = found[key][:, rows].astype(np.float64).mean(axis=1)
            names = found[f"{key}-names"]
            parts.append(pd.DataFrame({"name": names, "fold": key.split("-")[1], "score": score}))
    return pd.concat(parts).set_index("name").sort_index(), len(parts)


def measures(films: pd.DataFrame) -> dict[str, tuple[Floats, Any, Any]]:
    """Truth, groups and rows of each measure."""
    mined = films["airspace"].to_numpy(dtype=np.float64)
    read = films["rsna_target"].to_numpy(dtype=np.float64)
    found = {}
    for name, truth, by in (
        ("mined_label", mined, ["fold", "source", "view"]),
        ("rsna_opacity", read, ["fold", "view"]),
    ):
        rows = np.flatnonzero(~np.isnan(truth))
        found[name] = (
            truth[rows],
            films.groupby(by).ngroup().to_numpy(np.int64)[rows],
            rows,
        )
    return found


def table(folder: Path, data: Path, resamples: int) -> dict[str, Any]:
    """Every recipe whose answers are whole, beside the first."""
    asked = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    base, folds = answers(folder / f"answers-{BASE}.npz")
    films = read_manifests([data / name for name in MANIFESTS])
    films["airspace"] = targets(films)[:, HEADS.index("Airspace")]
    films.index = pd.Index(["/".join(Path(path).parts[-4:]) for path in films["path"]])
    films = films.loc[base.index].assign(fold=base["fold"])
    scores = {}
    for name in asked["choose"]:
        path = folder / f"answers-{name}.npz"
        found = answers(path) if path.exists() else (base, 0)
        if found[1] == folds:
            scores[name] = found[0].loc[base.index, "score"].to_numpy()
    for names in TOGETHER:
        if all(name in scores for name in names):
            scores["+".join(names)] = np.mean([scores[name] for name in names], axis=0)
    rng = np.random.default_rng(0)
    rows: dict[str, dict[str, Any]] = {name: {"recipe": name} for name in scores}
    shape: dict[str, int] = {}
    for measure, (truth, groups, where) in measures(films).items():
        patients = films.iloc[where].groupby("patient_id").ngroup().to_numpy(np.int64)
        draws = [resampled(patients, rng) for _ in range(resamples)]
        shape |= {
            f"{measure}_films": len(truth),
            f"{measure}_positive": int(truth.sum()),
        }
        first = scores[BASE][where]
        base_again = [within(first[d], truth[d], groups[d]) for d in draws]
        for name, all_scores in scores.items():
            score = all_scores[where]
            value = within(score, truth, groups)
            again = [within(score[d], truth[d], groups[d]) for d in draws]
            rows[name][measure] = estimate(value, again, len(truth))
            apart = np.subtract(again, base_again)
            own = value - within(first, truth, groups)
            rows[name][f"{measure}_difference"] = estimate(own, apart, len(truth))
    told = {name: changes(asked, name) for name in scores}
    return {
        **shape,
        "folds": folds,
        "resamples": resamples,
        "recipes": [{**rows[name], "changes": told[name]} for name in scores],
    }


def changes(asked: dict[str, Any], name: str) -> str:
    """Say what a recipe changes of the common one."""
    own = asked["choose"].get(name, {})
    return ", ".join(f"{k} {v}" for k, v in own.items()) or "-"


def estimate(value: float, again: Any, n: int) -> dict[str, Any]:  # noqa: ANN401
    """Return a figure with its interval; without resamples the figure alone."""
    found = {"estimate": round(float(value), 4), "n": n}
    if len(again):
        low, high = np.percentile(again, [2.5, 97.5])
        found |= {
            "lower": round(float(low), 4), "upper": round(float(high), 4),
            "method": f"bootstrap between patients, {len(again)} resamples",
        }  # fmt: skip
    return found


def main() -> None:
    """Read the answers and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    found = table(asked.answers, asked.data, asked.resamples)
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for row in found["recipes"]:
        print(f"{row['recipe']:40} {row['mined_label']['estimate']:.4f} "
              f"{row['rsna_opacity']['estimate']:.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
