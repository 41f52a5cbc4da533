"""The injection experiment: its interval, and that it covers what it says."""

import json
from pathlib import Path

import pytest

from verification import items
from verification.injection import EXPERIMENTS, INJECTIONS, lower_bound
from verification.repository import Repository

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("detected", "tried", "bound"),
    [
        (100, 100, 0.9705),  # 0.05 ** (1 / 100)
        (300, 300, 0.9901),  # 0.05 ** (1 / 300)
        (8, 10, 0.4439),  # Clopper and Pearson 1934, two-sided 95 %
        (0, 10, 0.0),
    ],
)
def test_lower_bound(detected: int, tried: int, bound: float) -> None:
    assert lower_bound(detected, tried) == pytest.approx(bound, abs=1e-4)


def test_each_injection_belongs_to_the_control_of_its_code() -> None:
    pytest.importorskip("sphinx_needs")
    found = items.load(Repository(ROOT)).by_id
    for name, (code, _) in INJECTIONS.items():
        assert found[name].get("code") == code
        assert found[name].get("effectiveness").endswith(f"#/{name}")


def test_every_control_that_names_a_measured_rate_has_an_experiment() -> None:
    pytest.importorskip("sphinx_needs")
    measured = {
        item.id
        for item in items.load(Repository(ROOT)).of("control")
        if item.judged and item.get("effectiveness").startswith("risk/results/controls.json#/")
    }
    assert measured == {*INJECTIONS, *EXPERIMENTS}
    assert not set(INJECTIONS) & set(EXPERIMENTS)


def test_committed_rates_count_what_they_tried() -> None:
    record = ROOT / "risk" / "results" / "controls.json"
    if not record.is_file():
        pytest.skip("no shared data: controls.json is not committed")
    for name, row in json.loads(record.read_text("utf-8")).items():
        assert 0 <= row["detected"] <= row["tried"], name
        assert row["lower"] == pytest.approx(lower_bound(row["detected"], row["tried"]), abs=1e-4)
