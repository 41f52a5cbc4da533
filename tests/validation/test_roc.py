"""AUC: expected values from pROC 1.18.0 and the Cleveland Clinic formulas (expected.json)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from validation import roc
from validation.errors import ArgumentError
from verification import verifies


def asah(example: Callable[[str], pd.DataFrame]) -> tuple[Any, pd.DataFrame]:
    frame = example("aSAH.csv")
    return (frame["outcome"] == "Poor").to_numpy().astype(int), frame


def test_delong_matches_proc(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    truth, frame = asah(example)
    expected = reference("auc_delong.aSAH.s100b")
    found = roc.auc(truth, frame["s100b"])
    assert found.se is not None
    assert (found.estimate, found.lower, found.upper, found.se**2) == pytest.approx(
        (expected["auc"], expected["lo"], expected["hi"], expected["var"]), abs=1e-12
    )
    narrow = roc.auc(truth, frame["s100b"], level=0.9)
    assert (narrow.lower, narrow.estimate, narrow.upper) == pytest.approx(
        tuple(expected["ci90"]), abs=1e-12
    )


def test_paired_delong_matches_proc(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    truth, frame = asah(example)
    expected = reference("delong_paired.aSAH.s100b_wfns")
    found = roc.compare(truth, frame["s100b"], frame["wfns"])
    assert found.statistic == pytest.approx(expected["z"], abs=1e-10)
    assert found.p_value == pytest.approx(expected["p"], abs=1e-12)
    assert found.covariance == pytest.approx(expected["cov"], abs=1e-12)
    assert found.estimate == pytest.approx(expected["diff"], abs=1e-12)
    # pROC: ci of roc.test(s100b, wfns), statistics.md section 3
    assert (found.lower, found.upper) == pytest.approx((-0.174214418, -0.010406180), abs=1e-8)


def test_unpaired_delong_matches_proc(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    truth, frame = asah(example)
    male = (frame["gender"] == "Male").to_numpy()
    expected = reference("delong_unpaired.aSAH.s100b.male_vs_female")
    s100b = frame["s100b"].to_numpy()
    found = roc.compare_independent(truth[male], s100b[male], truth[~male], s100b[~male])
    assert (found.auc_a, found.auc_b) == pytest.approx(
        (expected["auc_male"], expected["auc_female"])
    )
    assert found.statistic == pytest.approx(expected["D"], abs=1e-10)
    assert found.df == pytest.approx(expected["df"], abs=1e-8)
    assert found.p_value == pytest.approx(expected["p"], abs=1e-12)
    same = reference("delong_unpaired_as_if.aSAH.s100b_wfns")
    other = roc.compare_independent(truth, s100b, truth, frame["wfns"])
    assert (other.statistic, other.df, other.p_value) == pytest.approx(
        (same["D"], same["df"], same["p"]), abs=1e-9
    )


def test_clustered_auc_matches_obuchowski_1997(
    reference: Callable[[str], Any], example: Callable[[str], pd.DataFrame]
) -> None:
    frame = example("clustered_public.csv")
    one = reference("clustered_auc.one.clustered_public")
    found = roc.auc(frame["truth"], frame["score_a"], cluster=frame["patient"])
    assert found.estimate == pytest.approx(one["auc.A"], abs=1e-12)
    assert found.interval() == pytest.approx(tuple(one["ci.A"]), abs=1e-12)
    plain = reference("auc_delong.clustered_public")
    unclustered = roc.auc(frame["truth"], frame["score_a"])
    assert unclustered.estimate == pytest.approx(plain["auc"], abs=1e-12)
    both = reference("clustered_auc.paired.clustered_public")
    pair = roc.compare(frame["truth"], frame["score_a"], frame["score_b"], cluster=frame["patient"])
    assert pair.se is not None
    assert pair.se**2 == pytest.approx(both["var.diff"], abs=1e-12)
    assert pair.covariance == pytest.approx(both["cov.AB"], abs=1e-12)
    assert (pair.lower, pair.upper) == pytest.approx(tuple(both["ci.diff"]), abs=1e-12)
    assert pair.p_value == pytest.approx(both["p"], abs=1e-10)


def test_auc_equals_scikit_learn_with_ties(cohort: Callable[..., Any]) -> None:
    truth, score = cohort(501, seed=5)
    rounded = np.round(score, 1)
    assert roc.auc(truth, rounded).estimate == pytest.approx(
        roc_auc_score(truth, rounded), abs=1e-15
    )


def test_delong_variance_equals_the_naive_double_sum(cohort: Callable[..., Any]) -> None:
    # DeLong 1988 written out over all pairs, no sorting
    truth, score = cohort(120, seed=6)
    score = np.round(score, 1)
    pos, neg = score[truth == 1], score[truth == 0]
    psi = (pos[:, None] > neg) + 0.5 * (pos[:, None] == neg)
    variance = psi.mean(1).var(ddof=1) / pos.size + psi.mean(0).var(ddof=1) / neg.size
    found = roc.auc(truth, score)
    assert found.se is not None
    assert found.se**2 == pytest.approx(variance, rel=1e-12)


def test_one_case_a_patient_gives_delong(cohort: Callable[..., Any]) -> None:
    truth, score = cohort(200, seed=7)
    _, plain = roc.auc_covariance(truth, [score, score**2 - truth * 0.1])
    _, clustered = roc.auc_covariance(
        truth, [score, score**2 - truth * 0.1], cluster=np.arange(200)
    )
    assert clustered == pytest.approx(plain, rel=1e-12)


def test_perfect_auc_is_one_sided_with_a_reason() -> None:
    found = roc.auc([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert (found.estimate, found.upper) == (1.0, None)
    # Newcombe 2006 method 5 at AUC 1, m = n = 3, solved on paper:
    # (1-t)^2 = z^2 t(1-t)/9 (1 + 2((1-t)/(2-t) + t/(1+t))) -> t = 0.5010
    assert found.lower == pytest.approx(0.5010, abs=1e-4)
    assert found.reason is not None
    assert "Newcombe" in found.reason
    reverse = roc.auc([1, 1, 1, 0, 0, 0], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert (reverse.estimate, reverse.lower) == (0.0, None)


def test_a_single_positive_has_no_delong_interval() -> None:
    found = roc.auc([0, 0, 0, 1], [0.1, 0.2, 0.6, 0.4])
    assert found.se is None
    assert found.reason is not None
    assert "fewer than two" in found.reason


def test_wald_limits_are_cut_with_a_reason_and_logit_limits_stay_inside() -> None:
    truth = [0] * 10 + [1] * 10
    score = [*range(10), *range(8, 18)]
    wald = roc.auc(truth, score)
    assert wald.upper == 1.0
    assert wald.reason is not None
    assert "cut" in wald.reason
    logit = roc.auc(truth, score, interval="logit")
    assert logit.upper is not None
    assert logit.upper < 1.0


def test_one_positive_has_a_difference_but_no_test() -> None:
    found = roc.compare([0, 0, 0, 1], [0.1, 0.2, 0.6, 0.4], [0.1, 0.2, 0.3, 0.4])
    assert found.estimate == pytest.approx(2 / 3 - 1.0)
    assert (found.se, found.p_value) == (None, None)
    assert found.reason is not None


def test_equal_scores_have_no_test() -> None:
    truth, score = [0, 0, 1, 1, 0, 1], [0.1, 0.4, 0.35, 0.8, 0.5, 0.6]
    found = roc.compare(truth, score, score)
    assert (found.estimate, found.p_value, found.lower) == (0.0, None, None)
    assert found.reason is not None


def test_noninferiority_is_read_off_the_lower_limit(cohort: Callable[..., Any]) -> None:
    truth, score = cohort(400, seed=8)
    other = score + 0.05 * np.random.default_rng(1).normal(size=400)
    wide = roc.compare(truth, score, other, margin=0.2)
    assert wide.noninferior is True
    assert wide.p_noninferior is not None
    assert wide.p_noninferior < 0.025
    assert wide.lower is not None
    assert wide.lower > -0.2


@pytest.mark.parametrize(
    ("truth", "score", "word"),
    [
        ([1, 1], [0.1, 0.2], "one class only"),
        ([0, 2], [0.1, 0.2], "other values"),
        ([0, 1], [0.1, float("nan")], "NaN"),
        ([0, 1], [0.1], "shape"),
    ],
)
def test_bad_arrays_are_refused(truth: list[int], score: list[float], word: str) -> None:
    with pytest.raises(ArgumentError, match=word):
        roc.auc(truth, score)


cases = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-20, 20)), min_size=6, max_size=60
).filter(lambda rows: 2 <= sum(t for t, _ in rows) <= len(rows) - 2)


@settings(max_examples=60, deadline=None)
@given(rows=cases, seed=st.integers(0, 2**16))
def test_auc_does_not_change_with_order_or_monotone_scale(
    rows: list[tuple[int, int]], seed: int
) -> None:
    truth = np.array([t for t, _ in rows])
    score = np.array([float(s) for _, s in rows])
    order = np.random.default_rng(seed).permutation(truth.size)
    found = roc.auc(truth, score)
    for same in (roc.auc(truth[order], score[order]), roc.auc(truth, np.exp(score / 5.0))):
        assert same.estimate == pytest.approx(found.estimate, abs=1e-12)
        assert same.se == pytest.approx(found.se, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(rows=cases)
def test_swapped_classes_and_turned_scores_mirror_the_auc(rows: list[tuple[int, int]]) -> None:
    truth = np.array([t for t, _ in rows])
    score = np.array([float(s) for _, s in rows])
    found = roc.auc(truth, score)
    assert found.estimate is not None
    assert roc.auc(1 - truth, score).estimate == pytest.approx(1.0 - found.estimate, abs=1e-12)
    assert roc.auc(1 - truth, -score).estimate == pytest.approx(found.estimate, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(rows=cases, seed=st.integers(0, 2**16))
def test_renamed_patients_give_the_same_clustered_auc(
    rows: list[tuple[int, int]], seed: int
) -> None:
    truth = np.array([t for t, _ in rows])
    score = np.array([float(s) for _, s in rows])
    patients = np.arange(truth.size) // 2
    names = np.random.default_rng(seed).permutation(truth.size)[patients]
    first = roc.auc(truth, score, cluster=patients)
    assert roc.auc(truth, score, cluster=names).se == pytest.approx(first.se, abs=1e-12)


@verifies("SRS-342@10924868", level="unit")
def test_patients_of_another_length_are_refused() -> None:
    truth, score = [0, 1, 0, 1], [0.1, 0.9, 0.3, 0.4]
    with pytest.raises(ArgumentError, match=r"^cluster: shape \(3,\)"):
        roc.compare(truth, score, score[::-1], cluster=[1, 2, 3])
