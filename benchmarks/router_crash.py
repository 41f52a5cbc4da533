"""dicom-ai-router put through what the node is put through: a kill at each of its steps.

    PYTHONPATH=.:tests python benchmarks/router_crash.py PYTHON

PYTHON is the interpreter of an environment with dicom-ai-router (`pip install dicom-ai-router`): it
pins what the project does not. It routes CT to a model server, so a CT study of its own simulator
goes through, answered by its own model. Every step is cut once, the router is started again, and a
sender that got no response sends again, as in node_crash.py; then the archive is away, and refuses,
for a minute. Counts go to results/router_crash.json.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from builders import dx
from node_runs import sent
from peers import HOST, Archive, archive, wait
from pydicom import FileDataset

HERE = Path(__file__).parent
RESULTS = HERE / "results/router_crash.json"
ANSWERS = ("1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.7")
"""Basic Text SR and Secondary Capture, which it sends."""
CT = "1.2.840.10008.5.1.4.1.1.2"
SALT = {"AIROUTER_DEID_SALT": "a-salt-for-measuring-alone"}
QUIET_S = 0.3
PATIENCE_S = 20.0
AWAY_S = 60.0


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def slice_of(number: int) -> FileDataset:
    """Make a CT slice of a study of its own."""
    root = f"1.2.826.0.1.3680043.10.1559.7.{number}"
    lungs = np.full((128, 128), 1000, dtype=np.uint16)
    lungs[40:90, 20:50] = lungs[40:90, 78:108] = 150
    return dx(
        lungs, SOPClassUID=CT, Modality="CT", BodyPartExamined="CHEST", BurnedInAnnotation="NO",
        SOPInstanceUID=f"{root}.3", StudyInstanceUID=f"{root}.1", SeriesInstanceUID=f"{root}.2",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], PixelSpacing=["2.5", "2.5"], InstanceNumber="1",
        RescaleSlope="1", RescaleIntercept="-1000", ImagePositionPatient=["0", "0", "0"],
    )  # fmt: skip


class Router:
    """One life of the router."""

    def __init__(self, python: str, config: Path, point: int) -> None:
        self.log = config.with_suffix(f".{time.monotonic_ns()}.log")
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(  # noqa: S603
                [python, str(HERE / "peer_router.py"), str(config), str(point)],
                stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, **SALT, "PYTHONPATH": ""},
            )  # fmt: skip
        wait(lambda: "listening" in self.lines or self.process.poll() is not None)

    @property
    def lines(self) -> list[str]:
        """What it wrote."""
        return self.log.read_text(errors="replace").splitlines()

    @property
    def points(self) -> list[str]:
        """Points that it reached."""
        return [line.split(" ", 2)[2] for line in self.lines if line.startswith("point ")]

    @property
    def is_killed(self) -> bool:
        """Whether it ended by SIGKILL."""
        return self.process.poll() == -signal.SIGKILL

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


@contextmanager
def model_server(python: str) -> Iterator[int]:
    """Its own model server."""
    port = free_port()
    command = [
        python,
        "-m",
        "uvicorn",
        "airouter.mock_ai.app:app",
        "--host",
        HOST,
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        wait(lambda: not _refused(port))
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def configured(folder: Path, peer: Archive, model: int) -> tuple[Path, int]:
    """Write its configuration: one rule, one model, the archive."""
    folder.mkdir(parents=True)
    port, path = free_port(), folder / "router.yaml"
    endpoint = {"url": f"http://{HOST}:{model}/infer/lung-nodule"}
    path.write_text(
        json.dumps({  # JSON is YAML
            "router": {"ae_title": "CXRDEVICE", "port": port, "study_quiet_seconds": QUIET_S,
                       "workdir": str(folder / "data"), "bind_address": HOST},
            "pacs": {"ae_title": peer.ae_title, "host": HOST, "port": peer.port},
            "ai_endpoints": {"lung-nodule": endpoint},
            "rules": [{"name": "ct", "match": {"Modality": "^CT$"}, "model": "lung-nodule"}],
            "deid": {"reject_burned_in_annotation": True},
        })
    )  # fmt: skip
    return path, port


def reports(peer: Archive, film: FileDataset) -> int:
    """Structured reports that the archive holds of the study."""
    held = list(peer.held.values())
    return sum(e.Modality == "SR" and e.StudyInstanceUID == film.StudyInstanceUID for e in held)


def within(condition: Callable[[], object], seconds: float) -> bool:
    """Whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


