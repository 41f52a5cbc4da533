"""Time to notification under a stated workload: the reading queue with and without the device.

Films arrive at random and wait for readers. Without the device they are read in order of arrival;
with it, flagged films come first (a film being read is finished). Delays of the films that were
not flagged are reported too: what a queue gives to some, it takes from others.
"""

import heapq
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from validation.errors import ArgumentError
from validation.estimate import Estimate, t_quantile, undefined

__all__ = ["Queue", "Workload", "simulate", "waits"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A reading room.

    Parameters
    ----------
    arrivals_per_hour : float
    reading_minutes : float
        Mean; reading times are exponential.
    readers : int
    hours : float
        Simulated in one run; the first tenth is not counted (the queue fills).
    device_minutes : float
        From arrival to the flag.
    """

    arrivals_per_hour: float
    reading_minutes: float
    readers: int = 1
    hours: float = 500.0
    device_minutes: float = 0.0

    def __post_init__(self) -> None:
        for name in ("arrivals_per_hour", "reading_minutes", "hours"):
            value = getattr(self, name)
            if not 0.0 < value < inf:
                raise ArgumentError(argument=f"workload {name}", found=value, accepted="above 0")
        if not 0.0 <= self.device_minutes < inf:
            raise ArgumentError(
                argument="workload device_minutes", found=self.device_minutes, accepted="0 or more"
            )
        load = self.arrivals_per_hour * self.reading_minutes / 60.0 / max(self.readers, 1)
        if self.readers < 1 or not 0.0 < load < 1.0:
            raise ArgumentError(
                argument="workload", found=f"load {load:.3f}", accepted="load inside (0, 1)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Mean minutes from arrival to the end of reading; differences are with minus without."""

    workload: Workload
    load: float
    with_finding_without_device: Estimate
    with_finding_with_device: Estimate
    with_finding_difference: Estimate
    without_finding_difference: Estimate
    runs: int
    seed: int


def waits(arrival: Floats, reading: Floats, priority: NDArray[np.bool_], readers: int) -> Floats:
    """Return minutes from arrival to the end of reading, without preemption.

    Parameters
    ----------
    arrival : ndarray, shape (n,)
        Rising.
    reading : ndarray, shape (n,)
    priority : ndarray of bool, shape (n,)
        Read before all others that wait; among equals the first come.
    readers : int
    """
    free = [0.0] * readers
    heapq.heapify(free)
    queue: list[tuple[int, int]] = []
    done = np.empty(arrival.size)
    coming, n = 0, arrival.size
    for _ in range(n):
        start = heapq.heappop(free)
        if not queue:
            start = max(start, float(arrival[coming]))
        while coming < n and arrival[coming] <= start:
            heapq.heappush(queue, (0 if priority[coming] else 1, coming))
            coming += 1
        _, film = heapq.heappop(queue)
        done[film] = start + reading[film]
        heapq.heappush(free, float(done[film]))
    return done - arrival


def simulate(  # noqa: PLR0913 - a cohort, a room, and how often
    truth: ArrayLike,
    flagged: ArrayLike,
    workload: Workload,
    *,
    runs: int = 20,
    seed: int = 0,
    level: float = 0.95,
) -> Queue:
    """Simulate the queue with films drawn from a cohort.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    flagged : array_like of bool, shape (n,)
        The device's calls: sensitivity, specificity and prevalence are the cohort's.
    workload : Workload
    runs : int
        Independent runs; intervals are Student's over runs and hold for this workload alone.
    seed : int
    level : float
    """
    positive, calls = np.asarray(truth) == 1, np.asarray(flagged, dtype=bool)
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(runs):
        n = max(int(workload.arrivals_per_hour * workload.hours), 10)
        arrival = np.cumsum(rng.exponential(60.0 / workload.arrivals_per_hour, n))
        reading = rng.exponential(workload.reading_minutes, n)
        film = rng.integers(0, positive.size, n)
        counted = np.arange(n) >= n // 10
        ill, well = counted & positive[film], counted & ~positive[film]
        plain = waits(arrival, reading, np.zeros(n, dtype=bool), workload.readers)
        first = waits(arrival, reading, calls[film], workload.readers)
        first = np.maximum(first, workload.device_minutes)
        rows.append(
            (
                _mean(plain[ill]),
                _mean(first[ill]),
                _mean(first[ill] - plain[ill]),
                _mean(first[well] - plain[well]),
            )
        )
    table = np.asarray(rows)
    estimates = [_over_runs(column, level, seed) for column in table.T]
    return Queue(
        workload=workload,
        load=workload.arrivals_per_hour * workload.reading_minutes / 60.0 / workload.readers,
        with_finding_without_device=estimates[0],
        with_finding_with_device=estimates[1],
        with_finding_difference=estimates[2],
        without_finding_difference=estimates[3],
        runs=runs,
        seed=seed,
    )


def _mean(minutes: Floats) -> float:
    """Return the mean; NaN where a run had no such film."""
    return float(minutes.mean()) if minutes.size else float("nan")


def _over_runs(values: Floats, level: float, seed: int) -> Estimate:
    empty = int(np.isnan(values).sum())
    if empty or values.size <= 1:
        reason = f"{empty} of {values.size} runs had no such film: too few arrive in the hours run"
        return undefined(
            reason if empty else "one run: no variance",
            level=level,
            method="mean minutes over simulated runs, Student",
            n=values.size,
        )
    mean, se = float(values.mean()), float(values.std(ddof=1)) / float(np.sqrt(values.size))
    half = t_quantile(level, values.size - 1) * se
    return Estimate(
        estimate=mean,
        lower=mean - half,
        upper=mean + half,
        level=level,
        method="mean minutes over simulated runs, Student",
        n=values.size,
        se=se,
        seed=seed,
    )
