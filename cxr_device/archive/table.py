"""The table of an archive: Parquet, one row a film, in the films' order."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cxr_device.archive.ledger import Plan
from cxr_device.whole_file import written_whole

__all__ = ["SCHEMA", "count", "plan_digest", "write_table"]

SCHEMA: Final = pa.schema(
    [
        ("path", pa.string()),
        ("status", pa.string()),
        ("exit_code", pa.int8()),
        ("score", pa.float64()),
        ("flag", pa.string()),
        ("codes", pa.list_(pa.string())),
        ("warnings", pa.list_(pa.string())),
        ("view", pa.string()),
        ("sha256", pa.string()),
        ("sop_instance_uid", pa.string()),
        ("study_instance_uid", pa.string()),
        ("transfer_syntax_uid", pa.string()),
        ("version", pa.string()),
        ("weights_sha256", pa.string()),
        ("config_sha256", pa.string()),
        ("preprocessing_sha256", pa.string()),
    ]
)
"""Columns, as `row` fills them."""
_GROUP: Final = 65_536
"""Rows a row group."""
_PLAN, _DEVICE, _RUNTIME = b"cxr-device.plan_sha256", b"cxr-device.device", b"cxr-device.runtime"


def write_table(rows: Iterable[dict[str, Any]], plan: Plan, *, out: Path) -> None:
    """Write the table whole or not at all; raises `OutputError` (full disk, no permission).

    The file's metadata hold the plan's digest, the device and the runtime.
    """
    schema = SCHEMA.with_metadata(
        {
            _PLAN: plan.digest(),
            _DEVICE: json.dumps(asdict(plan.device)),
            _RUNTIME: plan.runtime,
        }
    )
    left = iter(rows)
    with written_whole(out) as file, pq.ParquetWriter(file, schema) as writer:
        while group := list(islice(left, _GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def plan_digest(out: Path) -> str | None:
    """Digest of the plan whose table lies at `out`; None where no such table is."""
    try:
        metadata = pq.read_metadata(out).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    found = metadata.get(_PLAN)
    return found.decode() if found else None


def count(out: Path) -> Counter[tuple[str, int]]:
    """Films of a table by status and exit code."""
    told = pq.read_table(out, columns=["status", "exit_code"]).to_pylist()
    return Counter((row["status"], row["exit_code"]) for row in told)
