"""Clauses: which clause of a standard is met by which item or document, and what is open.

An item names clauses by its `clause` attribute, a document by its `:clauses:` field. What only a
company, a study or a person can supply is a `placeholder` in a document, with an owner; it is
counted here.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verification import schema
from verification.findings import Finding, ProjectError, place
from verification.items import Items

__all__ = [
    "Clause",
    "Placeholder",
    "Standard",
    "coverage",
    "placeholders",
    "standard",
    "standards",
    "unknown",
]

_FIELD: Final = re.compile(r"^:clauses:((?:.*\n)(?:[ \t]+.*\n)*)", re.MULTILINE)
_PLACEHOLDER: Final = re.compile(
    r"^(?P<indent> *)\.\. placeholder:: (?P<what>.*)\n(?P<body>(?:(?P=indent) +.*\n|\n)*)",
    re.MULTILINE,
)
_OWNER: Final = re.compile(r":owner:\s*(.+)")
_FOLDERS: Final = ("design_history_file", "risk", "docs")


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause and what meets it."""

    number: str
    title: str
    items: tuple[str, ...]
    documents: tuple[str, ...]

    @property
    def met(self) -> bool:
        """Whether anything names the clause."""
        return bool(self.items or self.documents)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Something that only its owner can supply."""

    what: str
    owner: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Standard:
    """One clause map."""

    name: str
    title: str
    clauses: tuple[Clause, ...]


def _maps() -> dict[str, dict[str, object]]:
    """Every clause map as written."""
    text = Path(__file__).with_name("clauses.toml").read_text("utf-8")
    return tomllib.loads(text)


def standards() -> list[str]:
    """Names that `gaps --standard` accepts."""
    names = []
    for name, entry in _maps().items():
        names += [f"{name}-{c}" for c in "abc"] if entry.get("classes") else [name]
    return names


def _documents(root: Path) -> dict[str, set[str]]:
    """Documents by the clause tags they name."""
    found: dict[str, set[str]] = {}
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*.rst")):
            for match in _FIELD.finditer(path.read_text("utf-8", "replace")):
                for tag in match[1].split():
                    found.setdefault(tag, set()).add(place(path, root))
    return found


def _known(tag: str, maps: dict[str, set[str]]) -> bool:
    """Whether a map has a clause; a standard without a map may be named freely."""
    standard, _, number = tag.partition(":")
    numbers = maps.get(standard)
    parts = number.split(".")
    above = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return numbers is None or bool(numbers & above)


def unknown(root: Path, items: Items) -> Iterator[Finding]:
    """Find items and documents under a clause that its standard does not have."""
    maps: dict[str, set[str]] = {}
    for entry in _maps().values():
        numbers = entry["clauses"]
        if isinstance(numbers, dict):
            maps.setdefault(str(entry["tag"]), set()).update(numbers)
    for item in items.by_id.values():
        for tag in item.get("clause").split():
            if not _known(tag, maps):
                text = f"no clause {tag} is in the map of its standard"
                yield Finding("R10", item.id, item.file, item.line, text)
    for tag, files in _documents(root).items():
        if not _known(tag, maps):
            text = f"no clause {tag} is in the map of its standard"
            yield from (Finding("R10", "", file, 1, text) for file in sorted(files))


def placeholders(root: Path) -> list[Placeholder]:
    """Every placeholder of the documents, with its owner."""
    found = []
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*.rst")):
            text = path.read_text("utf-8", "replace") + "\n"
            for match in _PLACEHOLDER.finditer(text):
                owner = _OWNER.search(match["body"])
                line = text.count("\n", 0, match.start()) + 1
                name = owner[1].strip() if owner else ""
                found.append(Placeholder(match["what"].strip(), name, place(path, root), line))
    return found


def standard(name: str, root: Path, items: Items) -> Standard:
    """Read one map and look up what meets each clause."""
    if name not in standards():
        message = f"no standard {name!r}; one of {', '.join(standards())}"
        raise ProjectError(message)
    maps = _maps()
    level = ""
    if name not in maps:
        name, _, level = name.rpartition("-")
    entry = maps[name]
    documents = _documents(root)
    by_tag: dict[str, list[str]] = {}
    for item in items.by_id.values():
        if item.status == schema.Status.RETIRED:
            continue
        for tag in item.get("clause").split():
            by_tag.setdefault(tag, []).append(item.id)
    clauses = entry["clauses"]
    if not isinstance(clauses, dict):
        message = f"{name}: the clause map is damaged"
        raise ProjectError(message)
    found = []
    for number, (classes, title) in clauses.items():
        if level and level.upper() not in classes:
            continue
        tag = f"{entry['tag']}:{number}"
        named = [i for t, ids in by_tag.items() if t == tag or t.startswith(tag + ".") for i in ids]
        found.append(Clause(number, title, tuple(named), tuple(sorted(documents.get(tag, ())))))
    return Standard(name, str(entry["title"]), tuple(found))


def coverage(found: Standard) -> tuple[int, int]:
    """How many clauses are met, of how many."""
    return sum(clause.met for clause in found.clauses), len(found.clauses)
