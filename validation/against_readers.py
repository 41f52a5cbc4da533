"""The device beside radiologists on the same cases, and how many of them it counts for.

On each reference (a panel's majority) the device, each reader left out, and each two readers left
out (by the count of their votes) are measured; the means over references are compared on one
bootstrap of patients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from validation.bootstrap import Resampling, percentile_limits, resample_counts
from validation.confusion import Confusion, suspected
from validation.errors import ArgumentError
from validation.estimate import Estimate, undefined
from validation.operating import Presorted
from validation.reference_standard import (
    Panel,
    adjudicated,
    binary_votes,
    dawid_skene,
    leave_one_reader_out,
    majority,
    panels,
)
from validation.roc import check_truth

__all__ = [
    "AgainstReaders",
    "ReaderPoint",
    "Reference",
    "against_readers",
    "chexnet_f1",
    "references",
    "weighted_auc",
]

Floats = NDArray[np.float64]
Reference = Literal["majority", "adjudicated", "leave-one-out", "panels", "dawid-skene"]

BLOCK: Final = 4_000_000
"""Resampled values held at once: 32 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderPoint:
    """One reader on the references that he did not make (or on the one that all made).

    `below_curve` is the share of references on which the reader's point lies below the device's
    curve: its sensitivity under the device's at the same specificity; `sensitivity_difference` is
    device minus reader there. `difference` is device minus reader in AUC: a reader's AUC is that
    of one point, (sensitivity + specificity) / 2. Same references, same bootstrap.
    """

    reader: str
    auc: Estimate
    sensitivity: float
    specificity: float
    device_sensitivity_there: float
    sensitivity_difference: Estimate
    below_curve: float
    difference: Estimate
    references: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstReaders:
    """The whole comparison; every interval rests on the same bootstrap of patients.

    `readers_worth` reads the device's AUC off the line from 0.5 (no reader) through one and two
    readers left out; it is None beyond two, with the reason.
    """

    reference: Reference
    level: float
    n: int
    n_patients: int
    n_references: int
    positives: float
    device: Estimate
    readers: Estimate
    left_out_pair: Estimate
    difference: Estimate
    pair_difference: Estimate
    readers_worth: Estimate
    each: tuple[ReaderPoint, ...]
    readers_below_curve: int
    device_sensitivity: Estimate | None
    device_specificity: Estimate | None
    threshold: float | None
    margin: float | None
    noninferior: bool | None
    pair_noninferior: bool | None
    f1_device: Estimate | None
    f1_readers: Estimate | None
    f1_difference: Estimate | None
    caution: str


