"""Multi-reader multi-case studies: Obuchowski-Rockette with Hillis degrees of freedom."""

from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from validation.errors import ArgumentError, DesignError
from validation.estimate import check_level, cut, normal_quantile, t_quantile
from validation.reader_covariance import (
    CovarianceMethod,
    Metric,
    covariance_matrix,
    figures_of_merit,
)
from validation.reader_design import ReaderStudy, arrange

__all__ = [
    "Components",
    "Covariances",
    "Difference",
    "Effect",
    "FTest",
    "Metric",
    "ModalityMean",
    "Mrmc",
    "ReaderDifference",
    "ReaderFigure",
    "obuchowski_rockette",
]

Floats = NDArray[np.float64]
Effect = Literal["random", "fixed"]

ROUNDING: Final = 1e-12
"""Share of the two variances below which the variance of a difference is rounding."""
NO_VARIANCE: Final = "the variance of the difference is 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderFigure:
    """One reader with one modality; `auc` is the figure of merit whatever the metric."""

    reader: str
    modality: str
    auc: float
    se: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityMean:
    """The mean over readers of one modality; `df` is None for a normal interval."""

    modality: str
    auc: float
    se: float
    df: float | None
    lower: float | None
    upper: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariances:
    """Error variance and the three covariances of Obuchowski and Rockette, as estimated.

    cov1: same reader, other modality; cov2: other reader, same modality; cov3: both differ. None
    where the design has no such pair.
    """

    error: float | None
    cov1: float | None
    cov2: float | None
    cov3: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Variance components of the reader model; negative estimates are shown as they are."""

    reader: float
    modality_reader: float
    ms_modality: float
    ms_reader: float
    ms_modality_reader: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Difference of two modalities, a minus b; `df` is None for a z statistic.

    With a margin, `noninferior` says whether a is no worse than b by `margin`.
    """

    a: str
    b: str
    estimate: float
    se: float
    df: float | None
    statistic: float | None
    p_value: float | None
    lower: float | None
    upper: float | None
    margin: float | None = None
    noninferior: bool | None = None
    p_noninferior: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderDifference:
    """Difference of two modalities for one reader, over cases (normal interval)."""

    reader: str
    a: str
    b: str
    estimate: float
    se: float
    lower: float | None
    upper: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FTest:
    """The test that all modalities agree; `df2` is None for a chi-square statistic."""

    statistic: float | None
    df1: int | None
    df2: float | None
    p_value: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mrmc:
    """A whole analysis; `method` names every choice, `reason` every clamp."""

    method: str
    design: str
    metric: str
    level: float
    n_cases: int
    n_positive: int
    n_clusters: int | None
    readers: tuple[ReaderFigure, ...]
    modalities: tuple[ModalityMean, ...]
    covariances: Covariances
    components: Components | None
    differences: tuple[Difference, ...]
    reader_differences: tuple[ReaderDifference, ...]
    test: FTest
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Scale:
    """The denominator of the F test and its degrees of freedom (None: normal)."""

    denominator: float
    df: float | None


