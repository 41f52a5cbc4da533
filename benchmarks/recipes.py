"""Recipes of training, compared by films that none of the networks saw: folds of `train`.

    python benchmarks/recipes.py --data DIR --work DIR --out DIR [--folds 3] [--fold K] [--jobs 3]
                                 [--seconds S] [--phase choose|ship] [--only NAME…] [--epochs E]

The films of `tune` hold about 190 airspace findings: too few to tell two recipes apart. So `train`
is cut into folds by patient; each recipe of `recipes.toml` trains once without each fold, by
`cxr_device.training.fit.fit` (with a change of `trials.py` where it names a `trial`), and answers
the films it did not see. Phase `ship`
trains the recipes that are named to be shipped on all of `train`. Every film is decoded once, and
several runs share the machine. Written: `answers-NAME.npz` (logits of every film that was left
out, by recipe) and the run folders; `recipes_table.py` makes the table of them.
"""

import argparse
import gc
import json
import multiprocessing
import os
import queue
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import trials
from numpy.typing import NDArray
from safetensors.torch import load_file

from cxr_device.network import build
from cxr_device.training import films
from cxr_device.training import fit as fitting
from cxr_device.training.augmentation import Augmentation
from cxr_device.training.config import TrainingConfig
from cxr_device.training.films import Films, pixels_of, read_manifests
from cxr_device.training.fit import fit
from cxr_device.training.splits import uniform
from cxr_device.training.start import start_from
from cxr_device.training.tuning import logits_of

HERE = Path(__file__).parent
RECIPES = HERE / "recipes.toml"
RESULTS = HERE / "results/recipes.json"
MANIFESTS = ("nih/manifest.csv", "nih_extra/manifest.csv")
SIDE = 224
FIT = fitting._Fit  # noqa: SLF001  # a trial may stand in for it


def fold_of(patient: str, folds: int) -> int:
    """Fold of a patient."""
    return int(uniform(patient, "recipes") * folds)


def lay_out(data: Path, work: Path, folds: int) -> list[Path]:
    """Lay out a data folder for each fold, whose films are of split `held`, and one of all.

    Tables of soft labels in `data` are part of each.
    """
    found = []
    for fold in [*range(folds), None]:
        folder = work / ("all" if fold is None else f"fold-{fold}")
        for name in MANIFESTS:
            table = pd.read_csv(data / name, dtype=str, keep_default_na=False)
            if fold is not None:
                own = np.array([fold_of(patient, folds) == fold for patient in table["patient_id"]])
                table.loc[(table["split"] == "train") & own, "split"] = "held"
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(target, index=False)
            images = target.parent / "images"
            if not images.exists():
                images.symlink_to((data / name).parent / "images")
        for soft in data.glob("*.parquet"):
            if not (folder / soft.name).exists():
                (folder / soft.name).symlink_to(soft)
        found.append(folder)
    return found


def decode(data: Path, work: Path, pools: set[tuple[int, int]]) -> None:
    """Decode every film of `train` and `tune` once a side, into `pool-SIDE-SHARPNESS.npy`."""
    table = read_manifests([data / name for name in MANIFESTS])
    table = table[table["split"].isin(["train", "tune"])].reset_index(drop=True)
    keys = [str(Path(path).relative_to(data)) for path in table["path"]]
    (work / "pool.json").write_text(json.dumps(keys), encoding="utf-8")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for side, sharpness in sorted(pools):
        pool, sharp = pool_of(work, side, sharpness), pool_of(work, side, 0)
        if not sharp.exists():
            films.squares(table, size=side, cache=work / "decoded")
            (made,) = (work / "decoded").glob("*.npy")
            made.rename(sharp)
        if not pool.exists():
            np.save(pool, trials.softened(np.load(sharp, mmap_mode="r"), sharpness, device))


