"""Soft labels of `train`: what networks that did not learn a film say of it.

    python benchmarks/out_of_fold.py ANSWERS_DIR --data DATA --out out_of_fold.parquet
        [--recipes NAME…] [--before FIRST.parquet] [--follow-ups Data_Entry_2017_v2020.csv.gz]

`recipes.py` left each film of `train` out of one fold and wrote what every recipe's network said of
it. The table holds, for each film, the probability of the mean logit of the recipes by head, as
`soft_labels` of a training configuration takes it. Each network learned from NIH's labels alone.

`--before` counts an earlier table as one network more. `--follow-ups` puts to it what the reports
on the same patient's two films before and two films after say: a logistic regression by head of the
film's own label on the networks' logit and on the mean of those labels.
"""

import argparse
from functools import reduce
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from recipes import MANIFESTS
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from cxr_device.network import HEADS
from cxr_device.training.films import COLUMNS, read_manifests, targets

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


def table(answers: list[pd.DataFrame], films: pd.DataFrame) -> pd.DataFrame:
    """Return `file` and the probability of the mean logit of each head, a row for each film."""
    mean = reduce(pd.DataFrame.add, answers) / len(answers)
    names = ["/".join(Path(path).parts[-4:]) for path in films["path"]]
    if set(names) != set(mean.index) or mean.isna().to_numpy().any():
        message = "the answers are not those of every film of train"
        raise SystemExit(message)
    made = pd.DataFrame(expit(mean.loc[names].to_numpy()), columns=list(HEADS))
    made.insert(0, "file", films["file"].to_numpy())
    return made


def earlier(path: Path, films: pd.DataFrame) -> pd.DataFrame:
    """Logits of an earlier table, by film as in the folds."""
    found = pd.read_parquet(path).set_index("file").loc[films["file"], list(HEADS)]
    names = ["/".join(Path(film).parts[-4:]) for film in films["path"]]
    return pd.DataFrame(logit(found.to_numpy(dtype=float)), index=names, columns=list(HEADS))


def with_follow_ups(made: pd.DataFrame, films: pd.DataFrame, entries: Path) -> pd.DataFrame:
    """Probability of each film's label by what networks say of it and reports of its neighbours.

    A film whose labels in NIH's table are not those of its manifest has no neighbours: its name is
    then that of the patient alone.
    """
    nih = pd.read_csv(entries).sort_values(["Patient ID", "Follow-up #"], ignore_index=True)
    words = pd.DataFrame({"finding_labels": nih["Finding Labels"], "source": "nih"})
    words["label_pneumonia"] = words["finding_labels"].str.contains("Pneumonia")
    said = pd.DataFrame(targets(words), index=nih["Image Index"], columns=list(HEADS))
    by_patient = said.groupby(nih["Patient ID"].to_numpy())
    near = [by_patient.shift(step) for step in (-2, -1, 1, 2)]
    counted = reduce(pd.DataFrame.add, [part.notna().astype(float) for part in near])
    mean = reduce(pd.DataFrame.add, [part.fillna(0.0) for part in near]) / counted.clip(lower=1)
    own = targets(films)
    stated = said.reindex(films["nih_name"]).to_numpy()
    same = (stated == own)[:, HEADS.index("Any")] & (stated == own)[:, HEADS.index("Airspace")]
    known = same & (counted["Any"].reindex(films["nih_name"]).to_numpy() > 0)
    beside = mean.reindex(films["nih_name"]).to_numpy() - np.nanmean(mean.to_numpy(), axis=0)
    result = made.copy()
    for number, head in enumerate(HEADS):
        seen = logit(made[head].to_numpy(dtype=float))
        facts = np.column_stack([seen, np.where(known, beside[:, number], 0.0)])
        stands = ~np.isnan(own[:, number])
        model = LogisticRegression().fit(facts[stands], own[stands, number])
        result[head] = model.predict_proba(facts)[:, 1]
        print(f"{head}: {model.coef_[0].round(2).tolist()}")
    print(f"{int(known.sum())} of {len(films)} films have neighbours")
    return result


def main() -> None:
    """Read the arguments, write the table and say its digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", nargs="*", default=RECIPES)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--follow-ups", type=Path)
    asked = parser.parse_args()
    films = read_manifests([asked.data / name for name in MANIFESTS], COLUMNS)
    films = films[films["split"] == "train"].reset_index(drop=True)
    answers = [logits(asked.answers / f"answers-{name}.npz") for name in asked.recipes]
    if asked.before:
        answers.append(earlier(asked.before, films))
    made = table(answers, films)
    if asked.follow_ups:
        made = with_follow_ups(made, films, asked.follow_ups)
    made.to_parquet(asked.out)
    print(f"{len(made)} films, SHA-256 {sha256(asked.out.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
