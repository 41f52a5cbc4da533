"""A batch: films judged in their order, the next ones begun while one is at the network."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

__all__ = ["Batch", "ahead"]

T = TypeVar("T")


def ahead() -> int:
    """Films in hand at once: each has one core, and one is decoded while another is at the network.

    As many as this process has cores; at most four, for more would only fill memory.
    """
    return max(2, min(len(os.sched_getaffinity(0)), 4))


class Batch(Generic[T]):
    """Judges films in threads, at most `ahead()` of them begun and not yet asked for.

    A film's result is what `judge` gives it alone: films share nothing but the locked device.

    Parameters
    ----------
    judge : callable
        `Device.read` or `Device.check`.
    films : iterable of path
        In the order in which they will be asked for.

    Examples
    --------
    >>> with Batch(len, ["a", "bb", "ccc"]) as judged:
    ...     [judged(film) for film in ["a", "bb", "ccc"]]
    [1, 2, 3]
    """

    def __init__(self, judge: Callable[[Path], T], films: Iterable[Path]) -> None:
        self._judge = judge
        self._left: Iterator[Path] = iter(films)
        self._begun: deque[tuple[Path, Future[T]]] = deque()
        self._ahead = ahead()
        self._pool = ThreadPoolExecutor(self._ahead, thread_name_prefix="batch")

    def __enter__(self) -> Self:
        """Begin the first films."""
        for _ in range(self._ahead):
            self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Begin no more films, and wait for those that were begun."""
        self._pool.shutdown()

    def __call__(self, film: Path) -> T:
        """Give the next film's result, or raise what its judging raised.

        Raises
        ------
        ValueError
            `film` is not the next of the batch: a result never stands at another film.
        """
        if not self._begun or self._begun[0][0] != film:
            raise ValueError(f"{film} is not the next film of this batch")
        _, future = self._begun.popleft()
        try:
            return future.result()
        finally:
            self._begin()

    def _begin(self) -> None:
        film = next(self._left, None)
        if film is not None:
            self._begun.append((film, self._pool.submit(self._judge, film)))
