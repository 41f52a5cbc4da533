"""Several claims in one study: adjusted p-values, fixed sequence, serial gatekeeping."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from statsmodels.stats.multitest import multipletests

from validation.errors import ArgumentError

__all__ = ["Adjustment", "Family", "Gate", "adjust", "fixed_sequence", "gatekeeping"]

Adjustment = Literal["bonferroni", "holm", "hochberg", "hommel", "benjamini-hochberg"]
_STATSMODELS = {
    "bonferroni": "bonferroni",
    "holm": "holm",
    "hochberg": "simes-hochberg",
    "hommel": "hommel",
    "benjamini-hochberg": "fdr_bh",
}


def adjust(p_values: Sequence[float], *, method: Adjustment) -> tuple[float, ...]:
    """Return adjusted p-values in the order given (statsmodels).

    Examples
    --------
    >>> adjust([0.01, 0.04], method="holm")
    (0.02, 0.04)
    """
    if method not in _STATSMODELS:
        raise ArgumentError(argument="method", found=method, accepted=", ".join(_STATSMODELS))
    checked = _p_values(p_values)
    return tuple(float(p) for p in multipletests(checked, method=_STATSMODELS[method])[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One claim after gatekeeping: `tested` is False where an earlier gate stayed closed."""

    claim: str
    p_value: float
    adjusted_p: float
    tested: bool
    rejected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Claims tested together: within the family by Holm, the next family only if all are shown."""

    claims: tuple[str, ...]
    p_values: tuple[float, ...]


def fixed_sequence(
    claims: Sequence[str], p_values: Sequence[float], *, alpha: float
) -> tuple[Gate, ...]:
    """Test claims in their stated order, each at full alpha, until one fails.

    References
    ----------
    .. [1] Maurer, Hothorn, Lehmacher 1995; FDA, Multiple Endpoints in Clinical Trials, 2022.
    """
    families = [
        Family(claims=(claim,), p_values=(p,)) for claim, p in zip(claims, p_values, strict=True)
    ]
    return gatekeeping(families, alpha=alpha)


def gatekeeping(families: Sequence[Family], *, alpha: float) -> tuple[Gate, ...]:
    """Test families in order; a family opens when every claim before it was shown.

    The adjusted p of a claim is the larger of its family's Holm value and of every earlier
    family's largest, so that ``adjusted_p <= alpha`` is the decision.
    """
    if not 0.0 < alpha < 1.0:
        raise ArgumentError(argument="alpha", found=alpha, accepted="inside (0, 1)")
    gates: list[Gate] = []
    floor, is_open = 0.0, True
    for family in families:
        if len(family.claims) != len(family.p_values) or not family.claims:
            raise ArgumentError(
                argument="family", found=family, accepted="one p-value for each claim"
            )
        adjusted = [max(floor, p) for p in adjust(family.p_values, method="holm")]
        gates += [
            Gate(
                claim=claim,
                p_value=p,
                adjusted_p=q,
                tested=is_open,
                rejected=is_open and q <= alpha,
            )
            for claim, p, q in zip(family.claims, family.p_values, adjusted, strict=True)
        ]
        floor = max(adjusted)
        is_open = is_open and floor <= alpha
    return tuple(gates)


def _p_values(p_values: Sequence[float]) -> list[float]:
    values = [float(p) for p in p_values]
    if not values or not all(0.0 <= p <= 1.0 for p in values):
        raise ArgumentError(argument="p_values", found=values, accepted="numbers in [0, 1]")
    return values
