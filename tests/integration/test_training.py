"""Training: which labels teach, and what `tune` decides."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verification import verifies

pytest.importorskip("torch", reason="torch is not installed")

from cxr_device.calibration import Calibration
from cxr_device.decision import OperatingPoint, is_suspected
from cxr_device.network import HEADS
from cxr_device.training.films import read_manifests, targets
from cxr_device.training.lock import (
    SENSITIVITY_FLOOR,
    endpoint,
    operating_threshold,
    platt,
    tuned_point,
)


def films(*rows: tuple[str, str, str, int]) -> pd.DataFrame:
    """Films by source, view, findings and mined pneumonia label."""
    table = pd.DataFrame(rows, columns=["source", "view", "finding_labels", "label_pneumonia"])
    table["rsna_target"] = 1
    return table


@verifies("SRS-165@d4a358d4", "RC-165@d4245893", level="integration")
def test_only_nih_findings_teach_and_unknown_ones_are_left_out() -> None:
    table = films(
        ("a", "PA", "Consolidation|Effusion", 0), ("a", "PA", "Pneumonia", 1),
        ("a", "AP", "Pneumonia (with others?)", 1), ("b", "PA", "No Finding", 0),
    )  # fmt: skip
    found = pd.DataFrame(targets(table), columns=HEADS)
    assert found["Airspace"].fillna(-1).tolist() == [1, -1, -1, 0]
    assert found["Pneumonia"].fillna(-1).tolist() == [0, 1, 1, -1]  # source b has one class
    assert found["Effusion"].fillna(-1).tolist() == [1, 0, -1, 0]
    assert found["Any"].tolist() == [1, 1, 1, 0]
    without = targets(table.drop(columns="rsna_target"))
    assert np.array_equal(without, found.to_numpy(dtype=np.float32), equal_nan=True)


@verifies("SRS-165@d4a358d4", "RC-165@d4245893", level="integration")
def test_no_patient_stands_in_two_splits(shared_data: Path) -> None:
    table = read_manifests(
        [shared_data / "nih/manifest.csv", shared_data / "nih_extra/manifest.csv"]
    )
    patients = table.groupby("split")["patient_id"].agg(set)
    assert not patients["train"] & patients["tune"]
    assert not (patients["train"] | patients["tune"]) & patients["test"]


@verifies("SRS-165@d4a358d4", "RC-165@d4245893", level="integration")
def test_excluded_rows_and_second_copies_are_left_out(tmp_path: Path) -> None:
    rows = {
        "file": ["s/1.jpg", "s/2.jpg", "t/3.jpg"], "use": ["yes", "excluded: under 18", "yes"],
        "nih_name": ["n1", "n2", "n1"], "orig_w": [300, 1024, 1024], "view": ["PA", "PA", "AP"],
        "age": [40, 12, 40],
    }  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "manifest.csv", index=False)
    assert read_manifests([tmp_path / "manifest.csv"])["file"].tolist() == ["t/3.jpg"]


@verifies("SRS-164@f5c210e6", "RC-164@7c14f81f", level="integration")
@given(
    values=st.lists(
        st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=5, max_size=80
    ).filter(lambda v: any(t for _, t in v)),
    floor=st.sampled_from([0.5, 0.8, 0.95]),
)
def test_the_threshold_keeps_its_floor_and_no_higher_one_would(
    values: list[tuple[float, bool]], floor: float
) -> None:
    probability = np.array([p for p, _ in values])
    truth = np.array([t for _, t in values])
    at = operating_threshold(probability, truth, floor=floor)
    assert (probability[truth] >= at).mean() >= floor
    assert (probability[truth] > at).mean() < floor


@verifies("SRS-164@f5c210e6", "RC-164@7c14f81f", level="integration")
def test_the_device_flags_the_film_that_is_the_threshold() -> None:
    rng = np.random.default_rng(7)
    for _ in range(200):
        score, truth = rng.normal(size=30), np.arange(30) % 3 == 0
        calibration = Calibration(slope=rng.uniform(0.3, 4), offset=rng.uniform(-3, 21))
        found = tuned_point(score, truth, calibration)
        at = OperatingPoint(identifier="X", threshold=found.threshold)
        probability = np.array([calibration.probability(float(value)) for value in score])
        sensitivity = is_suspected(probability, at)[truth].mean()
        assert sensitivity == found.sensitivity >= SENSITIVITY_FLOOR


def test_platt_finds_the_line_that_made_the_outcomes() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=40_000)
    truth = rng.random(40_000) < 1 / (1 + np.exp(-(1.7 * score - 0.6)))
    slope, offset = platt(score, truth)
    assert slope == pytest.approx(1.7, abs=0.06)
    assert offset == pytest.approx(-0.6, abs=0.05)


def test_the_endpoint_names_three_findings() -> None:
    table = films(
        ("a", "PA", "Effusion|Infiltration", 0), ("a", "PA", "Pneumonia (with others?)", 1),
        ("a", "PA", "Edema", 0),
    )  # fmt: skip
    assert endpoint(table).tolist() == [True, True, False]
