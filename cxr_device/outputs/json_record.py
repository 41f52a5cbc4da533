"""The record: a result as one JSON object, schema `cxr-device/result/1`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from cxr_device.result import Analyzed, Checked, Failed, Rejected
from cxr_device.vocabulary import Profile

__all__ = ["SCHEMA", "WrittenOutput", "record"]

SCHEMA: Final = "cxr-device/result/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenOutput:
    """One file that was written beside the record."""

    kind: str
    path: str
    sha256: str
    sop_instance_uid: str | None


def record(
    result: Analyzed | Rejected | Failed | Checked, outputs: Sequence[WrittenOutput] = ()
) -> dict[str, Any]:
    """Return the record of a result; `finding` is null unless the film was read."""
    finding = None
    status = "analyzed"
    match result:
        case Analyzed():
            point = result.decision.operating_point
            finding = {
                "probability": result.decision.probability,
                "operating_point": {"name": point.identifier, "threshold": point.threshold},
                "flag": str(result.decision.flag),
            }
        case Rejected():
            status = "rejected"
        case Failed():
            status = "failed"
        case Checked():
            pass
    device = asdict(result.device)
    if result.device.profile == Profile.RESEARCH:
        device["notice"] = "not the device: research profile, not for clinical use"
    view = result.view
    return {
        "schema": SCHEMA,
        "status": status,
        "source": asdict(result.source),
        "device": device,
        "checks": [
            {key: str(value) for key, value in asdict(check).items()} for check in result.checks
        ],
        "view": {"value": str(view.value), "source": view.source} if view else None,
        "finding": finding,
        "outputs": [asdict(output) for output in outputs],
        "timing_ms": dict(result.timing_ms),
    }
