"""Refusal rates: what counts as an error, and that the interval is the exact one."""

from pathlib import Path

import pytest

from validation.errors import TableError
from validation.refusals import facts, rates, read_refusals


def table(tmp_path: Path, *rows: str) -> Path:
    """A table with these rows."""
    path = tmp_path / "gate.csv"
    path.write_text("\n".join(["case,split,kind,wanted,refused,view,patient_id", *rows]) + "\n")
    return path


def test_errors_are_refusals_of_good_films_and_faults_let_through(tmp_path: Path) -> None:
    rows = [
        f"f{i},tune,none,accept,{int(i < 1)},{'PA' if i < 4 else 'AP'},p{i // 2}" for i in range(10)
    ]
    rows += [f"f{i},tune,mirrored,refuse,{int(i >= 2)},PA,p{i // 2}" for i in range(10)]
    frame, digest = read_refusals(table(tmp_path, *rows), groups=("view",))
    good, mirrored = rates(frame, groups=("view",))
    assert (good.errors, good.films, good.patients) == (1, 10, 5)
    assert (mirrored.errors, mirrored.films) == (2, 10)
    # Clopper and Pearson 1934, n 10: 1 -> (0.0025, 0.4450), 2 -> (0.0252, 0.5561)
    assert good.error.interval() == pytest.approx((0.0025, 0.4450), abs=5e-5)
    assert mirrored.error.interval() == pytest.approx((0.0252, 0.5561), abs=5e-5)
    assert good.groups["view"]["PA"].estimate == 0.25
    assert good.groups["view"]["AP"].estimate == 0.0
    assert mirrored.groups == {}
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("f2,tune,none,maybe,0,PA,p", "maybe"),
        ("f2,tune,none,accept,2,PA,p", "'2'"),
        ("f1,tune,none,accept,0,PA,p", "twice"),
        ("f2,tune,none,refuse,0,PA,p", "two wanted"),
    ],
)
def test_a_wrong_cell_is_refused_by_name(row: str, told: str, tmp_path: Path) -> None:
    path = table(tmp_path, "f1,tune,none,accept,0,PA,p", row)
    with pytest.raises(TableError, match=told):
        read_refusals(path)


def test_a_missing_column_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="sex"):
        read_refusals(table(tmp_path, "f1,tune,none,accept,0,PA,p"), groups=("sex",))


def test_answers_of_two_guards_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.csv"
    rows = ["case,split,kind,wanted,refused,guard_sha256", "a,t,none,accept,0,12"]
    path.write_text("\n".join([*rows, "b,t,none,accept,0,12"]) + "\n")
    assert facts(read_refusals(path)[0], name="gate.csv") == {"guard_sha256": "12"}
    path.write_text("\n".join([*rows, "b,t,none,accept,0,34"]) + "\n")
    with pytest.raises(TableError, match="one guard"):
        facts(read_refusals(path)[0], name="gate.csv")
