"""The monitor: what health and metrics say of a node, and to whom."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from time import monotonic

import pytest
from peers import HOST

from cxr_device.errors import NodeError
from cxr_device.node.configuration import Address
from cxr_device.node.monitor import Health, Monitor, age_s, metrics
from verification import verifies

WELL = Health(
    is_running=True,
    associations=2,
    films={"received": 3, "answered": 1, "delivered": 40, "closed": 0},
    oldest_waiting_s=12.3456,
    peer_failures=0,
    events={"sent": 40, "read": 41},
    reading_seconds=20.5,
)


@verifies("SRS-259@9dcdf119", "RC-259@da7e9c28")
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ok"),
        ({"oldest_waiting_s": 900.0}, "ok"),
        ({"oldest_waiting_s": 901.0}, "degraded"),
        ({"peer_failures": 1}, "degraded"),
        ({"is_running": False}, "failed"),
        ({"is_running": False, "peer_failures": 1}, "failed"),
    ],
)
def test_a_late_answer_or_an_absent_peer_degrades_and_an_ended_part_fails(
    changes: dict[str, float], status: str
) -> None:
    """A quarter of an hour is late."""
    assert replace(WELL, **changes).status == status  # type: ignore[arg-type]


@verifies("SRS-259@9dcdf119")
def test_an_age_is_counted_from_a_moment_that_has_passed() -> None:
    assert age_s(None) == 0
    assert age_s(time.time() + 60) == 0  # a clock that was set back
    assert 60 <= age_s(time.time() - 60) < 70


@verifies("SRS-259@9dcdf119", "RC-259@da7e9c28")
def test_metrics_are_families_of_help_type_and_samples() -> None:
    """Prometheus' text format 0.0.4: every family is explained and typed before its samples."""
    text = metrics(WELL)
    assert text.endswith("\n")
    assert "\n\n" not in text
    families: dict[str, tuple[str, dict[str, float]]] = {}
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("# HELP "):
            _, _, name, explained = line.split(" ", 3)
            assert len(explained.split()) > 2
            mark, kind, typed, form = next(lines).split(" ")
            assert (mark, kind, typed) == ("#", "TYPE", name)
            families[name] = (form, {})
        else:
            sample, _, value = line.rpartition(" ")
            families[sample.split("{")[0]][1][sample] = float(value)
    assert families == {
        "cxr_node_up": ("gauge", {"cxr_node_up": 1}),
        "cxr_node_associations": ("gauge", {"cxr_node_associations": 2}),
        "cxr_node_films": (
            "gauge",
            {
                'cxr_node_films{state="received"}': 3,
                'cxr_node_films{state="answered"}': 1,
                'cxr_node_films{state="delivered"}': 40,
                'cxr_node_films{state="closed"}': 0,
            },
        ),
        "cxr_node_oldest_waiting_seconds": ("gauge", {"cxr_node_oldest_waiting_seconds": 12.346}),
        "cxr_node_peer_failures": ("gauge", {"cxr_node_peer_failures": 0}),
        "cxr_node_reading_seconds_total": ("counter", {"cxr_node_reading_seconds_total": 20.5}),
        "cxr_node_events_total": (
            "counter",
            {
                'cxr_node_events_total{event="read"}': 41,
                'cxr_node_events_total{event="sent"}': 40,
            },
        ),
    }


@contextmanager
def serving(health: Health) -> Iterator[Monitor]:
    """A monitor on a free port that always says the same."""
    monitor = Monitor(Address(host=HOST, port=0), lambda: health)
    monitor.start()
    try:
        yield monitor
    finally:
        monitor.stop()


def get(monitor: Monitor, path: str) -> tuple[int, str, str]:
    """Status, content type and body of a response; its length is the one that it states."""
    connection = HTTPConnection(HOST, monitor.port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.headers["Content-Length"] == str(len(body))
    assert response.headers["Server"].strip() == "cxr-device-node"  # and no version of Python
    return response.status, str(response.headers["Content-Type"]), body.decode()


@verifies("SRS-259@9dcdf119", "RC-259@da7e9c28")
def test_each_path_has_its_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(WELL) as monitor:
        status, kind, body = get(monitor, "/health")
        assert (status, kind) == (200, "application/json")
        assert body.endswith("}\n")
        assert json.loads(body) == {
            "status": "ok",
            "films": WELL.films,
            "associations": 2,
            "oldest_waiting_s": 12.346,
            "peer_failures": 0,
        }
        assert get(monitor, "/metrics") == (200, "text/plain; version=0.0.4", metrics(WELL))
        for path in ("/", "/health/", "/metric"):
            assert get(monitor, path) == (404, "text/plain", "/health or /metrics\n")
    assert capfd.readouterr() == ("", "")


@verifies("SRS-259@9dcdf119", "RC-259@da7e9c28")
@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [({"peer_failures": 3}, 200, "degraded"), ({"is_running": False}, 503, "failed")],
)
def test_a_node_that_failed_is_unavailable_and_a_degraded_one_is_not(
    changes: dict[str, int], status: int, word: str
) -> None:
    with serving(replace(WELL, **changes)) as monitor:  # type: ignore[arg-type]
        found, _, body = get(monitor, "/health")
        assert (found, json.loads(body)["status"]) == (status, word)


@verifies("SRS-251@3d6a7be0")
def test_an_address_that_is_taken_is_refused_and_named() -> None:
    with serving(WELL) as monitor:
        taken = Address(host=HOST, port=monitor.port)
        with pytest.raises(NodeError, match=f"--metrics {taken}: Address already in use"):
            Monitor(taken, lambda: WELL)


@verifies("SRS-258@94a522ce", "SRS-256@70f845e6")
def test_a_client_that_stalls_does_not_hold_up_the_end() -> None:
    with serving(WELL) as monitor:
        stalled = socket.create_connection((HOST, monitor.port))
        stalled.sendall(b"GET /hea")
        assert get(monitor, "/health")[0] == 200
        begun = monotonic()
    assert monotonic() - begun < 3
    stalled.close()
    with pytest.raises(ConnectionRefusedError):
        get(monitor, "/health")
