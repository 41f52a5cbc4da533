"""Fixtures of the validation tests: the reference values of R, and small cohorts made by code."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray


def shared_data() -> Path:
    """Return the folder of shared data (environment CXR_SHARED_DATA, or beside the repository)."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("CXR_SHARED_DATA", str(beside)))


def _need(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"shared data absent: {path} (set CXR_SHARED_DATA)")
    return path


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Return a function that finds a shared file, or skips the test by name."""
    return lambda name: _need(shared_data() / name)


@pytest.fixture(scope="session")
def reference() -> Callable[[str], Any]:
    """Return a function: the expected value of one reference result of expected.json."""
    path = shared_data() / "statistics" / "expected.json"
    entries = json.loads(path.read_text("utf-8")) if path.exists() else None

    def find(identifier: str) -> Any:
        if entries is None:
            pytest.skip(f"shared data absent: {path} (set CXR_SHARED_DATA)")
        return entries[identifier]["expected"]

    return find


@pytest.fixture(scope="session")
def example() -> Callable[[str], pd.DataFrame]:
    """Return a function: one data set of the reference programs as a DataFrame."""

    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(_need(shared_data() / "statistics" / "data" / name))

    return read


Arrays = tuple[NDArray[np.int64], NDArray[np.float64]]


@pytest.fixture
def cohort() -> Callable[..., Arrays]:
    """Return a maker of a binormal cohort: truth and score in (0, 1)."""

    def make(n: int, *, shift: float = 1.2, prevalence: float = 0.3, seed: int = 0) -> Arrays:
        rng = np.random.default_rng(seed)
        truth = (rng.random(n) < prevalence).astype(np.int64)
        truth[:2] = [0, 1]
        return truth, 1.0 / (1.0 + np.exp(-(rng.normal(size=n) + shift * truth - 1.0)))

    return make


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of small CSV tables: `table(case_id=[...], truth=[...])`."""
    count = iter(range(1000))

    def write(**columns: object) -> Path:
        path = tmp_path / f"table{next(count)}.csv"
        pd.DataFrame(columns).to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def validate() -> Callable[..., Result]:
    """Return a runner of cxr-validate in this process."""
    from validation.cli import main  # noqa: PLC0415

    return lambda *arguments: CliRunner().invoke(main, [str(a) for a in arguments])
