"""The node under kills: at each step of a film's way, then at random over many studies.

Run as a script (`PYTHONPATH=.:tests python benchmarks/node_crash.py [STUDIES]`), it writes its
counts to results/node_crash.json.
"""

import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from node_runs import is_done, node, offer
from peers import Archive, archive, film, wait

from cxr_device import audit

RESULTS = Path(__file__).parent / "results/node_crash.json"
STUDIES = 200
SEED = 15
LONGEST_LIFE_S = 8.0
"""Seconds after which a node that listens is killed at the latest."""


def count(peer: Archive, uids: list[str], *, reports: int = 1) -> dict[str, int]:
    """Films whose report is missing or there more than once, and offers beyond the first."""
    held = [each.to_json() for each in peer.held.values() if each.Modality == "SR"]
    found = [sum(uid in report for report in held) for uid in uids]
    return {
        "films": len(uids),
        "lost": sum(n < reports for n in found),
        "answered_twice": sum(n > reports for n in found),
        "instances_held": len(peer.held),
        "instances_offered_again": sum(n - 1 for n in peer.offers.values()),
    }


def at_each_step() -> dict[str, Any]:
    """Kill the node once at each failpoint of an accepted film's way, and start it again."""
    uids, steps, audits = [], [], 0
    with archive() as peer, tempfile.TemporaryDirectory() as folder:
        while True:
            number = len(steps) + 1
            data, each = Path(folder) / str(number), film(number)
            with node(data, peer, failpoint=number, with_network=True) as first:
                status = offer(first, each)
                wait(lambda: not first.process.is_alive() or first.points[-1:] == ["released"])
            uids.append(str(each.SOPInstanceUID))
            if not first.is_killed:
                break
            steps.append(first.points[-1])
            with node(data, peer, with_network=True) as second:
                if status is None:
                    offer(second, each)
                wait(lambda: is_done(data) and peer.answers_to(uids[-1]))  # noqa: B023
            audit.verify(data / "audit.jsonl")
            audits += 1
            print(number, steps[-1], flush=True)
        return {**count(peer, uids), "kills": len(steps), "steps": steps, "whole_audits": audits}


def at_random(studies: int) -> dict[str, Any]:
    """Kill the node again and again while a sender sends refused films, until all are answered."""
    chance = random.Random(SEED)  # noqa: S311  # moments of kills
    films = [film(number, PatientAge="010Y") for number in range(studies)]
    pending, kills = list(films), 0
    with archive() as peer, tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        begun = time.monotonic()
        while True:
            with node(data, peer, with_network=False) as run:
                deadline = time.monotonic() + chance.uniform(0, LONGEST_LIFE_S)
                timer = threading.Timer(deadline - time.monotonic(), run.process.kill)
                if kills < studies:  # then it may finish
                    timer.start()
                while pending and run.process.is_alive():
                    if offer(run, pending[0]) is None:
                        break
                    pending.pop(0)
                while run.process.is_alive() and not (not pending and is_done(data)):
                    time.sleep(0.05)
                timer.cancel()
                finished = not pending and is_done(data) and run.process.is_alive()
            kills += run.is_killed
            print(kills, len(pending), len(peer.held), flush=True)
            if finished:
                break
        lines = audit.verify(data / "audit.jsonl").lines
        uids = [str(each.SOPInstanceUID) for each in films]
        return {
            **count(peer, uids), "kills": kills, "audit_lines": lines,
            "seconds": round(time.monotonic() - begun),
        }  # fmt: skip


def main(studies: int) -> None:
    """Run both, and write after each."""
    found: dict[str, Any] = {
        "method": "SIGKILL of the process; a kill keeps what was written and not flushed, so a "
        "power cut is not tried. The sender repeats a film that got no response.",
    }
    for name, result in (("random", lambda: at_random(studies)), ("each_step", at_each_step)):
        found[name] = result()
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(name, found[name])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES)
