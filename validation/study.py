"""The real study in one call: standalone against both references, and beside the readers."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from validation import standalone, standalone_report
from validation.confusion import Confusion
from validation.estimate import Estimate, record
from validation.multiplicity import Family, Gate, gatekeeping
from validation.protocol import Look, Protocol, consequence
from validation.readers_report import (
    ReaderOptions,
    ReaderStudyFiles,
    against_readers_study,
    as_estimate,
)
from validation.readers_tables import joined_votes, reads_from_findings
from validation.reference_standard import label_noise, majority
from validation.report import Report, Section, Table, cell, write
from validation.tables import read_cases

__all__ = ["StudyInputs", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyInputs:
    """What the study reads: CASES of the locked device, the wide reader file, the threshold."""

    cases: Path
    reads: Path
    threshold: float
    protocol: Protocol
    looks: tuple[Look, ...]
    weights_sha256: str


def run(inputs: StudyInputs, out: Path) -> dict[str, object]:
    """Run the study by its protocol; write a folder for each part and `summary/` over them.

    Parts: `mined_label`, `reader_majority` (standalone), `readers_panels`,
    `readers_leave_one_out`, `readers_majority` (against the readers).
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
    write(
        out / "mined_label",
        standalone.results(cases, mined),
        standalone_report.report(cases, mined, name="Label mined from reports"),
    )
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
    write(
        out / "reader_majority",
        standalone.results(read, by_readers),
        standalone_report.report(read, by_readers, name="Majority of the readers"),
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
    return _summary(inputs, out, mined, by_readers, parts["panels"].results)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, list) else ()


def _one_sided_p(estimate: Estimate, bound: float) -> float:
    """Return the one-sided p of `estimate` above `bound` from its interval (normal)."""
    if estimate.estimate is None or estimate.lower is None:
        return 1.0
    z = float(stats.norm.isf((1.0 - estimate.level) / 2.0))
    se = estimate.se or (estimate.estimate - estimate.lower) / z
    return float(stats.norm.sf((estimate.estimate - bound) / se)) if se > 0.0 else 1.0


def _gates(
    protocol: Protocol, by_readers: standalone.Standalone, panels: Mapping[str, object]
) -> tuple[Gate, ...]:
    """Test the hypotheses in the protocol's order of families."""
    differences = {"one_reader": panels["difference"], "two_readers": panels["pair_difference"]}
    families: dict[int, list[tuple[str, float]]] = {}
    for one in protocol.hypotheses():
        name = str(one["name"])
        estimate = by_readers.measures["auc"] if name == "auc" else differences.get(name)
        if not isinstance(estimate, Estimate):
            continue
        bound = float(str(one["goal"])) if "goal" in one else -float(str(one["margin"]))
        p = _one_sided_p(estimate, bound)
        families.setdefault(int(str(one["family"])), []).append((name, p))
    ordered = [
        Family(claims=tuple(n for n, _ in rows), p_values=tuple(p for _, p in rows))
        for _, rows in sorted(families.items())
    ]
    alpha = float(str(protocol.section("statistics")["alpha_two_sided"])) / 2.0
    return gatekeeping(ordered, alpha=alpha)


