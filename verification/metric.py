"""Metrics: numbers that stand in a JSON or TOML of the repository and are never typed by hand.

A reference is `path/to/file.json#/pointer/to/value`; a criterion adds `>= 0.80`.
"""

import json
import math
import operator
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Criterion", "MetricError", "criterion", "resolve"]

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_CRITERION: Final = re.compile(r"^\s*(?P<ref>\S+#/\S+)\s*(?P<op>>=|<=|==|>|<)\s*(?P<bound>\S+)\s*$")


class MetricError(Exception):
    """A reference that leads to no value; the message says which part is missing."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """A bound on one value."""

    reference: str
    relation: str
    bound: float

    def holds(self, value: float) -> bool:
        """Whether a value meets the bound; what is not finite never does."""
        return math.isfinite(value) and _COMPARE[self.relation](value, self.bound)


def resolve(root: Path, reference: str) -> Any:  # noqa: ANN401  # a JSON value
    """Value at a reference (RFC 6901 pointer)."""
    name, _, pointer = reference.partition("#")
    file = root / name
    try:
        text = file.read_text("utf-8")
        value = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except FileNotFoundError:
        message = f"{name} does not exist"
        raise MetricError(message) from None
    except (OSError, ValueError) as error:
        message = f"{name} cannot be read: {error}"
        raise MetricError(message) from error
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, TypeError, ValueError):
            message = f"{name} holds no value at {pointer}"
            raise MetricError(message) from None
    return value


def criterion(text: str) -> Criterion:
    """Read `file.json#/pointer >= 0.80`."""
    match = _CRITERION.match(text)
    try:
        bound = float(match["bound"]) if match else math.nan
    except ValueError:
        bound = math.nan
    if match is None or not math.isfinite(bound):
        message = f"{text!r} is no criterion: write file.json#/pointer >= number"
        raise MetricError(message)
    return Criterion(match["ref"], match["op"], bound)
