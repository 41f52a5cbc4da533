"""The rate of an experiment, with its interval."""

import math

__all__ = ["lower_bound", "row"]


def lower_bound(detected: int, tried: int, level: float = 0.95) -> float:
    """Lower Clopper-Pearson bound of a detection rate, one-sided where all were detected."""
    if detected == 0:
        return 0.0
    tail = (1 - level) if detected == tried else (1 - level) / 2
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        above = sum(
            math.comb(tried, k) * middle**k * (1 - middle) ** (tried - k)
            for k in range(detected, tried + 1)
        )
        low, high = (middle, high) if above < tail else (low, middle)
    return low


def row(detected: int, tried: int, **said: str) -> dict[str, float | int | str]:
    """Entry of `risk/results/controls.json`."""
    return {
        **said,
        "tried": tried,
        "detected": detected,
        "lower": round(lower_bound(detected, tried), 4),
        "method": "Clopper-Pearson, 95 %",
    }
