"""Covariance of the readers' figures of merit over cases: what Obuchowski-Rockette needs.

A cell is one reader with one modality. Cells that read the same cases covary; cells that share no
case do not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from validation import roc
from validation.bootstrap import Resampling, replicate
from validation.clustered import cluster_codes
from validation.errors import DesignError
from validation.operating import Presorted, area_in_band

__all__ = [
    "CaseBlock",
    "CovarianceMethod",
    "Metric",
    "MetricKind",
    "covariance_matrix",
    "figures_of_merit",
]

Floats = NDArray[np.float64]
MetricKind = Literal["auc", "sensitivity", "specificity", "partial-auc"]
CovarianceMethod = Literal["delong", "jackknife", "bootstrap", "unbiased"]

FINITE: Final = "a finite number"
PAIR_BUDGET: Final = 4_000_000
"""Kernel values held at once by the unbiased covariance: 32 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What is measured of each cell.

    Parameters
    ----------
    kind : {"auc", "sensitivity", "specificity", "partial-auc"}
    threshold : float, optional
        For sensitivity and specificity: positive at ``rating >= threshold``.
    band : (float, float)
        For the partial AUC: specificities, raw area.
    """

    kind: MetricKind = "auc"
    threshold: float | None = None
    band: tuple[float, float] = (0.8, 1.0)

    def __post_init__(self) -> None:
        if self.kind in {"sensitivity", "specificity"} and self.threshold is None:
            raise DesignError(
                design=self.kind,
                found="no threshold",
                accepted="the rating that counts as positive",
            )
        if self.threshold is not None and not isfinite(self.threshold):
            raise DesignError(
                design=self.kind, found=f"threshold {self.threshold}", accepted=FINITE
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseBlock:
    """Cells that read one common set of cases.

    `cells` index the study's cells; `ratings` is (len(cells), n_cases); `cluster` numbers the
    patient of each case, or is None.
    """

    cells: tuple[int, ...]
    truth: NDArray[np.bool_]
    ratings: Floats
    cluster: NDArray[np.intp] | None


def figures_of_merit(block: CaseBlock, metric: Metric) -> Floats:
    """Return the figure of merit of each cell of a block, shape (cells,)."""
    if metric.kind == "auc":
        return np.asarray(roc.placements(block.truth, block.ratings)[0].mean(axis=1))
    if metric.kind == "partial-auc":
        ones = np.ones(block.truth.size, dtype=np.int64)
        return np.asarray(
            [
                area_in_band(Presorted(block.truth, row).curve(ones), "specificity", metric.band)
                for row in block.ratings
            ]
        )
    right, among = _outcomes(block, metric)
    return np.asarray(right[:, among].mean(axis=1))


def _outcomes(block: CaseBlock, metric: Metric) -> tuple[Floats, NDArray[np.bool_]]:
    positive = block.ratings >= (metric.threshold or 0.0)
    if metric.kind == "sensitivity":
        return positive.astype(np.float64), block.truth
    return (~positive).astype(np.float64), ~block.truth


def covariance_matrix(  # noqa: PLR0913 - the study, the choice, and the bootstrap's two
    blocks: list[CaseBlock],
    metric: Metric,
    method: CovarianceMethod,
    *,
    cells: int,
    resamples: int = 2000,
    seed: int = 0,
) -> Floats:
    """Return the covariance of all cells, shape (cells, cells); zero between blocks.

    With clusters: Obuchowski 1997 for "delong", delete-one-patient jackknife, bootstrap of
    patients; "unbiased" is refused by name.

    References
    ----------
    .. [1] Obuchowski and Rockette, Communications in Statistics B 1995;24:285-308.
    .. [2] Hillis, Statistics in Medicine 2014;33:330-360.
    .. [3] Obuchowski, Biometrics 1997;53:567-578.
    """
    matrix = np.zeros((cells, cells))
    units = sum(_units(block, metric) for block in blocks)
    for block in blocks:
        _check_size(block, metric)
        where = np.asarray(block.cells)
        match method:
            case "delong":
                matrix[np.ix_(where, where)] = _delong(block, metric)
            case "jackknife":
                matrix[np.ix_(where, where)] = _jackknife(block, metric, units)
            case "unbiased":
                matrix[np.ix_(where, where)] = _unbiased(block, metric)
            case "bootstrap":
                matrix[np.ix_(where, where)] = _bootstrap(
                    block, metric, resamples=resamples, seed=seed
                )
    return matrix


def _check_size(block: CaseBlock, metric: Metric) -> None:
    """Refuse a class that the metric measures and that has one case, or one patient, of it."""
    measured = {"sensitivity": (True,), "specificity": (False,)}.get(metric.kind, (True, False))
    for positive in measured:
        inside = block.truth if positive else ~block.truth
        independent = int(inside.sum())
        if block.cluster is not None:
            independent = int(np.unique(block.cluster[inside]).size)
        if independent <= 1:
            what = "case" if block.cluster is None else "patient"
            raise DesignError(
                design="truth",
                found=f"one {what} {'with' if positive else 'without'} the finding: no variance",
                accepted="two or more of each class that is measured",
            )


def _units(block: CaseBlock, metric: Metric) -> int:
    """Count what the jackknife leaves out: patients, cases, or cases of the class measured."""
    if block.cluster is not None:
        return cluster_codes(block.cluster)[1]
    if metric.kind in {"sensitivity", "specificity"}:
        return int(_outcomes(block, metric)[1].sum())
    return block.truth.size


def _delong(block: CaseBlock, metric: Metric) -> Floats:
    if metric.kind == "auc":
        return roc.auc_covariance(block.truth, block.ratings, cluster=block.cluster)[1]
    if metric.kind == "partial-auc":
        raise DesignError(
            design="covariance delong", found="partial AUC", accepted="jackknife or bootstrap"
        )
    right, among = _outcomes(block, metric)
    error = right[:, among] - right[:, among].mean(axis=1, keepdims=True)
    n = error.shape[1]
    if block.cluster is None:
        return np.asarray(error @ error.T / (n * (n - 1.0)))
    codes, count = cluster_codes(block.cluster[among])
    sums = np.stack([np.bincount(codes, weights=row, minlength=count) for row in error])
    return np.asarray(count / (count - 1.0) * (sums @ sums.T) / n**2)


def _jackknife(block: CaseBlock, metric: Metric, units: int) -> Floats:
    """Return (N - 1) / N times the sum of squares of leave-one-out values over all N units."""
    if block.cluster is None and metric.kind == "auc":
        left_out = _auc_without_each(block)
    elif block.cluster is None and metric.kind in {"sensitivity", "specificity"}:
        left_out = _share_without_each(block, metric)
    else:
        left_out = _without_each_unit(block, metric)
    whole = figures_of_merit(block, metric)[:, None]
    away = left_out - whole  # units of other blocks leave the value as it is
    mean = away.sum(axis=1, keepdims=True) / units
    gram = away @ away.T - units * mean @ mean.T
    return np.asarray((units - 1.0) / units * gram)


def _auc_without_each(block: CaseBlock) -> Floats:
    """Return the AUC without each case in closed form, from placement values."""
    v10, v01 = roc.placements(block.truth, block.ratings)
    area = v10.mean(axis=1, keepdims=True)
    n1, n0 = v10.shape[1], v01.shape[1]
    if min(n1, n0) <= 1:
        raise DesignError(
            design="covariance jackknife", found="one case of a class", accepted="two of each"
        )
    values = np.empty(block.ratings.shape)
    values[:, block.truth] = (n1 * area - v10) / (n1 - 1.0)
    values[:, ~block.truth] = (n0 * area - v01) / (n0 - 1.0)
    return values


def _share_without_each(block: CaseBlock, metric: Metric) -> Floats:
    right, among = _outcomes(block, metric)
    n = int(among.sum())
    mean = right[:, among].mean(axis=1, keepdims=True)
    return np.asarray((n * mean - right[:, among]) / (n - 1.0))


def _without_each_unit(block: CaseBlock, metric: Metric) -> Floats:
    codes = np.arange(block.truth.size) if block.cluster is None else block.cluster
    columns = []
    for unit in np.unique(codes):
        kept = codes != unit
        rest = CaseBlock(
            cells=block.cells,
            truth=block.truth[kept],
            ratings=block.ratings[:, kept],
            cluster=None,
        )
        columns.append(figures_of_merit(rest, metric))
    return np.stack(columns, axis=1)


def _unbiased(block: CaseBlock, metric: Metric) -> Floats:
    """Return the unbiased covariance of two U-statistics: A_a A_b minus its unbiased E A E A."""
    if block.cluster is not None:
        raise DesignError(
            design="covariance unbiased",
            found="clustered cases",
            accepted="delong (Obuchowski 1997), jackknife or bootstrap",
        )
    if metric.kind in {"sensitivity", "specificity"}:
        return _delong(block, metric)  # the sample covariance of a mean is unbiased
    if metric.kind == "partial-auc":
        raise DesignError(
            design="covariance unbiased", found="partial AUC", accepted="jackknife or bootstrap"
        )
    v10, v01 = roc.placements(block.truth, block.ratings)
    n1, n0 = v10.shape[1], v01.shape[1]
    area = v10.mean(axis=1)
    pairs = _kernel_products(block)
    total = np.outer(area, area) * (n1 * n0) ** 2
    rows, columns = (v10 @ v10.T) * n0**2, (v01 @ v01.T) * n1**2
    apart = (total - rows - columns + pairs) / (n1 * (n1 - 1.0) * n0 * (n0 - 1.0))
    return np.asarray(np.outer(area, area) - apart)


def _kernel_products(block: CaseBlock) -> Floats:
    """Return the sum over all pairs of psi_a psi_b for every two cells, in slices of positives."""
    positive, negative = block.ratings[:, block.truth], block.ratings[:, ~block.truth]
    k, n1 = positive.shape
    step = max(1, PAIR_BUDGET // (k * negative.shape[1]))
    total = np.zeros((k, k))
    for start in range(0, n1, step):
        part = positive[:, start : start + step, None]
        psi = (part > negative[:, None, :]) + 0.5 * (part == negative[:, None, :])
        flat = psi.reshape(k, -1)
        total += flat @ flat.T
    return total


def _bootstrap(block: CaseBlock, metric: Metric, *, resamples: int, seed: int) -> Floats:
    """Resample cases within each class, or patients with all their cases."""
    plan = Resampling(
        resamples=resamples,
        seed=seed,
        cluster=block.cluster,
        strata=block.truth if block.cluster is None else None,
    )
    statistic: Callable[[NDArray[np.generic]], Floats]
    if metric.kind in {"sensitivity", "specificity"}:
        right, among = _outcomes(block, metric)

        def share(counts: NDArray[np.generic]) -> Floats:
            weight = np.asarray(counts[among], dtype=np.float64)
            total = float(weight.sum())  # 0 where no patient of the class was drawn
            return np.asarray(right[:, among] @ weight / (total or float("nan")))

        statistic = share
    else:
        sorted_cells = [Presorted(block.truth, row) for row in block.ratings]

        def area(counts: NDArray[np.generic]) -> Floats:
            if metric.kind == "auc":
                return np.asarray([cell.auc(counts) for cell in sorted_cells])
            return np.asarray(
                [
                    area_in_band(cell.curve(counts), "specificity", metric.band)
                    for cell in sorted_cells
                ]
            )

        statistic = area
    draws = replicate(statistic, block.truth.size, plan)
    defined = draws[~np.isnan(draws).any(axis=1)]
    return np.atleast_2d(np.cov(defined.T))
