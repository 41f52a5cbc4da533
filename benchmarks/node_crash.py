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
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from node_runs import is_done, node, offer
from peers import Archive, archive, film, wait
from study_service import StudyArchive, study_service

from cxr_device import audit

RESULTS = Path(__file__).parent / "results/node_crash.json"
STUDIES = 200
SEED = 15
LONGEST_LIFE_S = 6.0
"""Seconds after which a node that listens is killed at the latest."""
SHARE = 4
"""Films that one life of the node is offered at most."""
TAKEN = (0x0000, 0xA900)
"""Statuses after which a sender forgets a film; 0xA700 and silence make it send again."""


def count(peer: Archive | StudyArchive, uids: list[str], *, reports: int = 1) -> dict[str, int]:
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
            with node(data, peer.address, failpoint=number, with_network=True) as first:
                status = offer(first, each)
                wait(lambda: not first.process.is_alive() or first.points[-1:] == ["released"])
            uids.append(str(each.SOPInstanceUID))
            if not first.is_killed:
                break
            steps.append(first.points[-1])
            with node(data, peer.address, with_network=True) as second:
                if status is None:
                    offer(second, each)
                wait(lambda: is_done(data) and peer.answers_to(uids[-1]))  # noqa: B023
            audit.verify(data / "audit.jsonl")
            audits += 1
            print(number, steps[-1], flush=True)
        return {**count(peer, uids), "kills": len(steps), "steps": steps, "whole_audits": audits}


def at_random(
    studies: int, way_out: AbstractContextManager[Archive] | AbstractContextManager[StudyArchive]
) -> dict[str, Any]:
    """Kill the node again and again while a sender sends films, then let it finish.

    Every second film is within the intended use and goes through the network; the others are
    refused by their header. Each life of the node is offered `SHARE` films, so that every kill
    finds work in hand.
    """
    chance = random.Random(SEED)  # noqa: S311  # moments of kills
    refused = {"PatientAge": "010Y"}
    films = [film(number, **(refused if number % 2 else {})) for number in range(studies)]
    pending, kills = list(films), 0
    with way_out as peer, tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        begun = time.monotonic()
        while pending or not is_done(data):
            is_last = not pending
            with node(data, peer.address, with_network=True) as run:
                timer = threading.Timer(chance.uniform(0, LONGEST_LIFE_S), run.process.kill)
                if not is_last:
                    timer.start()
                for each in pending[:SHARE]:
                    if offer(run, each) not in TAKEN:
                        break
                    pending.pop(0)
                while run.process.is_alive() and not (is_last and is_done(data)):
                    time.sleep(0.05)
                timer.cancel()
            kills += run.is_killed
            print(kills, len(pending), len(peer.held), flush=True)
        accepted = [str(each.SOPInstanceUID) for each in films[::2]]
        ended = [report.to_json() for uid in accepted for report in peer.answers_to(uid)]
        lines = audit.verify(data / "audit.jsonl").lines
        modalities = Counter(each.Modality for each in peer.held.values())
        by_kind = {
            name: count(peer, [str(each.SOPInstanceUID) for each in films[first::2]])
            for name, first in (("analysed", 0), ("refused", 1))
        }
        return {
            **count(peer, [str(each.SOPInstanceUID) for each in films]),
            "lost_or_twice_by_kind": {
                name: [found["lost"], found["answered_twice"]] for name, found in by_kind.items()
            },
            "reports": modalities["SR"], "pages_of_analysed_films": modalities["OT"],
            "answered_as_failed": sum("Not Attempted" in report for report in ended),
            "kills": kills, "audit_lines": lines, "seconds": round(time.monotonic() - begun),
        }  # fmt: skip


def main(studies: int) -> None:
    """Run both, and write after each."""
    found: dict[str, Any] = {
        "method": "SIGKILL of the process; a kill keeps what was written and not flushed, so a "
        "power cut is not tried. The sender repeats a film that got no response.",
    }
    for name, result in (
        ("random", lambda: at_random(studies, archive())),
        ("random_posted", lambda: at_random(studies, study_service())),
        ("each_step", at_each_step),
    ):
        found[name] = result()
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(name, found[name])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES)
