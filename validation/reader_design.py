"""The design of a reader study: who read what, with what; refused by name where unfit."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from validation.errors import DesignError
from validation.reader_covariance import CaseBlock

__all__ = ["ReaderStudy", "arrange"]


@dataclass(frozen=True, slots=True)
class ReaderStudy:
    """A READS table as arrays; cell i * len(readers) + j is modality i with reader j."""

    modalities: list[str]
    readers: list[str]
    design: str
    blocks: list[CaseBlock]
    n_cases: int
    n_positive: int
    n_clusters: int | None


def arrange(reads: pd.DataFrame, cluster: str | None) -> ReaderStudy:
    """Arrange a READS table by cells and blocks of cases.

    Raises
    ------
    DesignError
        For a missing column, one reader, a reading that is missing or twice, a split-plot, or a
        block of cases with one class only.
    """
    wanted = ["reader", "modality", "case", "truth", "rating", *([cluster] if cluster else [])]
    missing = [column for column in wanted if column not in reads.columns]
    if missing:
        raise DesignError(
            design="reads", found=f"no column '{missing[0]}'", accepted=", ".join(wanted)
        )
    for column in wanted:
        if column != "rating" and reads[column].isna().to_numpy().any():
            raise DesignError(design=column, found="missing in a row", accepted="a value")
    (m_code, m_names), (r_code, r_names), (c_code, c_names) = (
        pd.factorize(reads[column].astype(str), sort=True)
        for column in ("modality", "reader", "case")
    )
    t, r, n = len(m_names), len(r_names), len(c_names)
    if r == 1:
        raise DesignError(
            design="mrmc", found="one reader", accepted="two readers or more (or: compare)"
        )
    rating = reads["rating"].to_numpy(dtype=np.float64)
    if np.isnan(rating).any():
        case = c_names[c_code[int(np.isnan(rating).argmax())]]
        raise DesignError(design="rating", found=f"missing for case '{case}'", accepted="a number")
    cell = m_code * r + r_code
    table = np.full((t * r, n), np.nan)
    table[cell, c_code] = rating
    if reads.shape[0] != int((~np.isnan(table)).sum()):
        raise DesignError(
            design="reads", found="a reading twice", accepted="one for reader, modality, case"
        )
    truth = _truth(reads, c_code, c_names)
    patient = None
    if cluster:
        codes, _ = pd.factorize(reads[cluster].astype(str))
        patient = np.zeros(n, dtype=np.intp)
        patient[c_code] = codes
    seen = ~np.isnan(table)
    design = _design(seen, [str(m) for m in m_names], [str(x) for x in r_names], c_names)
    blocks = []
    for pattern in np.unique(seen, axis=0):
        cells = tuple(int(i) for i in np.flatnonzero((seen == pattern).all(axis=1)))
        here = truth[pattern]
        if here.all() or not here.any():
            raise DesignError(
                design="truth", found="one class only in a block of cases", accepted="both classes"
            )
        blocks.append(
            CaseBlock(
                cells=cells,
                truth=here,
                ratings=table[np.ix_(np.asarray(cells), np.flatnonzero(pattern))],
                cluster=None if patient is None else patient[pattern],
            )
        )
    return ReaderStudy(
        modalities=[str(m) for m in m_names],
        readers=[str(x) for x in r_names],
        design=design,
        blocks=blocks,
        n_cases=n,
        n_positive=int(truth.sum()),
        n_clusters=None if patient is None else int(np.unique(patient).size),
    )


def _truth(
    reads: pd.DataFrame, code: NDArray[np.intp], names: "pd.Index[str]"
) -> NDArray[np.bool_]:
    """Return the truth of each case; refuse what is not 0/1, and a case with two truths."""
    given = reads["truth"].to_numpy()
    positive = given == 1
    odd = ~(positive | (given == 0))
    if odd.any():
        case = names[code[int(odd.argmax())]]
        found = f"'{given[odd][0]}' for case '{case}'"
        raise DesignError(design="truth", found=found, accepted="0 or 1")
    truth = np.zeros(names.size, dtype=bool)
    truth[code] = positive
    other = truth[code] != positive
    if other.any():
        case = names[code[int(other.argmax())]]
        raise DesignError(
            design="truth", found=f"0 and 1 for case '{case}'", accepted="one truth for each case"
        )
    return truth


def _design(
    seen: NDArray[np.bool_], modalities: list[str], readers: list[str], cases: "pd.Index[str]"
) -> str:
    """Name the design from who read what, or refuse it by name."""
    t, r = len(modalities), len(readers)
    if seen.all():
        return "fully crossed"
    cube = seen.reshape(t, r, -1)
    by_reader = bool((cube == cube[:1]).all()) and bool((cube[0].sum(axis=0) == 1).all())
    if by_reader:
        return "cases nested in readers"
    by_modality = bool((cube == cube[:, :1]).all()) and bool((cube[:, 0].sum(axis=0) == 1).all())
    if by_modality:
        return "cases nested in modalities"
    same_or_apart = all(
        bool((a == b).all()) or not bool((a & b).any())
        for a, b in combinations(np.unique(seen, axis=0), 2)
    )
    if same_or_apart and seen.any(axis=1).all():
        raise DesignError(
            design="split-plot",
            found="groups of readers read their own cases",
            accepted="fully crossed, or cases nested in readers or in modalities",
        )
    cell, case = (int(i) for i in np.argwhere(~seen)[0])
    raise DesignError(
        design="missing cells",
        found=f"no reading of case '{cases[case]}' by reader '{readers[cell % r]}' with "
        f"modality '{modalities[cell // r]}' ({int((~seen).sum())} in all)",
        accepted="every reader reads every case with every modality",
    )