def at_each_step(python: str, model: int) -> dict[str, Any]:
    """Kill it once at each point of a study's way, and start it again."""
    steps: list[str] = []
    lost, twice = [], []
    with archive(classes=ANSWERS) as peer, tempfile.TemporaryDirectory() as folder:
        while True:
            number = len(steps) + 1
            film = slice_of(number)
            config, port = configured(Path(folder) / str(number), peer, model)
            first = Router(python, config, number)
            status = sent(port, film, classes=(CT,))
            if not within(lambda: first.is_killed, PATIENCE_S):  # noqa: B023
                first.stop()
                break
            steps.append(first.points[-1])
            second = Router(python, config, 0)
            if status is None:
                sent(port, film, classes=(CT,))
            within(lambda: reports(peer, film) and "after state DONE" in second.points, PATIENCE_S)  # noqa: B023
            second.stop()
            found = reports(peer, film)
            lost += [steps[-1]] if found == 0 else []
            twice += [steps[-1]] if found > 1 else []
            print(number, steps[-1], status, found, flush=True)
    return {"films": len(steps), "kills": len(steps), "steps": steps, "lost": len(lost),
            "lost_at": lost, "answered_twice": len(twice), "answered_twice_at": twice}  # fmt: skip


def archive_away(python: str, model: int, *, refuses: bool) -> dict[str, Any]:
    """Take the archive away for a minute, or let it refuse; then wait as long for the answer."""
    film, refusals = slice_of(900 + refuses), [0xA700] * 1000
    with archive(classes=ANSWERS) as peer, tempfile.TemporaryDirectory() as folder:
        config, port = configured(Path(folder) / "away", peer, model)
        if refuses:
            peer.statuses = refusals
        else:
            peer.stop()
        running = Router(python, config, 0)
        sent(port, film, classes=(CT,))
        time.sleep(AWAY_S)
        if refuses:
            peer.statuses = []
        else:
            peer.start()
        answered = within(lambda: reports(peer, film), AWAY_S)
        last = [each for each in running.points if "after state" in each][-1]
        running.stop()
    return {"seconds_away": AWAY_S, "answered_by_itself": answered, "last_state": last.split()[-1]}


def same_uid(python: str, model: int) -> dict[str, Any]:
    """Send two slices of other pixels under one SOP Instance UID, and count what was kept."""
    first, second = slice_of(990), slice_of(990)
    second.PixelData = bytes(len(second.PixelData))
    with archive(classes=ANSWERS) as peer, tempfile.TemporaryDirectory() as folder:
        config, port = configured(Path(folder) / "same", peer, model)
        running = Router(python, config, 0)
        statuses = [sent(port, film, classes=(CT,)) for film in (first, second)]
        running.stop()
        kept = len(list((Path(folder) / "same/data/inbox").rglob("*.dcm")))
    return {"sent": 2, "answered_success": statuses.count(0), "kept": kept}


def main(python: str) -> None:
    """Run all, and write."""
    show = (
        "from importlib.metadata import version as v; print(v('dicom-ai-router'), v('pynetdicom'))"
    )
    done = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True)  # noqa: S603
    router, dicom = done.stdout.split()
    found: dict[str, Any] = {
        "peer": f"dicom-ai-router {router} with pynetdicom {dicom}",
        "method": "SIGKILL of the process at each point before and after what it writes, commits "
        "and sends; started again; a sender without a response sends again. A kill keeps what was "
        "written and not flushed, so a power cut is not tried.",
    }
    with model_server(python) as model:
        found["archive_away"] = archive_away(python, model, refuses=False)
        found["archive_refuses"] = archive_away(python, model, refuses=True)
        found["same_uid_other_bytes"] = same_uid(python, model)
        found["each_step"] = at_each_step(python, model)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
