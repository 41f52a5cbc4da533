"""Results written out: `results.json`, a self-contained `report.html`, figures as SVG files.

Everything is written aside and renamed, so a folder never holds half a result.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path

import jinja2

from validation.errors import ArgumentError
from validation.estimate import Estimate, Json, percent, record

__all__ = ["Report", "Section", "Table", "cell", "software", "write", "write_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the report: text cells, the first column a label."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading with paragraphs, tables and figures (by file name, without ``.svg``)."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report before it is written.

    `headline` are the numbers at its top: label, value, small print.
    """

    title: str
    subtitle: str
    headline: tuple[tuple[str, str, str], ...]
    sections: tuple[Section, ...]
    figures: Mapping[str, str] = field(default_factory=dict)


def software() -> str:
    """Return the name and version that go into every result."""
    return f"cxr-device {metadata.version('cxr-device')}, validation"


def cell(estimate: Estimate, *, digits: int = 3) -> str:
    """Return an estimate as one cell: ``0.901 (0.877, 0.921)``, or a dash with the reason."""
    if estimate.estimate is None:
        return f"\u2013 ({estimate.reason})"
    low, high = (
        "\u2013" if limit is None else f"{limit:.{digits}f}" for limit in estimate.interval()
    )
    return f"{estimate.estimate:.{digits}f} ({low}, {high})"


def render(report: Report, results: Json) -> str:
    """Return the HTML of a report, figures and numbers inline, nothing fetched."""
    text = resources.files("validation").joinpath("report.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    embedded = json.dumps(results, allow_nan=False, sort_keys=True).replace("<", "\\u003c")
    return environment.from_string(text).render(
        report=report, software=software(), results=embedded
    )


def write(out: Path, results: Mapping[str, object], report: Report) -> Path:
    """Write `results.json`, `report.html` and the figures into `out`; return the folder.

    Raises
    ------
    ArgumentError
        If `out` is a file, or a result is not JSON-clean; then nothing is written.
    """
    if out.exists() and not out.is_dir():
        raise ArgumentError(argument="--out", found=f"{out} is a file", accepted="a folder")
    clean = record(results)
    files = {
        "results.json": json.dumps(clean, indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        "report.html": render(report, clean),
        **{f"{name}.svg": svg for name, svg in report.figures.items()},
    }
    write_files(out, files)
    return out


def write_files(out: Path, files: Mapping[str, str]) -> None:
    """Write text files (by name, or folder/name) aside and rename each into `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for name, text in files.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).write_text(text, encoding="utf-8")
        if not out.exists():
            aside.chmod(0o755)
            aside.rename(out)
            return
        for name in files:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(aside / name, out / name)  # noqa: PTH105 - rename over an existing file
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def measures_table(
    rows: Sequence[tuple[str, Estimate]], *, level: float, caption: str = ""
) -> Table:
    """Return the usual table: measure, estimate with interval, n, method."""
    return Table(
        header=("Measure", f"Estimate ({percent(level)} interval)", "n", "Method"),
        rows=tuple((name, cell(e), f"{e.n:,}", _how(e)) for name, e in rows),
        caption=caption,
    )


def _how(estimate: Estimate) -> str:
    parts = [estimate.method]
    if estimate.clusters is not None:
        parts.append(f"{estimate.clusters:,} clusters")
    if estimate.reason is not None and estimate.estimate is not None:
        parts.append(estimate.reason)
    return "; ".join(parts)
