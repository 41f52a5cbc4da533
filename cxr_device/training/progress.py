"""Progress: how far a long work is and how long it will take, on stderr."""

import sys
import time
from dataclasses import dataclass, field

__all__ = ["Progress"]


@dataclass(slots=True)
class Progress:
    """Say `what done/of`, with the time left; at most once a second on a terminal, else every 30 s.

    Call it with the number done so far and the number to do.
    """

    what: str
    begun: float = field(default_factory=time.monotonic)
    _said: float = 0.0
    _first: int | None = None

    def __call__(self, done: int, of: int) -> None:
        """Say it, if it is time to or the work is done."""
        now = time.monotonic()
        if self._first is None:
            self._first, self.begun = done, now
        terminal = sys.stderr.isatty()
        if done < of and now - self._said < (1 if terminal else 30):
            return
        self._said = now
        new = done - self._first
        left = f", {(now - self.begun) * (of - done) / new:.0f} s left" if new else ""
        end = "\r" if terminal and done < of else "\n"
        print(f"{self.what} {done}/{of}{left}", end=end, file=sys.stderr, flush=True)  # noqa: T201
