"""Table of the recipes that `recipes.py` trained, by the films that each network had not seen.

    python benchmarks/recipes_table.py ANSWERS_DIR --data DATA [--resamples 1000] [--out FILE]

The score is the mean logit of the airspace heads. Its AUC is taken within fold, source and view
(knowing any of them earns nothing), for the mined airspace label and, where RSNA's radiologists
read the film, for their lung opacity within fold and view: their marks measure here and teach
nothing. Intervals, and those of the difference to the first recipe, are of a bootstrap between
patients; they hold what the films vary, not what another seed would bring: `seed_12` shows that.
`a+b` is the mean of the logits of two recipes. A recipe that was trained for some of the folds is
compared on these folds alone. The curve of data efficiency is that of the shares of the patients.
"""

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ablation import Floats, resampled, within
from numpy.typing import NDArray
from recipes import MANIFESTS, RECIPES
from scipy.optimize import least_squares

from cxr_device.network import HEADS
from cxr_device.training.config import SCORE_HEADS
from cxr_device.training.films import of_share, read_manifests, targets

RESULTS = Path(__file__).parent / "results/recipes.json"
BASE = "member"
CURVE = (
    (0.125, ("share_eighth", "share_eighth_12")),
    (0.25, ("share_quarter", "share_quarter_12")),
    (0.5, ("share_half", "share_half_12")),
    (1.0, ("member", "seed_12")),
)
NIH_TRAIN = 78_468
"""Films of the training list of the CheXNet reproductions on the whole of ChestX-ray14."""
HIGHEST = 0.9
FEWEST = 500
"""Resamples of a table that documents quote."""
TOGETHER = (
    ("member", "seed_12"),
    ("member", "seed_12", "lite1"),
    ("member", "seed_12", "lite1", "lite2"),
)


def answers(path: Path) -> pd.DataFrame:
    """Fold and score of each film that was left out of training, by the film's name."""
    found = np.load(path)
    rows = [HEADS.index(head) for head in SCORE_HEADS]
    parts = []
    for key in sorted(found):
        if key.endswith("-held"):
            score = found[key][:, rows].astype(np.float64).mean(axis=1)
            names = found[f"{key}-names"]
            parts.append(pd.DataFrame({"name": names, "fold": key.split("-")[1], "score": score}))
    return pd.concat(parts).set_index("name").sort_index()


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
    """Every recipe that was trained, beside the first one on the films that it left out itself."""
    asked = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    base = answers(folder / f"answers-{BASE}.npz")
    films = read_manifests([data / name for name in MANIFESTS])
    films["airspace"] = targets(films)[:, HEADS.index("Airspace")]
    films.index = pd.Index(["/".join(Path(path).parts[-4:]) for path in films["path"]])
    films = films.loc[base.index].assign(fold=base["fold"])
    scores = {}
    for name in asked["choose"]:
        path = folder / f"answers-{name}.npz"
        if path.exists():
            scores[name] = answers(path)["score"].reindex(base.index).to_numpy()
    for names in TOGETHER:
        if all(name in scores for name in names):
            scores["+".join(names)] = np.mean([scores[name] for name in names], axis=0)
    rows: dict[str, dict[str, Any]] = {name: {"recipe": name} for name in scores}
    shape: dict[str, int] = {}
    curve: dict[str, Any] = {}
    for measure, (truth, groups, where) in measures(films).items():
        shape |= {
            f"{measure}_films": len(truth),
            f"{measure}_positive": int(truth.sum()),
        }
        rng = np.random.default_rng(0)
        patients = films.iloc[where].groupby("patient_id").ngroup().to_numpy(np.int64)
        draws = [resampled(patients, rng) for _ in range(resamples)]

        first = scores[BASE][where]
        for name, all_scores in scores.items():
            score = all_scores[where]
            own = values(score, truth, groups, draws)
            beside = values(np.where(np.isnan(score), np.nan, first), truth, groups, draws)
            n = int((~np.isnan(score)).sum())
            rows[name][measure] = estimate(own, n)
            rows[name][f"{measure}_difference"] = estimate(own - beside, n)
        if measure == "mined_label":
            points = [
                [values(scores[name][where], truth, groups, draws) for name in names]
                for _, names in CURVE
            ]
            means = np.array([np.mean(point, axis=0) for point in points])
            curve = data_efficiency(means, films, len(truth))
    shares = {name for _, names in CURVE[:-1] for name in names}
    folds = {name: base["fold"][~np.isnan(score)].nunique() for name, score in scores.items()}
    return {
        **shape,
        "folds": int(base["fold"].nunique()),
        "resamples": resamples,
        "recipes": [
            {**rows[name], "folds": int(folds[name]), "changes": changes(asked, name)}
            for name in scores
            if name not in shares
        ],
        "data_efficiency": curve,
    }


