"""Experiments on the guards: one hazard of `films` in each of N films of the intended use."""

from typing import Any, Final

import pydicom

from verification.injection.bench import Bench
from verification.injection.films import INJECTIONS
from verification.injection.rate import row

__all__ = ["answers", "measure_guard"]

_WARNS: Final = frozenset({"PIXEL_SPACING", "IDENTITY"})


def answers(record: dict[str, Any], code: str) -> bool:
    """Whether a record detects the hazard of a code."""
    wanted = {"reject", "warn"} if code in _WARNS else {"reject"}
    named = any(c["code"] == code and c["outcome"] in wanted for c in record["checks"])
    refused = record["status"] != "analyzed" or code in _WARNS
    return named and refused and record["finding"] is None


def measure_guard(bench: Bench, name: str, count: int) -> dict[str, float | int | str]:
    """Inject the hazard of one guard's control `count` times and count the answers."""
    code, inject = INJECTIONS[name]
    for number in range(count):
        with pydicom.config.disable_value_validation():
            bench.put(f"{number:04}.dcm", inject(bench.fresh(number), bench.rng))
    records = bench.run("check", bench.folder).records
    return row(sum(answers(record, code) for record in records), count, code=code)