def weighted_auc(weights: NDArray[np.generic], truth: ArrayLike, score: ArrayLike) -> Floats:
    """Return the AUC under each row of weights, shape (rows,); NaN where a class is absent.

    Parameters
    ----------
    weights : ndarray, shape (rows, n)
        How often each case counts.
    truth : array_like of 0/1, shape (n,)
    score : array_like of float, shape (n,)
    """
    positive = check_truth(truth)
    values = np.asarray(score, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    ordered, sorted_truth = values[order], positive[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    found = []
    step = max(1, BLOCK // values.size)
    for first in range(0, weights.shape[0], step):
        block = np.asarray(weights[first : first + step][:, order], dtype=np.float64)
        pos = np.add.reduceat(block * sorted_truth, starts, axis=1)
        neg = np.add.reduceat(block * ~sorted_truth, starts, axis=1)
        below = np.cumsum(neg, axis=1) - 0.5 * neg
        pairs = pos.sum(axis=1) * neg.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(np.sum(pos * below, axis=1) / pairs)
    return np.concatenate(found)


def references(
    votes: NDArray[np.int64], how: Reference, *, adjudicator: int | None = None
) -> tuple[list[Panel], str]:
    """Return the references and what to keep in mind about them."""
    everyone = tuple(range(votes.shape[1]))
    match how:
        case "panels":
            return list(panels(votes)), "Readers are measured only on panels they did not sit on."
        case "leave-one-out":
            note = "An even split of the others counts as negative: half is no majority."
            return list(leave_one_reader_out(votes)), note
        case "majority":
            truth = majority(votes)
            note = "Every reader has a vote in this reference, which flatters the readers."
            return [Panel(everyone, everyone, truth)], note
        case "dawid-skene":
            check_truth(votes.ravel())  # without a vote for or against there is one class
            case, reader = np.indices(votes.shape)
            model = dawid_skene(case.ravel(), reader.ravel(), votes.ravel())
            # the class in which readers say 1 more often is the finding
            finding = int(np.argmax(model.error_rates[:, :, 1].mean(axis=0)))
            certain = model.posterior[:, finding]
            open_cases = int(np.sum((certain > 0.05) & (certain < 0.95)))  # noqa: PLR2004
            note = (
                "Every reader has a part in this reference, which flatters the readers. "
                f"{open_cases} cases have a posterior between 0.05 and 0.95."
            )
            return [Panel(everyone, everyone, certain > 0.5)], note  # noqa: PLR2004
        case "adjudicated":
            if adjudicator is None:
                raise ArgumentError(
                    argument="adjudicator", found=None, accepted="the reader who decides splits"
                )
            rest = tuple(j for j in everyone if j != adjudicator)
            truth = adjudicated(votes[:, rest], votes[:, adjudicator])
            note = "The first readers have a vote in this reference, which flatters them."
            return [Panel(everyone, rest, truth)], note


@dataclass(frozen=True, slots=True)
class _Draws:
    """A value on the sample and its bootstrap replicates."""

    value: float
    replicates: Floats

    def minus(self, other: "_Draws") -> "_Draws":
        return _Draws(self.value - other.value, self.replicates - other.replicates)

    def estimate(
        self, method: str, plan: "_Plan", *, missing_where: str = "without both classes"
    ) -> Estimate:
        missing = int(np.isnan(self.replicates).sum())
        if missing == self.replicates.size or np.nanmin(self.replicates) == np.nanmax(
            self.replicates
        ):
            return Estimate(
                estimate=self.value,
                lower=None,
                upper=None,
                level=plan.level,
                method=method,
                n=plan.n,
                clusters=plan.patients,
                seed=plan.seed,
                reason="every resample gives the same value: no interval",
            )
        lower, upper = percentile_limits(self.replicates, level=plan.level)
        return Estimate(
            estimate=self.value,
            lower=lower,
            upper=upper,
            level=plan.level,
            method=method,
            n=plan.n,
            clusters=plan.patients,
            seed=plan.seed,
            reason=f"{missing} resamples {missing_where} left out" if missing else None,
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    level: float
    n: int
    patients: int
    seed: int


def _mean(draws: list[_Draws]) -> _Draws:
    return _Draws(
        float(np.mean([d.value for d in draws])), np.mean([d.replicates for d in draws], axis=0)
    )


def _worth(device: Floats, one: Floats, two: Floats) -> Floats:
    """Return how many readers an AUC is worth, linear between 0, 1 and 2; 2 is the most."""
    below = (device - 0.5) / np.where(one > 0.5, one - 0.5, np.nan)  # noqa: PLR2004
    above = 1.0 + (device - one) / np.where(two > one, two - one, np.nan)
    return np.asarray(np.clip(np.where(device <= one, below, above), 0.0, 2.0))


def against_readers(  # noqa: PLR0913 - the two tables, the reference, the protocol's options
    score: ArrayLike,
    votes: ArrayLike,
    *,
    reference: Reference,
    readers: tuple[str, ...],
    patient: ArrayLike | None = None,
    adjudicator: str | None = None,
    threshold: float | None = None,
    margin: float | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> AgainstReaders:
    """Compare a device with radiologists on the same cases.

    Parameters
    ----------
    score : array_like of float, shape (n,)
        The device's score.
    votes : array_like of 0/1, shape (n, n_readers)
        One column a reader, complete.
    reference : {"majority", "adjudicated", "leave-one-out", "panels", "dawid-skene"}
        ``panels``: the majority of each three readers in turn, the others measured on it.
    readers : tuple of str
        Names of the columns.
    patient : array_like, shape (n,), optional
        Patient of each case: whole patients are resampled.
    adjudicator : str, optional
        Name of the reader who decides splits, for ``adjudicated``.
    threshold : float, optional
        Locked operating point: adds sensitivity, specificity and the F1 of CheXNet's scheme.
    margin : float, optional
        Non-inferiority margin on the AUC difference, > 0, fixed beforehand.
    resamples, seed, level
        Of the bootstrap.

    Raises
    ------
    ArgumentError
        For fewer than three readers, votes other than 0/1, or a reference of one class only.
    """
    values = np.asarray(score, dtype=np.float64)
    table = binary_votes(votes)
    n, count = table.shape
    if count <= 2 or len(readers) != count or values.shape != (n,):  # noqa: PLR2004
        raise ArgumentError(
            argument="votes", found=f"shape {table.shape}", accepted="(n, 3 readers or more)"
        )
    if margin is not None and margin <= 0.0:
        raise ArgumentError(argument="margin", found=margin, accepted="above 0")
    chosen = None
    if adjudicator is not None:
        if adjudicator not in readers:
            raise ArgumentError(
                argument="adjudicator", found=adjudicator, accepted=", ".join(readers)
            )
        chosen = readers.index(adjudicator)
    sets, caution = references(table, reference, adjudicator=chosen)
    who = np.arange(n) if patient is None else np.asarray(patient)
    plan = _Plan(level, n, int(np.unique(who).size), seed)
    resampling = Resampling(resamples=resamples, seed=seed, cluster=who)
    weights = np.stack([np.ones(n, dtype=np.int32), *resample_counts(n, resampling)])

    def auc(truth: ArrayLike, marks: ArrayLike) -> _Draws:
        areas = weighted_auc(weights, truth, marks)
        return _Draws(float(areas[0]), areas[1:])

    device_by_set = [auc(one.truth, values) for one in sets]
    by_reader: dict[int, list[tuple[int, _Draws]]] = {}
    pairs: list[_Draws] = []
    for index, one in enumerate(sets):
        for j in one.left_out:
            by_reader.setdefault(j, []).append((index, auc(one.truth, table[:, j])))
        apart = not set(one.left_out) & set(one.members)
        if apart:
            pairs += [
                auc(one.truth, table[:, a] + table[:, b]) for a, b in combinations(one.left_out, 2)
            ]
    device = _mean(device_by_set)
    single = _mean([d for rows in by_reader.values() for _, d in rows])
    how = f"mean AUC over {len(sets)} reference(s), bootstrap of patients"
    gap = device.minus(single)
    difference = gap.estimate(f"difference of {how}", plan)
    no_pair = undefined(
        "no two readers are left out of this reference", level=level, method=how, n=n
    )
    pair_estimate = pair_difference = worth = no_pair
    if pairs:
        double = _mean(pairs)
        pair_estimate = double.estimate(f"count of votes, {how}", plan)
        pair_difference = device.minus(double).estimate(f"difference of {how}", plan)
        worth = _worth_estimate(device, single, double, plan)
    each = tuple(
        _point(
            readers[j],
            rows,
            device_by_set,
            sets,
            values,
            table[:, j],
            weights=weights,
            how=how,
            plan=plan,
        )
        for j, rows in sorted(by_reader.items())
    )
    calls = None if threshold is None else suspected(values, threshold)
    shares = None if calls is None else _shares(sets, calls, weights)
    f1 = None if calls is None else chexnet_f1(table, calls, weights=weights, plan=plan)
    return AgainstReaders(
        reference=reference,
        level=level,
        n=n,
        n_patients=plan.patients,
        n_references=len(sets),
        positives=float(np.mean([one.truth.sum() for one in sets])),
        device=device.estimate(how, plan),
        readers=single.estimate(f"one reader left out, {how}", plan),
        left_out_pair=pair_estimate,
        difference=difference,
        pair_difference=pair_difference,
        readers_worth=worth,
        each=each,
        readers_below_curve=sum(one.below_curve > 0.5 for one in each),  # noqa: PLR2004
        device_sensitivity=None if shares is None else shares[0].estimate(how, plan),
        device_specificity=None if shares is None else shares[1].estimate(how, plan),
        threshold=threshold,
        margin=margin,
        noninferior=_verdict(difference, margin),
        pair_noninferior=_verdict(pair_difference, margin),
        f1_device=None if f1 is None else f1[0],
        f1_readers=None if f1 is None else f1[1],
        f1_difference=None if f1 is None else f1[2],
        caution=caution,
    )


def _verdict(difference: Estimate, margin: float | None) -> bool | None:
    if margin is None or difference.lower is None:
        return None
    return difference.lower > -margin


def _worth_estimate(device: _Draws, one: _Draws, two: _Draws, plan: _Plan) -> Estimate:
    method = "readers, linear between none (0.5), one and two; bootstrap of patients"
    value = float(_worth(np.array(device.value), np.array(one.value), np.array(two.value)))
    draws = _worth(device.replicates, one.replicates, two.replicates)
    if np.isnan(value):
        return undefined(
            "two readers are no better than one", level=plan.level, method=method, n=plan.n
        )
    found = _Draws(value, draws).estimate(
        method, plan, missing_where="where two readers are no better than one, or one no use,"
    )
    if value < 2.0:  # noqa: PLR2004
        return found
    return Estimate(
        estimate=None,
        lower=found.lower,
        upper=None,
        level=plan.level,
        method=method,
        n=plan.n,
        clusters=plan.patients,
        seed=plan.seed,
        reason="above two readers: the scale ends there",
    )


def _point(  # noqa: PLR0913, PLR0917 - one reader's row of the table
    name: str,
    rows: list[tuple[int, _Draws]],
    device: list[_Draws],
    sets: list[Panel],
    score: Floats,
    vote: NDArray[np.int64],
    *,
    weights: NDArray[np.generic],
    how: str,
    plan: _Plan,
) -> ReaderPoint:
    sens, spec, there, below = [], [], [], []
    gaps: list[_Draws] = []
    for index, _ in rows:
        truth = sets[index].truth
        table = Confusion.of(truth.astype(np.int64), vote == 1)
        sens.append(table.tp / table.positives)
        spec.append(table.tn / table.negatives)
        gap = _sensitivity_gaps(weights, truth, score, vote == 1)
        gaps.append(_Draws(float(gap[0]), gap[1:]))
        there.append(sens[-1] + gaps[-1].value)
        below.append(gaps[-1].value > 0.0)
    own = _mean([d for _, d in rows])
    same = _mean([device[index] for index, _ in rows])
    return ReaderPoint(
        reader=name,
        auc=own.estimate(how, plan),
        sensitivity=float(np.mean(sens)),
        specificity=float(np.mean(spec)),
        device_sensitivity_there=float(np.mean(there)),
        sensitivity_difference=_mean(gaps).estimate(
            f"sensitivity at the reader's specificity, {how}", plan
        ),
        below_curve=float(np.mean(below)),
        difference=same.minus(own).estimate(f"difference of {how}", plan),
        references=len(rows),
    )


def _sensitivity_gaps(
    weights: NDArray[np.generic],
    truth: NDArray[np.bool_],
    score: Floats,
    marks: NDArray[np.bool_],
) -> Floats:
    """Return, for each row of weights, device minus reader in sensitivity at his specificity."""
    cases = Presorted(truth, score)
    w = np.asarray(weights, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        sens = (w @ (truth & marks)) / (w @ truth)
        fpr = (w @ (~truth & marks)) / (w @ ~truth)
    found = np.full(sens.size, np.nan)
    for row, counts in enumerate(weights):
        curve = cases.curve(counts)
        if curve is not None:
            found[row] = np.interp(fpr[row], curve[0], curve[1]) - sens[row]
    return found


def _shares(
    sets: list[Panel], calls: NDArray[np.bool_], weights: NDArray[np.generic]
) -> tuple[_Draws, _Draws]:
    w = np.asarray(weights, dtype=np.float64)
    sens, spec = [], []
    for one in sets:
        with np.errstate(invalid="ignore", divide="ignore"):
            a = (w @ (one.truth & calls)) / (w @ one.truth)
            b = (w @ (~one.truth & ~calls)) / (w @ ~one.truth)
        sens.append(_Draws(float(a[0]), a[1:]))
        spec.append(_Draws(float(b[0]), b[1:]))
    return _mean(sens), _mean(spec)


def chexnet_f1(  # noqa: PLR0913 - the two tables, and a bootstrap shared or made
    votes: ArrayLike,
    calls: ArrayLike,
    *,
    weights: NDArray[np.generic] | None = None,
    plan: "_Plan | None" = None,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[Estimate, Estimate, Estimate]:
    """Return F1 of the device, mean F1 of the readers, and their difference (CheXNet's scheme).

    Each reader is scored against the majority of each three of the others, the device against
    every three; with four readers this is the published scheme (the device on four triples).

    Parameters
    ----------
    votes : array_like of 0/1, shape (n, n_readers)
        Four readers or more.
    calls : array_like of bool, shape (n,)
        The device's calls at its threshold.
    weights, plan
        A bootstrap to share; without it images are resampled here.
    resamples, seed, level

    References
    ----------
    .. [1] Rajpurkar et al., CheXNet, arXiv:1711.05225, section 3.
    """
    table = binary_votes(votes)
    n = table.shape[0]
    flagged = np.asarray(calls, dtype=bool)
    if weights is None:
        drawn = Resampling(resamples=resamples, seed=seed)
        weights = np.stack([np.ones(n, dtype=np.int32), *resample_counts(n, drawn)])
    plan = plan or _Plan(level, n, n, seed)
    method = "mean F1 over majorities of three readers (CheXNet), bootstrap"
    if table.shape[1] <= 3:  # noqa: PLR2004
        none = undefined("fewer than four readers", level=plan.level, method=method, n=n)
        return none, none, none
    w = np.asarray(weights, dtype=np.float64)

    def f1(truth: NDArray[np.bool_], marks: NDArray[np.bool_]) -> _Draws:
        both, either = w @ (truth & marks), w @ truth + w @ marks
        value = np.divide(2.0 * both, either, out=np.full(both.shape, np.nan), where=either > 0)
        return _Draws(float(value[0]), value[1:])

    device, single = [], []
    for one in panels(table):
        device.append(f1(one.truth, flagged))
        single += [f1(one.truth, table[:, j] == 1) for j in one.left_out]
    ours, theirs = _mean(device), _mean(single)
    name: Callable[[_Draws], Estimate] = lambda d: d.estimate(method, plan)  # noqa: E731
    return name(ours), name(theirs), name(ours.minus(theirs))
