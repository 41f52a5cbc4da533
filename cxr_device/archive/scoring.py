"""Scoring an archive: list, score what is left, keep each block, write the table."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxr_device.archive.engines import ENGINES, Runtime
from cxr_device.archive.films import list_films
from cxr_device.archive.ledger import Ledger, Plan, parts_of
from cxr_device.archive.row import IDENTITY
from cxr_device.archive.table import count, plan_digest, write_table
from cxr_device.device import Device
from cxr_device.errors import ArchiveError, IntegrityError
from cxr_device.intake import shown
from cxr_device.result import DeviceIdentity

__all__ = ["Scored", "score"]

_BLOCK: Final = 32
"""Films a block at most: what a worker that is killed loses; a file of the ledger each."""
_ROUNDS: Final = 4
"""Blocks a worker at least, so that workers end at about the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What became of an archive."""

    films: int
    by_status: dict[str, int]
    exit_code: int
    """The highest of the films'."""


def score(  # noqa: PLR0913  # what was asked for
    source: Path,
    *,
    out: Path,
    engine: str = "local",
    runtime: Runtime = "onnxruntime",
    workers: int,
    resume: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Scored:
    """Score every film of an archive into one Parquet table.

    Parameters
    ----------
    source : path
        A folder of DICOM files, or a manifest (see `list_films`).
    out : path
        The table; `OUT.parts/` beside it holds the run until the table is whole.
    engine : {"local", "ray"}
        Worker processes of this machine, or Ray Data. Scores do not depend on it.
    runtime : {"onnxruntime", "openvino"}
        What runs the network; within 1e-4 logits of each other.
    workers : int
        Processes that score, at least 1; each holds a device and one or two films.
    resume : bool
        Go on with a run that was cut, with the films that it was begun with. A table that is
        whole over the same films stays as it is; where no run was begun, one is begun.
    progress : callable
        Called with the films done and the films of the run.

    Raises
    ------
    ArchiveError
        The source is no archive, the table's name says another format, or a run that was cut lies
        in the way; nothing is written.
    OutputError
        The disk is full or cannot be written; what is done is kept for `resume`.
    EngineError
        A worker was killed, or Ray ended; what is done is kept for `resume`.
    IntegrityError
        The installation is damaged, here or on a machine of the cluster.
    """
    if out.suffix != ".parquet":
        raise ArchiveError(out, f"suffix {out.suffix!r}; the table is Parquet", "name it .parquet")
    device = Device.load_guards().identity
    folder, named = parts_of(out), str(source.absolute())
    begun = resume and (folder / "plan.json").exists()
    if begun:
        ledger = Ledger.resume(folder, device=device, runtime=runtime, source=named)
    else:
        films = list_films(source, leave_out=(out, folder))
        block = max(1, min(_BLOCK, len(films) // (_ROUNDS * workers)))
        plan = Plan(source=named, device=device, runtime=runtime, films=films, block=block)
        ledger = Ledger(folder, plan)
    if not (resume and plan_digest(out) == ledger.plan.digest()):
        if not begun:
            ledger.begin()
        _score_left(ledger, engine=engine, runtime=runtime, workers=workers, progress=progress)
        write_table(ledger.rows(), ledger.plan, out=out)
    ledger.remove()
    counted = count(out)
    by_status: Counter[str] = Counter()
    for (status, _), films_of_status in counted.items():
        by_status[status] += films_of_status
    return Scored(
        films=len(ledger.plan.films),
        by_status=dict(by_status),
        exit_code=max(code for _, code in counted),
    )


def _score_left(
    ledger: Ledger,
    *,
    engine: str,
    runtime: Runtime,
    workers: int,
    progress: Callable[[int, int], None],
) -> None:
    """Score the blocks that are not done, and keep each as it comes."""
    plan = ledger.plan
    left = [(number, plan.films_of(number)) for number in ledger.left]
    progress(ledger.films_done, len(plan.films))
    if not left:
        return
    for number, rows in ENGINES[engine](left, runtime, min(workers, len(left))):
        _hold(rows, plan.films_of(number), plan.device)
        ledger.keep(number, rows)
        progress(ledger.films_done, len(plan.films))


def _hold(rows: str, films: Sequence[Path], device: DeviceIdentity) -> None:
    """Hold the rows of a block against its films and this device.

    A worker of a cluster may have another release installed: its scores never join the table.
    """
    told = [json.loads(line) for line in rows.splitlines()]
    if [row["path"] for row in told] != [shown(film) for film in films]:
        message = "an engine gave rows that are not those of the block's films"
        raise RuntimeError(message)
    for row in told:
        for name in IDENTITY:
            if row[name] != getattr(device, name):
                what = f"a worker's {name}"
                raise IntegrityError(what, found=row[name], locked=getattr(device, name))