def pool_of(work: Path, side: int, sharpness: int) -> Path:
    """Films of one side, as they are (0) or each as soft as an original of so many pixels."""
    return work / f"pool-{side}-{sharpness}.npy"


def take_films_from(pool: NDArray[np.uint16], keys: list[str]) -> None:
    """Have training take its films from a pool, whatever side it asks for."""
    row = {key: index for index, key in enumerate(keys)}

    def squares(table: pd.DataFrame, *, size: int, cache: Path) -> NDArray[np.uint16]:
        del size, cache
        parts = [Path(path).parts for path in table["path"]]
        rows: NDArray[np.uint16] = pool[[row["/".join(p[-4:])] for p in parts]]
        return rows

    films.squares = squares


def recipes(phase: str) -> dict[str, dict[str, Any]]:
    """Recipes of a phase, each with every key of a configuration."""
    found = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    common = found["common"]
    return {name: {**common, **changes} for name, changes in found[phase].items()}


def shortened(values: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Return a recipe with so many epochs; with those of the last sides where it names more."""
    sizes = {"sizes": values["sizes"][-epochs:]} if "sizes" in values else {}
    return values | {"epochs": epochs} | sizes


def configuration(values: dict[str, Any]) -> TrainingConfig:
    """Return a configuration as training takes it."""
    values = {key: value for key, value in values.items() if key != "trial"}
    values["augmentation"] = Augmentation(**values.get("augmentation", {}))
    size = values.pop("size", 192)
    values.setdefault("sizes", [size] * values["epochs"])
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    config = TrainingConfig(**values)
    config.check(RECIPES)
    return config


def held_answers(folder: Path, run: Path, split: str) -> tuple[list[str], NDArray[np.float32]]:
    """Films of a split, by name, and a finished run's logits for them, shape (n, heads)."""
    seen = films_of(folder, split)
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    net = build(record["config"]["architecture"])
    net.load_state_dict(load_file(run / "weights.safetensors"))
    net.to("cuda" if torch.cuda.is_available() else "cpu")
    names = ["/".join(Path(path).parts[-4:]) for path in seen.table["path"]]
    return names, logits_of(net, seen).astype(np.float32)


def films_of(folder: Path, split: str) -> Films:
    """Films of a split of one fold."""
    table = read_manifests([folder / name for name in MANIFESTS])
    table = table[table["split"] == split].reset_index(drop=True)
    return Films(table=table, pixels=pixels_of(table, size=SIDE, cache=folder))


def trial_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a recipe tries beyond its configuration, with the default of each."""
    found: dict[str, Any] = {"side": SIDE, "sharpness": 0, "robust": False, "pretrained": False}
    return found | values.get("trial", {})


def train(name: str, values: dict[str, Any], folder: Path, work: Path) -> Path:
    """Train one recipe on one fold; returns the run's folder."""
    config, trial, run = configuration(values), trial_of(values), folder / "runs" / name
    fitting._Fit = trials.Robust if trial["robust"] else FIT  # type: ignore[misc]  # noqa: SLF001
    fitting.start_from = start_from
    if trial["pretrained"]:
        began = folder / "pretrained.safetensors"
        if not began.exists():
            own = torch.from_numpy(films_of(folder, "train").pixels[:].astype(np.int32))
            own = own.to("cuda" if torch.cuda.is_available() else "cpu")
            torch.manual_seed(config.seed)
            trials.pretrained(config, own, build(config.architecture), began)
        fitting.start_from = trials.start_with(began)
    fit(config, data=folder, run=run, cache=work)
    (run / "state.pt").unlink()
    return run


def work_off(todo: Any, done: Any, work: Path, until: float) -> None:  # noqa: ANN401
    """One process: train what is asked until the time is over."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    keys = json.loads((work / "pool.json").read_text(encoding="utf-8"))
    while True:
        job = todo.get()
        if job is None:
            return
        name, values, folder, split = job
        if time.time() > until:
            done.put((name, folder, None, 0.0))
            continue
        begun = time.time()
        trial = trial_of(values)
        pool = np.load(pool_of(work, trial["side"], trial["sharpness"]), mmap_mode="r")
        take_films_from(pool, keys)
        try:
            with (folder / f"{name}.err").open("w") as errors:
                sys.stderr = errors
                run = train(name, values, folder, work)
                found = {s: held_answers(folder, run, s) for s in {split, "tune"}}
        except Exception as error:  # noqa: BLE001  # one run that fails must not end the others
            found = f"{type(error).__name__}: {error}"[:300]
        finally:
            sys.stderr = sys.__stderr__
        gc.collect()  # the graphs of a finished run hold a GPU's memory
        torch.cuda.empty_cache()
        done.put((name, folder, found, time.time() - begun))


def campaign(asked: argparse.Namespace) -> None:
    """Run every job, those with teachers after their teachers."""
    work, data = asked.work.resolve(), asked.data.resolve()
    work.mkdir(parents=True, exist_ok=True)
    until = time.time() + asked.seconds
    chosen = recipes(asked.phase)
    if asked.only:
        chosen = {name: chosen[name] for name in asked.only}
    if asked.epochs:
        chosen = {name: shortened(values, asked.epochs) for name, values in chosen.items()}
    pools = [trial_of(values) for values in chosen.values()]
    decode(data, work, {(trial["side"], trial["sharpness"]) for trial in pools})
    print(f"decoded {time.time() - until + asked.seconds:.0f} s", flush=True)
    folders = lay_out(data, work, asked.folds)
    folders = folders[-1:] if asked.phase == "ship" else folders[:-1]
    if asked.fold is not None:
        folders = [folders[asked.fold]]
    split = "tune" if asked.phase == "ship" else "held"
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue()
    workers = [
        context.Process(target=work_off, args=(todo, done, work, until), daemon=True)
        for _ in range(asked.jobs)
    ]
    for worker in workers:
        worker.start()
    asked.out.mkdir(parents=True, exist_ok=True)
    for stage in stages(chosen):
        jobs = [(name, chosen[name], folder, split) for name in stage for folder in folders]
        for job in jobs:
            todo.put(job)
        collect(done, len(jobs), asked.out)
    for _ in workers:
        todo.put(None)


def stages(chosen: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Recipes in their order, cut before the first with teachers, which must have finished."""
    names = list(chosen)
    first = next((i for i, name in enumerate(names) if chosen[name].get("teachers")), len(names))
    return [part for part in (names[:first], names[first:]) if part]


def collect(done: Any, number: int, out: Path) -> None:  # noqa: ANN401
    """Keep the answers of so many jobs as they come."""
    answers: dict[str, dict[str, Any]] = {}
    for _ in range(number):
        try:
            name, folder, found, seconds = done.get(timeout=3000)
        except queue.Empty:
            print("no job ended in 3000 s", flush=True)
            return
        if found is None or isinstance(found, str):
            print(f"{name} {folder.name}: {found or 'no time left'}", flush=True)
            continue
        kept = answers.setdefault(name, {})
        for part, (names, logits) in found.items():
            kept[f"{folder.name}-{part}-names"] = np.array(names)
            kept[f"{folder.name}-{part}"] = logits
        np.savez_compressed(out / f"answers-{name}.npz", **kept)
        record = json.loads((folder / "runs" / name / "record.json").read_text(encoding="utf-8"))
        curve = [round(line["tune_within_view_auc"]["score"], 3) for line in record["curve"]]
        print(f"{name} {folder.name}: {seconds:.1f} s, tune {curve}", flush=True)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--fold", type=int, help="this fold alone")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e6)
    parser.add_argument("--phase", choices=("choose", "ship"), default="choose")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--epochs", type=int, help="for each recipe, whatever it says")
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    campaign(parser.parse_args())


if __name__ == "__main__":
    main()
