"""Markers: which test verifies which item, read from the test sources without running them.

One grammar: `@verifies("SRS-012@1a009e7a", "RC-004@649915bb")`, on a function, on a class, or
as `pytestmark`. The literals' places are kept, so that `accept` can pin them.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verification.findings import Finding, place

__all__ = ["LINK", "Literal", "MarkedTest", "read_tests", "split"]

LINK: Final = re.compile(r"^(?P<id>[A-Z]+-[A-Za-z0-9_.-]+?)(?:@(?P<hash>[0-9a-f]{8}))?$")
"""`SRS-012` or `SRS-012@1a009e7a`."""

_WORDS: Final = ("level", "technique")
_LEVELS: Final = ("unit", "integration", "system")


@dataclass(frozen=True, slots=True)
class Literal:
    """One link as it stands in a source file."""

    link: str
    file: str
    line: int
    """1-based."""
    start: int
    """UTF-8 byte offset in the line, as ast counts."""
    end: int


@dataclass(frozen=True, slots=True)
class MarkedTest:
    """A test function and the items it names."""

    nodeid: str
    """Without parameters."""
    file: str
    line: int
    links: tuple[Literal, ...]


def split(link: str) -> tuple[str, str | None]:
    """Take a link apart into id and pinned hash."""
    match = LINK.match(link)
    return (match["id"], match["hash"]) if match else (link, None)


def _literals(node: ast.AST, file: str) -> list[Literal]:
    """Links of every `verifies(...)` call below a node."""
    return [
        Literal(arg.value, file, arg.lineno, arg.col_offset, arg.end_col_offset or 0)
        for call in _calls(node)
        for arg in call.args
        if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
    ]


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """Give every `verifies(...)` below a node."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            name = call.func.id if isinstance(call.func, ast.Name) else name
            if name == "verifies":
                yield call


def _stated(call: ast.Call) -> dict[str | None, object]:
    """Keywords of a marker with their values; None where a value is no literal."""
    return {
        word.arg: word.value.value if isinstance(word.value, ast.Constant) else None
        for word in call.keywords
    }


def _faults(tree: ast.Module, file: str) -> Iterator[Finding]:
    """Find markers that say what nobody reads: links by name, unknown words, unknown levels."""
    for call in _calls(tree):
        if not all(isinstance(a, ast.Constant) and isinstance(a.value, str) for a in call.args):
            text = "a link is one plain string: the text it is pinned to cannot be read here"
            yield Finding("R3", "", file, call.lineno, text)
        for word, value in _stated(call).items():
            if word not in _WORDS:
                text = f"a marker has no {word}: {', '.join(_WORDS)}"
                yield Finding("R10", "", file, call.lineno, text)
            elif word == "level" and value not in _LEVELS:
                text = f"level {value!r}: {', '.join(_LEVELS)}"
                yield Finding("R10", "", file, call.lineno, text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = [call for item in node.decorator_list for call in _calls(item)]
            levels = {str(said["level"]) for call in calls if "level" in (said := _stated(call))}
            if len(levels) > 1:
                text = f"{node.name} has two levels: {', '.join(sorted(levels))}"
                yield Finding("R10", "", file, node.lineno, text)


def _is_pytestmark(node: ast.stmt) -> bool:
    """Whether a statement sets `pytestmark`."""
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
    )


def _collect(
    body: list[ast.stmt], prefix: str, file: str, above: list[Literal]
) -> list[MarkedTest]:
    """Collect the marked tests of a module or class body."""
    shared = [*above]
    for node in body:
        if _is_pytestmark(node):
            shared += _literals(node, file)
    found: list[MarkedTest] = []
    for node in body:
        if isinstance(node, ast.ClassDef):
            own = [link for item in node.decorator_list for link in _literals(item, file)]
            found += _collect(node.body, f"{prefix}::{node.name}", file, shared + own)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test"
        ):
            own = [link for item in node.decorator_list for link in _literals(item, file)]
            links = tuple(shared + own)
            found.append(MarkedTest(f"{prefix}::{node.name}", file, node.lineno, links))
    return found


def read_tests(root: Path, folder: str = "tests") -> tuple[list[MarkedTest], list[Finding]]:
    """Every test function below a folder, marked or not, and what could not be read."""
    tests: list[MarkedTest] = []
    findings: list[Finding] = []
    for path in sorted((root / folder).rglob("*.py")):
        file = place(path, root)
        if not path.name.startswith("test_"):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            findings.append(Finding("R10", "", file, line, f"cannot be parsed: {error}"))
            continue
        tests += _collect(tree.body, file, file, [])
        findings += _faults(tree, file)
    return tests, findings
