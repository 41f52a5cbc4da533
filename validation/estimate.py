"""The one result object: a statistic travels with its interval, its n and its method."""

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from scipy import stats

from validation.errors import ArgumentError

__all__ = [
    "Estimate",
    "Json",
    "check_level",
    "cut",
    "mapped",
    "normal_quantile",
    "percent",
    "record",
    "t_quantile",
    "undefined",
]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic, its two-sided interval, and what is needed to read it.

    Parameters
    ----------
    estimate, lower, upper : float or None
        Finite, or None where undefined; then `reason` says why. A one-sided result has one limit.
    level : float
        Confidence level of the interval, inside (0, 1).
    method : str
        How estimate and interval were computed.
    n : int
        Number of cases (or units named by `method`) behind the estimate.
    reason : str, optional
        Why something is None, cut at a bound, or replaced by a declared fallback.
    se : float, optional
        Standard error on the scale of the estimate.
    clusters : int, optional
        Number of independent clusters (patients) where the interval is a clustered one.
    seed : int, optional
        Seed of the resampling, where there was one.

    Raises
    ------
    ArgumentError
        If a number is not finite, or something is None without a reason.
    """

    estimate: float | None
    lower: float | None
    upper: float | None
    level: float
    method: str
    n: int
    reason: str | None = None
    se: float | None = None
    clusters: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("estimate", "lower", "upper"):
            value = getattr(self, name)
            if value is None:
                if self.reason is None:
                    raise ArgumentError(
                        argument=name, found=None, accepted="a number, or None with reason"
                    )
            elif not math.isfinite(value):
                raise ArgumentError(argument=name, found=value, accepted="a finite number, or None")
            else:
                object.__setattr__(self, name, float(value))

    def interval(self) -> tuple[float | None, float | None]:
        """Return the two limits."""
        return self.lower, self.upper


def undefined(reason: str, *, level: float, method: str, n: int) -> Estimate:
    """Return an estimate that is None throughout, with its reason."""
    return Estimate(
        estimate=None, lower=None, upper=None, level=level, method=method, n=n, reason=reason
    )


def cut(lower: float, upper: float, within: tuple[float, float]) -> tuple[float, float, str | None]:
    """Cut Wald limits at the range of their measure; the reason says so, None where none was."""
    low, high = within
    if low <= lower and upper <= high:
        return lower, upper, None
    reason = f"Wald limits ({lower:.6g}, {upper:.6g}) cut at [{low:g}, {high:g}]"
    return max(lower, low), min(upper, high), reason


def mapped(
    found: Estimate, value: Callable[[float], float], *, falling: bool, method: str
) -> Estimate:
    """Map an estimate and its limits by a monotone function; a falling one swaps the limits."""

    def of(x: float | None) -> float | None:
        return None if x is None else value(x)

    lower, upper = (found.upper, found.lower) if falling else (found.lower, found.upper)
    return dataclasses.replace(
        found, estimate=of(found.estimate), lower=of(lower), upper=of(upper), se=None, method=method
    )


def check_level(level: float) -> float:
    """Return `level` if it is inside (0, 1); otherwise raise `ArgumentError`."""
    if not 0.0 < level < 1.0:
        raise ArgumentError(argument="level", found=level, accepted="inside (0, 1)")
    return level


def percent(level: float) -> str:
    """Return a level as it was given: 0.975 is ``97.5%``, not 98%."""
    return f"{100.0 * level:.6g}%"


def normal_quantile(level: float) -> float:
    """Return the half-width of a two-sided normal interval in standard errors."""
    return float(stats.norm.isf((1.0 - check_level(level)) / 2.0))


def t_quantile(level: float, df: float) -> float:
    """Return the half-width of a two-sided Student interval in standard errors."""
    return float(stats.t.isf((1.0 - check_level(level)) / 2.0, df))


_OPTIONAL = frozenset({"reason", "se", "clusters", "seed"})


def record(value: object) -> Json:
    """Turn results into plain JSON values.

    Dataclasses become objects, enums their values, arrays lists. Optional fields of an `Estimate`
    that are None are left out.

    Raises
    ------
    ArgumentError
        For NaN, infinity, or a type that has no JSON form: nothing is repaired on the way out.
    """
    if isinstance(value, Estimate):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {k: record(v) for k, v in fields.items() if v is not None or k not in _OPTIONAL}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: record(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): record(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [record(v) for v in value]
    return _scalar(value)


def _scalar(value: object) -> Json:
    if isinstance(value, np.generic | enum.Enum):
        value = value.item() if isinstance(value, np.generic) else value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ArgumentError(argument="record", found=repr(value), accepted="finite numbers, text, None")