def _summary(
    inputs: StudyInputs,
    out: Path,
    mined: standalone.Standalone,
    by_readers: standalone.Standalone,
    panels: Mapping[str, object],
) -> dict[str, object]:
    protocol = inputs.protocol
    reference = protocol.section("reference")
    gates = _gates(protocol, by_readers, panels)
    noise = label_noise(
        _table(mined),
        sensitivities=_numbers(reference["label_sensitivities"]),
        specificities=_numbers(reference["label_specificities"]),
    )
    level = by_readers.options.level
    words = consequence(inputs.looks, level=level)
    keys = ("auc", "sensitivity", "specificity", "ppv", "npv")
    results: dict[str, object] = {
        "schema": "cxr-validate/study/1",
        "protocol": {
            "identifier": protocol.identifier,
            "version": protocol.version,
            "sha256": protocol.sha256,
            "amendments": list(protocol.amendments),
        },
        "weights_sha256": inputs.weights_sha256,
        "threshold": inputs.threshold,
        "looks": len(inputs.looks),
        "consequence": words,
        "mined_label": {"n": mined.table.n, **{k: mined.measures[k] for k in keys}},
        "reader_majority": {"n": by_readers.table.n, **{k: by_readers.measures[k] for k in keys}},
        "panels": {
            k: panels[k]
            for k in (
                "device",
                "readers",
                "left_out_pair",
                "difference",
                "pair_difference",
                "readers_worth",
                "readers_below_curve",
                "noninferior",
                "pair_noninferior",
            )
        },
        "hypotheses": list(gates),
        "label_noise": list(noise),
    }
    write(out / "summary", results, _report(inputs, results, gates, words))
    return {str(k): record(v) for k, v in results.items()}


def _table(found: standalone.Standalone) -> Confusion:
    return found.table


def _numbers(value: object) -> tuple[float, ...]:
    return tuple(float(str(v)) for v in value) if isinstance(value, list) else ()


def _report(
    inputs: StudyInputs, results: Mapping[str, object], gates: tuple[Gate, ...], words: str
) -> Report:
    rows = []
    for key, label in (("reader_majority", "Majority of readers"), ("mined_label", "Mined label")):
        part = results[key]
        if isinstance(part, Mapping):
            cells = [cell(part[k]) for k in ("auc", "sensitivity", "specificity")]
            rows.append((label, f"{part['n']:,}", *cells))
    panels = results["panels"]
    shown = dict(panels) if isinstance(panels, Mapping) else {}
    names = {
        "device": "Device",
        "readers": "One reader left out",
        "left_out_pair": "Two left out, by votes",
        "difference": "Device minus one",
        "pair_difference": "Device minus two",
        "readers_worth": "Readers it counts for",
    }
    looks = Table(
        header=("Look", "On", "By", "For", "Protocol", "Weights"),
        rows=tuple(
            (
                str(look.number),
                look.on,
                look.by,
                look.purpose,
                (look.protocol_sha256 or "\u2013")[:12],
                (look.weights_sha256 or "\u2013")[:12],
            )
            for look in inputs.looks
        ),
    )
    return Report(
        title=inputs.protocol.title,
        subtitle=f"Protocol {inputs.protocol.identifier} v{inputs.protocol.version}, SHA-256 "
        f"{inputs.protocol.sha256[:16]}\u2026 \u00b7 weights {inputs.weights_sha256[:16]}\u2026",
        headline=tuple(
            (names[k], cell(as_estimate(shown[k])).split(" ")[0], cell(as_estimate(shown[k])))
            for k in ("device", "readers", "left_out_pair")
        ),
        sections=(
            Section(
                title="Standalone",
                tables=(
                    Table(
                        header=("Reference", "n", "AUC", "Sensitivity", "Specificity"),
                        rows=tuple(rows),
                    ),
                ),
            ),
            Section(
                title="Beside the radiologists (three-reader panels)",
                tables=(
                    Table(
                        header=("Measure", "Estimate"),
                        rows=tuple((names[k], cell(as_estimate(shown[k]))) for k in names),
                    ),
                ),
            ),
            Section(
                title="Hypotheses, in order",
                tables=(
                    Table(
                        header=("Claim", "One-sided p", "Adjusted", "Tested", "Shown"),
                        rows=tuple(
                            (
                                g.claim,
                                f"{g.p_value:.4g}",
                                f"{g.adjusted_p:.4g}",
                                "yes" if g.tested else "no: a gate before it stayed closed",
                                "yes" if g.rejected else "no",
                            )
                            for g in gates
                        ),
                    ),
                ),
            ),
            Section(title="Looks at the test split", text=(words,), tables=(looks,)),
        ),
    )
