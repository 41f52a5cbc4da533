"""The acceptance matrix of the risk management plan, restated by hand."""

import pytest

from verification.risk_rules import LEVELS, probability, risk_level


@pytest.mark.parametrize(
    ("scales", "level"),
    [
        ((1, 5, 4), "acceptable"),
        ((1, 5, 5), "reduce"),
        ((3, 1, 3), "acceptable"),
        ((3, 3, 3), "acceptable"),
        ((3, 4, 3), "reduce"),
        ((4, 3, 3), "reduce"),
        ((4, 4, 4), "unacceptable"),
        ((5, 1, 1), "reduce"),
        ((5, 3, 4), "unacceptable"),
    ],
)
def test_levels(scales: tuple[int, int, int], level: str) -> None:
    assert risk_level(*scales) == level


def test_more_probable_or_more_severe_is_never_better() -> None:
    order = ("acceptable", "reduce", "unacceptable")
    for row in LEVELS:
        assert [order.index(w) for w in row] == sorted(order.index(w) for w in row)
    for column in zip(*LEVELS, strict=True):
        assert [order.index(w) for w in column] == sorted(order.index(w) for w in column)
    for p in range(1, 6):
        assert [probability(p, q) for q in range(1, 6)] == sorted(
            probability(p, q) for q in range(1, 6)
        )
