"""What a flag means where the finding is rarer: counts per 1,000 films, PPV and NPV."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from validation.errors import ArgumentError
from validation.estimate import Estimate, mapped
from validation.predictive_values import from_likelihood_ratio
from validation.standalone import Standalone

__all__ = ["PER", "Restated", "restate"]

PER: Final = 1000
"""Films that the counts are restated for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restated:
    """Expected counts per 1,000 films at one prevalence, and the predictive values there.

    Counts are those of `PER` films, with the interval of the share that they come from.
    """

    prevalence: float
    of_sample: bool
    true_positive: Estimate
    false_negative: Estimate
    false_positive: Estimate
    true_negative: Estimate
    ppv: Estimate
    npv: Estimate


def restate(found: Standalone, prevalences: Sequence[float]) -> tuple[Restated, ...]:
    """Restate a study at other prevalences, and at that of its sample (the last row).

    Sensitivity and specificity are taken as they were measured; the predictive values come from the
    likelihood ratios with their (clustered) intervals.

    Raises
    ------
    ArgumentError
        For a prevalence outside (0, 1).
    """
    sample = found.table.positives / found.table.n
    for prevalence in prevalences:
        if not 0.0 < prevalence < 1.0:
            raise ArgumentError(argument="prevalence", found=prevalence, accepted="inside (0, 1)")
    rows = [(prevalence, False) for prevalence in prevalences] + [(sample, True)]
    return tuple(_row(found, prevalence, of_sample=of_sample) for prevalence, of_sample in rows)


def _row(found: Standalone, prevalence: float, *, of_sample: bool) -> Restated:
    measures = found.measures
    ill, well = PER * prevalence, PER * (1.0 - prevalence)
    sensitivity, specificity = measures["sensitivity"], measures["specificity"]
    return Restated(
        prevalence=prevalence,
        of_sample=of_sample,
        true_positive=_count(sensitivity, ill),
        false_negative=_count(sensitivity, ill, rest=True),
        false_positive=_count(specificity, well, rest=True),
        true_negative=_count(specificity, well),
        ppv=from_likelihood_ratio(measures["lr_positive"], prevalence, value="ppv"),
        npv=from_likelihood_ratio(measures["lr_negative"], prevalence, value="npv"),
    )


def _count(share: Estimate, films: float, *, rest: bool = False) -> Estimate:
    """Return `films` times a share, or times what it leaves."""

    def scaled(value: float) -> float:
        return films * (1.0 - value if rest else value)

    return mapped(share, scaled, falling=rest, method=f"per {PER} films; {share.method}")