def values(
    score: Floats, truth: Floats, groups: NDArray[np.int64], draws: list[NDArray[np.int64]]
) -> Floats:
    """AUC of a score where it is known: of the films, then of each resample."""
    known = ~np.isnan(score)
    again = [draw[known[draw]] for draw in (np.arange(len(score)), *draws)]
    return np.array([within(score[d], truth[d], groups[d]) for d in again])


def data_efficiency(aucs: Floats, films: pd.DataFrame, n: int) -> dict[str, Any]:
    """Curve of the AUC over the films trained on, its plateau, and what it says of all of NIH.

    `aucs`: shape (points, 1 + resamples), the first of the films themselves. Fitted is
    `plateau - b * n ** -c`, the plateau below `HIGHEST`; each resample of the patients anew.
    """
    folds = films["fold"].unique()
    sizes = np.array(
        [
            np.mean([len(of_share(films[films["fold"] != fold], share)) for fold in folds])
            for share, _ in CURVE
        ]
    )
    fits = np.array([fitted(sizes, again) for again in aucs.T])
    return {
        "points": [
            {"films": round(size), "share": share, "seeds": len(names)} | {"auc": estimate(auc, n)}
            for size, (share, names), auc in zip(sizes, CURVE, aucs, strict=True)
        ],
        "fit": dict(zip(("plateau", "factor", "exponent"), map(float, fits[0]), strict=True)),
        "plateau": estimate(fits[:, 0], n),
        "exponent": estimate(fits[:, 2], n),
        "all_of_nih": {"films": NIH_TRAIN}
        | {"auc": estimate(fits[:, 0] - fits[:, 1] * NIH_TRAIN ** -fits[:, 2], n)},
        "at_the_bound": int((fits[:, 0] > HIGHEST - 1e-3).sum()),
    }


def fitted(sizes: Floats, aucs: Floats) -> tuple[float, float, float]:
    """Plateau, b and c of a power law, by least squares."""
    found = least_squares(
        lambda at: at[0] - at[1] * sizes ** -at[2] - aucs,
        x0=(0.65, 1.0, 0.4),
        bounds=((0.5, 0.0, 0.05), (HIGHEST, 20.0, 2.0)),
    )
    return tuple(found.x)


def changes(asked: dict[str, Any], name: str) -> str:
    """Say what a recipe changes of the common one."""
    own = {key: value for key, value in asked["choose"].get(name, {}).items() if key != "start"}
    return ", ".join(words(own)) or "-"


def words(values: dict[str, Any]) -> list[str]:
    """Say each value by its key; those of an inner table by theirs."""
    found = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += words(value)
        elif value is True:
            found.append(key)
        else:
            shown = " + ".join(value) if isinstance(value, list) else value
            found.append(f"{key} {shown}")
    return found


def estimate(values: Floats, n: int) -> dict[str, Any]:
    """Return a figure, the first of `values`, with the interval of the resamples after it."""
    found = {"estimate": round(float(values[0]), 4), "n": n}
    if len(values) > 1:
        low, high = np.percentile(values[1:], [2.5, 97.5])
        found |= {
            "lower": round(float(low), 4), "upper": round(float(high), 4),
            "method": f"bootstrap between patients, {len(values) - 1} resamples",
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
    if asked.out == RESULTS and asked.resamples < FEWEST:
        parser.error(f"--resamples {asked.resamples}: {FEWEST} at least, or name another --out")
    found = table(asked.answers, asked.data, asked.resamples)
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for row in found["recipes"]:
        print(f"{row['recipe']:40} {row['mined_label']['estimate']:.4f} "
              f"{row['rsna_opacity']['estimate']:.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
