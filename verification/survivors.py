"""Survivors with a reason: mutants that may live, each explained (`risk/surviving_mutants.toml`).

An entry names module and mutant as `cxr-verify mutate` prints it. One marked `equivalent` is a
mutant that no input can tell from the original, and is not counted; any other stays counted as a
survivor and only has its reason beside it.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verification.findings import Finding

__all__ = ["FILE", "Survivor", "read"]

FILE: Final = Path("risk") / "surviving_mutants.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """One mutant that may live."""

    module: str
    name: str
    reason: str
    equivalent: bool
    """No input can tell it from the original."""
    line: int
    """Where the entry stands in the file."""


def read(root: Path) -> tuple[tuple[Survivor, ...], tuple[Finding, ...]]:
    """Read the entries; what is wrong with the file is a finding, not an error."""
    where = FILE.as_posix()
    try:
        text = (root / FILE).read_text("utf-8")
        raw = tomllib.loads(text)
    except FileNotFoundError:
        return (), ()
    except (OSError, ValueError) as error:
        match = re.search(r"line (\d+)", str(error))
        line = int(match[1]) if match else 1
        return (), (Finding("R15", "", where, line, f"cannot be read: {error}"),)
    entries = raw.get("mutant", [])
    places = [n for n, row in enumerate(text.splitlines(), 1) if row.strip() == "[[mutant]]"]
    if not isinstance(entries, list) or len(places) != len(entries):
        return (), (Finding("R15", "", where, 1, "holds no list of [[mutant]] tables"),)
    found, findings = [], []
    for entry, line in zip(entries, places, strict=True):
        words = {key: str(entry.get(key, "")).strip() for key in ("module", "name", "reason")}
        if missing := [key for key, value in words.items() if not value]:
            text = f"a surviving mutant lacks {', '.join(missing)}"
            findings.append(Finding("R15", "", where, line, text))
            continue
        found.append(Survivor(**words, equivalent=entry.get("equivalent") is True, line=line))
    return tuple(found), tuple(findings)
