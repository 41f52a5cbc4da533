"""Risk and release rules R7, R8 and R12 to R15: controls, numbers, parts, approval, mutants."""

import re
from collections.abc import Iterator
from importlib import metadata
from typing import Final

from verification import mutation, schema, survivors
from verification.dossier import Dossier
from verification.findings import Finding
from verification.items import Item
from verification.metric import MetricError, resolve
from verification.verdicts import record_holds

__all__ = ["LEVELS", "RELEASE_RULES", "RULES", "acceptable", "probability", "risk_level"]

_COMBINED: Final = (
    (1, 1, 1, 1, 1),
    (1, 1, 1, 2, 2),
    (1, 1, 2, 3, 3),
    (1, 2, 3, 4, 4),
    (1, 2, 3, 4, 5),
)
"""Probability of harm, by row p1 (hazardous situation) and column p2 (harm), each 1 to 5."""

LEVELS: Final = (
    ("acceptable", "acceptable", "acceptable", "acceptable", "reduce"),
    ("acceptable", "acceptable", "acceptable", "reduce", "reduce"),
    ("acceptable", "acceptable", "reduce", "reduce", "unacceptable"),
    ("acceptable", "reduce", "reduce", "unacceptable", "unacceptable"),
    ("reduce", "reduce", "unacceptable", "unacceptable", "unacceptable"),
)
"""Acceptance matrix, by row severity and column probability of harm, each 1 to 5: a look-up, not
a product. `reduce`: acceptable after reduction as far as possible, with a benefit-risk analysis."""

_MUTATION_LIMIT: Final = 0.95
"""Share of mutants of a control's code that must die."""
_LEAST_TRIED: Final = 15
"""Mutants of a module that a sample holds, where there are so many: one that dies proves little."""


_RECORD: Final = re.compile(r"\S+\.(?:json|toml)\S*|\S+#/\S*")
"""An effectiveness that is one file name: a record of an experiment; anything else is prose."""


def _about(rule: str, item: Item, message: str) -> Finding:
    """Make a finding at an item's own place."""
    return Finding(rule, item.id, item.file, item.line, message)


def probability(p1: int, p2: int) -> int:
    """Look up the probability of harm, 1 to 5, from those of the situation and of the harm."""
    return _COMBINED[p1 - 1][p2 - 1]


def risk_level(severity: int, p1: int, p2: int) -> str:
    """Level of a risk by the acceptance matrix."""
    return LEVELS[severity - 1][probability(p1, p2) - 1]


def level_of(item: Item, prefix: str = "") -> str | None:
    """Level of a risk before (`""`) or after (`"residual_"`) control; None where not stated."""
    try:
        scales = [int(item.get(f"{prefix}{name}")) for name in ("severity", "p1", "p2")]
        return risk_level(*scales) if all(1 <= value <= 5 for value in scales) else None  # noqa: PLR2004  # the scales have five steps
    except ValueError:
        return None


def acceptable(item: Item) -> bool:
    """Whether the residual risk may stand: acceptable, or reduced with its benefit stated."""
    level = level_of(item, "residual_")
    return level == "acceptable" or (level == "reduce" and bool(item.get("benefit")))


def r7(dossier: Dossier) -> Iterator[Finding]:
    """Find hazards without risk, risks without control, and residual risks that may not stand."""
    analysed = dossier.items.incoming("hazard")
    for item in dossier.items.of("hazard"):
        below = [dossier.items.by_id[name] for name in analysed.get(item.id, [])]
        if item.judged and not any(risk.stands for risk in below):
            yield _about("R7", item, "no risk analyses it")
    for item in dossier.items.of("risk"):
        if not item.judged:
            continue
        controls = [dossier.items.by_id.get(name) for name in item.links.get("controls", ())]
        if not any(control and control.stands for control in controls):
            yield _about("R7", item, "no risk control of this version")
        if not acceptable(item):
            level = level_of(item, "residual_") or "not stated"
            text = f"residual risk {level} without a benefit-risk analysis that lets it stand"
            yield _about("R7", item, text)


def r8(dossier: Dossier) -> Iterator[Finding]:
    """Find risk controls that nothing implements, or whose effectiveness nobody measured."""
    implemented = dossier.items.incoming("implements")
    for item in dossier.items.of("control"):
        if not item.judged:
            continue
        names = [n for n in implemented.get(item.id, []) if n in dossier.items.by_id]
        if not any(dossier.items.by_id[n].stands for n in names):
            yield _about("R8", item, "no requirement of this version implements it")
        text = item.get("effectiveness")
        if not _RECORD.fullmatch(text):
            continue
        try:
            record = resolve(dossier.root, text)
            tried, detected = int(record["tried"]), int(record["detected"])
        except MetricError as error:
            yield _about("R8", item, f"effectiveness not measured: {error}")
        except (KeyError, TypeError, ValueError, OverflowError):
            yield _about("R8", item, f"effectiveness: {text} holds no tried and detected")
        else:
            if tried < 1 or detected != tried:
                yield _about("R8", item, f"detected {detected} of {tried} injected hazards")


