"""The node killed at each step of a film's way, and started again."""

import json
import sqlite3
from pathlib import Path

import pytest
from node_runs import Run, is_done, node, offer
from peers import Archive, archive, film, wait
from study_service import StudyArchive, study_service

from cxr_device import audit
from verification import verifies

STEPS = (
    "film half written", "film written", "film flushed", "film renamed", "film safe",
    "film before commit", "film committed", "response sent C_STORE_RSP",
    "reading before commit", "reading committed",
    "answer 0 half written", "answer 0 written", "answer 0 flushed", "answer 0 renamed",
    "answer 0 safe", "answer 1 half written", "answer 1 written", "answer 1 flushed",
    "answer 1 renamed", "answer 1 safe", "answers before commit", "answers committed",
    "associated", "offer 0 before commit", "offer 0 committed", "answer 0 taken",
    "sent 0 before commit", "sent 0 committed", "offer 1 before commit", "offer 1 committed",
    "answer 1 taken", "sent 1 before commit", "sent 1 committed",
    "delivered before commit", "delivered committed", "film removed", "answer removed",
    "answer removed", "released",
)  # fmt: skip
"""The way of a refused film: each point at which the process is killed once."""

POSTED = (
    "offer 0 before commit", "offer 0 committed", "offer 1 before commit", "offer 1 committed",
    "answers posted", "sent 0 before commit", "sent 0 committed", "sent 1 before commit",
    "sent 1 committed", "delivered before commit", "delivered committed", "film removed",
    "answer removed", "answer removed",
)  # fmt: skip
"""How that way ends where the answers are posted to a study service (STOW-RS)."""

KEPT = STEPS.index("answers committed") + 1
"""Points before the answers leave: the same for either way out."""


def killed_then_started_again(data: Path, peer: Archive | StudyArchive, number: int) -> Run:
    """Kill the node at its `number`-th point, start it again, and let the sender repeat.

    A sender that got no response sends again; one that got one does not.
    """
    refused = film(number, PatientAge="010Y")
    with node(data, peer.address, failpoint=number, with_network=False) as first:
        status = offer(first, refused)
        wait(lambda: not first.process.is_alive())
    with node(data, peer.address, with_network=False) as second:
        if status is None:
            assert offer(second, refused) == 0xA900
        wait(lambda: is_done(data) and len(peer.held) >= 2)
    assert second.process.exitcode == 0
    return first


def states(data: Path) -> list[str]:
    """State of each film in the queue."""
    with sqlite3.connect(data / "queue.sqlite") as database:
        rows = database.execute("SELECT state FROM film").fetchall()
    database.close()
    return [state for (state,) in rows]


@verifies(
    "SRS-261@b4884f46", "RC-261@68ea0417", "SRS-258@94a522ce", "SRS-252@76c77da2", level="system"
)
@pytest.mark.parametrize("number", range(1, len(STEPS) + 1))
def test_a_node_killed_at_each_step_answers_once(number: int, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with archive() as peer:
        first = killed_then_started_again(data, peer, number)
    assert first.is_killed
    assert first.points[-1] == STEPS[number - 1]
    assert sorted(answer.Modality for answer in peer.held.values()) == ["DOC", "SR"]
    assert states(data) == ["delivered"]
    assert is_done(data)
    audit.verify(data / "audit.jsonl")


@verifies("SRS-261@b4884f46", "RC-261@68ea0417", level="system")
@pytest.mark.parametrize("number", range(KEPT + 1, KEPT + len(POSTED) + 1))
def test_a_node_killed_while_it_posts_answers_once(number: int, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with study_service() as service:
        first = killed_then_started_again(data, service, number)
    assert first.is_killed
    assert first.points[KEPT:] == list(POSTED[: number - KEPT])
    assert sorted(answer.Modality for answer in service.held.values()) == ["DOC", "SR"]
    assert states(data) == ["delivered"]
    audit.verify(data / "audit.jsonl")


@verifies("SRS-261@b4884f46", level="system")
def test_the_steps_of_a_post_are_those_that_a_film_goes_through(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        study_service() as service,
        node(data, service.address, failpoint=0, with_network=False) as run,
    ):
        assert offer(run, film(1, PatientAge="010Y")) == 0xA900
        wait(lambda: is_done(data))
    assert sorted(run.points) == sorted((*STEPS[:KEPT], *POSTED))


@verifies("SRS-261@b4884f46", "SRS-258@94a522ce", "RC-258@373a2435", level="system")
def test_the_steps_are_those_that_a_film_goes_through(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with archive() as peer, node(data, peer.address, failpoint=0, with_network=False) as run:
        assert offer(run, film(1, PatientAge="010Y")) == 0xA900
        wait(lambda: run.points[-1:] == ["released"])
    assert run.process.exitcode == 0
    assert sorted(run.points) == sorted(STEPS)


@verifies("SRS-261@b4884f46", "RC-261@68ea0417", level="system")
def test_the_record_of_kills_at_random_lost_and_doubled_nothing() -> None:
    record = Path(__file__).resolve().parents[2] / "benchmarks/results/node_crash.json"
    found = json.loads(record.read_text(encoding="utf-8"))["random"]
    assert found["films"] == found["reports"] == 200
    assert (found["lost"], found["answered_twice"]) == (0, 0)
    assert found["kills"] >= 50
    assert found["pages_of_analysed_films"] > 0
