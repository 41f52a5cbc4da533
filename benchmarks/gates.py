"""One pixel gate against another on the same tuning films, fault by fault, with paired intervals.

    python benchmarks/gates.py BEFORE AFTER --data DATA --cache DIR

BEFORE and AFTER are release folders, each with its own gate and threshold. Every film of tune that
lies inside the label stands in every kind, and its fault is the same for both gates. An error is a
good film refused, or a fault let through; the difference is AFTER less BEFORE, with Tango's score
interval for paired proportions (films count as independent). Rule, set before the first run: AFTER
is locked where the intervals of mirrored films, parts and halves lie below 0, and it refuses no
more good films than 1 %.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from cxr_device.release import Release
from cxr_device.training.gate_rates import gate_answers
from validation.paired import tango

OUT = Path(__file__).parent / "results" / "gates.json"
MANIFESTS = ("nih/manifest.csv", "nih_extra/manifest.csv")


def errors(release: Path, data: Path, cache: Path) -> pd.DataFrame:
    """Whether the gate of a release errs, by case and kind."""
    manifests = [data / name for name in MANIFESTS]
    told = gate_answers(manifests, split="tune", cache=cache, package=release)
    wrong = (told["refused"] == 1) == (told["wanted"] == "accept")
    return told.assign(error=wrong)[["case", "kind", "wanted", "error"]]


def main() -> None:
    """Ask both gates and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    asked = parser.parse_args()
    both = errors(asked.before, asked.data, asked.cache).merge(
        errors(asked.after, asked.data, asked.cache),
        on=["case", "kind", "wanted"], validate="one_to_one", suffixes=("_before", "_after"),
    )  # fmt: skip
    rows = []
    for kind, films in both.groupby("kind", sort=False):
        before, after = films["error_before"], films["error_after"]
        cells = [int((after & before).sum()), int((after & ~before).sum()),
                 int((~after & before).sum()), int((~after & ~before).sum())]  # fmt: skip
        found = tango(*cells)
        rows.append({
            "kind": kind, "wanted": films["wanted"].iloc[0], "films": len(films),
            "errors_before": int(before.sum()), "errors_after": int(after.sum()),
            "difference": {k: v for k, v in asdict(found).items() if v is not None},
        })  # fmt: skip
        print(rows[-1])
    gates = {
        name: Release.load(folder).pixel_gate.graph_sha256
        for name, folder in (("before", asked.before), ("after", asked.after))
    }
    found_all = {"split": "tune", "gates_sha256": gates, "kinds": rows}
    OUT.write_text(json.dumps(found_all, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