def r12(dossier: Dossier) -> Iterator[Finding]:
    """Find numbers that are missing or below their criterion."""
    for item in dossier.items.of("req"):
        metric = item.judged and item.get("method") == "metric"
        if metric and (why := record_holds(dossier.root, item)):
            yield _about("R12", item, why)


def _locked(dossier: Dossier) -> dict[str, tuple[str, str]]:
    """Versions in the locks, as name to (version, file); the base lock first."""
    found: dict[str, tuple[str, str]] = {}
    for name in ("base.txt", "dev.txt"):
        path = dossier.root / "requirements" / name
        if path.is_file():
            for match in re.finditer(
                r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)",
                path.read_text("utf-8"),
                re.MULTILINE,
            ):
                key = match[1].lower().replace("_", "-")
                found.setdefault(key, (match[2], f"requirements/{name}"))
    return found


def r13(dossier: Dossier) -> Iterator[Finding]:
    """Find modules and packages that the lists do not hold, and versions that differ."""
    listed = {item.get("source").rstrip("/") for item in dossier.items.of("arc")}
    for item in dossier.items.of("arc"):
        if item.judged and not (dossier.root / item.get("source")).exists():
            yield _about("R13", item, f"{item.get('source')} does not exist")
    package = dossier.root / "cxr_device"
    for path in sorted(package.iterdir()) if package.is_dir() else []:
        name = f"cxr_device/{path.name}"
        module = path.suffix == ".py" or (path / "__init__.py").is_file()
        if module and path.stem not in {"__init__", "__main__"} and name not in listed:
            text = f"no architecture item names this module: add ARC-{path.stem}"
            yield Finding("R13", f"ARC-{path.stem}", name, 1, text)
    yield from _soup(dossier)


def _soup(dossier: Dossier) -> Iterator[Finding]:
    """Compare the SOUP list with the locks and with what is installed."""
    locked = _locked(dossier)
    entries = [
        (item.get("package"), item)
        for item in dossier.items.of("soup")
        if item.get("package") and item.status != schema.Status.RETIRED
    ]
    listed = {name for name, _ in entries}
    for name, (version, file) in locked.items():
        if file == "requirements/base.txt" and name not in listed:
            yield Finding(
                "R13", f"SOUP-{name}", file, 1, f"{name} {version} is not in the SOUP list"
            )
    for name, item in entries:
        stated = item.get("version")
        if name in locked and locked[name][0] != stated:
            text = f"the list says {stated}, {locked[name][1]} says {locked[name][0]}"
            yield _about("R13", item, text)
            continue
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if installed.split("+")[0] != stated:
            yield _about("R13", item, f"the list says {stated}, installed is {installed}")


def r14(dossier: Dossier) -> Iterator[Finding]:
    """Find items that nobody accepted at their present text (asked for a release)."""
    accepted = {(a.item, a.hash) for a in dossier.approvals}
    for item in dossier.items.by_id.values():
        if item.status != schema.Status.RETIRED and (item.id, item.hash) not in accepted:
            yield _about("R14", item, f"not accepted at {item.hash}: cxr-verify accept {item.id}")


def _reasons(dossier: Dossier) -> Iterator[Finding]:
    """Find reasons for survivors that cannot be read, or for mutants that do not survive."""
    entries, wrong = survivors.read(dossier.root)
    yield from wrong
    for entry in entries:
        record = mutation.latest(dossier.root, entry.module)
        lives = record is not None and any(
            o.name == entry.name and o.outcome == "survived" for o in record.outcomes
        )
        if not lives:
            text = f"no mutant of {entry.module} survives as {entry.name!r}: remove the reason"
            yield Finding("R15", "", survivors.FILE.as_posix(), entry.line, text)


def r15(dossier: Dossier) -> Iterator[Finding]:
    """Find control code whose mutants live, or were never tried at its present text."""
    yield from _reasons(dossier)
    for target in mutation.targets(dossier):
        record = mutation.latest(dossier.root, target.module, target.key)
        names = ", ".join(target.controls[:4]) + (" ..." if len(target.controls) > 4 else "")  # noqa: PLR2004  # what fits a line
        first = target.controls[0]
        if record is None:
            text = f"no mutant of {target.module} was tried ({names}): make mutation"
            yield Finding("R15", first, target.module, 1, text)
        elif record.key != target.key:
            text = f"mutants of {target.module} were tried on other code or tests: make mutation"
            yield Finding("R15", first, target.module, 1, text)
        elif len(record.outcomes) < min(record.generated, _LEAST_TRIED):
            text = (
                f"{len(record.outcomes)} of {record.generated} mutants of {target.module} were "
                f"tried, a sample holds {_LEAST_TRIED}: make mutation"
            )
            yield Finding("R15", first, target.module, 1, text)
        elif record.score < _MUTATION_LIMIT:
            text = (
                f"{record.killed} of {record.counted} mutants died, below "
                f"{_MUTATION_LIMIT:.0%}: {'; '.join(record.surviving()[:3])}"
            )
            yield Finding("R15", first, target.module, record.first_line(), text)


RULES = (r7, r8, r12, r13, r15)
"""Rules of every check."""

RELEASE_RULES = (r14,)
"""Rules of a release alone."""
