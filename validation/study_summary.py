"""The summary of the real study: hypotheses in order, criteria, looks, and what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from validation import standalone
from validation.estimate import Estimate, record
from validation.multiplicity import Family, Gate, gatekeeping
from validation.pivotal import Pivotal
from validation.protocol import Look, Protocol, consequence
from validation.readers_report import as_estimate
from validation.reference_standard import label_noise
from validation.report import Report, Section, Table, cell, write

__all__ = ["Criterion", "StudyInputs", "summarize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyInputs:
    """What the study reads: CASES of the locked device, the wide reader file, the threshold.

    `pivotal` is the performance standard that subgroups are held against; `images` the folder of
    the films' `file` column, without which the audit for shortcuts sees table columns alone.
    """

    cases: Path
    reads: Path
    threshold: float
    protocol: Protocol
    pivotal: Pivotal
    looks: tuple[Look, ...]
    weights_sha256: str
    images: Path | None = None


def _one_sided_p(estimate: Estimate, bound: float) -> float:
    """Return the one-sided p of `estimate` above `bound` from its interval (normal)."""
    if estimate.estimate is None or estimate.lower is None:
        return 1.0
    z = float(stats.norm.isf((1.0 - estimate.level) / 2.0))
    se = estimate.se or (estimate.estimate - estimate.lower) / z
    return float(stats.norm.sf((estimate.estimate - bound) / se)) if se > 0.0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A bound, what was observed against it, and whether the bound is exceeded.

    `met` is the verdict of the gates for a hypothesis of the protocol; for a criterion of the
    pivotal study it says that the lower bound on these public films exceeds it, and no more.
    """

    study: str
    endpoint: str
    bound: float
    observed: Estimate
    met: bool


def _hypotheses(
    protocol: Protocol, by_readers: standalone.Standalone, panels: Mapping[str, object]
) -> list[tuple[Mapping[str, object], float, Estimate]]:
    """Return each hypothesis of the protocol with its bound and its estimate."""
    estimates = {
        "auc": by_readers.measures["auc"],
        "one_reader": panels["difference"],
        "two_readers": panels["pair_difference"],
    }
    found = []
    for one in protocol.hypotheses():
        estimate = estimates.get(str(one["name"]))
        if isinstance(estimate, Estimate):
            bound = float(str(one["goal"])) if "goal" in one else -float(str(one["margin"]))
            found.append((one, bound, estimate))
    return found


def _criteria(
    inputs: StudyInputs,
    by_readers: standalone.Standalone,
    panels: Mapping[str, object],
    gates: tuple[Gate, ...],
) -> dict[str, list[Criterion]]:
    """Hold the results against the protocol's hypotheses, and against the pivotal bounds."""
    shown = {gate.claim: gate.rejected for gate in gates}
    bounds = inputs.pivotal.criteria
    return {
        "public": [
            Criterion(
                study=inputs.protocol.identifier,
                endpoint=str(one["endpoint"]),
                bound=bound,
                observed=estimate,
                met=shown[str(one["name"])],
            )
            for one, bound, estimate in _hypotheses(inputs.protocol, by_readers, panels)
        ],
        "pivotal": [
            Criterion(
                study=inputs.pivotal.identifier,
                endpoint=endpoint,
                bound=bound,
                observed=by_readers.measures[key],
                met=(by_readers.measures[key].lower or 0.0) > bound,
            )
            for endpoint, key, bound in (
                ("AUC", "auc", bounds.auc),
                ("Sensitivity at the operating point", "sensitivity", bounds.sensitivity),
                ("Specificity at the operating point", "specificity", bounds.specificity),
            )
        ],
    }


def _gates(
    protocol: Protocol, by_readers: standalone.Standalone, panels: Mapping[str, object]
) -> tuple[Gate, ...]:
    """Test the hypotheses in the protocol's order of families."""
    families: dict[int, list[tuple[str, float]]] = {}
    for one, bound, estimate in _hypotheses(protocol, by_readers, panels):
        p = _one_sided_p(estimate, bound)
        families.setdefault(int(str(one["family"])), []).append((str(one["name"]), p))
    ordered = [
        Family(claims=tuple(n for n, _ in rows), p_values=tuple(p for _, p in rows))
        for _, rows in sorted(families.items())
    ]
    alpha = float(str(protocol.section("statistics")["alpha_two_sided"])) / 2.0
    return gatekeeping(ordered, alpha=alpha)


def summarize(
    inputs: StudyInputs,
    out: Path,
    mined: standalone.Standalone,
    by_readers: standalone.Standalone,
    panels: Mapping[str, object],
) -> dict[str, object]:
    """Write `summary/` over the parts of the study and return its results."""
    protocol = inputs.protocol
    reference = protocol.section("reference")
    gates = _gates(protocol, by_readers, panels)
    noise = label_noise(
        mined.table,
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
        "criteria": _criteria(inputs, by_readers, panels, gates),
        "label_noise": list(noise),
    }
    write(out / "summary", results, _report(inputs, results, gates, words))
    return {str(k): record(v) for k, v in results.items()}


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
