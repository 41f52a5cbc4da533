"""Networks that were tried in place of the released ones, by the predetermined change control plan.

    python benchmarks/modifications.py READS --row NETWORKS LOOK TABLE BESIDE TABLE [--row ...]

A table is what `cxr-device dataset score MANIFEST --split test --within-label` wrote with the
networks installed: those that were tried, and those released then (BESIDE); READS is the readers'
file of the study. Writes results/modifications.json: each candidate's AUC against the majority of
the readers, and its paired difference to the released one between patients (Obuchowski 1997). LOOK
is its number in the ledger of looks at the test films.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from validation import roc
from validation.estimate import record
from validation.readers_tables import joined_votes, reads_from_findings
from validation.reference_standard import majority
from validation.tables import read_cases

OUT = Path(__file__).parent / "results" / "modifications.json"
MARGIN = 0.02
"""By which the AUC may be lower at most, as the plan has it."""

Floats = NDArray[np.float64]


def judged(path: Path, reads: Path) -> tuple[Floats, NDArray[np.bool_], NDArray[np.object_]]:
    """Scores, the readers' majority and the patient of the films that were read, by their name."""
    cases = read_cases(path, cluster="patient_id")
    rows, votes, _, _ = joined_votes(cases, reads_from_findings(reads), name=reads.name)
    order = np.argsort(cases.case_id[rows])
    rows, truth = rows[order], majority(votes)[order]
    assert cases.cluster is not None
    return next(iter(cases.scores.values()))[rows], truth, cases.cluster[rows]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reads", type=Path)
    told = ("NETWORKS", "LOOK", "TABLE", "BESIDE", "TABLE")
    parser.add_argument("--row", nargs=5, metavar=told, action="append", required=True)
    asked = parser.parse_args()
    rows = []
    for networks, look, path, beside, released_path in asked.row:
        score, truth, patient = judged(Path(path), asked.reads)
        released, same_truth, _ = judged(Path(released_path), asked.reads)
        assert np.array_equal(truth, same_truth), f"{path} holds other films"
        found = roc.compare(truth, score, released, cluster=patient, margin=MARGIN)
        row = {
            "networks": networks,
            "look": int(look),
            "beside": beside,
            "auc": record(roc.auc(truth, score, cluster=patient)),
            "difference": record(found),
            "within_the_margin": "yes" if found.noninferior else "no",
        }
        rows.append(row)
        print(row)
    OUT.write_text(json.dumps({"margin": MARGIN, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
