"""The real study in one call: standalone against both references, and beside the readers."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from validation import shortcuts, standalone, standalone_report
from validation.estimate import record
from validation.limitations import subgroup_table
from validation.pivotal import sample_size
from validation.prevalence import PER, restate
from validation.readers_report import (
    ReaderOptions,
    ReaderStudyFiles,
    against_readers_study,
)
from validation.readers_tables import joined_votes, reads_from_findings
from validation.reference_standard import majority
from validation.report import write, write_files
from validation.study_summary import StudyInputs, summarize
from validation.tables import Cases, read_cases

__all__ = ["StudyInputs", "committed", "run"]

REFERENCES: Final = {
    "reader_majority": "Majority of the readers",
    "mined_label": "Label mined from reports",
}
"""The two reference standards, the primary first."""
COMMITTED: Final = {
    "reader_majority": "standalone_test",
    "mined_label": "mined_label_test",
    "readers_panels": "against_readers",
    "readers_leave_one_out": "leave_one_out",
    "summary": "study_summary",
    "subgroups": "subgroups",
    "prevalence": "prevalence",
    "shortcuts": "shortcuts",
    "sample_size": "sample_size",
}
"""Name of each part among the committed results."""
FIGURES: Final = {
    "reader_majority": ("roc", "pr", "calibration", "histogram", "decision", "flow"),
    "mined_label": ("roc",),
    "panels": ("ladder", "plane"),
}
"""Figures that documents show, by the part (without `readers_`) that draws them."""


def run(inputs: StudyInputs, out: Path) -> dict[str, object]:
    """Run the study by its protocol; write a folder for each part and `summary/` over them.

    Parts: `mined_label`, `reader_majority` (standalone), `readers_panels`,
    `readers_leave_one_out`, `readers_majority` (against the readers), `shortcuts_mined_label`,
    `shortcuts_reader_majority` (the model without anatomy), and `tables` with subgroups,
    prevalence, shortcuts and sample size as documents show them.
    """
    protocol = inputs.protocol
    statistics = protocol.section("statistics")
    level, seed = float(str(statistics["level"])), int(str(statistics["seed"]))
    resamples = int(str(statistics["bootstrap"]))
    cluster = str(protocol.section("population")["cluster"])
    findings = _texts(protocol.section("reference")["findings"])
    wanted = _texts(protocol.section("subgroups")["columns"])
    present = read_cases(inputs.cases).frame.columns
    groups = tuple(column for column in wanted if column in present)
    cases = read_cases(inputs.cases, cluster=cluster, groups=groups)
    options = standalone.Options(
        threshold=inputs.threshold, level=level, bootstrap=resamples, seed=seed
    )
    mined = standalone.study(cases, options)
    rows, votes, _, _ = joined_votes(
        cases, reads_from_findings(inputs.reads, findings=findings), name=inputs.reads.name
    )
    read = dataclasses.replace(
        cases,
        case_id=cases.case_id[rows],
        truth=majority(votes).astype(np.int64),
        scores={name: values[rows] for name, values in cases.scores.items()},
        groups={name: labels[rows] for name, labels in cases.groups.items()},
        cluster=None if cases.cluster is None else cases.cluster[rows],
        frame=cases.frame.iloc[rows],
    )
    by_readers = standalone.study(read, options)
    measured = {"reader_majority": (read, by_readers), "mined_label": (cases, mined)}
    for part, (table, study) in measured.items():
        write(
            out / part,
            standalone.results(table, study),
            standalone_report.report(table, study, name=REFERENCES[part]),
        )
    margins = {str(h["name"]): h.get("margin") for h in protocol.hypotheses()}
    margin = margins.get("one_reader")
    parts: dict[str, ReaderStudyFiles] = {}
    for reference in ("panels", "leave-one-out", "majority"):
        found = against_readers_study(
            inputs.cases,
            inputs.reads,
            ReaderOptions(
                reference=reference,
                findings=findings,
                threshold=inputs.threshold,
                cluster=cluster,
                margin=None if margin is None else float(str(margin)),
                resamples=resamples,
                seed=seed,
                level=level,
            ),
        )
        write(out / f"readers_{reference.replace('-', '_')}", found.results, found.report)
        parts[reference] = found
    _tables(inputs, out, measured, seed=seed, level=level)
    return summarize(inputs, out, mined, by_readers, parts["panels"].results)


def committed(out: Path) -> dict[str, str]:
    """Return what documents quote of a study's folder, as text by its committed file name."""
    files = {}
    for part, name in COMMITTED.items():
        source = out / part / "results.json"
        source = source if source.is_file() else out / "tables" / f"{part}.json"
        files[f"{name}.json"] = source.read_text("utf-8")
    for part, names in FIGURES.items():
        folder = out / part if (out / part).is_dir() else out / f"readers_{part}"
        files |= {
            f"figures/{part}_{name}.svg": (folder / f"{name}.svg").read_text("utf-8")
            for name in names
        }
    return files


def _tables(
    inputs: StudyInputs,
    out: Path,
    measured: Mapping[str, tuple[Cases, standalone.Standalone]],
    *,
    seed: int,
    level: float,
) -> None:
    """Write the tables that documents show beside the parts of the study."""
    audits = {
        part: shortcuts.audit(table, table.frame, folder=inputs.images, seed=seed, level=level)
        for part, (table, _) in measured.items()
    }
    for part, audit in audits.items():
        write(
            out / f"shortcuts_{part}",
            {"schema": "cxr-validate/shortcuts/1", "audit": audit},
            shortcuts.report(audit, name=REFERENCES[part]),
        )
    studies = [(REFERENCES[part], study) for part, (_, study) in measured.items()]
    origin = {
        "protocol_sha256": inputs.protocol.sha256,
        "pivotal_sha256": inputs.pivotal.sha256,
        "weights_sha256": inputs.weights_sha256,
        "input_sha256": measured["mined_label"][0].sha256,
        "threshold": inputs.threshold,
    }
    primary = measured["reader_majority"][1]
    groups = subgroup_table(studies, floor=inputs.pivotal.criteria.subgroup)
    tables: dict[str, Mapping[str, object]] = {
        "subgroups": {
            "schema": "cxr-validate/subgroups/1",
            **origin,
            **{field.name: getattr(groups, field.name) for field in dataclasses.fields(groups)},
        },
        "prevalence": {
            "schema": "cxr-validate/prevalence/1",
            **origin,
            "reference": REFERENCES["reader_majority"],
            "per": PER,
            "rows": restate(primary, inputs.pivotal.prevalences),
        },
        "shortcuts": {"schema": "cxr-validate/shortcuts/1", **origin, **audits},
        "sample_size": sample_size(inputs.pivotal),
    }
    write_files(
        out / "tables",
        {
            f"{name}.json": json.dumps(record(table), indent=1, ensure_ascii=False) + "\n"
            for name, table in tables.items()
        },
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, list) else ()
