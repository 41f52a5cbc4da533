"""Findings: what the gate found, where, and what to do about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["RULES", "Finding", "ProjectError", "place"]

RULES: Final = {
    "R1": "requirement without a test at its level",
    "R2": "requirement without a passing test",
    "R3": "test pinned to another text, or not pinned",
    "R4": "id that is unknown, retired or of another kind",
    "R5": "requirement without user need and risk control",
    "R6": "need or system requirement without requirement, or need without validation",
    "R7": "hazard without risk, or risk without control or not acceptable",
    "R8": "risk control without requirement or effectiveness evidence",
    "R9": "id used twice, or deleted",
    "R10": "item that breaks the schema",
    "R11": "evidence of another state",
    "R12": "metric missing or below its criterion",
    "R13": "architecture or SOUP list that differs from what is there",
    "R14": "item not approved at its present text",
    "R15": "surviving or stale mutants of a risk control",
    "W1": "waiver that does not hold",
}
"""Every rule with what it finds."""


class ProjectError(Exception):
    """The command cannot be carried out as asked; the message says why (exit code 2)."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One reason why the gate is not clean."""

    rule: str
    item: str
    file: str
    line: int
    message: str
    """What is wrong and what to do, in one line."""
    tests: tuple[str, ...] = ()
    """Node ids of the tests concerned."""

    def sort_key(self) -> tuple[int, str, str, int]:
        """Order by number of the rule, then item and place."""
        number = int(self.rule[1:]) if self.rule[0] == "R" else 99
        return number, self.item, self.file, self.line

    def __str__(self) -> str:  # type: ignore[explicit-override]
        """Write the finding as compilers do: file:line: rule item: message."""
        return f"{self.file}:{self.line}: {self.rule} {self.item or '-'}: {self.message}"


def place(path: Path, root: Path) -> str:
    """Write a path relative to the project, with forward slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
