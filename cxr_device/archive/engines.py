"""Engines: who scores the blocks of a run, worker processes of this machine or Ray's actors.

Both run the same `Scorer`: the locked device with one thread a network, which gives a film the
score that it has alone.
"""

import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for_end
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final, Literal

from cxr_device import runtimes
from cxr_device.archive.row import row
from cxr_device.batch import Batch
from cxr_device.device import Device
from cxr_device.errors import EngineError
from cxr_device.release import Release
from cxr_device.result import Result

__all__ = ["ENGINES", "Block", "Engine", "Runtime", "Scorer"]

Runtime = Literal["onnxruntime", "openvino"]
Block = tuple[int, Sequence[Path]]
"""Number and films."""
Engine = Callable[[Sequence[Block], Runtime, int], Iterator[tuple[int, str]]]
"""From blocks, runtime and workers to the rows of each block, as blocks are done."""

_AHEAD: Final = 2
"""Blocks a worker has been given: one in hand, one waiting."""


class Scorer:
    """The locked device as a worker holds it: one thread a network."""

    def __init__(self, runtime: Runtime) -> None:
        release = Release.load()
        load = runtimes.on_openvino if runtime == "openvino" else runtimes.on_cpu
        self._device = Device(release, infer=load(release.graph, threads=1))

    def __call__(self, films: Sequence[Path]) -> str:
        """Rows of films, JSON Lines; a film on which the device fails ends alone."""
        lines = []
        with Batch[Result](self._device.read_group, films) as judged:
            for film in films:
                try:
                    told = row(judged(film))
                except Exception as error:  # noqa: BLE001  # the archive goes on
                    told = row(self._device.defect(film, error), internal=True)
                lines.append(json.dumps(told) + "\n")
        return "".join(lines)


_scorer: Scorer | None = None
"""The worker process's own."""
_closing: Event | None = None
"""The worker process's view of its run: set once the run takes no more rows."""


def _start(runtime: Runtime, closing: Event) -> None:
    """Load the device in a worker process, and end with the process that started it."""
    global _scorer, _closing  # noqa: PLW0603  # a pool's worker has no other place
    _closing = closing
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _scorer = Scorer(runtime)


def _end_with_parent() -> None:
    """End a worker whose run was killed: it would wait for films for ever."""
    parent = parent_process()
    if parent is not None:
        wait_for_end([parent.sentinel])
        os._exit(os.EX_UNAVAILABLE)


def _score(films: Sequence[Path]) -> str:
    if _scorer is None:
        message = "the worker was not started"
        raise RuntimeError(message)
    if _closing is not None and _closing.is_set():
        return ""  # nobody asks for it any more
    return _scorer(films)


def local(blocks: Sequence[Block], runtime: Runtime, workers: int) -> Iterator[tuple[int, str]]:
    """Score blocks in worker processes of this machine.

    A run that is closed early waits for the blocks in hand alone: those that were handed out and
    not begun are dropped.

    Raises
    ------
    EngineError
        A worker was killed, as by a machine out of memory.
    """
    rest = iter(blocks)
    begun: dict[Future[str], int] = {}
    context = get_context("spawn")
    closing = context.Event()
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(runtime, closing)
    )

    def begin() -> None:
        block = next(rest, None)
        if block is not None:
            begun[pool.submit(_score, block[1])] = block[0]

    try:
        for _ in range(_AHEAD * workers):
            begin()
        while begun:
            for done in wait(begun, return_when=FIRST_COMPLETED).done:
                number, rows = begun.pop(done), done.result()
                begin()
                yield number, rows
    except BrokenProcessPool as error:
        raise EngineError(
            "a worker process was killed or could not start", "free memory or lower --workers"
        ) from error
    finally:
        closing.set()  # the pool itself recalls no block that it handed to a worker
        pool.shutdown()


class _Actor:
    """A scorer in a process of Ray's."""

    def __init__(self, runtime: Runtime) -> None:
        self._scorer = Scorer(runtime)

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        films = [Path(film) for film in json.loads(block["films"])]
        return {"number": block["number"], "rows": self._scorer(films)}


def on_ray(blocks: Sequence[Block], runtime: Runtime, workers: int) -> Iterator[tuple[int, str]]:
    """Score blocks with Ray Data, on the cluster that `RAY_ADDRESS` names or on this machine.

    Every machine needs the same release and sees the films under the same paths.
    """
    ray = _started(workers)
    told = [
        {"number": number, "films": json.dumps([os.fspath(film) for film in films])}
        for number, films in blocks
    ]
    try:
        actor: Any = _Actor
        data = ray.data.from_items(told, override_num_blocks=len(told)).map(
            actor, fn_constructor_args=(runtime,), compute=ray.data.ActorPoolStrategy(size=workers)
        )
        for found in data.iter_rows():
            yield int(found["number"]), str(found["rows"])
    except ray.exceptions.RayError as error:
        raise EngineError(f"Ray ended ({type(error).__name__})", "see Ray's logs") from error
    finally:
        ray.shutdown()


def _started(workers: int) -> Any:  # noqa: ANN401  # the module, which is not always installed
    """Join the cluster that `RAY_ADDRESS` names, or start Ray on this machine; returns `ray`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # GPUs stay as they are
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_agent_register_timeout_ms", "60000")  # a busy machine starts slowly
    import ray  # noqa: PLC0415  # only where it is asked for
    import ray.data  # noqa: PLC0415

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        ray.init(
            num_cpus=None if "RAY_ADDRESS" in os.environ else workers + 1,  # one hands out blocks
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises a bare Exception, as when its 30 s to start are over
        ray.shutdown()
        reason = f"Ray did not start ({str(error)[:100]})"
        raise EngineError(reason, "see Ray's logs") from error
    return ray


ENGINES: Final[dict[str, Engine]] = {"local": local, "ray": on_ray}
