"""Teachers: networks whose answers soften the labels of another run, by run or by table.

A label mined from a report is wrong more often than a mean of networks is about its own training
films; learning from both is self-distillation (Furlanello et al., ICML 2018), and from an ensemble
its compression into one network (Hinton et al., 2015).
"""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.special import expit
from torch import Tensor, nn

from cxr_device import runtimes
from cxr_device.errors import DatasetError
from cxr_device.network import HEADS, Ensemble, build
from cxr_device.preprocessing import INPUT_SIZE
from cxr_device.training import graphs
from cxr_device.training.export import export
from cxr_device.training.films import Films, pixels_of
from cxr_device.training.tuning import logits_of

__all__ = ["Answer", "Taught", "answering", "blend", "finished", "tabled", "taught"]

Taught = tuple[NDArray[np.float32], dict[str, str]]
"""Probabilities, shape (n, heads), and the digest of each teacher's weights or of their table."""

Answer = Callable[[Tensor], NDArray[np.float32]]
"""Probabilities, shape (n, heads), from views of films, shape (n, 1, INPUT_SIZE, INPUT_SIZE)."""


def taught(films: Films, runs: list[Path], *, cache: Path, device: torch.device) -> Taught:
    """Mean probability of the teachers for each film, read as the device reads it.

    Raises
    ------
    DatasetError
        A run is not finished, or its weights are not its record's.
    """
    seen = Films(table=films.table, pixels=pixels_of(films.table, size=INPUT_SIZE, cache=cache))
    total, digests = 0.0, {}
    for run in runs:
        net, record = finished(run)
        digests[run.name] = record["weights_sha256"]
        total = total + expit(logits_of(net.to(device), seen))
    return np.asarray(total / len(runs), dtype=np.float32), digests


def answering(runs: list[Path], *, device: torch.device) -> tuple[Answer, dict[str, str]]:
    """Let the teachers answer views as they come; also the digest of each teacher's weights.

    A mean of probabilities, as `taught` gives it once for each whole film. On the CPU the teachers
    run as they would be released: exported, in ONNX Runtime, which is several times as fast.

    Raises
    ------
    DatasetError
        As `taught`.
    """
    found = {run.name: finished(run) for run in runs}
    teachers = [_infer(net, device) for net, _ in found.values()]

    def answer(views: Tensor) -> NDArray[np.float32]:
        answers = [expit(teacher(views)) for teacher in teachers]
        return np.asarray(np.mean(answers, axis=0), dtype=np.float32)

    return answer, {name: record["weights_sha256"] for name, (_, record) in found.items()}


def finished(run: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Network and record of a finished run.

    Raises
    ------
    DatasetError
        It is not finished, or its weights are not its record's.
    """
    record = run / "record.json"
    if not record.is_file():
        raise DatasetError(run, "holds no record.json", "let this run finish first")
    found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    weights = run / "weights.safetensors"
    digest = sha256(weights.read_bytes()).hexdigest()
    if digest != found["weights_sha256"]:
        raise DatasetError(weights, "is not what record.json describes", "train it again")
    net = build(found["config"]["architecture"])
    net.load_state_dict(load_file(weights))
    return net, found


def _infer(net: nn.Module, device: torch.device) -> Callable[[Tensor], NDArray[np.float32]]:
    """Logits of a teacher for views that lie on `device`."""
    if device.type == "cpu":
        with TemporaryDirectory() as folder:  # ONNX Runtime keeps what it read
            graph = Path(folder) / "teacher.onnx"
            whole = Ensemble([net], side=INPUT_SIZE)
            export(whole, weights=graph.with_suffix(".safetensors"), graph=graph)
            run = runtimes.on_cpu(graph, threads=torch.get_num_threads())
        return lambda views: run(views.numpy())
    recorded = graphs.answering(net.eval().to(device).to(memory_format=torch.channels_last))
    return lambda views: np.asarray(recorded(views).cpu(), dtype=np.float32)


def tabled(films: Films, data: Path, name: str) -> Taught:
    """Probability of each head for each film, as table `name` of the data folder states it.

    Raises
    ------
    DatasetError
        The table is missing or is none, lacks a column or a film, names a film twice, or holds
        what is no probability.
    """
    path = data / name
    if not path.is_file():
        raise DatasetError(path, "is missing", "name soft_labels relative to the data folder")
    blob = path.read_bytes()
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DatasetError(path, "is no Parquet table", f"write it anew ({error})") from error
    if missing := [column for column in ("file", *HEADS) if column not in table]:
        words = f"lacks the columns {', '.join(missing)}"
        raise DatasetError(path, words, "give file and one column for each head")
    if twice := sorted(table.loc[table["file"].duplicated(), "file"].astype(str)):
        raise DatasetError(path, f"names {twice[0]} twice", "keep one row for each film")
    found = table.set_index("file").reindex(films.table["file"])[list(HEADS)]
    probability = found.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float32)
    wrong = ~((probability >= 0) & (probability <= 1)).all(axis=1)
    if wrong.any():
        first = films.table["file"].iloc[int(wrong.argmax())]
        words = f"has no probabilities for {int(wrong.sum())} films, as {first}"
        raise DatasetError(path, words, "give each film of train a number from 0 to 1 by head")
    return probability, {name: sha256(blob).hexdigest()}


def blend(
    wanted: NDArray[np.float32], probability: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Labels (1, 0, NaN where nothing is known) with `share` of the teachers' probability in each.

    Where the label says nothing, the teachers' probability stands alone.
    """
    mixed = (1 - share) * wanted + share * probability
    return np.where(np.isnan(wanted), probability, mixed).astype(np.float32)
