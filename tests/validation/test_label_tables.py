"""What the label prints beside the main figures: counts per 1,000, limitations, sample size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from validation import pivotal, tables
from validation.errors import ArgumentError, ProtocolError
from validation.limitations import subgroup_table
from validation.prevalence import restate
from validation.standalone import Options, Standalone, study
from verification import verifies


@pytest.fixture
def measured(table: Callable[..., Path]) -> Callable[..., Standalone]:
    """Return a maker: a study of `right` of `n` flagged with, and `quiet` of `m` not without."""

    def make(*groups: tuple[str, int, int, int, int], clustered: bool = False) -> Standalone:
        rows = []
        for name, right, n, quiet, m in groups:
            rows += [(name, 1, 0.9 if i < right else 0.1) for i in range(n)]
            rows += [(name, 0, 0.1 if i < quiet else 0.9) for i in range(m)]
        names, truth, score = zip(*rows, strict=True)
        path = table(
            case_id=[f"c{i}" for i in range(len(rows))],
            patient_id=[f"p{i // 2}" for i in range(len(rows))],
            truth=truth,
            score=score,
            view=names,
        )
        cluster = "patient_id" if clustered else None
        cases = tables.read_cases(path, cluster=cluster, groups=("view",))
        return study(cases, Options(threshold=0.5, bootstrap=0))

    return make


@verifies("SRS-210@1f5e482c", "RC-203@a9bc1b37", level="unit")
def test_counts_per_thousand_films_are_those_of_arithmetic(
    measured: Callable[..., Standalone],
) -> None:
    """Sensitivity 90 of 100, specificity 160 of 200: at 10 %, 90 of 1,000 are flagged rightly."""
    rows = restate(measured(("PA", 90, 100, 160, 200)), (0.10,))
    first, sample = rows
    counts = ("true_positive", "false_negative", "false_positive", "true_negative")
    assert [getattr(first, name).estimate for name in counts] == pytest.approx([90, 10, 180, 720])
    assert first.ppv.estimate == pytest.approx(90 / 270)
    assert first.npv.estimate == pytest.approx(720 / 730)
    assert sample.of_sample
    assert sample.prevalence == pytest.approx(1 / 3)
    assert sample.ppv.estimate == pytest.approx(90 / 130)


@verifies("SRS-210@1f5e482c", level="unit")
def test_predictive_values_have_mercaldos_interval(measured: Callable[..., Standalone]) -> None:
    """On independent cases the interval is that of `Confusion.ppv_at` (Mercaldo 2007)."""
    found = measured(("PA", 90, 100, 160, 200))
    row = restate(found, (0.05,))[0]
    for ours, theirs in (
        (row.ppv, found.table.ppv_at(0.05)),
        (row.npv, found.table.npv_at(0.05)),
    ):
        assert ours.interval() == pytest.approx(theirs.interval(), abs=1e-12)


@verifies("SRS-210@1f5e482c", level="unit")
def test_predictive_values_widen_between_patients(measured: Callable[..., Standalone]) -> None:
    groups = ("PA", 90, 100, 160, 200)
    plain = restate(measured(groups), (0.05,))[0].ppv
    patients = restate(measured(groups, clustered=True), (0.05,))[0].ppv
    assert patients.clusters == 150
    assert patients.lower is not None
    assert plain.lower is not None
    assert patients.lower < plain.lower


def test_a_prevalence_of_one_is_refused(measured: Callable[..., Standalone]) -> None:
    with pytest.raises(ArgumentError, match="prevalence"):
        restate(measured(("PA", 90, 100, 160, 200)), (1.0,))


def test_a_sensitivity_of_one_is_restated_with_its_reason(
    measured: Callable[..., Standalone],
) -> None:
    row = restate(measured(("PA", 20, 20, 160, 200)), (0.05,))[0]
    assert row.npv.estimate == 1.0
    assert row.false_negative.estimate == 0.0
    assert row.false_negative.upper is not None
    assert row.npv.reason is not None or row.npv.lower is not None


@verifies("SRS-210@1f5e482c", "RC-203@a9bc1b37", level="unit")
def test_each_bound_that_is_not_above_the_floor_is_a_limitation(
    measured: Callable[..., Standalone],
) -> None:
    """Clopper-Pearson of 95 of 100 begins at 0.887 (R binom.test): above 0.85, not above 0.9."""
    found = measured(("AP", 95, 100, 95, 100), ("PA", 60, 100, 95, 100), ("LL", 3, 3, 95, 100))
    at = {
        floor: {
            (x.stratum, x.measure): x.reason
            for x in subgroup_table([("readers", found)], floor=floor).limitations
        }
        for floor in (0.85, 0.9)
    }
    assert set(at[0.85]) == {("PA", "sensitivity"), ("LL", "sensitivity")}
    assert "does not exceed the floor on 100 films" in at[0.85]["PA", "sensitivity"]
    assert at[0.85]["LL", "sensitivity"].startswith("3 films of this class")
    assert len(at[0.9]) == 6
    assert "too wide" in at[0.9]["AP", "sensitivity"]


def test_a_stratum_of_one_class_is_a_limitation_with_its_reason(
    measured: Callable[..., Standalone],
) -> None:
    found = measured(("AP", 95, 100, 95, 100), ("PA", 0, 0, 95, 100))
    failing = subgroup_table([("readers", found)], floor=0.5).limitations
    assert [(x.stratum, x.measure, x.lower) for x in failing] == [("PA", "sensitivity", None)]
    assert failing[0].reason.startswith("no film of this class")


@verifies("SRS-210@1f5e482c", level="unit")
def test_the_sample_size_follows_the_performance_standard() -> None:
    """The films reach the planned power, and one criterion of the three decides their number."""
    from scipy import stats  # noqa: PLC0415

    standard = pivotal.load_pivotal()
    found = pivotal.sample_size(standard)
    needs = {need.endpoint: need for need in found["rows"]}  # type: ignore[attr-defined]
    assert found["films"] == max(need.films for need in needs.values())
    sensitivity = needs["sensitivity"]
    n = int(sensitivity.with_finding / 1.06)
    critical = int(stats.binom.isf(0.025, n, sensitivity.bound)) + 1
    assert float(stats.binom.sf(critical - 1, n, sensitivity.expected)) >= 0.9
    share = sensitivity.with_finding / sensitivity.films
    assert share == pytest.approx(standard.assumptions["prevalence"], abs=0.001)
    assert found["films_enrolled"] == int(np.ceil(sensitivity.films / 0.9))


@pytest.mark.parametrize(
    ("find", "replace", "named"),
    [
        ("auc = 0.80", "auc = 1.80", "criteria.auc = 1.8"),
        ("auc = 0.80", 'auc = "high"', "criteria.auc = high"),
        ("points = [0.01, 0.05, 0.15]", "points = []", "prevalence.points"),
        ("power = 0.90", "", "sample_size.power = None"),
        ("[criteria]", "[criteria", "TOML"),
    ],
)
def test_a_damaged_performance_standard_is_refused(
    tmp_path: Path, find: str, replace: str, named: str
) -> None:
    path = tmp_path / "pivotal.toml"
    path.write_text(pivotal.FILE.read_text("utf-8").replace(find, replace, 1), "utf-8")
    with pytest.raises(ProtocolError, match=named):
        pivotal.load_pivotal(path)
