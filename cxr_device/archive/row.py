"""One row of the table: what the device says of one file."""

from typing import Any

from cxr_device.outputs.json_record import record
from cxr_device.result import ExitCode, Result

__all__ = ["IDENTITY", "row"]

IDENTITY = ("version", "weights_sha256", "config_sha256", "preprocessing_sha256")
"""Which device: parts of `DeviceIdentity` that stand in every row."""


def row(result: Result, *, internal: bool = False) -> dict[str, Any]:
    """Return the row of a result; `internal` marks a film on which the device itself failed.

    `score` is the calibrated probability, in [0, 1], and like `flag` null unless `status` is
    `analyzed`. `codes` are the checks that refused, `warnings` those that warned. No time and no
    patient's name, identifier or date is in it: the same film has the same row.
    """
    told = record(result)
    finding, view, source = told["finding"] or {}, told["view"] or {}, told["source"]
    by_outcome: dict[str, list[str]] = {"reject": [], "warn": []}
    for check in told["checks"]:
        by_outcome.get(check["outcome"], []).append(check["code"])
    return {
        "path": source["path"],
        "status": told["status"],
        "exit_code": int(ExitCode.INTERNAL if internal else result.exit_code),
        "score": finding.get("probability"),
        "flag": finding.get("flag"),
        "codes": by_outcome["reject"],
        "warnings": by_outcome["warn"],
        "view": view.get("value"),
        "sha256": source["sha256"],
        "sop_instance_uid": source["sop_instance_uid"],
        "study_instance_uid": source["study_instance_uid"],
        "transfer_syntax_uid": source["transfer_syntax_uid"],
        **{name: told["device"][name] for name in IDENTITY},
    }
