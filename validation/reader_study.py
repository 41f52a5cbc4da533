"""The multi-reader multi-case study as results and report."""

from validation.estimate import percent, record
from validation.figures import Chart, Mark, flow, forest
from validation.mrmc import Difference, Mrmc
from validation.report import Report, Section, Table

__all__ = ["report", "results"]


def results(found: Mrmc, *, sha256: str) -> dict[str, object]:
    """Return the contract's `results.json` of an MRMC study."""
    entry = record(found)
    assert isinstance(entry, dict)  # noqa: S101 - a dataclass is always an object
    return {"schema": "cxr-validate/mrmc/1", "input_sha256": sha256, **entry}


def _number(value: float | None, digits: int = 4) -> str:
    return "\u2013" if value is None else f"{value:.{digits}f}"


def _limits(lower: float | None, upper: float | None) -> str:
    return f"({_number(lower)}, {_number(upper)})"


def _differences(found: Mrmc) -> Table:
    def row(d: Difference) -> tuple[str, ...]:
        verdict = ""
        if d.margin is not None:
            verdict = "non-inferior" if d.noninferior else "not shown"
        return (
            f"{d.a} \u2212 {d.b}",
            f"{d.estimate:+.4f} {_limits(d.lower, d.upper)}",
            _number(d.se, 5),
            _number(d.df, 2),
            _number(d.p_value),
            verdict or (d.reason or ""),
        )

    return Table(
        header=("Difference", f"Estimate ({percent(found.level)})", "SE", "df", "p", "Verdict"),
        rows=tuple(row(d) for d in found.differences),
    )


def report(found: Mrmc, *, name: str, sha256: str) -> Report:
    """Return the report of an MRMC study: modalities, differences, readers, components."""
    what = {"auc": "AUC", "partial-auc": "Partial AUC"}.get(found.metric, found.metric.capitalize())
    figures = {"flow": _flow(found), "readers": _reader_plot(found, what)}
    rows = [(m.modality, m.auc, m.lower, m.upper, f"{m.auc:.3f}") for m in found.modalities]
    figures["modalities"] = forest(f"{what} by modality", rows, x_label=what)
    covariances = found.covariances
    test = found.test
    sections = [
        Section(
            title="Design",
            text=(
                f"{found.method}. {found.design.capitalize()}.",
                *([found.reason] if found.reason else []),
            ),
            figures=("flow",),
        ),
        Section(
            title="Modalities",
            text=(
                (
                    f"Test that all modalities agree: statistic {_number(test.statistic)}, "
                    f"df {test.df1 if test.df1 is not None else chr(0x2013)} and "
                    f"{_number(test.df2, 2)}, p {_number(test.p_value)}"
                    + (f" ({test.reason})." if test.reason else ".")
                ),
            ),
            tables=(
                Table(
                    header=("Modality", f"{what} ({percent(found.level)})", "SE", "df"),
                    rows=tuple(
                        (
                            m.modality,
                            f"{m.auc:.4f} {_limits(m.lower, m.upper)}",
                            _number(m.se, 5),
                            _number(m.df, 2),
                        )
                        for m in found.modalities
                    ),
                ),
                *((_differences(found),) if found.differences else ()),
            ),
            figures=("modalities", "readers"),
        ),
        Section(
            title="Readers and variance",
            tables=(
                Table(
                    header=("Reader", "Modality", what, "SE"),
                    rows=tuple(
                        (r.reader, r.modality, f"{r.auc:.4f}", _number(r.se, 5))
                        for r in found.readers
                    ),
                ),
                Table(
                    header=("Error", "Cov1", "Cov2", "Cov3"),
                    rows=(
                        tuple(
                            _number(v, 7)
                            for v in (
                                covariances.error,
                                covariances.cov1,
                                covariances.cov2,
                                covariances.cov3,
                            )
                        ),
                    ),
                    caption="Covariances over cases: same reader, other modality (1); other "
                    "reader, same modality (2); both differ (3)",
                ),
            ),
        ),
    ]
    first = found.differences[0] if found.differences else None
    headline = [
        (f"{what} {m.modality}", f"{m.auc:.3f}", _limits(m.lower, m.upper))
        for m in found.modalities[:3]
    ]
    if first is not None:
        headline.append(
            (
                f"{first.a} \u2212 {first.b}",
                f"{first.estimate:+.3f}",
                f"{_limits(first.lower, first.upper)}, p {_number(first.p_value)}",
            )
        )
    return Report(
        title="Multi-reader multi-case study",
        subtitle=f"{name} \u00b7 SHA-256 {sha256[:16]}\u2026",
        headline=tuple(headline),
        sections=tuple(sections),
        figures=figures,
    )


def _flow(found: Mrmc) -> str:
    readers = len({r.reader for r in found.readers})
    return flow(
        "Design of the study",
        [
            [("Cases", f"{found.n_cases:,}")],
            [
                ("With the finding", f"{found.n_positive:,}"),
                ("Without", f"{found.n_cases - found.n_positive:,}"),
            ],
            [("Readers", str(readers)), ("Modalities", str(len(found.modalities)))],
        ],
    )


def _reader_plot(found: Mrmc, what: str) -> str:
    """Return one line a reader across the modalities."""
    names = [m.modality for m in found.modalities]
    values = [r.auc for r in found.readers]
    pad = max(0.05 * (max(values) - min(values)), 0.01)
    chart = Chart(
        title=f"{what} of each reader",
        x_label=" \u00b7 ".join(f"{i + 1}: {name}" for i, name in enumerate(names))[:70],
        y_label=what,
        x_range=(0.5, len(names) + 0.5),
        y_range=(min(values) - pad, max(values) + pad),
    )
    for reader in sorted({r.reader for r in found.readers}):
        line = {r.modality: r.auc for r in found.readers if r.reader == reader}
        xs = [float(i + 1) for i, name in enumerate(names) if name in line]
        ys = [line[name] for name in names if name in line]
        chart.line(xs, ys, colour="soft")
        for x, y in zip(xs, ys, strict=True):
            chart.mark(Mark(x=x, y=y, size=3.5))
    return chart.svg()
