"""Waivers: findings that are known, explained, and end with a version (`waivers.toml`).

No calendar dates: a build must not turn red by itself. A waiver past its version, without a
reason, or for nothing that is found is itself a finding.
"""

import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from verification.findings import RULES, Finding

__all__ = ["Waivers", "read"]

_FILE: Final = "design_history_file/waivers.toml"


def _number(version: str) -> tuple[int, ...]:
    """Take a version apart for comparison: 0.10 is above 0.9, and 0.2.0 equals 0.2."""
    parts = [int(part) for part in re.findall(r"\d+", version)]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One rule waived for one item (or a pattern of items) until a version."""

    rule: str
    item: str
    """An id; `*` stands for any characters."""
    until: str
    """The first version in which it no longer holds."""
    reason: str
    line: int = 1

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is the one waived."""
        return finding.rule == self.rule and fnmatchcase(finding.item, self.item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A reason for which a test may be skipped on a machine that lacks something."""

    pattern: str
    reason: str


@dataclass(frozen=True, slots=True)
class Waivers:
    """Everything that `waivers.toml` states."""

    waivers: tuple[Waiver, ...] = ()
    skips: tuple[Skip, ...] = ()
    findings: tuple[Finding, ...] = ()

    def allows_skip(self, reason: str) -> bool:
        """Whether a skipped test says a reason that is provided for."""
        return any(re.search(skip.pattern, reason) for skip in self.skips)

    def apply(
        self, findings: list[Finding], version: str
    ) -> tuple[list[Finding], list[tuple[Finding, Waiver]]]:
        """Part what stands from what is waived; a waiver that does not hold is added."""
        ended = [w for w in self.waivers if _number(w.until) <= _number(version)]
        valid = [w for w in self.waivers if w not in ended]
        waived = [(f, w) for f in findings for w in valid if w.covers(f)]
        covered = {id(f) for f, _ in waived}
        standing = [f for f in findings if id(f) not in covered]
        standing += [
            Finding("W1", w.item, _FILE, w.line, f"the waiver of {w.rule} ended with {w.until}")
            for w in ended
        ]
        used = {id(w) for _, w in waived}
        standing += [
            Finding("W1", w.item, _FILE, w.line, f"nothing to waive under {w.rule}: remove it")
            for w in valid
            if id(w) not in used
        ]
        return standing, list({id(f): (f, w) for f, w in waived}.values())


def read(root: Path) -> Waivers:
    """Read the waivers; what is wrong with the file is a finding, not an error."""
    try:
        text = (root / _FILE).read_text("utf-8")
        raw = tomllib.loads(text)
    except FileNotFoundError:
        return Waivers()
    except (OSError, ValueError) as error:
        match = re.search(r"line (\d+)", str(error))
        line = int(match[1]) if match else 1
        return Waivers(findings=(Finding("W1", "", _FILE, line, f"cannot be read: {error}"),))
    stated = {key: raw.get(key, []) for key in ("waiver", "skip")}
    for key, entries in stated.items():
        heads = sum(row.strip() == f"[[{key}]]" for row in text.splitlines())
        if not isinstance(entries, list) or heads != len(entries):
            wrong = Finding("W1", "", _FILE, 1, f"write each {key} as a table under [[{key}]]")
            return Waivers(findings=(wrong,))
    places = [n for n, row in enumerate(text.splitlines(), 1) if row.strip() == "[[waiver]]"]
    waivers, findings = [], []
    for entry, line in zip(stated["waiver"], places, strict=True):
        missing = [
            k for k in ("rule", "item", "until", "reason") if not str(entry.get(k, "")).strip()
        ]
        if missing or entry["rule"] not in RULES:
            what = f"lacks {', '.join(missing)}" if missing else f"names no rule: {entry['rule']}"
            findings.append(
                Finding("W1", str(entry.get("item", "")), _FILE, line, f"a waiver {what}")
            )
            continue
        words = {k: str(entry[k]) for k in ("rule", "item", "until", "reason")}
        waivers.append(Waiver(line=line, **words))
    skips, wrong_skips = _skips(stated["skip"])
    return Waivers(tuple(waivers), tuple(skips), (*findings, *wrong_skips))


def _skips(entries: list[dict[str, object]]) -> tuple[list[Skip], list[Finding]]:
    """Read the reasons for a skip; one that is empty or excuses any reason is a finding."""
    skips, findings = [], []
    for entry in entries:
        pattern, reason = (str(entry.get(key, "")).strip() for key in ("pattern", "reason"))
        try:
            fault = "excuses every test" if re.search(pattern, "") else ""
        except re.error as error:
            fault = f"has no regular expression: {error}"
        fault = fault or ("" if reason else "lacks its reason")
        if fault:
            findings.append(Finding("W1", "", _FILE, 1, f"a skip {fault}: {pattern!r}"))
        else:
            skips.append(Skip(pattern=pattern, reason=reason))
    return skips, findings
