"""Input tables: what is refused, with the column and the case named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from validation.errors import TableError
from validation.tables import read_cases, read_ratings, read_reads
from verification import verifies

GOOD: dict[str, list[Any]] = {
    "case_id": ["001", "002", "003", "004"],
    "truth": [0, 1, 0, 1],
    "score": [0.1, 0.9, 0.4, 0.6],
}


@pytest.mark.parametrize(
    ("change", "column", "case_id"),
    [
        ({"truth": [0, 1, 2, 1]}, "truth", "003"),
        ({"truth": [0, 1, "yes", 1]}, "truth", "003"),
        ({"truth": ["False", "True", "False", "True"]}, "truth", "001"),
        ({"truth": [0, 1, None, 1]}, "truth", "003"),
        ({"truth": [1, 1, 1, 1]}, "truth", "all, from 001"),
        ({"score": [0.1, float("nan"), 0.4, 0.6]}, "score", "002"),
        ({"score": [0.1, "high", 0.4, 0.6]}, "score", "002"),
        ({"score": [0.1, 0.9, 0.4, 1.2]}, "score", "004"),
        ({"score": [-0.1, 0.9, 0.4, 0.2]}, "score", "001"),
        ({"score": [0.1, 0.9, float("inf"), 0.2]}, "score", "003"),
        ({"case_id": ["001", "002", "001", "004"]}, "case_id", "001"),
        ({"case_id": ["001", "", "003", "004"]}, "case_id", "row 2"),
    ],
)
def test_a_bad_cell_names_its_column_and_case(
    table: Callable[..., Path], change: dict[str, Any], column: str, case_id: str
) -> None:
    with pytest.raises(TableError) as refusal:
        read_cases(table(**{**GOOD, **change}))
    assert refusal.value.column == column
    assert refusal.value.case_id == case_id
    assert f"column '{column}'" in str(refusal.value)


def test_a_missing_column_is_named(table: Callable[..., Path]) -> None:
    columns = {k: v for k, v in GOOD.items() if k != "score"}
    with pytest.raises(TableError, match=r"column 'score': missing column .*case_id, truth"):
        read_cases(table(**columns))
    with pytest.raises(TableError, match="column 'patient_id': missing"):
        read_cases(table(**GOOD), cluster="patient_id")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "no rows"),
        (b"case_id,truth,score\n", "no rows"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not a table"),
        (b"PAR1 but no more", "not a table"),
        (b"case_id,truth,score\na,0,0.1\nb,1,0.2,0.3,0.4\n", "not a table"),
        (b"case_id,truth,truth,score\na,0,0,0.1\n", "a column twice"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "cases.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=word):
        read_cases(path)


def test_a_folder_or_nothing_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(TableError, match="no such file"):
            read_cases(path)


def test_csv_and_parquet_read_alike(table: Callable[..., Path], tmp_path: Path) -> None:
    parquet = tmp_path / "cases.parquet"
    pd.DataFrame({**GOOD, "view": ["PA", None, "AP", "PA"]}).to_parquet(parquet)
    one = read_cases(table(**GOOD, view=["PA", "", "AP", "PA"]), groups=("view",))
    other = read_cases(parquet, groups=("view",))
    assert one.case_id.tolist() == other.case_id.tolist() == ["001", "002", "003", "004"]
    assert one.truth.tolist() == other.truth.tolist()
    assert one.scores["score"].tolist() == other.scores["score"].tolist()
    assert one.groups["view"].tolist() == other.groups["view"].tolist()
    assert one.groups["view"].tolist()[1] == "(missing)"


READS: dict[str, list[Any]] = {
    "reader": ["r1", "r1", "r2", "r2"],
    "modality": ["m", "m", "m", "m"],
    "case": ["a", "b", "a", "b"],
    "truth": [0, 1, 0, 1],
    "rating": [1, 4, 2, 3],
}


def test_reads_are_read(table: Callable[..., Path]) -> None:
    reads, digest = read_reads(table(**READS))
    assert reads["rating"].tolist() == [1.0, 4.0, 2.0, 3.0]
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("change", "column", "case_id"),
    [
        ({"rating": [1, "x", 2, 3]}, "rating", "b"),
        ({"truth": [0, 1, 1, 1]}, "truth", "a"),
        ({"case": ["a", "a", "a", "b"]}, "reader, modality, case", "a"),
    ],
)
def test_bad_reads_are_refused(
    table: Callable[..., Path], change: dict[str, Any], column: str, case_id: str
) -> None:
    with pytest.raises(TableError) as refusal:
        read_reads(table(**{**READS, **change}))
    assert (refusal.value.column, refusal.value.case_id) == (column, case_id)


def test_ratings_need_two_readers_and_no_duplicates(table: Callable[..., Path]) -> None:
    with pytest.raises(TableError, match="one reader"):
        read_ratings(table(case=["a", "b"], reader=["r", "r"], rating=["x", "y"]))
    with pytest.raises(TableError, match="duplicate"):
        read_ratings(table(case=["a", "a"], reader=["r", "r"], rating=["x", "y"]))
    with pytest.raises(TableError, match="column 'rating', case_id 'b': empty"):
        read_ratings(table(case=["a", "b"], reader=["r", "q"], rating=["x", ""]))


@verifies("SRS-342@10924868", level="unit")
def test_two_patients_for_one_case_are_refused(table: Callable[..., Path]) -> None:
    with pytest.raises(TableError) as refusal:
        read_reads(table(**READS, patient=["p", "q", "p", "r"]), cluster="patient")
    assert (refusal.value.column, refusal.value.case_id) == ("patient", "b")
    assert "row 4" in str(refusal.value)
    reads, _ = read_reads(table(**READS, patient=["p", "q", "p", "q"]), cluster="patient")
    assert reads["patient"].tolist() == ["p", "q", "p", "q"]
