"""Measure controls and write `risk/results/controls.json`: all, or those named.

Usage: python -m verification.injection [RC-101 ...]
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import pydicom

from verification.injection import EXPERIMENTS, INJECTIONS, Bench, measure_guard, row

_FILMS: Final = 100
"""Altered films for each guard."""

_SEED: Final = 20261124


def _measure(root: Path, name: str) -> dict[str, float | int | str]:
    """Measure one control on a bench of its own, seeded by its number."""
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(
            root=root,
            film=pydicom.dcmread(root / "cxr_device" / "examples" / "phantom_clear.dcm"),
            folder=Path(scratch),
            rng=np.random.default_rng([_SEED, int(name.removeprefix("RC-"))]),
        )
        if name in INJECTIONS:
            return measure_guard(bench, name, _FILMS)
        experiment = EXPERIMENTS[name]
        hazard = (experiment.__doc__ or "").splitlines()[0].rstrip(".")
        return row(*experiment(bench), hazard=hazard)


def main(names: list[str]) -> None:
    """Measure each control and write its row at once, so that a run may be cut."""
    root = Path.cwd()
    if unknown := [name for name in names if name not in {*INJECTIONS, *EXPERIMENTS}]:
        raise SystemExit(f"no experiment for {', '.join(unknown)}")
    target = root / "risk" / "results" / "controls.json"
    for name in names or [*INJECTIONS, *EXPERIMENTS]:
        measured = _measure(root, name)
        sys.stdout.write(f"{name} {measured}\n")
        sys.stdout.flush()
        known = json.loads(target.read_text("utf-8")) if target.is_file() else {}
        known[name] = measured
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_suffix(f".{os.getpid()}.part")
        aside.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")
        aside.replace(target)


if __name__ == "__main__":
    main(sys.argv[1:])
