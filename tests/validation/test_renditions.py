"""Score differences between forms of a film: the quantile, its interval, and flag changes."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from validation.errors import ArgumentError, TableError
from validation.renditions import differences, quantile, read_renditions


def test_the_interval_of_a_median_is_the_textbook_one() -> None:
    # Conover 1999, section 3.2: n 10, median, X(2) to X(9), coverage 0.9785
    found = quantile(np.arange(1.0, 11.0), q=0.5)
    assert (found.estimate, *found.interval()) == (5.0, 2.0, 9.0)


@pytest.mark.parametrize(("n", "q"), [(100, 0.95), (60, 0.9), (400, 0.99), (205, 0.5)])
def test_the_interval_covers_at_its_level(n: int, q: float) -> None:
    rng, covered = np.random.default_rng(3), 0
    truth = float(stats.norm.ppf(q))
    for _ in range(2000):
        low, high = quantile(rng.normal(size=n), q=q).interval()
        covered += (low is None or low <= truth) and (high is None or truth <= high)
    assert covered / 2000 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 2000)


def test_a_small_sample_has_no_upper_limit_and_says_so() -> None:
    found = quantile(np.arange(20.0), q=0.95)
    assert found.interval()[1] is None
    assert found.reason is not None
    with pytest.raises(ArgumentError):
        quantile(np.array([]), q=0.95)


def test_differences_are_told_apart_by_form(tmp_path: Path) -> None:
    rows = ["case,rendition,reference,score"]
    rows += [f"f{i},large,0.{i:02},0.{i:02}" for i in range(10, 30)]
    rows += [f"f{i},window,0.{i:02},0.{i + 2:02}" for i in range(10, 30)]
    path = tmp_path / "renditions.csv"
    path.write_text("\n".join(rows) + "\n")
    frame, _ = read_renditions(path)
    large, window = differences(frame, threshold=0.20)
    assert large.bound.estimate == 0.0
    assert large.flips.estimate == 0.0
    assert window.mean_difference == pytest.approx(0.02)
    assert window.largest_difference == pytest.approx(0.02)
    assert window.flips.estimate == pytest.approx(2 / 20)  # 0.18 and 0.19 become 0.20 and 0.21


@pytest.mark.parametrize(
    ("row", "told"),
    [("f1,large,0.1,1.2", "1.2"), ("f1,large,x,0.2", "'x'"), ("f0,large,0.1,0.2", "twice")],
)
def test_a_wrong_cell_is_refused_by_name(row: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "renditions.csv"
    path.write_text(f"case,rendition,reference,score\nf0,large,0.1,0.1\n{row}\n")
    with pytest.raises(TableError, match=told):
        read_renditions(path)