def obuchowski_rockette(  # noqa: PLR0913 - the contract's three choices, and the study's options
    reads: pd.DataFrame,
    *,
    covariance: CovarianceMethod,
    readers: Effect,
    cases: Effect,
    metric: Metric | None = None,
    cluster: str | None = None,
    level: float = 0.95,
    margin: float | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Mrmc:
    """Analyse a multi-reader multi-case study.

    Parameters
    ----------
    reads : DataFrame
        Columns `reader`, `modality`, `case`, `truth` (0/1), `rating`, one row a reading.
    covariance : {"delong", "jackknife", "bootstrap", "unbiased"}
        Covariance over cases.
    readers, cases : {"random", "fixed"}
        What the conclusion is to hold for; not both fixed.
    metric : Metric, optional
        The AUC without it; sensitivity or specificity at a rating, or a partial AUC.
    cluster : str, optional
        Column that names the patient; cases of one patient may covary.
    level : float
    margin : float, optional
        Non-inferiority margin of a to b, > 0, fixed beforehand.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    Mrmc

    Raises
    ------
    DesignError
        For one reader, missing cells, a split-plot, both factors fixed, or a covariance that the
        metric or the clusters do not have.

    Notes
    -----
    max(Cov2 - Cov3, 0) is used as in Hillis 2014; when that clamps, `reason` says so. Designs:
    fully crossed; cases nested in readers (Cov2 = Cov3 = 0); cases nested in modalities
    (Cov1 = Cov3 = 0).

    References
    ----------
    .. [1] Obuchowski and Rockette, Communications in Statistics B 1995;24:285-308.
    .. [2] Hillis, Statistics in Medicine 2007;26:596-619 (degrees of freedom).
    .. [3] Hillis, Statistics in Medicine 2014;33:330-360.
    """
    check_level(level)
    if margin is not None and margin <= 0.0:
        raise ArgumentError(argument="margin", found=margin, accepted="above 0")
    if readers == "fixed" and cases == "fixed":
        raise DesignError(
            design="mrmc", found="readers and cases fixed", accepted="at least one of them random"
        )
    metric = metric or Metric()
    study = arrange(reads, cluster)
    t, r = len(study.modalities), len(study.readers)
    theta = np.empty(t * r)
    for block in study.blocks:
        theta[list(block.cells)] = figures_of_merit(block, metric)
    matrix = None
    if cases == "random":
        matrix = covariance_matrix(
            study.blocks, metric, covariance, cells=t * r, resamples=resamples, seed=seed
        )
    figures = theta.reshape(t, r)
    summary = _summarise(matrix, t, r)
    squares = _mean_squares(figures)
    scale = _scale(summary, squares, (t, r), readers=readers, cases=cases)
    clamped = matrix is not None and t > 1 and (summary.cov2 or 0.0) < (summary.cov3 or 0.0)
    return Mrmc(
        method=_method(
            covariance, readers, cases, cluster=cluster is not None, draws=(resamples, seed)
        ),
        design=study.design,
        metric=metric.kind,
        level=level,
        n_cases=study.n_cases,
        n_positive=study.n_positive,
        n_clusters=study.n_clusters,
        readers=tuple(
            ReaderFigure(
                reader=study.readers[j],
                modality=study.modalities[i],
                auc=float(figures[i, j]),
                se=None if matrix is None else sqrt(max(float(matrix[i * r + j, i * r + j]), 0.0)),
            )
            for i in range(t)
            for j in range(r)
        ),
        modalities=tuple(
            _mean(
                study.modalities[i],
                figures[i],
                matrix,
                i,
                readers=readers,
                level=level,
                most=_most(metric),
            )
            for i in range(t)
        ),
        covariances=summary,
        components=None if matrix is None or t == 1 else _components(summary, squares, t),
        differences=tuple(
            _difference(
                (study.modalities[i], study.modalities[j]),
                float(figures[i].mean() - figures[j].mean()),
                scale,
                r,
                level=level,
                margin=margin,
            )
            for i, j in combinations(range(t), 2)
        ),
        reader_differences=()
        if matrix is None
        else _reader_differences(study, figures, matrix, level),
        test=_f_test(squares[0], scale, t, readers=readers),
        reason="Cov2 - Cov3 was negative and clamped to 0 (Hillis 2014)" if clamped else None,
    )


def _method(
    covariance: CovarianceMethod,
    readers: Effect,
    cases: Effect,
    *,
    cluster: bool,
    draws: tuple[int, int],
) -> str:
    parts = [f"Obuchowski-Rockette, readers {readers}, cases {cases}"]
    if cases == "random":
        name = {"delong": "DeLong"}.get(covariance, covariance)
        if cluster:
            name = {
                "delong": "Obuchowski 1997 (clustered)",
                "jackknife": "jackknife of patients",
                "bootstrap": "bootstrap of patients",
            }.get(covariance, covariance)
        if covariance == "bootstrap":
            name += f" ({draws[0]} resamples, seed {draws[1]})"
        parts.append(f"{name} covariance")
    if readers == "random":
        parts.append("Hillis df")
    return ", ".join(parts)


def _summarise(matrix: Floats | None, t: int, r: int) -> Covariances:
    if matrix is None:
        return Covariances(error=None, cov1=None, cov2=None, cov3=None)
    cube = matrix.reshape(t, r, t, r)
    same_t = np.eye(t, dtype=bool)[:, None, :, None]
    same_r = np.eye(r, dtype=bool)[None, :, None, :]

    def mean(mask: NDArray[np.bool_]) -> float | None:
        where = np.broadcast_to(mask, cube.shape)
        return float(cube[where].mean()) if where.any() else None

    return Covariances(
        error=mean(same_t & same_r),
        cov1=mean(~same_t & same_r),
        cov2=mean(same_t & ~same_r),
        cov3=mean(~same_t & ~same_r),
    )


def _mean_squares(figures: Floats) -> tuple[float, float, float]:
    """Return the mean squares of modality, reader, and their interaction (0 where no df)."""
    t, r = figures.shape
    grand = figures.mean()
    by_t, by_r = figures.mean(axis=1), figures.mean(axis=0)
    residual = figures - by_t[:, None] - by_r[None, :] + grand
    ms_t = r * float(np.sum((by_t - grand) ** 2)) / max(t - 1, 1)
    ms_r = t * float(np.sum((by_r - grand) ** 2)) / (r - 1)
    ms_tr = float(np.sum(residual**2)) / (max(t - 1, 1) * (r - 1))
    return ms_t, ms_r, ms_tr


def _scale(
    summary: Covariances,
    squares: tuple[float, float, float],
    shape: tuple[int, int],
    *,
    readers: Effect,
    cases: Effect,
) -> _Scale:
    t, r = shape
    ms_tr = squares[2]
    interaction_df = (t - 1) * (r - 1)
    if cases == "fixed":
        return _Scale(ms_tr, float(interaction_df))
    apart = max((summary.cov2 or 0.0) - (summary.cov3 or 0.0), 0.0)
    if readers == "fixed":
        return _Scale((summary.error or 0.0) - (summary.cov1 or 0.0) + (r - 1) * apart, None)
    total = ms_tr + r * apart
    if ms_tr <= 0.0 or interaction_df == 0:
        return _Scale(total, None)
    return _Scale(total, total**2 / (ms_tr**2 / interaction_df))


def _components(summary: Covariances, squares: tuple[float, float, float], t: int) -> Components:
    ms_t, ms_r, ms_tr = squares
    error, cov1 = summary.error or 0.0, summary.cov1 or 0.0
    cov2, cov3 = summary.cov2 or 0.0, summary.cov3 or 0.0
    return Components(
        reader=(ms_r - ms_tr) / t - cov1 + cov3,
        modality_reader=ms_tr - error + cov1 + max(cov2 - cov3, 0.0),
        ms_modality=ms_t,
        ms_reader=ms_r,
        ms_modality_reader=ms_tr,
    )


def _most(metric: Metric) -> float:
    """Return the largest value of the figure of merit: the width of the band of a raw area."""
    low, high = metric.band
    return high - low if metric.kind == "partial-auc" else 1.0


def _mean(  # noqa: PLR0913 - the numbers of one formula
    name: str,
    values: Floats,
    matrix: Floats | None,
    index: int,
    *,
    readers: Effect,
    level: float,
    most: float,
) -> ModalityMean:
    r = values.size
    ms_r = float(values.var(ddof=1))
    df: float | None = None
    if matrix is None:
        variance, df = ms_r / r, float(r - 1)
    else:
        part = matrix[index * r : (index + 1) * r, index * r : (index + 1) * r]
        error = float(np.trace(part)) / r
        cov2 = max(float(part.sum() - np.trace(part)) / (r * (r - 1)), 0.0)
        if readers == "fixed":
            variance = (error + (r - 1) * cov2) / r
        else:
            total = ms_r + r * cov2
            variance = total / r
            df = None if ms_r <= 0.0 else total**2 / (ms_r**2 / (r - 1))
    mean, se = float(values.mean()), sqrt(max(variance, 0.0))
    if se == 0.0:
        return ModalityMean(
            modality=name,
            auc=mean,
            se=0.0,
            df=df,
            lower=None,
            upper=None,
            reason="no variance between readers or cases",
        )
    half = se * (normal_quantile(level) if df is None else t_quantile(level, df))
    lower, upper, reason = cut(mean - half, mean + half, (0.0, most))
    return ModalityMean(
        modality=name,
        auc=mean,
        se=se,
        df=df,
        lower=lower,
        upper=upper,
        reason=reason,
    )


def _difference(  # noqa: PLR0913 - the numbers of one formula
    names: tuple[str, str],
    estimate: float,
    scale: _Scale,
    r: int,
    *,
    level: float,
    margin: float | None,
) -> Difference:
    se = sqrt(max(2.0 / r * scale.denominator, 0.0))
    if se == 0.0:
        return Difference(
            a=names[0],
            b=names[1],
            estimate=estimate,
            se=0.0,
            df=scale.df,
            statistic=None,
            p_value=None,
            lower=None,
            upper=None,
            margin=margin,
            reason=NO_VARIANCE,
        )
    reference = stats.norm if scale.df is None else stats.t(scale.df)
    half = se * (normal_quantile(level) if scale.df is None else t_quantile(level, scale.df))
    statistic = estimate / se
    return Difference(
        a=names[0],
        b=names[1],
        estimate=estimate,
        se=se,
        df=scale.df,
        statistic=statistic,
        p_value=float(2.0 * reference.sf(abs(statistic))),
        lower=estimate - half,
        upper=estimate + half,
        margin=margin,
        noninferior=None if margin is None else estimate - half > -margin,
        p_noninferior=None if margin is None else float(reference.sf((estimate + margin) / se)),
    )


def _reader_differences(
    study: ReaderStudy, figures: Floats, matrix: Floats, level: float
) -> tuple[ReaderDifference, ...]:
    r = len(study.readers)
    z = normal_quantile(level)
    found = []
    for j, reader in enumerate(study.readers):
        for i, k in combinations(range(len(study.modalities)), 2):
            a, b = i * r + j, k * r + j
            whole = float(matrix[a, a] + matrix[b, b])
            variance = whole - 2.0 * float(matrix[a, b])
            se = sqrt(variance) if variance > ROUNDING * whole else 0.0
            gap = float(figures[i, j] - figures[k, j])
            found.append(
                ReaderDifference(
                    reader=reader,
                    a=study.modalities[i],
                    b=study.modalities[k],
                    estimate=gap,
                    se=se,
                    lower=gap - z * se if se else None,
                    upper=gap + z * se if se else None,
                    reason=None if se else NO_VARIANCE,
                )
            )
    return tuple(found)


def _f_test(ms_t: float, scale: _Scale, t: int, *, readers: Effect) -> FTest:
    if t == 1:
        return FTest(
            statistic=None, df1=None, df2=None, p_value=None, reason="one modality: nothing to test"
        )
    if scale.denominator <= 0.0:
        return FTest(
            statistic=None, df1=t - 1, df2=None, p_value=None, reason="the denominator is 0"
        )
    if scale.df is None:
        statistic = (t - 1) * ms_t / scale.denominator
        return FTest(
            statistic=statistic,
            df1=t - 1,
            df2=None,
            p_value=float(stats.chi2.sf(statistic, t - 1)),
            reason="chi-square" if readers == "fixed" else "chi-square: no reader variance",
        )
    statistic = ms_t / scale.denominator
    return FTest(
        statistic=statistic,
        df1=t - 1,
        df2=scale.df,
        p_value=float(stats.f.sf(statistic, t - 1, scale.df)),
    )
