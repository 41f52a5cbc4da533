"""The node's queue at a depth of 10,000 films: what a sender waits, and what a start takes.

    PYTHONPATH=.:tests python benchmarks/bench_queue.py [FILMS]

Films of 512 x 512 pixels that the label refuses are sent over one association to a receiving node
whose worker stands still, so each one stays in the queue. Responses early and late are compared in
the same run; then the folder is opened again, as after a crash, and a node works on it for a while.
Counts and medians go to results/queue.json.
"""

import json
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from builders import to_bytes
from peers import HOST, archive, associate, film, wait
from pydicom import dcmread
from receiver import receiver

from cxr_device.device import Device
from cxr_device.node.answers import from_outputs
from cxr_device.node.configuration import Configuration
from cxr_device.node.queue import State
from cxr_device.node.service import Node

RESULTS = Path(__file__).parent / "results/queue.json"
FILMS = 10_000
SOME = 500
"""Films whose responses are compared, early and late; and answers that are timed."""


def fill(folder: Path, films: int) -> tuple[list[float], list[int]]:
    """Send films; seconds until each response, and the statuses.

    A film without a response is sent again over another association, as a sender does: pynetdicom's
    own reactor takes a response from its waiting sender once in some thousand.
    """
    seconds, statuses = [], []
    with receiver(folder) as (server, queue):
        association = associate(server.port, timeout_s=10.0)
        for number in range(1, films + 1):
            data = to_bytes(film(number, PatientAge="010Y"))
            status = None
            while status is None:
                if not association.is_established:
                    association = associate(server.port, timeout_s=10.0)
                sent = dcmread(BytesIO(data))
                begun = time.perf_counter()
                status = association.send_c_store(sent).get("Status")
                taken = time.perf_counter() - begun
            seconds.append(taken)
            statuses.append(int(status))
            if number % 1000 == 0:
                print(number, statistics.median(seconds[-SOME:]), flush=True)
        association.release()
        assert queue.counts()[State.RECEIVED] == films
    return seconds, statuses


def work(folder: Path) -> dict[str, Any]:
    """Start a node on the folder, and time its start and its first answers."""
    with archive() as peer, sqlite3.connect(folder / "queue.sqlite") as database:
        order = [uid for (uid,) in database.execute(
            "SELECT sop_instance_uid FROM film ORDER BY received_at")]  # fmt: skip
        configuration = Configuration.parse(
            ae="CXRDEVICE", bind=f"{HOST}:0", data=folder, peer=peer.address, allow=None, tls=None,
            metrics=None,
        )  # fmt: skip
        device = Device.load_guards()
        begun = time.monotonic()
        node = Node(configuration, device, from_outputs(device), stream=StringIO())
        node.start()
        started = time.monotonic() - begun
        wait(lambda: node.queue.counts()[State.DELIVERED] >= SOME, 600)
        seconds = time.monotonic() - begun
        delivered = node.queue.counts()[State.DELIVERED]
        node.stop()
        first = set(order[: delivered + SOME])
        reports = [each for each in peer.held.values() if each.Modality == "SR"]
        early = sum(any(uid in each.to_json() for uid in first) for each in reports[:50])
    return {"start_s": round(started, 2), "answers_a_second": round(delivered / seconds, 1),
            "of_50_reports_for_the_oldest_films": early}  # fmt: skip


def main(films: int) -> None:
    """Fill, start again, and write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        seconds, statuses = fill(folder, films)
        again = work(folder)
    early, late = statistics.median(seconds[:SOME]), statistics.median(seconds[-SOME:])
    found = {
        "films": films,
        "answered_0xA900": statuses.count(0xA900),
        "median_response_ms": {
            "first": round(early * 1e3, 1), "last": round(late * 1e3, 1),
            "ratio": round(late / early, 2), "slowest": round(max(seconds) * 1e3),
        },
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "started_again": again,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else FILMS)
