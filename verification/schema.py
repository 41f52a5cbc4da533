"""The schema of items: types, attributes, links, and the words a requirement may not hold.

Sphinx (docs/conf.py) and the gate read the same tables, so a field is declared once.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "DOCUMENT_DIRECTIVES",
    "FORBIDDEN",
    "ID_PATTERN",
    "LINKS",
    "LINK_ENDS",
    "TEXT_FIELDS",
    "TYPES",
    "ItemType",
    "Status",
    "enumeration",
    "needs_fields",
    "needs_links",
    "needs_schema",
    "needs_types",
]

ID_PATTERN: Final = r"^(UN|SYS|SRS|ARC|SDS|HAZ|RISK|RC|SEC|SOUP)-[A-Za-z0-9_.-]+$"
"""Ids name their type; numbers are never reused."""


class Status(StrEnum):
    """Where an item stands; only `OPEN` items are judged by the gate."""

    OPEN = "open"
    PLANNED = "planned"
    """A later version implements it: `planned_for` names the version."""
    PENDING_STUDY = "pending-study"
    """Only a study, a company or a person can close it: `owner` names the role."""
    RETIRED = "retired"
    """Its id stays taken; `reason` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemType:
    """One kind of item: its directive, its id prefix, and what it must carry."""

    directive: str
    prefix: str
    title: str
    mandatory: tuple[str, ...]
    links: tuple[str, ...] = ()
    """Links of which each item of the type must have one target at least."""
    shall: bool = False
    """The text states a requirement: one "shall", no vague word."""


TYPES: Final = (
    ItemType(
        directive="user_need",
        prefix="UN",
        title="User need",
        mandatory=("source", "validation"),
    ),
    ItemType(
        directive="sys_req",
        prefix="SYS",
        title="System requirement",
        mandatory=("criterion",),
        links=("derives",),
        shall=True,
    ),
    ItemType(
        directive="req",
        prefix="SRS",
        title="Software requirement",
        mandatory=("criterion", "rationale", "safety_class", "method", "level", "clause"),
        links=("item",),
        shall=True,
    ),
    ItemType(
        directive="arc",
        prefix="ARC",
        title="Architecture item",
        mandatory=("source", "safety_class"),
    ),
    ItemType(
        directive="sds",
        prefix="SDS",
        title="Detailed design",
        mandatory=("bounds",),
        links=("item",),
    ),
    ItemType(directive="hazard", prefix="HAZ", title="Hazard", mandatory=()),
    ItemType(
        directive="risk",
        prefix="RISK",
        title="Risk",
        mandatory=(
            "situation",
            "harm",
            "severity",
            "p1",
            "p2",
            "residual_severity",
            "residual_p1",
            "residual_p2",
            "new_risks",
        ),
        links=("hazard",),
    ),
    ItemType(
        directive="control",
        prefix="RC",
        title="Risk control",
        mandatory=("control_type", "effectiveness"),
    ),
    ItemType(
        directive="threat",
        prefix="SEC",
        title="Threat",
        mandatory=("stride", "asset", "mitigation"),
        links=("controls",),
    ),
    ItemType(
        directive="soup",
        prefix="SOUP",
        title="SOUP",
        mandatory=("package", "version", "license", "scope", "requirements", "anomalies"),
    ),
)
"""Every item type, in the order of the matrix."""

LINKS: Final = {
    "derives": ("is refined by", "derives from"),
    "implements": ("is implemented by", "implements"),
    "item": ("realizes", "is realized in"),
    "hazard": ("is analysed in", "arises from"),
    "controls": ("controls", "is controlled by"),
}
"""Link fields with their (incoming, outgoing) wording."""

LINK_ENDS: Final = {
    "derives": ("user_need", "sys_req", "req"),
    "implements": ("control",),
    "item": ("arc",),
    "hazard": ("hazard",),
    "controls": ("control",),
}
"""Types of item that a link may lead to."""

