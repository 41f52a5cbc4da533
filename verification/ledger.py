"""The ledger: who accepted which item at which text, and why (`approvals.toml`).

A line is appended for each acceptance and never edited. It is a review record, not by itself a
signature under 21 CFR Part 11.
"""

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verification.findings import Finding, ProjectError

__all__ = ["Approval", "append", "check", "path", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One acceptance of one item at one text."""

    item: str
    hash: str
    reviewer: str
    role: str
    """`author, not independent` unless the reviewer says otherwise."""
    reason: str
    date: str
    """ISO 8601 day."""


def path(root: Path) -> Path:
    """Where the ledger stands."""
    return root / "design_history_file" / "approvals.toml"


def _approval(entry: dict[str, Any]) -> Approval:
    """One acceptance from its table; a word that is missing or blank raises."""
    found = Approval(**entry)
    for name in found.__dataclass_fields__:
        if not str(getattr(found, name)).strip() or not isinstance(entry[name], str):
            message = f"an acceptance of {found.item} has no {name}"
            raise ValueError(message)
    return found


def read(root: Path) -> tuple[list[Approval], list[Finding]]:
    """Every acceptance, and what could not be read."""
    file = "design_history_file/approvals.toml"
    try:
        raw = tomllib.loads(path(root).read_text("utf-8"))
        lines = [_approval(entry) for entry in raw.get("approval", [])]
    except FileNotFoundError:
        return [], []
    except (OSError, ValueError, TypeError) as error:
        return [], [Finding("R14", "", file, 1, f"the ledger cannot be read: {error}")]
    return lines, []


def _quoted(value: str) -> str:
    """Write a TOML string: every character as it is, but for what TOML has escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def check(root: Path, words: tuple[str, ...]) -> None:
    """Refuse a ledger that cannot be read, and words that no text file can hold."""
    _, broken = read(root)
    if broken:
        raise ProjectError(str(broken[0]))
    for word in words:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as error:
            message = f"{word!a} is no text: {error.reason}"
            raise ProjectError(message) from error


def append(root: Path, approvals: list[Approval]) -> None:
    """Add acceptances at the end of the ledger."""
    check(root, ())
    target = path(root)
    known = target.read_text("utf-8") if target.is_file() else _HEADER
    entries = []
    for entry in approvals:
        pairs = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
        body = "\n".join(f"{name} = {_quoted(value)}" for name, value in pairs.items())
        entries.append(f"\n[[approval]]\n{body}\n")
    aside = target.with_suffix(f".{os.getpid()}.tmp")
    aside.write_text(known + "".join(entries), "utf-8")
    aside.replace(target)


_HEADER = """\
# Review record: who accepted which item at which text (hash), and why. Lines are appended by
# `cxr-verify accept` and never edited. It is not by itself a signature under 21 CFR Part 11.
"""
