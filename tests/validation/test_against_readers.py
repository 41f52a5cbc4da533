"""The device against readers: two published figures of the five-reader file, strict loops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from validation.against_readers import against_readers, chexnet_f1, weighted_auc
from validation.errors import ArgumentError
from validation.readers_tables import reads_from_findings


def study(n: int = 160, readers: int = 5, seed: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    right = rng.random((n, readers)) < 0.8
    votes = np.where(right, truth[:, None], ~truth[:, None]).astype(np.int64)
    return 1.0 / (1.0 + np.exp(-(rng.normal(size=n) + 1.5 * truth))), votes


NAMES = ("a", "b", "c", "d", "e")


def test_one_and_two_readers_reach_the_known_figures_on_the_five_reader_file(
    shared: Callable[[str], Path],
) -> None:
    # 440 films of test, endpoint pneumonia or consolidation or infiltration, ten panels of three:
    # one reader left out reaches a mean AUC of 0.764, the two by their votes 0.850
    reads = reads_from_findings(shared("reads/nih_five_readers.csv"))
    wide = reads.pivot_table(index="case", columns="reader", values="rating")
    votes = wide.to_numpy().astype(np.int64)
    assert votes.shape == (440, 5)
    assert (votes.sum(axis=1) >= 3).sum() == 135
    found = against_readers(
        votes.mean(axis=1), votes, reference="panels", readers=NAMES, resamples=50
    )
    assert found.readers.estimate == pytest.approx(0.764, abs=5e-4)
    assert found.left_out_pair.estimate == pytest.approx(0.850, abs=5e-4)


def test_weighted_auc_equals_resampled_scikit_learn() -> None:
    score, votes = study()
    score = np.round(score, 2)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, 160, 160) for _ in range(30)]
    weights = np.stack([np.bincount(d, minlength=160) for d in drawn])
    expected = [roc_auc_score(votes[d, 0], score[d]) for d in drawn]
    assert weighted_auc(weights, votes[:, 0], score) == pytest.approx(expected, abs=1e-12)


def test_panels_equal_a_loop_over_ten_majorities() -> None:
    from itertools import combinations  # noqa: PLC0415

    score, votes = study()
    device, single, pair = [], [], []
    for members in combinations(range(5), 3):
        truth = votes[:, members].sum(axis=1) >= 2
        rest = [j for j in range(5) if j not in members]
        device.append(roc_auc_score(truth, score))
        single += [roc_auc_score(truth, votes[:, j]) for j in rest]
        pair.append(roc_auc_score(truth, votes[:, rest].sum(axis=1)))
    found = against_readers(score, votes, reference="panels", readers=NAMES, resamples=200)
    assert found.device.estimate == pytest.approx(np.mean(device), abs=1e-12)
    assert found.readers.estimate == pytest.approx(np.mean(single), abs=1e-12)
    assert found.left_out_pair.estimate == pytest.approx(np.mean(pair), abs=1e-12)
    assert found.difference.estimate == pytest.approx(np.mean(device) - np.mean(single))
    assert found.difference.lower is not None


def test_a_device_that_is_a_sixth_reader_counts_for_about_one() -> None:
    _, votes = study(n=1500, readers=6)
    found = against_readers(
        votes[:, 5].astype(float), votes[:, :5], reference="panels", readers=NAMES, resamples=200
    )
    assert found.readers_worth.estimate is not None
    assert 0.8 < found.readers_worth.estimate < 1.2


@pytest.mark.parametrize("reference", ["majority", "leave-one-out", "dawid-skene", "adjudicated"])
def test_other_references_have_no_pair_and_say_so(reference: Any) -> None:
    score, votes = study()
    found = against_readers(
        score, votes, reference=reference, readers=NAMES, adjudicator="e", resamples=100
    )
    assert found.left_out_pair.estimate is None
    assert found.left_out_pair.reason is not None
    assert found.device.lower is not None
    assert len(found.each) == (4 if reference == "adjudicated" else 5)


def test_patients_widen_the_interval() -> None:
    score, votes = study(n=100)
    twice = np.tile(score, 3), np.tile(votes, (3, 1))
    patient = np.tile(np.arange(100), 3)
    films = against_readers(*twice, reference="panels", readers=NAMES, resamples=400)
    patients = against_readers(
        *twice, reference="panels", readers=NAMES, resamples=400, patient=patient
    )
    assert films.device.lower is not None
    assert patients.device.lower is not None
    assert patients.device.lower < films.device.lower
    assert patients.n_patients == 100


def test_chexnet_f1_equals_a_loop_with_four_readers() -> None:
    score, votes = study(readers=4)
    calls = score > 0.5
    device, single = [], []
    for left_out in range(4):
        rest = [j for j in range(4) if j != left_out]
        truth = votes[:, rest].sum(axis=1) >= 2
        device.append(f1_score(truth, calls))
        single.append(f1_score(truth, votes[:, left_out]))
    ours, theirs, gap = chexnet_f1(votes, calls, resamples=300)
    assert ours.estimate == pytest.approx(np.mean(device), abs=1e-12)
    assert theirs.estimate == pytest.approx(np.mean(single), abs=1e-12)
    assert gap.estimate == pytest.approx(np.mean(device) - np.mean(single), abs=1e-12)
    assert gap.lower is not None


def test_a_margin_gives_a_verdict() -> None:
    score, votes = study(n=400)
    found = against_readers(
        score, votes, reference="panels", readers=NAMES, margin=0.3, resamples=200, threshold=0.5
    )
    assert found.noninferior is True
    assert found.device_sensitivity is not None


def test_fewer_than_three_readers_are_refused() -> None:
    score, votes = study(readers=2)
    with pytest.raises(ArgumentError, match=r"^votes"):
        against_readers(score, votes, reference="panels", readers=("a", "b"))
    score, votes = study()
    with pytest.raises(ArgumentError, match=r"^adjudicator"):
        against_readers(score, votes, reference="adjudicated", readers=NAMES)
