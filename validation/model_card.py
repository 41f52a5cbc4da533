"""The figures of the model card: the device on `tune` and `test`, beside a floor and a peer.

The floor is a model without anatomy (thumbnail, histogram, noise: `shortcuts.film_features`) fitted
on the training films; the peer is a published CheXNet reproduction on the films that both have.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from validation import clustered, operating, roc
from validation.against_readers import against_readers
from validation.errors import TableError
from validation.estimate import Estimate, record
from validation.figures import thinned
from validation.readers_tables import PNEUMONIA_ENDPOINT, joined_votes, reads_from_findings
from validation.shortcuts import film_features
from validation.tables import read_cases

__all__ = ["CardInputs", "build", "roc_record", "training_films", "write"]

Floats = NDArray[np.float64]

VIEWS: Final = ("PA", "AP")
READERS: Final = "five readers' majority: pneumonia, consolidation or infiltration"
MINED: Final = "mined label: pneumonia"
AIRSPACE: Final = "mined label: pneumonia, consolidation or infiltration"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardInputs:
    """CASES of the locked device, the readers, the peer's scores, the floor's training films."""

    tune: Path
    test: Path
    images: tuple[Path, ...]
    """Image folders of the manifests, looked through in order."""
    train: pd.DataFrame
    """Training films: `file`, `finding_labels`, `label_pneumonia`."""
    reads: Path
    peer: Path


def _airspace(frame: pd.DataFrame) -> NDArray[np.bool_]:
    pattern = "|".join(PNEUMONIA_ENDPOINT)
    return frame["finding_labels"].astype(str).str.contains(pattern).to_numpy()


def _features(files: Sequence[str], images: tuple[Path, ...]) -> Floats:
    found = [next((f / name for f in images if (f / name).exists()), None) for name in files]
    lost = [name for name, path in zip(files, found, strict=True) if path is None]
    if lost:
        folders = ", ".join(map(str, images))
        raise TableError(
            table="card", column="file", case_id=lost[0],
            found=f"{len(lost)} of {len(files)} films are in no folder of {folders}",
            accepted="every film in one of the folders of --images",
        )  # fmt: skip
    return np.stack([film_features(path) for path in found if path is not None])


def training_films(manifests: Sequence[Path]) -> pd.DataFrame:
    """Films of split train that manifests do not exclude: file, finding_labels, label_pneumonia.

    Raises
    ------
    ValidationError
        A manifest cannot be read, lacks a column, or holds no film of split train.
    """
    parts = []
    for manifest in manifests:
        try:
            table = pd.read_csv(manifest, low_memory=False)
        except (OSError, ValueError) as error:
            raise TableError(
                table=str(manifest), found=str(error), accepted="a manifest (CSV)"
            ) from error
        wanted = ["file", "finding_labels", "label_pneumonia"]
        missing = [name for name in (*wanted, "split") if name not in table]
        if missing:
            raise TableError(
                table=str(manifest), column=missing[0], found="no such column",
                accepted="a manifest with split, file, finding_labels and label_pneumonia",
            )  # fmt: skip
        if "use" in table:
            table = table[table["use"] == "yes"]
        parts.append(table.loc[table["split"] == "train", wanted])
    films = pd.concat(parts, ignore_index=True)
    if films.empty:
        raise TableError(
            table=str(manifests[0]), column="split", found="no film of split train",
            accepted="manifests that hold films of train",
        )  # fmt: skip
    return films


class _Floor:
    """The model without anatomy, one for each mined endpoint."""

    def __init__(self, train: pd.DataFrame, images: tuple[Path, ...], seed: int) -> None:
        features = _features(train["file"].tolist(), images)
        self._models = {
            name: HistGradientBoostingClassifier(max_iter=150, random_state=seed).fit(
                features, truth
            )
            for name, truth in (
                (AIRSPACE, _airspace(train)),
                (MINED, train["label_pneumonia"].to_numpy() == 1),
            )
        }

    def score(self, endpoint: str, features: Floats) -> Floats:
        scores: Floats = self._models[endpoint].predict_proba(features)[:, 1]
        return scores


def _auc(truth: ArrayLike, score: ArrayLike, patient: ArrayLike) -> dict[str, object] | None:
    values = np.asarray(truth)
    if len(values) == 0 or values.min() == values.max():
        return None
    estimate: Estimate = roc.auc(values, score, cluster=patient)
    fields: dict[str, object] = {"positives": int(values.sum())}
    fields["auc"] = record(estimate)
    return fields


def build(inputs: CardInputs, *, seed: int = 0, resamples: int = 2000) -> dict[str, object]:
    """Compute every figure of the card; intervals are between patients."""
    floor = _Floor(inputs.train, inputs.images, seed)
    peer = pd.read_csv(inputs.peer).set_index("Image Index")
    tune = read_cases(inputs.tune, cluster="patient_id").frame
    curves = [roc_record(tune, _airspace(tune), split="tune", endpoint=AIRSPACE)]
    card: dict[str, object] = {
        "floor_training_films": len(inputs.train),
        "operating_point": {"endpoint": AIRSPACE, **_operating_point(tune, _airspace(tune))},
        "roc": curves,
    }
    for name, path in (("tune", inputs.tune), ("test", inputs.test)):
        cases = read_cases(path, cluster="patient_id", groups=("view",))
        frame = cases.frame.reset_index(drop=True)
        features = _features(frame["file"].tolist(), inputs.images)
        rows = [
            _row(frame, floor, features, peer, endpoint=endpoint, view=view)
            for endpoint in (MINED, AIRSPACE)
            for view in (*VIEWS, "all")
        ]
        if name == "test":
            reads = reads_from_findings(inputs.reads)
            read, votes, readers, _ = joined_votes(cases, reads)
            rows.insert(0, _readers_row(frame.loc[read], votes, floor, features[read], peer))
            majority = votes.sum(axis=1) * 2 > votes.shape[1]
            curves.append(roc_record(frame.loc[read], majority, split="test", endpoint=READERS))
            found = against_readers(
                frame["score"].to_numpy()[read],
                votes,
                reference="panels",
                readers=readers,
                patient=frame["patient_id"].to_numpy()[read],
                resamples=resamples,
                seed=seed,
            )
            card["panels"] = {
                key: record(getattr(found, key))
                for key in (
                    "device", "readers", "left_out_pair", "difference", "pair_difference",
                    "readers_worth",
                )
            }  # fmt: skip
        card[name] = rows
    return card


def _operating_point(frame: pd.DataFrame, truth: NDArray[np.bool_]) -> dict[str, object]:
    """Sensitivity and specificity of the locked flag."""
    flag, patient = frame["flag"].to_numpy(dtype=bool), frame["patient_id"].to_numpy()
    return {
        "sensitivity": record(clustered.proportion(flag[truth], cluster=patient[truth])),
        "specificity": record(clustered.proportion(~flag[~truth], cluster=patient[~truth])),
    }


def roc_record(
    frame: pd.DataFrame, truth: NDArray[np.bool_], *, split: str, endpoint: str
) -> dict[str, object]:
    """Return a curve with the locked operating point on it, as the device's report draws it.

    `frame` holds `score`, `flag` and `patient_id` of each film, `truth` its endpoint, shape (n,).
    The empirical curve is thinned to `figures.MAX_VERTICES` points and rounded to four decimals.
    """
    found = operating.curve(truth, frame["score"].to_numpy())
    rates, sensitivity = thinned(found.false_positive_rate, found.true_positive_rate)
    return {
        "split": split,
        "endpoint": endpoint,
        "films": len(truth),
        "positives": int(truth.sum()),
        "false_positive_rate": [round(rate, 4) for rate in rates],
        "sensitivity": [round(rate, 4) for rate in sensitivity],
        "operating_point": _operating_point(frame, truth),
    }


def _peer_on(
    frame: pd.DataFrame, peer: pd.DataFrame, truth: NDArray[np.bool_]
) -> dict[str, object]:
    """Score the films that the peer has too, by its heads, beside the device on the same films."""
    both = frame["case_id"].isin(peer.index).to_numpy()
    theirs = peer.loc[frame.loc[both, "case_id"]]
    patient, ours = frame.loc[both, "patient_id"], frame.loc[both, "score"]
    heads = {head: theirs[f"prob_{head}"].to_numpy() for head in PNEUMONIA_ENDPOINT}
    return {
        "films": int(both.sum()),
        "device": _auc(truth[both], ours, patient),
        **{head.lower(): _auc(truth[both], score, patient) for head, score in heads.items()},
    }


def _row(  # noqa: PLR0913 - one line of the card's table
    frame: pd.DataFrame,
    floor: _Floor,
    features: Floats,
    peer: pd.DataFrame,
    *,
    endpoint: str,
    view: str,
) -> dict[str, object]:
    inside = (frame["view"] == view).to_numpy() | (view == "all")
    part = frame[inside]
    truth = _airspace(part) if endpoint == AIRSPACE else part["truth"].to_numpy() == 1
    return {
        "endpoint": endpoint,
        "view": view,
        "device": _auc(truth, part["score"], part["patient_id"]),
        "floor": _auc(truth, floor.score(endpoint, features[inside]), part["patient_id"]),
        "chexnet": _peer_on(part, peer, truth),
    }


def _readers_row(
    frame: pd.DataFrame,
    votes: NDArray[np.int64],
    floor: _Floor,
    features: Floats,
    peer: pd.DataFrame,
) -> dict[str, object]:
    truth = votes.sum(axis=1) * 2 > votes.shape[1]
    return {
        "endpoint": READERS,
        "view": "PA",
        "device": _auc(truth, frame["score"], frame["patient_id"]),
        "floor": _auc(truth, floor.score(AIRSPACE, features), frame["patient_id"]),
        "chexnet": _peer_on(frame, peer, truth),
    }


def write(card: dict[str, object], path: Path) -> None:
    """Write the card's figures as JSON."""
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)
