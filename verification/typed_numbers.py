"""Numbers typed by hand: performance figures and counts of a document that no file answers for.

In reStructuredText a number comes from a directive or the `metric` role. In Markdown it is followed
by a comment that names the value it equals: `0.81 <!-- results.json#/auc/estimate .2f -->`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verification.findings import place
from verification.metric import MetricError, resolve
from verification.notation import show

__all__ = ["TypedNumber", "documents", "typed_numbers"]

_DOCUMENTS: Final = (
    "README.md",
    "docs/instructions_for_use.rst",
    "docs/model_card.rst",
    "docs/submission/*.rst",
    "design_history_file/standalone_*.rst",
)
"""Where performance is stated, or may come to be."""

_LEVEL: Final = "validation/protocol.toml#/statistics/level"
"""The level of every interval: the one percentage that prose may name, where it is this one."""

_COUNTED: Final = (
    r"(?:films?|patients?|images?|cases?|readers?|radiologists?|tests?|requirements?|risks?"
    r"|controls?|threats?|items?|mutants?|positives?|negatives?|sites?|vendors?)"
)
_NUMBER: Final = re.compile(
    rf"""
      (?P<interval>[\[(]\s*[-\u2212]?\d[\d.,]*\s*(?:,|to|\u2013)\s*[-\u2212]?\d[\d.,]*\s*[\])])
    | (?P<percent>(?<![\w.])\d+(?:\.\d+)?\s?%)
    | (?P<decimal>(?<![\w.])[01]?\.\d+(?![\w.]*\d))
    | (?P<count>(?<![\w.-])\d[\d,]*(?=\s+(?:[a-z-]+\s+){{0,2}}{_COUNTED}\b))
    """,
    re.VERBOSE,
)
_REFERENCE: Final = re.compile(r"\s*<!--\s*(?P<reference>\S+#\S*)(?:\s+(?P<form>\S+))?\s*-->")
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_LITERAL: Final = {
    ".md": re.compile(r"^```.*?^```|`[^`\n]*`|\]\([^)]*\)", re.DOTALL | re.MULTILINE),
    ".rst": re.compile(
        r"``[^`]*``|:[\w-]+:`[^`]*`|^\s*\.\. [\w-]+::.*$|^\s*:[\w-]+:.*$", re.MULTILINE
    ),
}
"""What is no prose: code, roles, directives and their options, targets of links."""


@dataclass(frozen=True, slots=True)
class TypedNumber:
    """A number that no file answers for, and why."""

    file: str
    line: int
    text: str
    reason: str

    def describe(self) -> str:
        """Say where the number stands, and what is wrong with it."""
        return f"{self.file}:{self.line}: {self.text}: {self.reason}"


def documents(root: Path) -> list[Path]:
    """List the documents in which every number is owed by a file."""
    return [path for pattern in _DOCUMENTS for path in sorted(root.glob(pattern))]


def typed_numbers(path: Path, root: Path) -> list[TypedNumber]:
    """Find the numbers of one document that no file of the repository answers for."""
    text = path.read_text("utf-8")
    prose = _LITERAL[path.suffix].sub(_blank, text)
    found = []
    for match in _NUMBER.finditer(_COMMENT.sub(_blank, prose)):
        reason = _fault(match, prose, root)
        if reason:
            line = prose.count("\n", 0, match.start()) + 1
            found.append(TypedNumber(place(path, root), line, match[0], reason))
    return found


def _blank(match: re.Match[str]) -> str:
    """Replace a text by as much space, so that places stay where they are."""
    return re.sub(r"[^\n]", " ", match[0])


def _fault(match: re.Match[str], prose: str, root: Path) -> str:
    """Say what is wrong with a number; nothing where a file answers for it."""
    reference = _REFERENCE.match(prose, match.end())
    try:
        if reference:
            value = resolve(root, reference["reference"])
            shown = show(value, reference["form"] or "")
            same = "".join(shown.split()) == "".join(match[0].split())
            return "" if same else f"{reference['reference']} holds {shown}"
        if match["percent"]:
            level = "".join(show(resolve(root, _LEVEL), ".0%").split())
            if "".join(match[0].split()) == level:
                return ""
    except MetricError as error:
        return str(error)
    return "typed by hand; name the value that it equals"
