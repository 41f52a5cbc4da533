"""Injection: how often a risk control answers when its hazard is really there.

Each experiment puts the hazard of one control into the device's surroundings N times at random and
runs the device as its user does, in a process of its own. `detected` counts the injections that
the control answered: for a guard, a coded refusal without a finding (a warning for codes that
warn); for an inherent control, an outcome that the hazard did not move.
"""

from collections.abc import Callable
from typing import Final

from verification.injection import hostile, readings
from verification.injection.bench import Bench, Count, Run
from verification.injection.films import INJECTIONS
from verification.injection.guards import measure_guard
from verification.injection.rate import lower_bound, row

__all__ = ["EXPERIMENTS", "INJECTIONS", "Bench", "Run", "lower_bound", "measure_guard", "row"]

EXPERIMENTS: Final[dict[str, Callable[[Bench], Count]]] = {
    **hostile.EXPERIMENTS,
    **readings.EXPERIMENTS,
}
"""Experiment of each control that has no code of its own, or whose hazard is not in a header."""