TEXT_FIELDS: Final = (
    "criterion",
    "rationale",
    "safety_class",
    "method",
    "level",
    "clause",
    "evidence",
    "planned_for",
    "owner",
    "reason",
    "source",
    "validation",
    "bounds",
    "states",
    "errors",
    "situation",
    "harm",
    "severity",
    "p1",
    "p2",
    "residual_severity",
    "residual_p1",
    "residual_p2",
    "new_risks",
    "benefit",
    "control_type",
    "code",
    "effectiveness",
    "stride",
    "asset",
    "mitigation",
    "package",
    "version",
    "license",
    "scope",
    "requirements",
    "anomalies",
)
"""Every other attribute; each is text."""

_ENUMS: Final = {
    "safety_class": ("A", "B", "C"),
    "method": ("test", "analysis", "inspection", "demonstration", "metric"),
    "level": ("unit", "integration", "system"),
    "severity": ("1", "2", "3", "4", "5"),
    "p1": ("1", "2", "3", "4", "5"),
    "p2": ("1", "2", "3", "4", "5"),
    "residual_severity": ("1", "2", "3", "4", "5"),
    "residual_p1": ("1", "2", "3", "4", "5"),
    "residual_p2": ("1", "2", "3", "4", "5"),
    "control_type": ("inherent", "protective", "information"),
    "stride": (
        "spoofing",
        "tampering",
        "repudiation",
        "information-disclosure",
        "denial-of-service",
        "elevation-of-privilege",
    ),
    "scope": ("base", "node", "archive", "training", "docs", "test"),
}
"""Closed sets of values."""

FORBIDDEN: Final = re.compile(
    r"\b(should|fast|quick(?:ly)?|easy|easily|user[- ]friendly|adequate(?:ly)?|appropriate(?:ly)?"
    r"|robust(?:ly)?|sufficient(?:ly)?|reasonabl[ey]|as needed|if possible|as appropriate|state of"
    r" the art|approximately|minimi[sz]e|maximi[sz]e|optimal(?:ly)?|flexible|efficient(?:ly)?|etc"
    r"|TBD|TBC)\b|and/or",
    re.IGNORECASE,
)
"""Words that no test can decide."""


DOCUMENT_DIRECTIVES: Final = (
    "api-reference", "clause-table", "control-table", "drawing", "evidence", "fmea-table",
    "gap-table", "guard-table", "item-table", "ledger-table", "limitations", "metric",
    "metric-table", "pipeline-chart", "placeholder", "record-table", "results", "risk-table",
    "soup-table", "trace-matrix", "trace-summary", "waiver-table",
)  # fmt: skip
"""Directives of `verification.documents`; reading items passes them over."""


def enumeration(field: str) -> tuple[str, ...] | None:
    """Give the accepted values of a field, or None where any text is accepted."""
    return _ENUMS.get(field)


def needs_types() -> list[dict[str, str]]:
    """`needs_types` of sphinx-needs."""
    return [{"directive": t.directive, "title": t.title, "prefix": t.prefix + "-"} for t in TYPES]


def needs_fields() -> dict[str, dict[str, Any]]:
    """`needs_fields` of sphinx-needs: every attribute is text, closed sets are enumerations."""
    fields: dict[str, dict[str, Any]] = {}
    for name in TEXT_FIELDS:
        schema: dict[str, Any] = {"type": "string"}
        if name in _ENUMS:
            schema["enum"] = list(_ENUMS[name])
        fields[name] = {"schema": schema, "nullable": True}
    return fields


def needs_links() -> dict[str, dict[str, Any]]:
    """`needs_links` of sphinx-needs."""
    return {
        name: {"incoming": incoming, "outgoing": outgoing}
        for name, (incoming, outgoing) in LINKS.items()
    }


def needs_schema() -> dict[str, Any]:
    """`needs_schema_definitions` of sphinx-needs: what each type must carry."""
    schemas = []
    for kind in TYPES:
        local: dict[str, Any] = {
            "required": [*kind.mandatory, *kind.links],
            "properties": {link: {"type": "array", "minItems": 1} for link in kind.links},
        }
        schemas.append(
            {
                "id": f"{kind.directive}-mandatory",
                "severity": "violation",
                "message": f"{kind.title}: a mandatory attribute is missing",
                "select": {"properties": {"type": {"const": kind.directive}}},
                "validate": {"local": local},
            }
        )
    return {"schemas": schemas}
