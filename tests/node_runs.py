"""Runs of a node in a process of its own, ended by SIGKILL and started again.

The process is forked from a server that has imported the node, so that a run costs no import.
"""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import HOST, associate, wait
from pydicom import FileDataset

from cxr_device.node.failpoints import ENVIRONMENT

_FORKS = multiprocessing.get_context("forkserver")


def serve(  # noqa: PLR0913  # the child's whole life
    data: str, log: str, peer: str, port: int, failpoint: int | None, *, with_network: bool
) -> None:
    """Run a node as `cxr-device node` does, its stderr in a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(descriptor, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    if failpoint is not None:
        os.environ[ENVIRONMENT] = str(failpoint)
    from cxr_device import Device  # noqa: PLC0415
    from cxr_device.node.configuration import Configuration  # noqa: PLC0415
    from cxr_device.node.service import run  # noqa: PLC0415

    device = Device.load() if with_network else Device.load_guards()
    configuration = Configuration.parse(
        ae="CXRDEVICE", bind=f"{HOST}:{port}", data=Path(data), peer=peer, allow=None, tls=None,
        metrics=None,
    )  # fmt: skip
    run(device, configuration)


@dataclass
class Run:
    """One life of a node."""

    process: Any
    log: Path

    @property
    def lines(self) -> list[str]:
        """What it wrote on stderr."""
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []

    @property
    def points(self) -> list[str]:
        """Names of the failpoints that it reached, in order."""
        return [line.split(" ", 2)[2] for line in self.lines if line.startswith("failpoint ")]

    @property
    def port(self) -> int | None:
        """The port that it listens on; None before."""
        for line in self.lines:
            if '"listening"' in line:
                return int(json.loads(line)["address"].rpartition(":")[2])
        return None

    @property
    def is_killed(self) -> bool:
        """Whether it ended by SIGKILL."""
        return bool(self.process.exitcode == -signal.SIGKILL)


@contextmanager
def node(
    data: Path,
    peer: str,
    *,
    failpoint: int | None = None,
    with_network: bool,
    bind_port: int = 0,
) -> Iterator[Run]:
    """A node in its own process, until it listens or ended; SIGTERM ends it. `peer`: `--return`."""
    _FORKS.set_forkserver_preload(["node_preload"])
    lives = len(list(data.parent.glob(f"{data.name}-*.log")))
    log = data.parent / f"{data.name}-{lives}.log"
    process = _FORKS.Process(
        target=serve,
        args=(str(data), str(log), peer, bind_port, failpoint),
        kwargs={"with_network": with_network},
    )
    log.touch()
    process.start()
    run = Run(process, log)
    try:
        wait(lambda: run.port is not None or not process.is_alive())
        yield run
    finally:
        if process.is_alive():
            process.terminate()
        process.join(60)
        if process.exitcode is None:
            process.kill()
            process.join()


def sent(port: int, film: FileDataset, **settings: Any) -> int | None:
    """Send a film to a port; its status, or None where no response came."""
    association = associate(port, **settings)
    if not association.is_established:
        return None
    try:
        status = association.send_c_store(film).get("Status")
    except (RuntimeError, ValueError):
        status = None
    if association.is_established:
        association.release()
    return None if status is None else int(status)


def offer(run: Run, film: FileDataset) -> int | None:
    """Send a film to a node; its status, or None where no response came."""
    return None if run.port is None else sent(run.port, film)


def is_done(data: Path) -> bool:
    """Whether no film and no answer waits."""
    return not [
        name
        for folder in ("films", "answers")
        if (data / folder).is_dir()
        for name in (data / folder).iterdir()
    ]
