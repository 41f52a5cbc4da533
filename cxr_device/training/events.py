"""TensorBoard: the figures of a run's log as event files, for those who watch their runs there."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["events"]


@contextmanager
def events(folder: Path | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Open a folder of event files; called with a line of the log, it adds the line's figures.

    A figure is named by its keys in the line (`tune_within_view_auc/score`) and stands at the
    line's epoch. Without a folder nothing is written. A run that goes on adds its further epochs.
    """
    if folder is None:
        yield lambda _line: None
        return
    from tensorboardX import SummaryWriter  # noqa: PLC0415  # an extra of its own

    def add(line: Mapping[str, Any]) -> None:
        for name, value in _figures(line):
            writer.add_scalar(name, value, int(line["epoch"]))
        writer.flush()

    apart = f".{time.time_ns()}"  # files of the same second would be one, the later alone
    with SummaryWriter(str(folder), filename_suffix=apart) as writer:
        yield add


def _figures(line: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of a line by their keys, the epoch and what has no value left out."""
    for key, value in line.items():
        if isinstance(value, Mapping):
            yield from _figures(value, f"{above}{key}/")
        elif isinstance(value, int | float) and key != "epoch":
            yield f"{above}{key}", float(value)
