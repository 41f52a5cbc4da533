"""The gate: every rule over one dossier, and what is waived."""

from dataclasses import dataclass

from verification import risk_rules, trace_rules
from verification.dossier import Dossier
from verification.findings import Finding
from verification.waivers import Waiver

__all__ = ["Judgement", "judge"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What stands and what is waived."""

    findings: tuple[Finding, ...]
    waived: tuple[tuple[Finding, Waiver], ...]


def judge(dossier: Dossier, *, release: bool = False) -> Judgement:
    """Apply every rule; waived findings are kept apart and always shown."""
    rules = [*trace_rules.RULES, *risk_rules.RULES]
    rules += risk_rules.RELEASE_RULES if release else ()
    found = [*dossier.findings, *(finding for rule in rules for finding in rule(dossier))]
    unique = sorted(dict.fromkeys(found), key=Finding.sort_key)
    standing, waived = dossier.waivers.apply(unique, dossier.repository.version)
    return Judgement(tuple(sorted(standing, key=Finding.sort_key)), tuple(waived))
