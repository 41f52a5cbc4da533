"""A batch: films judged in their order, the next groups begun while one is at the network."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

__all__ = ["Batch", "ahead", "attempt", "each"]

GROUP: Final = 8
"""Films of a group: together they cost the networks less, and each stage finds the caches as it
left them."""
GROUP_BYTES: Final = 16 * 2**20
"""Bytes of the files of a group of several films, so that large ones do not fill memory."""

T = TypeVar("T")


def ahead() -> int:
    """Count the groups in hand at once: one is read while another is at the network.

    As many as this process has cores; at most four, for more would only fill memory.
    """
    return max(2, min(len(os.sched_getaffinity(0)), 4))


def attempt(job: Callable[[], T]) -> T | Exception:
    """Give what a job gives, or what it raises: a film on which the device fails ends alone."""
    try:
        return job()
    except Exception as error:  # noqa: BLE001  # it is raised where the film is asked for
        return error


def each(judge: Callable[[Path], T]) -> Callable[[Sequence[Path]], list[T | Exception]]:
    """Judge the films of a group one after another."""
    return lambda films: [attempt(partial(judge, film)) for film in films]


class Batch(Generic[T]):
    """Judges films in threads, by groups: `ahead()` of them in hand, and one that waits.

    A film's result is what the device gives it alone: films share nothing but the locked device.

    Parameters
    ----------
    judge : callable
        `Device.read_group`, or `each(Device.check)`: a result, or the error, for each film.
    films : iterable of path
        In the order in which they will be asked for.

    Examples
    --------
    >>> with Batch(each(len), ["a", "bb", "ccc"]) as judged:
    ...     [judged(film) for film in ["a", "bb", "ccc"]]
    [1, 2, 3]
    """

    def __init__(
        self, judge: Callable[[Sequence[Path]], Sequence[T | Exception]], films: Iterable[Path]
    ) -> None:
        self._judge = judge
        self._groups = _groups(films)
        self._begun: deque[tuple[list[Path], Future[Sequence[T | Exception]]]] = deque()
        self._judged: deque[tuple[Path, T | Exception]] = deque()
        self._ahead = ahead()
        self._pool = ThreadPoolExecutor(self._ahead, thread_name_prefix="batch")

    def __enter__(self) -> Self:
        """Begin the first groups."""
        for _ in range(self._ahead + 1):
            self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Begin no more films, and wait for those that were begun."""
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, film: Path) -> T:
        """Give the next film's result, or raise what its judging raised.

        Raises
        ------
        ValueError
            `film` is not the next of the batch: a result never stands at another film.
        """
        if not self._judged and self._begun and self._begun[0][0][0] == film:
            films, future = self._begun.popleft()
            self._judged.extend(zip(films, future.result(), strict=True))
            self._begin()
        if not self._judged or self._judged[0][0] != film:
            raise ValueError(f"{film} is not the next film of this batch")
        _, result = self._judged.popleft()
        if isinstance(result, Exception):
            raise result
        return result

    def _answers(self, films: list[Path]) -> Sequence[T | Exception]:
        found = attempt(partial(self._judge, films))
        return [found] * len(films) if isinstance(found, Exception) else found

    def _begin(self) -> None:
        films = next(self._groups, None)
        if films is not None:
            self._begun.append((films, self._pool.submit(self._answers, films)))


def _groups(films: Iterable[Path]) -> Iterator[list[Path]]:
    """Cut films into groups, in their order; a large one is alone."""
    group: list[Path] = []
    size = 0
    for film in films:
        more = _bytes(film)
        if group and (len(group) == GROUP or size + more > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(film)
        size += more
    if group:
        yield group


def _bytes(film: Path) -> int:
    """Size of a file; none where it cannot be told, which its reading will say."""
    try:
        return os.stat(film).st_size  # noqa: PTH116  # as it is given, a text too
    except (OSError, ValueError):
        return 0
