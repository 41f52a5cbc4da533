"""cxr-validate: exit codes, keys, and that a refused table leaves nothing behind."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from sklearn.metrics import f1_score, roc_auc_score

Validate = Callable[..., Result]
MEASURES = (
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "accuracy",
    "f1",
    "auc",
    "average_precision",
    "lr_positive",
    "lr_negative",
    "brier",
)


@pytest.fixture
def cases(cohort: Callable[..., Any], table: Callable[..., Path]) -> Path:
    truth, score = cohort(300, seed=3)
    rng = np.random.default_rng(1)
    return table(
        case_id=[f"c{i:03d}" for i in range(300)],
        truth=truth,
        score=score,
        other=np.clip(score + rng.normal(0, 0.1, 300), 0, 1),
        patient_id=np.arange(300) // 2,
        view=np.where(rng.random(300) < 0.4, "AP", "PA"),
    )


def loaded(folder: Path) -> dict[str, Any]:
    text = (folder / "results.json").read_text("utf-8")

    def refuse(word: str) -> float:
        message = f"{word} in results.json"
        raise AssertionError(message)

    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def test_standalone_writes_the_contract(validate: Validate, cases: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    result = validate("standalone", cases, "--threshold", 0.4, "--out", out, "--subgroups", "view")
    assert result.exit_code == 0, result.output
    found = loaded(out)
    for key in MEASURES:
        assert {"estimate", "lower", "upper", "method", "n"} <= set(found[key])
    assert found["n"] == 300
    assert found["threshold"] == 0.4
    assert set(found["subgroups"]) == {"view"}
    assert {"slope", "intercept"} <= set(found["calibration"])
    html = (out / "report.html").read_text("utf-8")
    assert "http://" not in html.replace("http://www.w3.org/", "")
    for name in ("roc", "pr", "calibration", "histogram"):
        assert (out / f"{name}.svg").read_text("utf-8").startswith("<svg")


def test_standalone_equals_scikit_learn(
    validate: Validate, cohort: Callable[..., Any], cases: Path, tmp_path: Path
) -> None:
    truth, score = cohort(300, seed=3)
    validate("standalone", cases, "--threshold", 0.4, "--out", tmp_path / "s", "--bootstrap", 50)
    found = loaded(tmp_path / "s")
    assert found["auc"]["estimate"] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    assert found["f1"]["estimate"] == pytest.approx(f1_score(truth, score >= 0.4), abs=1e-12)
    assert found["sensitivity"]["method"] == "clopper-pearson"
    assert found["auc"]["method"].startswith("DeLong")


def test_standalone_between_patients_says_so(
    validate: Validate, cases: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s"
    result = validate(
        "standalone", cases, "--threshold", 0.4, "--out", out, "--cluster", "patient_id",
        "--bootstrap", 50, "--prevalence", 0.05,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = loaded(out)
    assert "Obuchowski 1997" in found["auc"]["method"]
    for key in ("sensitivity", "specificity", "ppv", "npv", "accuracy", "f1", "lr_positive"):
        assert "ratio estimator" in found[key]["method"], key
    assert found["n_clusters"] == 150
    assert found["ppv_at_prevalence"]["estimate"] < found["ppv"]["estimate"]


def test_the_same_seed_gives_the_same_bytes(
    validate: Validate, cases: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        validate("standalone", cases, "--threshold", 0.4, "--out", tmp_path / name)
    for file in ("results.json", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_compare_writes_the_contract(validate: Validate, cases: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"
    result = validate(
        "compare", cases, "--scores", "score,other", "--thresholds", "0.4,0.5", "--out", out,
        "--margin", 0.1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = loaded(out)
    assert set(found["auc_difference"]) >= {
        "estimate",
        "se",
        "statistic",
        "p_value",
        "lower",
        "upper",
        "method",
    }
    for key in ("sensitivity_difference", "specificity_difference"):
        assert found[key]["method"] == "tango"
        assert {"lower", "upper"} <= set(found[key]["newcombe"])
        assert {"exact_p", "mid_p"} <= set(found[key]["mcnemar"])
        assert found[key]["noninferiority"]["margin"] == 0.1
    clustered = validate(
        "compare", cases, "--scores", "score,other", "--thresholds", "0.4,0.5", "--out", out,
        "--cluster", "patient_id",
    )  # fmt: skip
    assert clustered.exit_code == 0
    assert "Obuchowski 1997" in loaded(out)["auc_difference"]["method"]


def test_comparing_a_score_with_itself_is_no_error(
    validate: Validate, cases: Path, tmp_path: Path
) -> None:
    out = tmp_path / "c"
    arguments = ("--scores", "score,score", "--thresholds", "0.4,0.4", "--out", out)
    assert validate("compare", cases, *arguments).exit_code == 0
    found = loaded(out)
    assert found["auc_difference"]["p_value"] is None
    assert found["auc_difference"]["reason"]
    assert found["sensitivity_difference"]["mcnemar"]["reason"] == "no discordant pair"
    assert found["sensitivity_difference"]["lower"] < 0 < found["sensitivity_difference"]["upper"]


def test_perfect_separation_is_no_error(
    validate: Validate, table: Callable[..., Path], tmp_path: Path
) -> None:
    path = table(case_id=list("abcdef"), truth=[0, 0, 0, 1, 1, 1], score=[0, 0.1, 0.2, 0.8, 0.9, 1])
    result = validate("standalone", path, "--threshold", 0.5, "--out", tmp_path / "s")
    assert result.exit_code == 0, result.output
    found = loaded(tmp_path / "s")
    assert (found["auc"]["estimate"], found["auc"]["upper"]) == (1.0, None)
    assert found["auc"]["reason"]
    assert found["calibration"]["slope"]["estimate"] is None
    assert found["lr_positive"]["estimate"] is None
    assert found["lr_positive"]["reason"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"case_id": ["a", "b"], "truth": [0, 1]}, ("score",)),
        ({"case_id": ["a", "b"], "truth": [0, 3], "score": [0.1, 0.2]}, ("truth", "'b'")),
        ({"case_id": ["a", "b"], "truth": [0, 1], "score": [0.1, 2]}, ("score", "'b'")),
        ({"case_id": ["a", "a"], "truth": [0, 1], "score": [0.1, 0.2]}, ("case_id", "'a'")),
        ({"case_id": ["a", "b"], "truth": [1, 1], "score": [0.1, 0.2]}, ("one class only",)),
        ({"case_id": [], "truth": [], "score": []}, ("no rows",)),
    ],
)
def test_a_bad_table_exits_2_and_writes_nothing(
    validate: Validate,
    table: Callable[..., Path],
    tmp_path: Path,
    columns: dict[str, Any],
    words: tuple[str, ...],
) -> None:
    out = tmp_path / "never"
    result = validate("standalone", table(**columns), "--threshold", 0.5, "--out", out)
    assert result.exit_code == 2
    for word in words:
        assert word in result.output
    assert not out.exists()
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".csv"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("standalone", "x.csv"),
        ("standalone", "x.csv", "--threshold", "1.5", "--out", "o"),
        ("standalone", "x.csv", "--threshold", "0.5", "--out", "o", "--level", "95"),
        ("compare", "x.csv", "--scores", "a", "--thresholds", "0.1,0.2", "--out", "o"),
        ("compare", "x.csv", "--scores", "a,b", "--thresholds", "0.1,z", "--out", "o"),
        ("no-such-verb",),
    ],
)
def test_wrong_usage_exits_2(validate: Validate, arguments: tuple[str, ...]) -> None:
    assert validate(*arguments).exit_code == 2


def test_out_that_is_a_file_is_refused(validate: Validate, cases: Path, tmp_path: Path) -> None:
    out = tmp_path / "file"
    out.write_text("kept")
    result = validate("standalone", cases, "--threshold", 0.5, "--out", out, "--bootstrap", 10)
    assert result.exit_code == 2
    assert out.read_text() == "kept"


@pytest.mark.parametrize(
    "columns",
    [
        {"truth": [0, 1], "score": [0.2, 0.2], "patient_id": ["p", "p"]},
        {"truth": [0, 1, 0], "score": [0.5, 0.5, 0.5], "patient_id": ["p", "p", "q"]},
        {"truth": [1, 0, 0, 0], "score": [0.1, 0.9, 0.8, 0.7], "patient_id": list("pqrs")},
        {"truth": [0, 0, 1, 1], "score": [1.0, 1.0, 0.0, 0.0], "patient_id": list("ppqq")},
    ],
)
def test_tiny_and_degenerate_tables_are_no_error(
    validate: Validate, table: Callable[..., Path], tmp_path: Path, columns: dict[str, Any]
) -> None:
    names = [f"c{i}" for i in range(len(columns["truth"]))]
    path = table(case_id=names, **columns)
    for extra in ((), ("--cluster", "patient_id")):
        for verb in (
            ("standalone", path, "--threshold", 0.5, "--bootstrap", 20),
            ("compare", path, "--scores", "score,score", "--thresholds", "0.5,0.6"),
        ):
            result = validate(*verb, "--out", tmp_path / "d", *extra)
            assert result.exit_code == 0, result.output
            assert loaded(tmp_path / "d")["n"] == len(names)


@pytest.fixture
def reads(table: Callable[..., Path]) -> Path:
    rng = np.random.default_rng(5)
    rows = [
        (f"r{r}", f"m{m}", f"c{c}", int(c % 2), round(rng.normal() + c % 2, 2))
        for r in range(3)
        for m in range(2)
        for c in range(40)
    ]
    names = ("reader", "modality", "case", "truth", "rating")
    return table(**dict(zip(names, zip(*rows, strict=True), strict=True)))


def test_mrmc_writes_the_contract(validate: Validate, reads: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    result = validate(
        "mrmc", reads, "--out", out, "--covariance", "jackknife", "--readers", "random",
        "--cases", "random",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = loaded(out)
    assert set(found["readers"][0]) >= {"reader", "modality", "auc"}
    assert set(found["modalities"][0]) >= {"modality", "auc", "lower", "upper"}
    assert set(found["covariances"]) == {"error", "cov1", "cov2", "cov3"}
    keys = {"a", "b", "estimate", "se", "df", "statistic", "p_value", "lower", "upper"}
    assert set(found["differences"][0]) >= keys
    assert set(found["test"]) >= {"statistic", "df1", "df2", "p_value"}


def test_mrmc_with_a_missing_cell_exits_2(validate: Validate, reads: Path, tmp_path: Path) -> None:
    lines = reads.read_text().splitlines(keepends=True)
    reads.write_text("".join(lines[:-1]))
    result = validate("mrmc", reads, "--out", tmp_path / "m")
    assert result.exit_code == 2
    assert "missing cells" in result.output
    assert not (tmp_path / "m").exists()


@pytest.fixture
def votes(table: Callable[..., Path]) -> tuple[Path, Path]:
    rng = np.random.default_rng(6)
    truth = (rng.random(80) < 0.4).astype(int)
    names = [f"c{i}" for i in range(80)]
    cases = table(
        case_id=names, truth=truth, score=np.round(rng.uniform(0, 0.5, 80) + 0.4 * truth, 3)
    )
    rows = [
        (name, f"r{r}", int(t if rng.random() < 0.8 else 1 - t))
        for name, t in zip(names, truth, strict=True)
        for r in range(5)
    ]
    columns = dict(zip(("case", "reader", "rating"), zip(*rows, strict=True), strict=True))
    return cases, table(**columns)


def test_agreement_writes_the_contract(
    validate: Validate, votes: tuple[Path, Path], tmp_path: Path
) -> None:
    result = validate("agreement", votes[1], "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    found = loaded(tmp_path / "a")
    for key in ("cohen", "fleiss", "gwet_ac1", "krippendorff_alpha"):
        assert found[key]["lower"] < found[key]["estimate"] < found[key]["upper"]


@pytest.mark.parametrize(
    "reference", ["majority", "adjudicated", "leave-one-out", "panels", "dawid-skene"]
)
def test_against_readers_writes_the_contract(
    validate: Validate, votes: tuple[Path, Path], tmp_path: Path, reference: str
) -> None:
    out = tmp_path / "r"
    extra = ("--adjudicator", "r4") if reference == "adjudicated" else ()
    result = validate(
        "against-readers", *votes, "--reference", reference, "--out", out, "--bootstrap", 100,
        "--threshold", 0.5, *extra,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = loaded(out)
    for key in ("device", "readers", "left_out_pair", "difference"):
        assert {"estimate", "lower", "upper"} <= set(found[key])
    assert (found["left_out_pair"]["estimate"] is not None) == (reference == "panels")


def test_against_readers_refuses_a_missing_reading(
    validate: Validate, votes: tuple[Path, Path], tmp_path: Path
) -> None:
    lines = votes[1].read_text().splitlines(keepends=True)
    votes[1].write_text("".join(lines[:-1]))
    result = validate("against-readers", *votes, "--out", tmp_path / "r")
    assert result.exit_code == 2
    assert "'c79'" in result.output
    assert not (tmp_path / "r").exists()


def test_plan_prints_json(validate: Validate, reads: Path) -> None:
    result = validate(
        "plan", "standalone", "--goal", 0.8, "--expected", 0.9, "--prevalence", 0.25, "--json"
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["n_stable"], found["n_enrolled"]) == (113, 452)
    result = validate("plan", "paired", "--p10", 0.12, "--p01", 0.05, "--n", 200, "--json")
    assert json.loads(result.output)["power_mid_p"] == approx_power
    result = validate("plan", "mrmc", reads, "--effect", 0.2, "--readers", 4, "--cases", 60)
    assert result.exit_code == 0, result.output
    assert "power" in result.output
    assert validate("plan", "standalone", "--expected", 0.9).exit_code == 2


approx_power = pytest.approx(0.674500841970861, abs=1e-8)  # R, expected.json power.mcnemar


def test_help_loads_no_statistics() -> None:
    code = (
        "import sys; from validation.cli import main; main(['--help'], standalone_mode=False); "
        "assert not {'scipy', 'pandas', 'statsmodels', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run(  # noqa: S603 - this interpreter, fixed code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_verb_has_help_with_an_example(validate: Validate) -> None:
    from validation.cli import main  # noqa: PLC0415

    for verb in main.commands:
        result = validate(verb, "--help")
        assert result.exit_code == 0
        assert "Example" in result.output, verb
