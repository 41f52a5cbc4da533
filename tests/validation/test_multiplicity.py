"""Multiplicity: expected values from R's p.adjust (expected.json) and by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from validation.errors import ArgumentError
from validation.multiplicity import Adjustment, Family, adjust, fixed_sequence, gatekeeping

METHODS: dict[str, Adjustment] = {
    "holm": "holm",
    "hochberg": "hochberg",
    "hommel": "hommel",
    "BH": "benjamini-hochberg",
    "bonferroni": "bonferroni",
}


@pytest.mark.parametrize("name", METHODS)
def test_adjusted_p_values_match_p_adjust(reference: Callable[[str], Any], name: str) -> None:
    expected = reference("multiplicity.public")
    assert adjust(expected["p"], method=METHODS[name]) == pytest.approx(
        tuple(expected[name]), abs=1e-12
    )


def test_a_fixed_sequence_stops_at_the_first_failure() -> None:
    gates = fixed_sequence(("auc", "sens", "spec"), (0.01, 0.20, 0.001), alpha=0.05)
    assert [g.rejected for g in gates] == [True, False, False]
    assert [g.tested for g in gates] == [True, True, False]
    assert [g.adjusted_p for g in gates] == [0.01, 0.20, 0.20]


def test_a_family_opens_only_when_the_one_before_is_shown() -> None:
    # by hand: Holm of (0.010, 0.020) is (0.020, 0.020); of (0.012, 0.040) is (0.024, 0.040)
    first = Family(claims=("sens", "spec"), p_values=(0.010, 0.020))
    second = Family(claims=("PA", "AP"), p_values=(0.012, 0.040))
    gates = gatekeeping([first, second], alpha=0.05)
    assert [g.adjusted_p for g in gates] == pytest.approx([0.02, 0.02, 0.024, 0.04])
    assert all(g.rejected for g in gates)
    closed = gatekeeping([second, first], alpha=0.03)
    assert [g.rejected for g in closed] == [True, False, False, False]


@pytest.mark.parametrize("values", [[], [1.2], [float("nan")]])
def test_what_is_no_p_value_is_refused(values: list[float]) -> None:
    with pytest.raises(ArgumentError, match=r"^p_values"):
        adjust(values, method="holm")
