"""Lock: runs become the device's weights, calibration and operating point, from `tune` alone."""

import json
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import tomlkit
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

from cxr_device import runtimes
from cxr_device.calibration import Calibration
from cxr_device.errors import DatasetError
from cxr_device.network import HEADS, Ensemble, build
from cxr_device.pixel_gate import CONTENTS, probabilities
from cxr_device.preprocessing import INPUT_SIZE, standardize
from cxr_device.release import PACKAGE, Release
from cxr_device.training.export import export
from cxr_device.training.films import COLUMNS, read_manifests, squares
from cxr_device.training.fit import SCORE_HEADS
from cxr_device.training.signing import Ed25519PrivateKey
from cxr_device.whole_file import write_text, written_whole

__all__ = [
    "FALSE_REFUSALS",
    "SENSITIVITY_FLOOR",
    "endpoint",
    "gate_threshold",
    "lock",
    "lock_gate",
    "operating_threshold",
    "platt",
    "tuned_point",
    "within_label",
    "write_locked",
]

SENSITIVITY_FLOOR: Final = 0.80
"""The operating point's sensitivity on `tune`, at least."""

FALSE_REFUSALS: Final = 0.01
"""Largest share of good `tune` films that the pixel gate's locked threshold may refuse."""

ENDPOINT: Final = ("Pneumonia", "Consolidation", "Infiltration")
"""Mined findings that make a film positive for calibration and operating point; the readers'
endpoint names the same three."""

_VIEWS: Final = ("PA", "AP")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What `tune` decided."""

    slope: float
    offset: float
    threshold: float
    sensitivity: float
    specificity: float
    films: int
    positives: int


def endpoint(films: pd.DataFrame) -> NDArray[np.bool_]:
    """Mined endpoint by film, shape (n,)."""
    words = films["finding_labels"].str.replace(" (with others?)", "", regex=False).str.split("|")
    return np.array([any(name in found for name in ENDPOINT) for found in words])


def platt(score: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit probability = sigmoid(slope * score + offset) by maximum likelihood (Platt 1999)."""
    model = LogisticRegression(C=1e6).fit(score[:, np.newaxis], truth)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def operating_threshold(
    probability: NDArray[np.float64], truth: NDArray[np.bool_], *, floor: float = SENSITIVITY_FLOOR
) -> float:
    """Highest threshold that keeps the sensitivity at `floor` or more: the best specificity.

    A tie counts as suspected, so a threshold equals a film's probability; raising it never raises
    the sensitivity nor lowers the specificity.
    """
    positive = np.sort(probability[truth])
    needed = int(np.ceil(floor * len(positive)))
    return float(positive[len(positive) - needed])


