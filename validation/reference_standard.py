"""A reference standard from several readers, and what an imperfect one does to the results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import log
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from validation.confusion import Confusion
from validation.errors import ArgumentError
from validation.estimate import Estimate
from validation.proportions import Method, proportion

__all__ = [
    "Corrected",
    "DawidSkene",
    "Panel",
    "adjudicated",
    "begg_greenes",
    "binary_votes",
    "dawid_skene",
    "label_noise",
    "leave_one_reader_out",
    "majority",
    "panels",
    "rogan_gladen",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ties = Literal["negative", "positive"]

EM_TOLERANCE: Final = 1e-12
"""Change of the log-likelihood, relative to its size, at which EM has arrived."""


def binary_votes(votes: ArrayLike) -> NDArray[np.int64]:
    """Return votes as whole numbers, shape (cases, readers); refuse anything but 0 and 1."""
    values = np.asarray(votes, dtype=np.float64)
    if values.ndim != 2 or np.any((values != 0.0) & (values != 1.0)):  # noqa: PLR2004
        raise ArgumentError(
            argument="votes", found="other values or shape", accepted="0 and 1, (cases, readers)"
        )
    return values.astype(np.int64)


def majority(votes: ArrayLike, *, ties: Ties = "negative") -> Bools:
    """Return the calls that more than half of the readers made.

    Parameters
    ----------
    votes : array_like of 0/1, shape (n_cases, n_readers)
    ties : {"negative", "positive"}
        What an even split counts as; "negative": half is no majority.
    """
    table = binary_votes(votes)
    twice, readers = 2 * table.sum(axis=1), table.shape[1]
    return np.asarray(twice > readers if ties == "negative" else twice >= readers)


def adjudicated(votes: ArrayLike, adjudicator: ArrayLike) -> Bools:
    """Return the readers' call where they agree, and the adjudicator's where they do not.

    Parameters
    ----------
    votes : array_like of 0/1, shape (n_cases, n_readers)
        The first readers, without the adjudicator.
    adjudicator : array_like of 0/1, shape (n_cases,)
    """
    table = binary_votes(votes)
    final = binary_votes(np.asarray(adjudicator)[:, None])[:, 0]
    total = table.sum(axis=1)
    agreed = (total == 0) | (total == table.shape[1])
    return np.asarray(np.where(agreed, total > 0, final == 1), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Panel:
    """A reference from some of the readers: who sat on it, who is left to be measured."""

    members: tuple[int, ...]
    left_out: tuple[int, ...]
    truth: Bools


def panels(votes: ArrayLike, *, size: int = 3) -> Iterator[Panel]:
    """Yield the majority of every subset of `size` readers (odd, so without ties)."""
    table = binary_votes(votes)
    readers = table.shape[1]
    if size % 2 == 0 or not 1 <= size < readers:
        raise ArgumentError(
            argument="size", found=size, accepted=f"odd, below the {readers} readers"
        )
    for members in combinations(range(readers), size):
        rest = tuple(j for j in range(readers) if j not in members)
        yield Panel(members, rest, majority(table[:, members]))


def leave_one_reader_out(votes: ArrayLike, *, ties: Ties = "negative") -> Iterator[Panel]:
    """Yield, for each reader, the majority of all the others."""
    table = binary_votes(votes)
    for reader in range(table.shape[1]):
        members = tuple(j for j in range(table.shape[1]) if j != reader)
        yield Panel(members, (reader,), majority(table[:, members], ties=ties))


@dataclass(frozen=True, slots=True, kw_only=True)
class DawidSkene:
    """Maximum-likelihood truth and error rates without a reference.

    Parameters
    ----------
    prevalence : ndarray, shape (k,)
    error_rates : ndarray, shape (readers, k, k)
        Row: true class, column: class given.
    posterior : ndarray, shape (n_cases, k)
    log_likelihood : float
    iterations : int
    converged : bool
    """

    prevalence: Floats
    error_rates: Floats
    posterior: Floats
    log_likelihood: float
    iterations: int
    converged: bool


def dawid_skene(
    case: ArrayLike,
    reader: ArrayLike,
    label: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    most_iterations: int = 10_000,
) -> DawidSkene:
    """Estimate the truth behind several readers' labels by EM, started from the vote shares.

    Readers are taken as independent given the truth; where they share an error (all see the same
    blurred film), the model believes it.

    Parameters
    ----------
    case, reader, label : array_like of int, shape (n_ratings,)
        Codes from 0; a reader may rate a case more than once.
    weight : array_like of float, shape (n_cases,), optional
        How often a case counts: bootstrap counts.
    most_iterations : int

    References
    ----------
    .. [1] Dawid and Skene, Applied Statistics 1979;28:20-28.
    """
    items, raters, labels = (np.asarray(v, dtype=np.intp) for v in (case, reader, label))
    n, r, k = int(items.max()) + 1, int(raters.max()) + 1, int(labels.max()) + 1
    counts = np.zeros((n, r, k))
    np.add.at(counts, (items, raters, labels), 1.0)
    times = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    votes = counts.sum(axis=1)
    posterior = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1.0)
    before, step, converged = -np.inf, 0, False
    prevalence, rates, likelihood = np.empty(k), np.empty((r, k, k)), -np.inf
    while step < most_iterations and not converged:
        step += 1
        weighted = posterior * times[:, None]
        prevalence = weighted.sum(axis=0) / times.sum()
        rates = np.einsum("nj,nrl->rjl", weighted, counts)
        total = rates.sum(axis=2, keepdims=True)
        rates = np.divide(rates, total, out=np.full_like(rates, 1.0 / k), where=total > 0.0)
        with np.errstate(divide="ignore"):
            log_rates, log_prior = np.log(rates), np.log(prevalence)
        # 0 log 0 counts 0: a label never given by a reader weighs nothing where it is absent
        evidence = np.einsum("nrl,rjl->nj", counts, np.where(np.isinf(log_rates), -1e4, log_rates))
        joint = evidence + np.where(np.isinf(log_prior), -1e4, log_prior)
        top = joint.max(axis=1, keepdims=True)
        scaled = np.exp(joint - top)
        norm = scaled.sum(axis=1, keepdims=True)
        posterior = scaled / norm
        likelihood = float(np.sum(times * (top[:, 0] + np.log(norm[:, 0]))))
        converged = likelihood - before <= EM_TOLERANCE * abs(likelihood)
        before = likelihood
    return DawidSkene(
        prevalence=prevalence,
        error_rates=rates,
        posterior=posterior,
        log_likelihood=likelihood,
        iterations=step,
        converged=converged,
    )


def rogan_gladen(  # noqa: PLR0913 - the counts, the test, the interval
    k: int,
    n: int,
    *,
    sensitivity: float,
    specificity: float,
    method: Method = "clopper-pearson",
    level: float = 0.95,
) -> Estimate:
    """Estimate the true prevalence behind k positives of n by an imperfect test.

    The limits are those of the apparent prevalence carried through the correction; what falls
    outside [0, 1] is cut there, and `reason` says so.

    References
    ----------
    .. [1] Rogan and Gladen, American Journal of Epidemiology 1978;107:71-76.
    """
    gain = _above_zero("sensitivity", sensitivity) + _above_zero("specificity", specificity) - 1.0
    if not 0.0 < gain <= 1.0:
        raise ArgumentError(
            argument="sensitivity + specificity", found=gain + 1.0, accepted="above 1"
        )
    apparent = proportion(k, n, method=method, level=level)
    raw = [
        None if value is None else (value + specificity - 1.0) / gain
        for value in (apparent.estimate, apparent.lower, apparent.upper)
    ]
    cut = [None if value is None else min(max(value, 0.0), 1.0) for value in raw]
    return Estimate(
        estimate=cut[0],
        lower=cut[1],
        upper=cut[2],
        level=level,
        method=f"Rogan-Gladen, {method}",
        n=n,
        reason=apparent.reason if raw == cut else "cut at [0, 1]",
    )


def begg_greenes(
    *, positive: tuple[int, int, int], negative: tuple[int, int, int]
) -> tuple[float, float]:
    """Return sensitivity and specificity corrected for selective verification.

    Parameters
    ----------
    positive, negative : (diseased, healthy, unverified)
        Counts among test positives and among test negatives.

    References
    ----------
    .. [1] Begg and Greenes, Biometrics 1983;39:207-215.
    """
    flagged, cleared = sum(positive), sum(negative)
    if positive[0] + positive[1] == 0 or negative[0] + negative[1] == 0:
        raise ArgumentError(argument="verified", found="none", accepted="some of each result")
    ppv = positive[0] / (positive[0] + positive[1])
    miss = negative[0] / (negative[0] + negative[1])
    diseased = flagged * ppv, cleared * miss
    healthy = flagged * (1.0 - ppv), cleared * (1.0 - miss)
    if not sum(diseased) or not sum(healthy):
        raise ArgumentError(
            argument="verified", found="one class only", accepted="diseased and healthy cases"
        )
    return diseased[0] / sum(diseased), healthy[1] / sum(healthy)


def _above_zero(name: str, share: float) -> float:
    if not 0.0 < share <= 1.0:
        raise ArgumentError(argument=name, found=share, accepted="in (0, 1]")
    return share


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """What sensitivity and specificity would be if the labels erred as assumed.

    None with `reason` where no truth can have produced the table under that assumption.
    """

    label_sensitivity: float
    label_specificity: float
    prevalence: float | None
    sensitivity: float | None
    specificity: float | None
    reason: str | None = None


def label_noise(
    table: Confusion, *, sensitivities: Sequence[float], specificities: Sequence[float]
) -> tuple[Corrected, ...]:
    """Show what label errors would do to the device's figures, over a grid of assumptions.

    Report-mined labels have their own sensitivity and specificity against the film. Assuming that
    label and device err independently given the truth, the table can be solved for the truth.
    This is a sensitivity analysis, not a correction to quote.

    Parameters
    ----------
    table : Confusion
        Device against the noisy label.
    sensitivities, specificities : sequence of float
        Assumed values of the label's own, each in (0, 1].

    References
    ----------
    .. [1] Staquet et al., Journal of Chronic Diseases 1981;34:599-610.
    """
    if table.n == 0:
        raise ArgumentError(argument="table", found="no cases", accepted="one case or more")
    n = float(table.n)
    labelled, unlabelled = table.positives / n, table.negatives / n
    found = []
    for a in sensitivities:
        for b in specificities:
            _above_zero("label sensitivity", a)
            _above_zero("label specificity", b)
            gain = a + b - 1.0
            if gain <= 0.0:
                raise ArgumentError(argument="labels", found=gain, accepted="better than chance")
            prevalence = (labelled + b - 1.0) / gain
            flagged_true = (b * table.tp / n - (1.0 - b) * table.fp / n) / gain
            flagged_false = (a * table.fp / n - (1.0 - a) * table.tp / n) / gain
            inside = 0.0 < prevalence < 1.0 and unlabelled > 0.0
            sens = flagged_true / prevalence if inside else -1.0
            spec = 1.0 - flagged_false / (1.0 - prevalence) if inside else -1.0
            possible = inside and 0.0 <= sens <= 1.0 and 0.0 <= spec <= 1.0
            found.append(
                Corrected(
                    label_sensitivity=a,
                    label_specificity=b,
                    prevalence=prevalence if inside else None,
                    sensitivity=sens if possible else None,
                    specificity=spec if possible else None,
                    reason=None if possible else "no truth fits the table under this assumption",
                )
            )
    return tuple(found)


def entropy(posterior: Floats) -> Floats:
    """Return how undecided each case is: 0 certain, 1 wholly open (base k), shape (n,)."""
    k = posterior.shape[1]
    safe = np.where(posterior > 0.0, posterior, 1.0)
    return np.asarray(-np.sum(posterior * np.log(safe), axis=1) / log(k))
