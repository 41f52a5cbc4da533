"""Hostile data sets over C-STORE to a whole node: each gets a status, and the node goes on.

    PYTHONPATH=.:tests python benchmarks/node_hostile.py [FILES]

Cut headers and films with flipped bytes, the same on every machine; a good film after them must be
answered. Counts go to results/node_hostile.json.
"""

import json
import sys
import tempfile
import threading
import time
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from builders import to_bytes
from peers import HOST, archive, associate, film, store, store_bytes, wait

from cxr_device.device import Device
from cxr_device.node.answers import from_outputs
from cxr_device.node.configuration import Configuration
from cxr_device.node.queue import State
from cxr_device.node.service import Node

RESULTS = Path(__file__).parent / "results/node_hostile.json"
FILES = 500
SHARE = 50
"""Data sets over one association."""


def hostile(files: int) -> list[bytes]:
    """Damage a film: every third is cut, every third flipped in its header, the rest anywhere."""
    whole = to_bytes(film(1, PatientAge="010Y"))
    start = 144 + int.from_bytes(whole[140:144], "little")  # behind the file meta information
    good, chance = whole[start:], np.random.default_rng(15)
    found = []
    for number in range(files):
        data = bytearray(good)
        if number % 3 == 0:
            data = data[: int(chance.integers(8, 2000))]
        else:
            limit = 2000 if number % 3 == 1 else len(data)
            for at in chance.integers(0, limit, int(chance.integers(1, 33))):
                data[at] ^= int(chance.integers(1, 256))
        found.append(bytes(data))
    return found


def main(files: int) -> None:
    """Send them all, then a good film; count, and write."""
    statuses: Counter[str] = Counter()
    slowest, threads = 0.0, threading.active_count()
    with archive() as peer, tempfile.TemporaryDirectory() as folder:
        configuration = Configuration.parse(
            ae="CXRDEVICE", bind=f"{HOST}:0", data=Path(folder), peer=peer.address, allow=None,
            tls=None, metrics=None,
        )  # fmt: skip
        device, stream = Device.load_guards(), StringIO()
        node = Node(configuration, device, from_outputs(device), stream=stream)
        node.start()
        sets = hostile(files)
        for first in range(0, files, SHARE):
            association = associate(node.port)
            for data in sets[first : first + SHARE]:
                begun = time.perf_counter()
                statuses[f"0x{store_bytes(association, data):04X}"] += 1
                slowest = max(slowest, time.perf_counter() - begun)
            association.release()
        good = film(2, PatientAge="010Y")
        after = store(node.port, good)
        wait(lambda: not node.queue.counts()[State.RECEIVED], 900)
        wait(lambda: not node.queue.counts()[State.ANSWERED], 900)
        states: dict[str, Any] = {str(k): v for k, v in node.queue.counts().items()}
        running = node.health().is_running
        node.stop()
        answered = len(peer.answers_to(str(good.SOPInstanceUID)))
    wait(lambda: threading.active_count() <= threads + 1)
    found = {
        "files": files, "statuses": dict(statuses.most_common()), "films_by_state": states,
        "slowest_response_ms": round(1e3 * slowest), "runs_after_them": running,
        "good_film_after_them": {"status": f"0x{after[0]:04X}", "reports": answered},
        "tracebacks": stream.getvalue().count("Traceback"),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else FILES)
