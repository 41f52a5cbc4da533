"""Evidence: the outcomes of one test run, with the state of the repository they belong to."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from verification.findings import Finding
from verification.repository import Repository

__all__ = ["Evidence", "Row", "default_path", "gather", "read", "write"]

SCHEMA: Final = "cxr-verify/evidence/1"

_SEVERITY: Final = ("passed", "xpassed", "skipped", "xfailed", "failed", "error")
"""From best to worst; the worst phase of a test is its outcome."""

_PACKAGES: Final = (
    "click", "hypothesis", "imagecodecs", "numpy", "onnxruntime", "pillow", "pydicom", "pytest",
    "safetensors", "sphinx", "sphinx-needs", "torch", "torchvision",
)  # fmt: skip
"""Distributions whose versions are recorded, where they are installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One test case: what it verifies and how it ended."""

    nodeid: str
    file: str
    line: int
    links: tuple[str, ...]
    level: str
    outcome: str
    technique: str = ""
    examples: str = ""
    """What a property test tried: "100 passing, 0 failing, 3 invalid"."""
    reason: str = ""
    duration: float = 0.0
    """Seconds, over setup, call and teardown."""

    @property
    def function(self) -> str:
        """Node id without parameters."""
        return self.nodeid.split("[", 1)[0]

    def join(self, other: "Row") -> "Row":
        """Fold another phase of the same test in."""
        worst = max(self.outcome, other.outcome, key=_SEVERITY.index)
        return replace(
            self,
            links=self.links or other.links,
            outcome=worst,
            level=self.level if self.links else other.level,
            technique=self.technique or other.technique,
            examples=self.examples or other.examples,
            reason=self.reason or other.reason,
            duration=self.duration + other.duration,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run has shown, about which state."""

    commit: str | None
    dirty: bool
    dirty_files: tuple[str, ...]
    state: str
    weights_sha256: str | None
    weight_files: Mapping[str, str]
    python: str
    packages: Mapping[str, str]
    seed: str
    complete: bool
    tests: tuple[Row, ...]


def default_path(root: Path) -> Path:
    """Where a run leaves its evidence and the gate looks for it."""
    return root / "build" / "verification" / "results.json"


def _versions() -> dict[str, str]:
    """Versions of the packages that a result can depend on."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def gather(root: Path, rows: list[Row], *, complete: bool, seed: str) -> Evidence:
    """Put rows and the present state of the repository together."""
    repository = Repository(root)
    return Evidence(
        commit=repository.commit,
        dirty=repository.dirty,
        dirty_files=repository.changed,
        state=repository.state,
        weights_sha256=repository.weights_sha256,
        weight_files=repository.weight_files,
        python=platform.python_version(),
        packages=_versions(),
        seed=seed,
        complete=complete,
        tests=tuple(sorted(rows, key=lambda row: row.nodeid)),
    )


def write(record: Evidence, path: Path) -> None:
    """Write the evidence whole; a partial run adds to evidence of the very same state."""
    if not record.complete:
        known = read(path, path.parent)
        if isinstance(known, Evidence) and (
            known.state,
            known.weight_files,
            known.python,
            known.packages,
        ) == (record.state, record.weight_files, record.python, record.packages):
            rows = {row.nodeid: row for row in (*known.tests, *record.tests)}
            merged = tuple(sorted(rows.values(), key=lambda row: row.nodeid))
            record = replace(record, tests=merged, complete=known.complete)
    content = json.dumps({"schema": SCHEMA, **asdict(record)}, indent=1, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    aside.write_text(content + "\n", "utf-8")
    aside.replace(path)


def read(path: Path, root: Path) -> Evidence | Finding | None:
    """Read evidence; None where there is none, a finding where it is damaged or foreign."""
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Finding("R11", "", name, 1, f"the evidence cannot be read: {error.strerror}")
    try:
        return _parse(json.loads(raw))
    except json.JSONDecodeError as error:
        return Finding("R11", "", name, error.lineno, f"the evidence is damaged: {error.msg}")
    except UnicodeDecodeError as error:
        return Finding("R11", "", name, 1, f"the evidence is damaged: {error.reason}")
    except RecursionError:
        return Finding("R11", "", name, 1, "the evidence is damaged: nested too deep")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Finding("R11", "", name, 1, f"this is no evidence of cxr-verify: {error!r}")


def _text(value: object) -> str | None:
    """Accept a text or nothing."""
    if value is not None and not isinstance(value, str):
        raise TypeError(value)
    return value


def _row(entry: dict[str, Any]) -> Row:
    """One row from its JSON; a value of another type raises."""
    links = entry["links"]
    if not isinstance(links, list) or not all(isinstance(link, str) for link in links):
        raise TypeError(links)
    counts = {"line": int, "duration": int | float}
    for name, value in entry.items():
        if name != "links" and not isinstance(value, counts.get(name, str)):
            raise TypeError(value)
    return Row(**{**entry, "links": tuple(links)})


def _parse(raw: dict[str, Any]) -> Evidence:
    """Evidence from its JSON; anything foreign raises."""
    if raw["schema"] != SCHEMA:
        raise ValueError(raw["schema"])
    rows = []
    for entry in raw["tests"]:
        if entry["outcome"] not in _SEVERITY:
            raise ValueError(entry["outcome"])
        rows.append(_row(entry))
    return Evidence(
        commit=_text(raw["commit"]),
        dirty=bool(raw["dirty"]),
        dirty_files=tuple(str(name) for name in raw["dirty_files"]),
        state=str(raw["state"]),
        weights_sha256=_text(raw["weights_sha256"]),
        weight_files=dict(raw["weight_files"]),
        python=str(raw["python"]),
        packages=dict(raw["packages"]),
        seed=str(raw["seed"]),
        complete=bool(raw["complete"]),
        tests=tuple(rows),
    )
