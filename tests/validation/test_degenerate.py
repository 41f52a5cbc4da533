"""Studies at their edge: one patient of a class, one category, no film of a kind, odd protocols."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import validation
from validation import (
    agreement,
    chexpert,
    comparison,
    roc,
    sample_size,
    shortcuts,
    standalone,
    subgroups,
)
from validation import reference_standard as standard
from validation.against_readers import against_readers
from validation.confusion import Confusion
from validation.decision_curve import decision_curve
from validation.errors import ArgumentError, DesignError, ProtocolError, TableError
from validation.limitations import subgroup_table
from validation.mrmc import Metric, Mrmc, obuchowski_rockette
from validation.pivotal import FILE, load_pivotal
from validation.proportions import proportion
from validation.protocol import append_look, load_protocol, read_looks, same_look
from validation.reader_covariance import CovarianceMethod
from validation.readers_tables import joined_votes, reads_from_findings
from validation.standalone_report import report
from validation.tables import read_cases, read_ratings
from validation.triage import Workload, simulate
from verification import verifies

PROTOCOL = Path(validation.__file__).parent / "protocol.toml"
TABLE = Confusion(tp=40, fp=10, fn=10, tn=40)


# --- AUC between patients, where there is no variance ---


@verifies("SRS-380@6501acdb", level="unit")
def test_perfect_separation_of_two_patients_a_class_has_the_limit_of_two_cases_a_class() -> None:
    patients = np.repeat(["a", "b", "c", "d"], 50)
    truth = np.repeat([0, 0, 1, 1], 50)
    found = roc.auc(truth, truth * 0.8, cluster=patients)
    alone = roc.auc([0, 0, 1, 1], [0.0, 0.0, 0.8, 0.8])
    assert found.interval() == alone.interval()
    assert alone.lower is not None
    assert alone.lower < 0.6
    assert "each patient counted as one case" in str(found.reason)


@verifies("SRS-380@6501acdb", level="unit")
def test_one_patient_with_the_finding_counts_once() -> None:
    rng = np.random.default_rng(4)
    truth = np.repeat([0, 1], 100)
    patients = np.concatenate((np.arange(100), np.full(100, 1000)))
    found = roc.auc(truth, rng.random(200), cluster=patients)
    assert found.lower is not None
    assert found.upper is not None
    assert found.upper - found.lower > 0.7  # one case of a class says next to nothing


@verifies("SRS-380@6501acdb", level="unit")
def test_a_constant_score_has_two_limits_and_says_no_other_thing() -> None:
    found = roc.auc([0, 0, 1, 1], [0.5] * 4)
    assert None not in found.interval()
    assert "one-sided" not in str(found.reason)


@verifies("SRS-380@6501acdb", level="unit")
def test_wilson_at_both_ends_holds_its_estimate() -> None:
    for n in range(1, 60):
        assert proportion(n, n, method="wilson").upper == 1.0
        assert proportion(0, n, method="wilson").lower == 0.0
    assert "leave out" in str(proportion(0, 30, method="jeffreys").reason)


# --- reader studies ---


def readings(positives: int, negatives: int, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        (reader, modality, f"c{case}", int(case < positives), rng.normal() + (case < positives))
        for modality in ("a", "b")
        for reader in ("r", "s")
        for case in range(positives + negatives)
    ]
    return pd.DataFrame(rows, columns=["reader", "modality", "case", "truth", "rating"])


def analysed(reads: pd.DataFrame, **options: Any) -> Mrmc:
    return obuchowski_rockette(
        reads, **{"covariance": "delong", "readers": "random", "cases": "random", **options}
    )


@verifies("SRS-381@94fa234c", level="unit")
@pytest.mark.parametrize("covariance", ["delong", "jackknife", "bootstrap", "unbiased"])
@pytest.mark.parametrize("kind", ["auc", "sensitivity", "partial-auc"])
def test_one_case_of_a_class_has_no_variance(covariance: CovarianceMethod, kind: Any) -> None:
    with pytest.raises(DesignError, match="one case with the finding"):
        analysed(readings(1, 4), covariance=covariance, metric=Metric(kind=kind, threshold=0.5))
    patients = readings(5, 5)
    patients["patient"] = [
        "p" if t else c for c, t in zip(patients.case, patients.truth, strict=True)
    ]
    if covariance != "unbiased":
        with pytest.raises(DesignError, match="one patient with the finding"):
            analysed(
                patients,
                covariance=covariance,
                metric=Metric(kind=kind, threshold=0.5),
                cluster="patient",
            )


@verifies("SRS-381@94fa234c", level="unit")
def test_the_class_that_is_not_measured_may_be_small() -> None:
    found = analysed(readings(6, 1), metric=Metric(kind="sensitivity", threshold=0.5))
    assert np.isfinite(found.differences[0].se)


@verifies("SRS-381@94fa234c", level="unit")
def test_truth_of_a_reader_study_is_0_or_1_and_one_a_case() -> None:
    other = readings(5, 5)
    other.loc[other.case == "c7", "truth"] = 2
    with pytest.raises(DesignError, match="'2' for case 'c7'"):
        analysed(other)
    mixed = readings(5, 5)
    mixed.loc[3, "truth"] = 0
    with pytest.raises(DesignError, match="0 and 1 for case 'c3'"):
        analysed(mixed)
    empty = readings(5, 5)
    empty.loc[4, "reader"] = None
    with pytest.raises(DesignError, match="reader: missing"):
        analysed(empty)
    with pytest.raises(DesignError, match="threshold nan"):
        Metric(kind="sensitivity", threshold=float("nan"))


@verifies("SRS-381@94fa234c", level="unit")
def test_a_reader_whose_ratings_agree_has_no_interval_of_the_difference() -> None:
    reads = readings(5, 5)
    own = reads.reader == "r"
    reads.loc[own & (reads.modality == "b"), "rating"] = reads.loc[
        own & (reads.modality == "a"), "rating"
    ].to_numpy()
    first, second = analysed(reads).reader_differences
    assert (first.lower, first.upper) == (None, None)
    assert first.reason == "the variance of the difference is 0"
    assert second.lower is not None


@verifies("SRS-381@94fa234c", level="unit")
def test_a_partial_area_ends_at_its_band() -> None:
    found = analysed(readings(9, 9), covariance="jackknife", metric=Metric(kind="partial-auc"))
    assert all(m.upper is not None and m.upper <= 0.2 + 1e-12 for m in found.modalities)


@verifies("SRS-381@94fa234c", level="integration")
@pytest.mark.parametrize("resamples", [0, 1])
def test_two_resamples_are_not_made_of_none(
    validate: Callable[..., Any], tmp_path: Path, resamples: int
) -> None:
    reads = tmp_path / "reads.csv"
    readings(5, 5).to_csv(reads, index=False)
    given = ("mrmc", reads, "--covariance", "bootstrap", "--out", tmp_path / "o")
    result = validate(*given, "--bootstrap", resamples)
    assert result.exit_code == 2
    assert "resamples" in result.output
    assert validate(*given, "--bootstrap", 50, "--seed", 3).exit_code == 0
    found = json.loads((tmp_path / "o" / "results.json").read_text("utf-8"))
    assert "bootstrap (50 resamples, seed 3)" in found["method"]


# --- agreement ---


@verifies("SRS-382@d911eb53", level="unit")
def test_limits_of_agreement_stay_in_its_range() -> None:
    ratings = np.array([[0, 1], [1, 0], [0, 1], [0, 0]], dtype=float)
    for one in (agreement.fleiss, agreement.gwet, agreement.krippendorff, agreement.conger):
        found = one(ratings)
        assert found.lower == -1.0
        assert "cut at [-1, 1]" in str(found.reason)
    assert agreement.cohen(ratings[:, 0], ratings[:, 1]).kappa.lower == -1.0


@verifies("SRS-382@d911eb53", level="unit")
def test_a_kappa_of_0_without_a_variance_is_not_called_perfect() -> None:
    found = agreement.cohen([1] * 10, [0, 1] * 5).kappa
    assert found.estimate == 0.0
    assert found.lower is None
    assert "perfect" not in str(found.reason)
    assert "one category" in str(found.reason)
    assert "perfect" in str(agreement.cohen([0, 1] * 5, [0, 1] * 5).kappa.reason)


@verifies("SRS-382@d911eb53", level="unit")
def test_a_variance_below_0_by_rounding_is_no_error() -> None:
    found = agreement.light(np.array([[0, 1], [1, 0], [0, 1], [0, 0]], dtype=float))
    assert found.estimate == pytest.approx(-0.5)
    with pytest.raises(ArgumentError, match="one category"):
        agreement.fleiss_test(np.zeros((5, 3)))


@verifies("SRS-382@d911eb53", level="unit")
def test_long_codes_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "ratings.parquet"
    codes = [1234567.0, 1234568.0, 1234567.0, 1234567.0]
    pd.DataFrame({"case": list("aabb"), "reader": list("rsrs"), "rating": codes}).to_parquet(path)
    assert read_ratings(path)[0]["rating"].nunique() == 2


# --- protocol and ledger ---


@verifies("SRS-383@6c943d73", level="unit")
@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("level = 0.95\n", "", "statistics.level"),
        ("level = 0.95\n", 'level = "0.95"\n', "statistics.level"),
        ("bootstrap = 2000", "bootstrap = 1", "statistics.bootstrap"),
        ("seed = 20240", "", "statistics.seed"),
        ('cluster = "patient_id"', "", "population.cluster"),
        ('name = "two_readers"', 'name = "sensitivity"', "hypothesis 'sensitivity'"),
        ('name = "two_readers"', 'name = "one_reader"', "hypothesis 'one_reader'"),
        ("goal = 0.70", "margin = 0.05", "hypothesis 'auc'"),
        ("margin = 0.05", "margin = -0.05", "hypothesis 'one_reader'"),
        ("margin = 0.05", "margin = 0.05\ngoal = 0.7", "hypothesis 'one_reader'"),
        ("family = 1", 'family = "first"', "hypothesis 'auc'"),
        ("version = 1", 'version = "one"', "version"),
    ],
)
def test_a_protocol_that_the_study_cannot_follow_is_refused(
    tmp_path: Path, old: str, new: str, match: str
) -> None:
    path = tmp_path / "protocol.toml"
    text = PROTOCOL.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ProtocolError, match=match):
        load_protocol(path)


@verifies("SRS-383@6c943d73", level="unit")
@pytest.mark.parametrize("entry", ['[[amendments]]\nname = "n"\nreason = " "\nby = "b"\n', "x = 1"])
def test_an_amendment_without_its_texts_is_refused(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "protocol.toml"
    text = PROTOCOL.read_text("utf-8")
    departs = f'departs_from = "{"a" * 64}"\n'
    changed = f"amendments = [1]\n{text}" if entry == "x = 1" else f"{text}\n{entry}{departs}"
    path.write_text(changed, "utf-8")
    with pytest.raises(ProtocolError, match="amendment"):
        load_protocol(path)


@verifies("SRS-383@6c943d73", level="unit")
def test_another_threshold_or_reader_file_is_a_new_look(tmp_path: Path) -> None:
    ledger, protocol = tmp_path / "looks.jsonl", load_protocol(PROTOCOL)
    old: dict[str, Any] = {"weights_sha256": "a" * 64, "cases_sha256": "b" * 64}
    who: dict[str, Any] = {"on": None, "by": "x", "purpose": "y", "protocol": protocol}
    append_look(ledger, **who, **old)  # a line of before: nothing stated, nothing to hold against
    assert "threshold" not in ledger.read_text("utf-8")
    assert len(same_look(ledger, protocol=protocol, threshold=0.7, **old)) == 1
    append_look(ledger, **who, **old, threshold=0.5, reads_sha256="c" * 64)
    assert read_looks(ledger)[1].threshold == 0.5
    same: dict[str, Any] = {"protocol": protocol, **old}
    assert len(same_look(ledger, **same, threshold=0.5, reads_sha256="c" * 64)) == 2
    with pytest.raises(ProtocolError, match=r"threshold 0\.6, last look 0\.5"):
        same_look(ledger, **same, threshold=0.6, reads_sha256="c" * 64)
    with pytest.raises(ProtocolError, match="reads_sha256 dddd"):
        same_look(ledger, **same, threshold=0.5, reads_sha256="d" * 64)
    ledger.write_text(ledger.read_text("utf-8").replace('"threshold": 0.5', '"threshold": 0.6'))
    with pytest.raises(ProtocolError, match="line 2"):
        read_looks(ledger)


@verifies("SRS-383@6c943d73", level="unit")
@pytest.mark.parametrize(
    ("old", "new", "match"),
    [("unusable", "unusable = 1.0 #", "unusable"), ("[prevalence]", "prevalence = 0.5", "points")],
)
def test_a_standard_that_plans_nothing_is_refused(
    tmp_path: Path, old: str, new: str, match: str
) -> None:
    path = tmp_path / "pivotal.toml"
    text = FILE.read_text("utf-8")
    changed = text.replace(old, new, 1)
    if old == "[prevalence]":
        changed = f"{new}\n" + text.replace(old, "[other]", 1)
    path.write_text(changed, "utf-8")
    with pytest.raises(ProtocolError, match=match):
        load_pivotal(path)


# --- sample size ---


@verifies("SRS-384@a07ffa9d", level="unit")
@pytest.mark.parametrize(
    "wrong",
    [
        lambda: sample_size.design_effect(cases_per_patient=5, intraclass_correlation=-1.0),
        lambda: sample_size.paired_noninferiority_cases(p10=0.0, p01=0.0, margin=0.05),
        lambda: sample_size.paired_noninferiority_cases(p10=-0.1, p01=0.1, margin=0.5),
        lambda: sample_size.paired_noninferiority_cases(p10=0.9, p01=0.9, margin=0.05),
        lambda: sample_size.paired_noninferiority_cases(p10=0.1, p01=0.1, margin=2.0),
        lambda: sample_size.mcnemar_cases(p10=-0.1, p01=0.2),
        lambda: sample_size.auc_cases(area=0.8, null=0.0, ratio=1.0),
        lambda: sample_size.auc_cases(area=0.8, null=0.5, ratio=0.0),
        lambda: sample_size.auc_power(area=0.8, n_positive=0, n_negative=5),
        lambda: sample_size.auc_power(area=0.8, n_positive=5, n_negative=5, null=1.0),
        lambda: sample_size.precision_cases(expected=0.9, half_width=0.0),
    ],
)
def test_a_plan_that_no_study_fits_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ArgumentError):
        wrong()


@verifies("SRS-384@a07ffa9d", level="unit")
@pytest.mark.parametrize(("expected", "half_width"), [(0.95, 0.03), (0.9, 0.02), (0.99, 0.05)])
@pytest.mark.parametrize("method", ["wilson", "clopper-pearson"])
def test_from_the_planned_number_on_the_interval_is_narrow_enough(
    expected: float, half_width: float, method: Any
) -> None:
    def half(n: int) -> float:
        low, high = proportion(round(expected * n), n, method=method).interval()
        return (cast("float", high) - cast("float", low)) / 2.0

    n = sample_size.precision_cases(expected=expected, half_width=half_width, method=method)
    assert half(n - 1) > half_width
    assert all(half(later) <= half_width for later in range(n, 2 * n))


@verifies("SRS-384@a07ffa9d", level="unit")
@pytest.mark.parametrize("random", ["both", "cases", "readers"])
def test_a_pilot_whose_readers_never_err_plans_nothing(random: Any) -> None:
    pilot = readings(6, 6)
    pilot["rating"] = pilot["truth"] + pilot["case"].str[1:].astype(float) / 100.0
    found = analysed(pilot, covariance="jackknife")
    with pytest.raises(ArgumentError, match="no variance of the difference"):
        sample_size.mrmc_power(found, effect=0.05, readers=5, cases=100, random=random)


@verifies("SRS-384@a07ffa9d", level="integration")
@pytest.mark.parametrize(
    "given",
    [
        ("standalone", "--goal", 0.8, "--expected", 0.9, "--cases-per-patient", "inf"),
        ("paired", "--p10", 0, "--p01", 0, "--margin", 0.05),
        ("paired", "--p10", 0.1, "--p01", 0.05, "--n", 100, "--margin", 0.05),
    ],
)
def test_a_plan_is_refused_with_exit_code_2(
    validate: Callable[..., Any], given: tuple[object, ...]
) -> None:
    result = validate("plan", *given)
    assert result.exit_code == 2
    assert "Error" in result.output


# --- the readers' votes ---


@verifies("SRS-385@6f78593d", level="unit")
def test_a_reader_who_read_a_case_twice_is_refused(table: Callable[..., Path]) -> None:
    cases = read_cases(table(case_id=["a", "b"], truth=[0, 1], score=[0.1, 0.9]))
    wide = {
        "Image ID": ["a", "a", "b", "a"],
        "Patient ID": ["p", "p", "q", "p"],
        "Reader ID": ["r", "s", "s", "r"],
        "Pneumonia": ["NO", "NO", "YES", "YES"],
    }
    with pytest.raises(TableError, match="reader 'r' twice"):
        joined_votes(cases, reads_from_findings(table(**wide), findings=("Pneumonia",)))
    with pytest.raises(TableError, match="column 'Reader ID', case_id 'a': empty"):
        reads_from_findings(
            table(**{**wide, "Reader ID": ["r", "", "s", "s"]}), findings=("Pneumonia",)
        )


@verifies("SRS-385@6f78593d", level="unit")
def test_votes_are_0_or_1() -> None:
    votes = np.random.default_rng(0).integers(0, 2, (30, 4)).astype(float)
    score = np.linspace(0.0, 1.0, 30)
    names = tuple("abcd")
    with pytest.raises(ArgumentError, match="votes"):
        against_readers(score, votes * 1.5, reference="panels", readers=names, resamples=20)
    with pytest.raises(ArgumentError, match="one class only"):
        against_readers(score, votes * 0, reference="dawid-skene", readers=names, resamples=20)


@verifies("SRS-385@6f78593d", level="unit")
def test_labels_of_one_class_are_settled_at_once() -> None:
    found = standard.dawid_skene([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0])
    assert found.converged
    assert found.iterations < 5


# --- what a report says ---


def stratified(table: Callable[..., Path]) -> Any:
    rng = np.random.default_rng(2)
    n = 90
    truth = np.arange(n) % 2
    group = np.repeat(["x", "y", "z"], n // 3)
    score = np.clip(rng.normal(0.35 + 0.3 * truth, 0.2), 0.01, 0.99)
    score[(group == "z") & (truth == 1)] = 0.1  # every finding of z is missed
    path = table(
        case_id=np.arange(n), truth=truth, score=score, group=group, patient_id=np.arange(n)
    )
    return read_cases(path, cluster="patient_id", groups=("group",))


@verifies("SRS-386@8a981841", level="integration")
def test_the_report_names_the_strata_that_a_test_leaves_out(table: Callable[..., Path]) -> None:
    cases = stratified(table)
    study = standalone.study(cases, standalone.Options(threshold=0.5, bootstrap=50))
    words = " ".join(report(cases, study, name="n").sections[-1].text)
    assert "1 strata without a variance left out" in words
    benefit = study.decision_curve[0].score
    assert "bootstrap of patients" in benefit.method
    assert benefit.clusters == 90
    reasons = {
        (one.stratum, one.measure): one.reason
        for one in subgroup_table([("r", study)], floor=0.5).limitations
    }
    assert "does not exceed the floor" in reasons["z", "sensitivity"]


@verifies("SRS-386@8a981841", level="unit")
def test_an_audit_without_patients_speaks_of_cases(table: Callable[..., Path]) -> None:
    cases = stratified(table)
    manifest = cases.frame[["case_id"]].assign(age=np.arange(90) % 7)
    by_patient = shortcuts.audit(cases, manifest)
    assert "patient; Obuchowski" in by_patient.method
    plain = read_cases(table(case_id=cases.case_id, truth=cases.truth, score=cases.scores["score"]))
    found = shortcuts.audit(plain, manifest)
    assert "out of fold by case; DeLong" in found.method
    assert found.strata[0].device.clusters is None
    assert found.strata[0].device.lower == pytest.approx(by_patient.strata[0].device.lower)
    twice = pd.concat([manifest, manifest.iloc[3:4].assign(age=99)])
    with pytest.raises(TableError, match="case_id '3': two rows for one case"):
        shortcuts.audit(plain, twice)


@verifies("SRS-386@8a981841", level="integration")
@pytest.mark.parametrize("level", ["0.975", "0.995"])
def test_a_level_is_printed_as_it_was_given(
    validate: Callable[..., Any], table: Callable[..., Path], tmp_path: Path, level: str
) -> None:
    cases = stratified(table)
    path = table(case_id=cases.case_id, truth=cases.truth, score=cases.scores["score"])
    out = tmp_path / "o"
    given = ("--threshold", 0.5, "--bootstrap", 20, "--level", level, "--out", out)
    assert validate("standalone", path, *given).exit_code == 0
    page = (out / "report.html").read_text("utf-8")
    assert f"{100 * float(level):g}% interval" in page
    both = ("--scores", "score,score", "--thresholds", "0.5,0.5", "--level", level)
    assert validate("compare", path, *both, "--out", tmp_path / "c").exit_code == 0
    page = (tmp_path / "c" / "report.html").read_text("utf-8")
    assert f"{100 * float(level):g}%)" in page
    assert "no interval (variance of the difference is 0" in page


@verifies("SRS-339@b85edce8", level="unit")
def test_strata_that_share_patients_covary() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 4)
    view = np.tile(["AP", "AP", "PA", "PA"], 60)
    own = np.repeat(rng.normal(size=60), 4)  # films of a patient are nearly alike
    truth = np.tile([0, 1], 120)
    score = stats.norm.cdf(own + 1.2 * truth + 0.05 * rng.normal(size=240) + 0.3 * (view == "AP"))

    def tests(cluster: Any, labels: Any) -> subgroups.Subgroup:
        return subgroups.subgroup(
            "view", labels, truth=truth, score=score, flagged=score > 0.7, cluster=cluster
        )

    shared = tests(patients, view)
    for found, of in (
        (shared.sensitivity, score[truth == 1] > 0.7),
        (shared.specificity, score[truth == 0] <= 0.7),
    ):
        ap, pa = (of[::2], of[1::2])  # one film of each view a patient and class
        gap = ap.astype(float) - pa  # a paired difference of means
        expected = gap.mean() ** 2 / (gap.var(ddof=1) / gap.size)
        assert found.statistic == pytest.approx(expected, rel=1e-9)
        assert found.method == "Wald, covariance between patients"
        assert found.reason == "60 patients in several strata"
    assert shared.auc.method == "Wald, covariance between patients"
    apart = tests(patients, np.where(patients % 2, "odd", "even"))
    assert apart.sensitivity.method == apart.auc.method == "Cochran's Q"
    assert tests(patients, np.repeat("one", 240)).auc.p_value is None


# --- arguments ---


@verifies("SRS-387@33e54771", level="unit")
@pytest.mark.parametrize(
    "wrong",
    [
        lambda: standard.label_noise(TABLE, sensitivities=[1.2], specificities=[0.9]),
        lambda: standard.label_noise(TABLE, sensitivities=[0.9], specificities=[1.2]),
        lambda: standard.rogan_gladen(4, 14, sensitivity=1.2, specificity=0.5),
        lambda: standard.begg_greenes(positive=(0, 5, 3), negative=(0, 10, 2)),
        lambda: Workload(arrivals_per_hour=-5.0, reading_minutes=-10.0),
        lambda: Workload(arrivals_per_hour=5.0, reading_minutes=1.0, device_minutes=-1.0),
        lambda: decision_curve([0, 1, 1], [0.1, float("nan"), 0.8], thresholds=[0.5]),
        lambda: decision_curve([0, 1, 1], [0.1, 0.8], thresholds=[0.5]),
    ],
)
def test_what_is_no_share_and_no_workload_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ArgumentError):
        wrong()


@verifies("SRS-387@33e54771", level="unit")
def test_a_queue_without_such_films_has_no_minutes() -> None:
    truth = np.arange(1000) == 0
    found = simulate(truth, truth, Workload(arrivals_per_hour=0.1, reading_minutes=10.0))
    assert found.with_finding_difference.estimate is None
    assert "had no such film" in str(found.with_finding_difference.reason)
    assert found.without_finding_difference.estimate is not None


# --- non-inferiority between patients ---


@verifies("SRS-388@dca3b90a", level="unit")
def test_noninferiority_between_patients_has_its_p(table: Callable[..., Path]) -> None:
    rng = np.random.default_rng(8)
    n = 200
    truth = np.arange(n) % 2
    a = np.clip(rng.normal(0.35 + 0.3 * truth, 0.2), 0, 1)
    b = np.clip(a + rng.normal(0, 0.1, n), 0, 1)
    path = table(case_id=np.arange(n), truth=truth, a=a, b=b, patient_id=np.arange(n) // 4)
    cases = read_cases(path, scores=("a", "b"), cluster="patient_id")
    found = comparison.study(cases, names=("a", "b"), thresholds=(0.5, 0.5), margin=0.08)
    gap, verdict = found.sensitivity.difference, found.sensitivity.verdict
    assert verdict is not None
    assert gap.estimate is not None
    assert gap.se is not None
    expected = stats.norm.sf((gap.estimate + 0.08) / gap.se)
    assert verdict.p_value is not None
    assert verdict.p_value == pytest.approx(expected, rel=1e-12)
    assert verdict.noninferior is (verdict.p_value < 0.025)
    same = comparison.study(cases, names=("a", "a"), thresholds=(0.5, 0.5), margin=0.08)
    assert same.sensitivity.verdict is not None
    assert same.sensitivity.verdict.noninferior is None
    assert same.sensitivity.verdict.reason == "no variation between clusters"


# --- ranks of models ---


@verifies("SRS-389@ad736206", level="unit")
def test_studies_of_one_score_share_their_rank() -> None:
    ranks = chexpert._ranks(np.array([[0.5], [0.5], [0.1], [0.9]]))  # noqa: SLF001
    assert ranks.tolist() == pytest.approx([0.5, 0.5, 0.0, 1.0])
    with pytest.raises(TableError, match="misses a study"):
        chexpert._ranks(np.array([[0.5], [float("nan")]]))  # noqa: SLF001
