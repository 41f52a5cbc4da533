"""Markers: which test verifies which item, read from the test sources without running them.

One grammar: `@verifies("SRS-012@1a009e7a", "RC-004@649915bb")`, on a function, on a class, or
as `pytestmark`. The literals' places are kept, so that `accept` can pin them.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verification.findings import Finding, place

__all__ = ["LINK", "Literal", "MarkedTest", "read_tests", "split"]

LINK: Final = re.compile(r"^(?P<id>[A-Z]+-[A-Za-z0-9_.-]+?)(?:@(?P<hash>[0-9a-f]{8}))?$")
"""`SRS-012` or `SRS-012@1a009e7a`."""


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
    found = []
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        name = call.func.id if isinstance(call.func, ast.Name) else name
        if name != "verifies":
            continue
        found += [
            Literal(arg.value, file, arg.lineno, arg.col_offset, arg.end_col_offset or 0)
            for arg in call.args
            if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
        ]
    return found


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
    return tests, findings
