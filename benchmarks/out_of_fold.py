"""Soft labels of `train`: what networks that did not learn a film say of it.

    python benchmarks/out_of_fold.py ANSWERS_DIR --data DATA --out out_of_fold.parquet

`recipes.py` left each film of `train` out of one fold and wrote what every recipe's network said of
it. The table holds, for each film, the probability of the mean logit of RECIPES by head, as
`soft_labels` of a training configuration takes it. Each network learned from NIH's labels alone.
"""

import argparse
from functools import reduce
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from recipes import MANIFESTS
from scipy.special import expit

from cxr_device.network import HEADS
from cxr_device.training.films import read_manifests

RECIPES = ("member", "seed_12", "lite1", "lite2", "epochs_5", "size_224", "distil", "robust")
"""Recipes whose networks answered every film of `train`."""


def logits(path: Path) -> pd.DataFrame:
    """Logits by film (its name in the folds) and head of one recipe."""
    found = np.load(path)
    parts = [
        pd.DataFrame(found[key].astype(float), index=found[f"{key}-names"], columns=list(HEADS))
        for key in sorted(found)
        if key.endswith("-held")
    ]
    return pd.concat(parts).sort_index()


def table(folder: Path, data: Path) -> pd.DataFrame:
    """Return `file` and a probability for each head, a row for each film of `train`."""
    answers = [logits(folder / f"answers-{name}.npz") for name in RECIPES]
    mean = reduce(pd.DataFrame.add, answers) / len(answers)
    films = read_manifests([data / name for name in MANIFESTS])
    films = films[films["split"] == "train"]
    names = ["/".join(Path(path).parts[-4:]) for path in films["path"]]
    if set(names) != set(mean.index) or mean.isna().to_numpy().any():
        message = f"the answers in {folder} are not those of every film of train"
        raise SystemExit(message)
    files = pd.Series(films["file"].to_numpy(), index=names)
    probability = pd.DataFrame(expit(mean.to_numpy()), columns=list(HEADS))
    probability.insert(0, "file", files.loc[mean.index].to_numpy())
    return probability


def main() -> None:
    """Read the arguments, write the table and say its digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    made = table(asked.answers, asked.data)
    made.to_parquet(asked.out)
    print(f"{len(made)} films, SHA-256 {sha256(asked.out.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
