"""The CheXpert table: votes and models are read as released, and its committed results hold."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import validation
from validation import chexpert

RESULTS = Path(validation.__file__).parent / "results" / "chexpert_500" / "results.json"


def test_eight_readers_and_ten_models_are_read(shared: Callable[[str], Path]) -> None:
    folder = shared("reads/chexpert_500")
    votes = chexpert.reader_votes(folder, ("Consolidation",))
    assert votes.shape == (500, 8)
    scores = chexpert.model_scores(folder, "Consolidation")
    assert scores.shape == (500, 10)
    assert set(scores.index) == set(votes.index)


def test_committed_results_are_those_of_the_table(shared: Callable[[str], Path]) -> None:
    folder = shared("reads/chexpert_500")
    found = json.loads(RESULTS.read_text("utf-8"))["findings"]["Edema"]
    votes = chexpert.reader_votes(folder, ("Edema",))
    truth = (votes.sum(axis=1) > 4).to_numpy()
    assert found["positive_by_majority_of_eight"] == int(truth.sum())
    scores = chexpert.model_scores(folder, "Edema").loc[votes.index]
    for name, entry in found["models"].items():
        expected = roc_auc_score(truth, scores[name].to_numpy())
        assert entry["estimate"] == pytest.approx(expected, abs=1e-12)
    table = votes.to_numpy()
    one = []
    from itertools import combinations  # noqa: PLC0415

    for members in combinations(range(8), 3):
        panel = table[:, members].sum(axis=1) >= 2
        rest = [j for j in range(8) if j not in members]
        one += [roc_auc_score(panel, table[:, j]) for j in rest]
    assert found["one_reader"]["estimate"] == pytest.approx(np.mean(one), abs=1e-12)
