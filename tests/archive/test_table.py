"""The table: every column of every row, what its metadata name, and what is no such table."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archive_runs import plan, rows

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

import pyarrow as pa
import pyarrow.parquet as pq

from cxr_device.archive.table import count, plan_digest, write_table
from cxr_device.errors import OutputError
from verification import verifies


def told() -> list[dict[str, Any]]:
    """Two rows, of a film that is absent and of one as if it was analysed."""
    absent, other = (json.loads(line) for line in rows(plan(films=2), 0).splitlines())
    found = {
        "status": "analyzed", "exit_code": 0, "score": 0.25, "flag": "not_suspected", "codes": [],
        "warnings": ["IDENTITY", "BURNED_IN"], "view": "AP", "sha256": "0" * 64,
        "sop_instance_uid": "1.2.3", "study_instance_uid": "1.2.4", "transfer_syntax_uid": "1.2.5",
    }  # fmt: skip
    return [absent, {**other, **found}]


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_every_value_of_every_row_is_in_the_table(tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    write_table(told(), plan(films=2), out=out)
    assert pq.read_table(out).to_pylist() == told()
    assert count(out) == {("failed", 4): 1, ("analyzed", 0): 1}


@verifies("SRS-300@f5f6d75e", level="integration")
def test_a_long_table_is_written_in_groups_of_65536_rows(tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    many = told()[:1] * 65_537
    write_table(many, plan(films=len(many)), out=out)
    written = pq.ParquetFile(out).metadata
    sizes = [written.row_group(number).num_rows for number in range(written.num_row_groups)]
    assert sizes == [65_536, 1]
    assert count(out) == {("failed", 4): 65_537}


@verifies("SRS-303@a5d09773", "RC-303@947ed785", level="integration")
def test_the_table_names_its_device_and_runtime(tmp_path: Path) -> None:
    made = replace(plan(films=2), runtime="openvino")
    told = [json.loads(line) for line in rows(made, 0).splitlines()]
    write_table(told, made, out=tmp_path / "scores.parquet")
    metadata = pq.read_metadata(tmp_path / "scores.parquet").metadata
    assert metadata[b"cxr-device.runtime"] == b"openvino"
    named = json.loads(metadata[b"cxr-device.device"])
    assert named["weights_sha256"] == made.device.weights_sha256
    assert plan_digest(tmp_path / "scores.parquet") == made.digest()


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_what_is_no_table_of_a_plan_has_no_digest(tmp_path: Path) -> None:
    assert plan_digest(tmp_path / "absent.parquet") is None
    (tmp_path / "text.parquet").write_text("no table")
    assert plan_digest(tmp_path / "text.parquet") is None
    for metadata in (None, {b"made by": b"another"}):
        other = pa.table({"path": ["a.dcm"]}).replace_schema_metadata(metadata)
        pq.write_table(other, tmp_path / "other.parquet")
        assert plan_digest(tmp_path / "other.parquet") is None


@verifies("SRS-304@57a9e1b1", "RC-301@4d82e888", level="integration")
def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "absent" / "scores.parquet"
    with pytest.raises(OutputError, match=str(out)):
        write_table(told(), plan(films=2), out=out)
    assert list(tmp_path.iterdir()) == []
