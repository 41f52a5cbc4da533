"""Reference standards: epiR, Dawid and Skene's own data, closed forms, and by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from validation import reference_standard as rs
from validation.confusion import Confusion
from validation.errors import ArgumentError
from validation.proportions import Method

VOTES = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 0, 0], [1, 1, 0, 0, 1], [0, 0, 0, 0, 0]])


def test_majority_panels_and_leave_one_out_by_hand() -> None:
    assert rs.majority(VOTES).tolist() == [True, False, True, False]
    assert rs.majority(VOTES[:, :4]).tolist() == [True, False, False, False]
    assert rs.majority(VOTES[:, :4], ties="positive").tolist() == [True, False, True, False]
    found = list(rs.panels(VOTES))
    assert len(found) == 10
    assert found[0].members == (0, 1, 2)
    assert found[0].left_out == (3, 4)
    assert found[-1].truth.tolist() == [False, False, False, False]  # readers 2, 3, 4
    first = next(iter(rs.leave_one_reader_out(VOTES)))
    assert (first.left_out, first.truth.tolist()) == ((0,), [False, False, False, False])


def test_adjudication_decides_only_disagreement() -> None:
    final = rs.adjudicated(VOTES[:, :2], [0, 1, 0, 1])
    assert final.tolist() == [True, False, True, False]
    assert rs.adjudicated(VOTES[:, 2:4], [0, 1, 0, 1]).tolist() == [False, True, False, False]


def test_dawid_skene_matches_the_maximum_likelihood(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    expected = reference("dawid_skene.anesthesia")
    frame = example("dawid_skene_anesthesia.csv")
    found = rs.dawid_skene(frame["item"] - 1, frame["rater"] - 1, frame["rating"] - 1)
    assert found.converged
    assert found.prevalence == pytest.approx(np.array(expected["prevalence"]), abs=1e-9)
    assert found.log_likelihood == pytest.approx(expected["loglik"], abs=1e-9)
    assert found.error_rates == pytest.approx(np.array(expected["error_rates"]), abs=1e-6)
    assert (found.posterior.argmax(axis=1) + 1).tolist() == expected["labels"]
    # Dawid and Skene 1979 print 0.40 0.42 0.11 0.07
    assert found.prevalence.round(2).tolist() == [0.40, 0.42, 0.11, 0.07]


def test_dawid_skene_finds_the_truth_that_made_the_votes() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random(2000) < 0.3
    skill = np.array([0.95, 0.9, 0.8, 0.7, 0.6])
    right = rng.random((2000, 5)) < skill
    votes = np.where(right, truth[:, None], ~truth[:, None])
    case, reader = np.indices(votes.shape)
    found = rs.dawid_skene(case.ravel(), reader.ravel(), votes.ravel().astype(int))
    assert found.prevalence[1] == pytest.approx(0.3, abs=0.03)
    assert found.error_rates[:, 1, 1] == pytest.approx(skill, abs=0.06)
    better = ((found.posterior[:, 1] > 0.5) == truth).mean()
    assert better > (rs.majority(votes.astype(int)) == truth).mean()


@pytest.mark.parametrize(
    ("name", "method"), [("c-p", "clopper-pearson"), ("wilson", "wilson"), ("blaker", "blaker")]
)
def test_rogan_gladen_matches_epir(
    reference: Callable[[str], Any], name: str, method: Method
) -> None:
    expected = reference(f"rogan_gladen.{name}.4_14_0.85_0.94")["tp"]
    found = rs.rogan_gladen(4, 14, sensitivity=0.85, specificity=0.94, method=method)
    assert (found.estimate, found.lower, found.upper) == pytest.approx(tuple(expected), abs=1e-9)


def test_begg_greenes_matches_the_closed_form(reference: Callable[[str], Any]) -> None:
    expected = reference("begg_greenes.public.231_32_166__27_54_140")
    found = rs.begg_greenes(positive=(231, 32, 166), negative=(27, 54, 140))
    assert found == pytest.approx((expected["sens"], expected["spec"]), abs=1e-12)


def test_label_noise_recovers_the_table_it_was_made_from() -> None:
    # 1,000 cases, prevalence 0.3, device 0.9 / 0.8, label 0.8 / 0.95, independent given truth:
    # expected counts by hand
    tp = 300 * 0.9 * 0.8 + 700 * 0.2 * 0.05
    fp = 300 * 0.9 * 0.2 + 700 * 0.2 * 0.95
    fn = 300 * 0.1 * 0.8 + 700 * 0.8 * 0.05
    table = Confusion(tp=round(tp), fp=round(fp), fn=round(fn), tn=1000 - round(tp + fp + fn))
    (found,) = rs.label_noise(table, sensitivities=[0.8], specificities=[0.95])
    assert (found.prevalence, found.sensitivity, found.specificity) == pytest.approx(
        (0.3, 0.9, 0.8), abs=0.005
    )
    (impossible,) = rs.label_noise(
        Confusion(tp=1, fp=50, fn=1, tn=48), sensitivities=[0.8], specificities=[0.8]
    )
    assert impossible.sensitivity is None
    assert impossible.reason is not None


def test_votes_and_sizes_are_checked() -> None:
    with pytest.raises(ArgumentError, match=r"^votes"):
        rs.majority([[0, 2], [1, 1]])
    with pytest.raises(ArgumentError, match=r"^size"):
        list(rs.panels(VOTES, size=2))
