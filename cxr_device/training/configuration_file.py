"""Configuration file: TOML values held against the annotations of the dataclass they fill."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from typing_extensions import override

from cxr_device.errors import DatasetError

__all__ = ["Count", "Positive", "Range", "Seed", "Share", "built", "read_toml"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers that a key may take; its bounds belong to it, save a `low` that is `open`."""

    low: float = -math.inf
    high: float = math.inf
    open: bool = False

    def holds(self, value: float) -> bool:
        """Whether the number lies inside."""
        return self.low <= value <= self.high and not (self.open and value == self.low)

    @override
    def __str__(self) -> str:
        """Say the range in words."""
        low = f" {'above' if self.open else 'from'} {self.low:g}"
        return low + (f" to {self.high:.0f}" if self.high < math.inf else "")


Count = Annotated[int, Range(1)]
Positive = Annotated[float, Range(0, open=True)]
Seed = Annotated[int, Range(0, 2**31 - 1)]
Share = Annotated[float, Range(0, 1)]


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    DatasetError
        It cannot be read, is not UTF-8, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(path, f"cannot be read ({error})", "give a TOML file") from error


def built(path: Path, kind: type[_T], values: Mapping[str, Any], *, under: str = "") -> _T:
    """Fill a dataclass; `path` and `under` name the file and the table in a message.

    Raises
    ------
    DatasetError
        A key is unknown or missing, or its value is not what the annotation accepts.
    """
    known: dict[str, Field[Any]] = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(under + name for name in set(values) - set(known))
    if unknown:
        raise DatasetError(
            path, f"unknown keys {', '.join(unknown)}", f"accepted: {', '.join(known)}"
        )
    missing = [under + name for name, entry in known.items() if _needed(entry, values)]
    if missing:
        raise DatasetError(
            path, f"no key {', '.join(missing)}", "state every key without a default"
        )
    hints = get_type_hints(kind, include_extras=True)
    return kind(**{n: _value(path, under + n, value, hints[n]) for n, value in values.items()})


def _needed(entry: Field[Any], values: Mapping[str, Any]) -> bool:
    has_default = entry.default is not MISSING or entry.default_factory is not MISSING
    return not has_default and entry.name not in values


def _value(path: Path, name: str, value: object, hint: Any) -> Any:  # noqa: ANN401  # any annotation
    """Return a key's value as its annotation wants it: a tuple for a list, a dataclass."""
    if is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            return value
        if isinstance(value, dict):
            return built(path, hint, value, under=f"{name}.")  # type: ignore[arg-type]
    elif get_origin(hint) is tuple:
        if isinstance(value, list | tuple) and all(_fits(v, get_args(hint)[0]) for v in value):
            return tuple(value)
    elif _fits(value, hint):
        return value
    raise DatasetError(path, f"{name} {value!r}", f"accepted: {_words(hint)}")


def _parts(hint: Any) -> tuple[Any, tuple[Range, ...]]:  # noqa: ANN401  # any annotation
    """Type and ranges of an annotation."""
    if get_origin(hint) is Annotated:
        kind, *ranges = get_args(hint)
        return kind, tuple(ranges)
    return hint, ()


def _fits(value: Any, hint: Any) -> bool:  # noqa: ANN401  # any value, any annotation
    kind, ranges = _parts(hint)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is float:
        right = type(value) in (int, float) and math.isfinite(value)
    else:
        right = type(value) is kind
    return right and all(within.holds(value) for within in ranges)


def _words(hint: Any) -> str:  # noqa: ANN401  # any annotation
    """Say what an annotation accepts."""
    if is_dataclass(hint):
        return "a table of keys"
    if get_origin(hint) is tuple:
        return f"a list, each {_words(get_args(hint)[0])}"
    kind, ranges = _parts(hint)
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return names[kind] + "".join(map(str, ranges))