def lock(  # noqa: PLR0913  # each a part of the release
    runs: list[Path],
    *,
    data: Path,
    cache: Path,
    side: int = INPUT_SIZE,
    package: Path = PACKAGE,
    key: Ed25519PrivateKey | None = None,
) -> Tuned:
    """Lock an ensemble of runs into the package: weights, graph, release.toml, training record.

    The order of the runs is the order of the members, which see the device's input reduced to
    `side` pixels: a network reads well at more pixels than it was trained at, and with fewer it is
    faster. `package` is the folder of a release
    (`release_folder.open_release`), the installed one without it. Without a `key`
    (`signing.open_key`) the release is a development release.

    Raises
    ------
    DatasetError
        A run has no record, weights that are not its record's, or learned from other manifests
        than lie in `data`; the tuning films inside the label are of one class, or the score does
        not rise with their endpoint. The release is then as it was.
    """
    records = [_record(run) for run in runs]
    for entry in records:
        _same_films(entry, data)
    members = []
    for run, entry in zip(runs, records, strict=True):
        blob = (run / "weights.safetensors").read_bytes()
        if sha256(blob).hexdigest() != entry["weights_sha256"]:
            raise DatasetError(
                run, "weights.safetensors is not what record.json describes", "train it again"
            )
        member = build(entry["config"]["architecture"])
        member.load_state_dict(load_file(run / "weights.safetensors"))
        members.append(member)
    aside = package / "weights/locking"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        made = aside / "network.safetensors", aside / "network.onnx"
        export(Ensemble(members, side=side), weights=made[0], graph=made[1])
        tuned = _decide(
            records, runtimes.on_cpu(made[1], threads=0), data=data, cache=cache, package=package
        )
        for path in made:
            path.replace(package / "weights" / path.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _write_release(package, records, tuned, side=side, key=key)
    (package / "weights/training_record.json").write_text(
        json.dumps({"members": records, "tune": _plain(tuned)}, indent=1) + "\n",
        encoding="utf-8",
    )
    return tuned


def _decide(
    records: list[dict[str, Any]], infer: runtimes.Infer, *, data: Path, cache: Path, package: Path
) -> Tuned:
    """Calibration and operating point from the tuning films inside the label."""
    tune = read_manifests([data / name for name in records[0]["config"]["manifests"]], COLUMNS)
    tune = tune[(tune["split"] == "tune")].reset_index(drop=True)
    pixels = squares(tune, size=INPUT_SIZE, cache=cache)
    score = _scores(infer, pixels)
    inside = within_label(tune, package)
    truth = endpoint(tune)[inside]
    if not 0 < truth.sum() < len(truth):
        raise DatasetError(
            data,
            f"{int(truth.sum())} of the {len(truth)} tuning films inside the label are positive",
            "prepare more films: a threshold needs both classes",
        )
    slope, offset = platt(score[inside], truth)
    if slope <= 0:
        raise DatasetError(
            data,
            f"the score falls as the endpoint rises (slope {slope:.3f})",
            "a network that learned nothing is not locked: train on more films, or for longer",
        )
    return tuned_point(score[inside], truth, Calibration(slope=slope, offset=offset))


def within_label(films: pd.DataFrame, package: Path) -> NDArray[np.bool_]:
    """Which films are frontal ones of an age that the package's label accepts; shape (n,)."""
    label = tomlkit.parse((package / "release.toml").read_text(encoding="utf-8"))["label"]
    inside: NDArray[np.bool_] = (
        films["view"].isin(_VIEWS)
        & (films["age"] >= label["min_age_years"])
        & (films["age"] <= label["max_age_years"])
    ).to_numpy()
    return inside


def gate_threshold(upright: NDArray[np.float64], *, refused: float = FALSE_REFUSALS) -> float:
    """Highest threshold that refuses at most the share `refused` of good films.

    A tie is let through, so the threshold equals a film's probability.
    """
    return float(np.sort(upright)[int(np.floor(refused * len(upright)))])


def lock_gate(
    run: Path,
    *,
    data: Path,
    cache: Path,
    package: Path = PACKAGE,
    key: Ed25519PrivateKey | None = None,
) -> float:
    """Lock a run of the gate into the package: graph, record, and its part of release.toml.

    Returns the threshold, which `tune` films inside the label decide; the rest of release.toml
    stays as it is.

    Raises
    ------
    DatasetError
        The run has no record, a graph that is not its record's, or learned from other manifests
        than lie in `data`. The release is then as it was.
    """
    record = _record(run)
    blob = (run / "gate.onnx").read_bytes()
    if sha256(blob).hexdigest() != record["graph_sha256"]:
        raise DatasetError(run, "gate.onnx is not what record.json describes", "train it again")
    _same_films(record, data)
    films = read_manifests([data / name for name in record["config"]["manifests"]], ("split",))
    films = films[films["split"] == "tune"].reset_index(drop=True)
    pixels = squares(films, size=INPUT_SIZE, cache=cache)[within_label(films, package)]
    upright = _upright(runtimes.on_cpu(run / "gate.onnx", threads=0), pixels)
    threshold = gate_threshold(upright)
    with written_whole(package / "weights/gate.onnx") as file:
        file.write(blob)
    path = package / "release.toml"
    table = tomlkit.parse(path.read_text(encoding="utf-8"))
    table["pixel_gate"] = {
        "graph": "weights/gate.onnx",
        "graph_sha256": record["graph_sha256"],
        "contents": [str(content) for content in CONTENTS],
        "threshold": threshold,
        "rule": f"On tuning films of the label: at most {FALSE_REFUSALS:.0%} refused",
        "tune_films": len(upright),
    }
    write_locked(path, table, key=key)
    (package / "weights/gate_record.json").write_text(
        json.dumps(record, indent=1) + "\n", encoding="utf-8"
    )
    return threshold


def _upright(infer: runtimes.Infer, pixels: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Gate's probability of an upright frontal chest by film."""
    inputs = (standardize(film.astype(np.float32))[np.newaxis, np.newaxis] for film in pixels)
    return np.array([probabilities(infer(film)[0])[0] for film in inputs])


def _record(run: Path) -> dict[str, Any]:
    """Record of a finished run."""
    path = run / "record.json"
    if not path.exists():
        raise DatasetError(run, "holds no record.json", "let `cxr-device train` finish the run")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _same_films(record: dict[str, Any], data: Path) -> None:
    """Refuse manifests that are not those of a run: its training films might tune it."""
    for name, digest in record["manifest_sha256"].items():
        path = data / name
        found = sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        if found != digest:
            raise DatasetError(
                path, f"is {found[:16]}, the run learned from {digest[:16]}",
                "lock with the data folder that it was trained with",
            )  # fmt: skip


def _plain(tuned: Tuned) -> dict[str, Any]:
    return {name: getattr(tuned, name) for name in Tuned.__slots__}


def _scores(infer: runtimes.Infer, pixels: NDArray[np.uint16]) -> NDArray[np.float64]:
    chosen = [HEADS.index(name) for name in SCORE_HEADS]
    found = []
    for film in pixels:
        logits = infer(standardize(film.astype(np.float32))[np.newaxis, np.newaxis])[0]
        found.append(float(np.mean(logits[chosen], dtype=np.float64)))
    return np.array(found)


def tuned_point(
    score: NDArray[np.float64], truth: NDArray[np.bool_], calibration: Calibration
) -> Tuned:
    """Operating point on `tune`, from the probabilities that the device itself computes.

    Another formula for the same probability differs in its last bit, and the film whose
    probability is the threshold would lose its flag.
    """
    probability = np.array([calibration.probability(float(value)) for value in score])
    threshold = operating_threshold(probability, truth)
    flagged = probability >= threshold
    return Tuned(
        slope=calibration.slope,
        offset=calibration.offset,
        threshold=threshold,
        sensitivity=float(flagged[truth].mean()),
        specificity=float(1 - flagged[~truth].mean()),
        films=len(truth),
        positives=int(truth.sum()),
    )


def _write_release(
    package: Path,
    records: list[dict[str, Any]],
    tuned: Tuned,
    *,
    side: int,
    key: Ed25519PrivateKey | None,
) -> None:
    """Rewrite the locked values of release.toml; the label stays as it is written."""
    path = package / "release.toml"
    table = tomlkit.parse(path.read_text(encoding="utf-8"))
    network = table["network"]
    network["architectures"] = [entry["config"]["architecture"] for entry in records]
    network["side"] = side
    network["heads"], network["score_heads"] = list(HEADS), list(SCORE_HEADS)
    for name in ("weights", "graph"):
        network[f"{name}_sha256"] = sha256((package / network[name]).read_bytes()).hexdigest()
    table["preprocessing"]["sha256"] = sha256(
        (package / "preprocessing.py").read_bytes()
    ).hexdigest()
    table["calibration"]["slope"], table["calibration"]["offset"] = tuned.slope, tuned.offset
    table["operating_point"]["threshold"] = tuned.threshold
    training = table["training"]
    training["films"] = records[0]["films"]["train"]
    training["tune_films"], training["tune_positives"] = tuned.films, tuned.positives
    training["start"] = _start(records)
    write_locked(path, table, key=key)
    table["self_test"]["score"] = _known_score(package)
    write_locked(path, table, key=key)


def _start(records: list[dict[str, Any]]) -> str:
    """Where the members' training began, in words."""
    modules = {entry["start"]["module"] if entry["start"] else "" for entry in records}
    words = [f"ImageNet weights of {module}" if module else "random" for module in sorted(modules)]
    return f"{', '.join(words)}; files and digests in training_record.json"


def write_locked(path: Path, table: tomlkit.TOMLDocument, *, key: Ed25519PrivateKey | None) -> None:
    """Write release.toml, and beside it its digest and its signature; without a key it has none."""
    table.pop("signature", None)
    if key is not None:
        table["signature"] = {"public_key": key.public_key().public_bytes_raw().hex()}
    text, signature = tomlkit.dumps(table), path.with_suffix(".sig")
    signature.unlink(missing_ok=True)
    if key is not None:
        signature.write_bytes(key.sign(text.encode("utf-8")))
    write_text(path, text)
    write_text(path.with_suffix(".sha256"), sha256(text.encode("utf-8")).hexdigest() + "\n")


def _known_score(package: Path) -> float:
    """Score the known film with the device as it is being locked."""
    from cxr_device.device import Device  # noqa: PLC0415  # the release is whole only now
    from cxr_device.result import Analyzed  # noqa: PLC0415

    release = Release.load(package)
    device = Device(release, infer=runtimes.on_cpu(release.graph, threads=0))
    result = device.read(release.self_test.film)
    if not isinstance(result, Analyzed):
        message = f"{release.self_test.film}: {result}"
        raise TypeError(message)
    return device.score(result.film)
