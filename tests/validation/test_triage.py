"""Queue, decision curve and shortcut audit: queueing theory, closed forms, planted shortcuts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from validation import shortcuts
from validation.bootstrap import Resampling
from validation.decision_curve import decision_curve
from validation.errors import ArgumentError, TableError
from validation.tables import read_cases, read_table
from validation.triage import Workload, simulate, waits
from verification import verifies


def test_waits_by_hand() -> None:
    arrival, reading = np.array([0.0, 1.0, 2.0]), np.array([5.0, 3.0, 4.0])
    plain = waits(arrival, reading, np.array([False, False, False]), 1)
    assert plain.tolist() == [5.0, 7.0, 10.0]
    first = waits(arrival, reading, np.array([False, False, True]), 1)
    assert first.tolist() == [5.0, 11.0, 7.0]  # film 3 passes film 2, film 1 is finished


def test_queue_matches_cobham() -> None:
    # M/M/1, non-preemptive priority (Cobham 1954): lambda 8/h, mean 6 min (load 0.8), a perfect
    # device with 20 % positives: W1 = R / (1 - rho1), W = R / ((1 - rho1)(1 - rho)),
    # R = rho * 6 = 4.8 min, so 5.714 and 28.57 min of waiting, 24 without the device
    truth = np.array([1] * 20 + [0] * 80)
    load = Workload(arrivals_per_hour=8, reading_minutes=6, hours=1500)
    found = simulate(truth, truth == 1, load, runs=12)
    assert found.load == pytest.approx(0.8)
    assert found.with_finding_with_device.estimate == pytest.approx(5.714 + 6, rel=0.04)
    assert found.with_finding_without_device.estimate == pytest.approx(24 + 6, rel=0.1)
    assert found.without_finding_difference.estimate == pytest.approx(28.57 - 24, rel=0.15)


def test_an_overloaded_room_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^workload: load 1\.200"):
        Workload(arrivals_per_hour=12, reading_minutes=6)


def test_net_benefit_by_hand() -> None:
    # 10 cases, 4 positive; at 0.2: 3 true, 2 false positives: 3/10 - 2/10 * 0.25 = 0.25
    truth = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    p = [0.9, 0.5, 0.3, 0.1, 0.4, 0.2, 0.1, 0.1, 0.1, 0.1]
    (found,) = decision_curve(truth, p, thresholds=[0.2], resampling=Resampling(resamples=50))
    assert found.score.estimate == pytest.approx(0.25)
    assert found.flag_all == pytest.approx(0.4 - 0.6 * 0.25)


@pytest.fixture
def planted(table: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two sources with different prevalence; within a source nothing tells the class."""
    rng = np.random.default_rng(3)
    source = np.repeat(["a", "b"], 150)
    truth = (rng.random(300) < np.where(source == "a", 0.1, 0.7)).astype(int)
    names = [f"f{i:03d}" for i in range(300)]
    score = np.clip(rng.normal(0.3 + 0.3 * truth, 0.15), 0, 1)
    cases = table(case_id=names, truth=truth, score=score, source=source)
    manifest = table(
        case_id=names,
        file=[f"{n}.png" for n in names],
        width=rng.integers(500, 1000, 300),
        source=source,
        label_pneumonia=truth,
    )
    return cases, manifest, tmp_path


def test_the_audit_finds_a_planted_source_and_loses_it_within(
    planted: tuple[Path, Path, Path],
) -> None:
    cases, manifest, _ = planted
    found = shortcuts.audit(read_cases(cases), read_table(manifest)[0])
    assert not any("label" in name for name in found.features)
    whole, *within = found.strata
    assert whole.without_anatomy.estimate is not None
    assert whole.without_anatomy.estimate > 0.7
    for one in within:
        assert one.without_anatomy.estimate == pytest.approx(0.5, abs=0.15)
        assert one.difference is not None
        assert one.difference.estimate > 0.2


def test_films_are_read_where_they_lie(planted: tuple[Path, Path, Path]) -> None:
    cases, manifest, folder = planted
    rng = np.random.default_rng(1)
    for name in pd.read_csv(manifest)["file"]:
        Image.fromarray(rng.integers(0, 255, (20, 16), dtype=np.uint8)).save(folder / name)
    found = shortcuts.audit(
        read_cases(cases), read_table(manifest)[0], folder=folder, features=["width"]
    )
    assert found.films_read == 300
    assert shortcuts.film_features(folder / "f000.png").shape == (85,)


def test_the_verb_writes_its_audit(
    validate: Callable[..., Any], planted: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    cases, manifest, _ = planted
    result = validate("shortcuts", manifest, "--scores", cases, "--out", tmp_path / "s")
    assert result.exit_code == 0, result.output
    assert "without anatomy" in result.output
    bad = validate(
        "shortcuts", manifest, "--scores", cases, "--out", tmp_path / "t", "--key", "nih_name"
    )
    assert bad.exit_code == 2
    assert not (tmp_path / "t").exists()


def test_a_manifest_of_other_films_is_refused(
    planted: tuple[Path, Path, Path], table: Callable[..., Path]
) -> None:
    other = table(case_id=["x", "y"], width=[1, 2])
    with pytest.raises(TableError, match="no case of CASES"):
        shortcuts.audit(read_cases(planted[0]), read_table(other)[0])


@verifies("SRS-340@6fd4c744", level="unit")
def test_a_threshold_above_every_score_has_no_interval_of_benefit() -> None:
    few = Resampling(resamples=20)
    (found,) = decision_curve([0, 1, 0, 1], [0.1, 0.4, 0.2, 0.3], thresholds=[0.5], resampling=few)
    assert (found.score.estimate, found.score.lower, found.score.upper) == (0.0, None, None)
    assert found.score.reason == "every resample gives the same value: no interval"
