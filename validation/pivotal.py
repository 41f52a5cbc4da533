"""The pivotal study to come: its performance standard as data, and the films that it needs."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

from validation.errors import ProtocolError
from validation.sample_size import auc_cases, design_effect, exact_goal

__all__ = ["FILE", "Criteria", "Need", "Pivotal", "load_pivotal", "sample_size"]

FILE: Final = Path(__file__).with_name("pivotal.toml")
"""The standard of this release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Lower bounds of 95 % intervals that must be exceeded; shares inside (0, 1)."""

    auc: float
    sensitivity: float
    specificity: float
    subgroup: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pivotal:
    """The performance standard as read; `sha256` is of the file's bytes."""

    identifier: str
    sha256: str
    criteria: Criteria
    prevalences: tuple[float, ...]
    assumptions: Mapping[str, float]
    plan: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Films that one criterion needs; `films` is the total at the assumed prevalence."""

    endpoint: str
    bound: float
    expected: float
    with_finding: int
    without_finding: int
    films: int
    method: str


def load_pivotal(path: Path = FILE) -> Pivotal:
    """Read and check the performance standard.

    Raises
    ------
    ProtocolError
        If it cannot be read, or a value is missing, no number, or outside (0, 1) where it is a
        share.
    """
    try:
        raw = path.read_bytes()
        content = tomllib.loads(raw.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProtocolError(protocol=str(path), found=str(error), accepted="a TOML file") from error
    read = _Reader(path.name, content)
    section = content.get("prevalence", {})
    prevalences = section.get("points", []) if isinstance(section, Mapping) else section
    if (
        not isinstance(prevalences, list)
        or not prevalences
        or not all(isinstance(p, float) and 0.0 < p < 1.0 for p in prevalences)
    ):
        raise ProtocolError(
            protocol=path.name,
            found=f"prevalence.points = {prevalences}",
            accepted="shares inside (0, 1)",
        )
    return Pivotal(
        identifier=str(content.get("identifier", "")),
        sha256=hashlib.sha256(raw).hexdigest(),
        criteria=Criteria(
            **{
                name: read.share("criteria", name)
                for name in ("auc", "sensitivity", "specificity", "subgroup")
            }
        ),
        prevalences=tuple(prevalences),
        assumptions={
            **{
                name: read.share("assumptions", name)
                for name in ("auc", "sensitivity", "specificity", "prevalence")
            },
            **{
                name: read.number("assumptions", name)
                for name in ("films_per_patient", "within_patient_correlation")
            },
        },
        plan={name: read.share("sample_size", name) for name in ("power", "alpha_one_sided")}
        | {"unusable": read.share("sample_size", "unusable", least=0.0)},
    )


class _Reader:
    """Takes numbers out of a TOML table, or names the one that is wrong."""

    def __init__(self, name: str, content: Mapping[str, object]) -> None:
        self._name = name
        self._content = content

    def number(self, section: str, key: str) -> float:
        table = self._content.get(section)
        value = table.get(key) if isinstance(table, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ProtocolError(
                protocol=self._name, found=f"{section}.{key} = {value}", accepted="a number"
            )
        return float(value)

    def share(self, section: str, key: str, *, least: float | None = None) -> float:
        value = self.number(section, key)
        if not (0.0 < value < 1.0 or value == least):
            accepted = "inside (0, 1)" + ("" if least is None else f", or {least:g}")
            raise ProtocolError(
                protocol=self._name, found=f"{section}.{key} = {value}", accepted=accepted
            )
        return value


def sample_size(pivotal: Pivotal) -> dict[str, object]:
    """Return the films that the pivotal study needs, by criterion and in all.

    Each criterion is powered alone at the plan's power; the largest total decides. Sensitivity and
    specificity: exact binomial test of the bound, times the design effect of several films a
    patient. AUC: Obuchowski's variance, times the same effect.
    """
    plan, assumed, bounds = pivotal.plan, pivotal.assumptions, pivotal.criteria
    alpha, power, share = plan["alpha_one_sided"], plan["power"], assumed["prevalence"]
    effect = design_effect(
        cases_per_patient=assumed["films_per_patient"],
        intraclass_correlation=assumed["within_patient_correlation"],
    )
    positives, negatives = (
        ceil(n * effect)
        for n in auc_cases(
            area=assumed["auc"],
            null=bounds.auc,
            ratio=(1.0 - share) / share,
            alpha=alpha,
            power=power,
        )
    )
    needs = [
        Need(
            endpoint="AUC",
            bound=bounds.auc,
            expected=assumed["auc"],
            with_finding=positives,
            without_finding=negatives,
            films=positives + negatives,
            method="Obuchowski 1994, one-sided",
        )
    ]
    for endpoint, bound, among in (
        ("sensitivity", bounds.sensitivity, share),
        ("specificity", bounds.specificity, 1.0 - share),
    ):
        goal = exact_goal(
            goal=bound, expected=assumed[endpoint], alpha=alpha, power=power, effect=effect
        )
        films = ceil(goal.n_with_clusters / among)
        ill = goal.n_with_clusters if endpoint == "sensitivity" else ceil(films * share)
        needs.append(
            Need(
                endpoint=endpoint,
                bound=bound,
                expected=assumed[endpoint],
                with_finding=ill,
                without_finding=films - ill,
                films=films,
                method=goal.method,
            )
        )
    films = max(need.films for need in needs)
    enrolled = ceil(films / (1.0 - plan["unusable"]))
    return {
        "schema": "cxr-validate/sample-size/1",
        "pivotal": pivotal.identifier,
        "pivotal_sha256": pivotal.sha256,
        "power": power,
        "alpha_one_sided": alpha,
        "design_effect": effect,
        "rows": needs,
        "films": films,
        "films_enrolled": enrolled,
        "patients_enrolled": ceil(enrolled / assumed["films_per_patient"]),
    }
