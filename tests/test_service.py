"""The service: the node's parts start and stop together, and what ends it is said."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, Never
from urllib.request import urlopen

import pytest
from peers import HOST, archive, film, named, store, wait

from cxr_device import Device
from cxr_device.audit import verify
from cxr_device.errors import NodeError
from cxr_device.node.answers import from_outputs
from cxr_device.node.configuration import Address, Configuration, Peer
from cxr_device.node.queue import Queue, State
from cxr_device.node.service import Node, run
from verification import verifies

NOBODY = Peer(ae_title="ARCHIVE", address=Address(host=HOST, port=1))


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    """The guards alone."""
    loaded = Device.load_guards()
    yield loaded
    loaded.close()


@pytest.fixture
def signals() -> Iterator[None]:
    """Signals and file mode as they were; a node that does not end is an error after a while."""

    def late(_number: int, _frame: object) -> Never:
        message = "the node did not end"
        raise TimeoutError(message)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    mask = os.umask(0o022)
    signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    os.umask(mask)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def configuration(data: Path, **settings: Any) -> Configuration:
    """A node on a free port that nobody is told of."""
    defaults = {
        "ae_title": "CXRDEVICE", "bind": Address(host=HOST, port=0), "data": data, "peer": NOBODY,
        "callers": frozenset(), "tls": None, "metrics": None,
    }  # fmt: skip
    return Configuration(**{**defaults, **settings})


def events(folder: Path) -> list[str]:
    """Names of the events in the audit trail."""
    path = folder / "audit.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line)["event"] for line in lines]


def after(condition: Callable[[], object], number: int) -> None:
    """Send this process a signal as soon as something holds."""

    def send() -> None:
        wait(condition, 10)
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()


@contextmanager
def running(node: Node) -> Iterator[None]:
    """A node from start to stop."""
    node.start()
    try:
        yield
    finally:
        node.stop()


@verifies("SRS-254@0e80cc84", "SRS-259@9dcdf119", "RC-259@da7e9c28", "SRS-258@94a522ce")
def test_a_film_goes_through_every_part(device: Device, tmp_path: Path) -> None:
    stream = StringIO()
    with archive() as peer:
        way = Peer(ae_title=peer.ae_title, address=Address(host=HOST, port=peer.port))
        settings = configuration(tmp_path, peer=way)
        node = Node(settings, device, from_outputs(device), stream=stream)
        assert not node.health().is_running
        with running(node):
            assert store(node.port, film(1, PatientAge="010Y")) == [0xA900]
            wait(lambda: node.queue.counts()[State.DELIVERED] == 1, 20)
            wait(lambda: node.health().associations == 0, 10)
            health = node.health()
    assert health.is_running
    assert health.status == "ok"
    assert health.films == {"received": 0, "answered": 0, "delivered": 1, "closed": 0}
    assert (health.oldest_waiting_s, health.peer_failures) == (0, 0)
    assert health.events["refused"] == health.events["read"] == health.events["sent"] == 1
    assert health.reading_seconds > 0
    assert len(peer.held) == 2
    assert events(tmp_path) == ["started", "refused", "read", "sent", "stopped"]
    assert verify(tmp_path / "audit.jsonl").lines == 5
    (listening,) = [
        line for line in map(json.loads, stream.getvalue().splitlines())
        if line["event"] == "listening"
    ]  # fmt: skip
    assert listening["address"] == f"{HOST}:{node.port}"
    assert listening["peer"] == str(way)
    assert (listening["tls"], listening["metrics_port"]) == (False, None)


@verifies("SRS-259@9dcdf119", "RC-259@da7e9c28", "SRS-258@94a522ce")
def test_the_monitor_lives_as_long_as_the_node(device: Device, tmp_path: Path) -> None:
    settings = configuration(tmp_path, metrics=Address(host=HOST, port=0))
    node = Node(settings, device, from_outputs(device), stream=StringIO())
    assert node.monitor is not None
    with (
        running(node),
        urlopen(f"http://{HOST}:{node.monitor.port}/health") as response,
    ):
        assert json.load(response)["status"] == "ok"
    assert {"monitor", "server", "worker", "sender"}.isdisjoint(named(""))


@verifies("SRS-251@3d6a7be0")
def test_a_node_that_cannot_start_leaves_its_folder_to_another(
    device: Device, tmp_path: Path
) -> None:
    answers = from_outputs(device)
    node = Node(configuration(tmp_path / "one"), device, answers, stream=StringIO())
    with pytest.raises(NodeError, match="another node works in this folder"):
        Node(configuration(tmp_path / "one"), device, answers, stream=StringIO())
    with running(node):
        taken = Address(host=HOST, port=node.port)
        for settings in ({"bind": taken}, {"metrics": taken}):
            with pytest.raises(NodeError, match="Address already in use"):
                Node(configuration(tmp_path / "two", **settings), device, answers)
    (tmp_path / "two/audit.jsonl").write_text("no event\n")
    with pytest.raises(NodeError, match=r"--data: AUDIT .*audit\.jsonl"):
        Node(configuration(tmp_path / "two"), device, answers)
    Queue(tmp_path / "two").close()


@verifies("SRS-258@94a522ce", "RC-258@373a2435")
@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_node_in_order(tmp_path: Path, number: int) -> None:
    """With `run`, as the command line does: files are for the node's user alone."""
    after(lambda: "started" in events(tmp_path), number)
    run(Device.load_guards(), configuration(tmp_path))
    assert events(tmp_path) == ["started", "stopped"]
    for path in [tmp_path / "queue.sqlite", tmp_path / "audit.jsonl", tmp_path / "node.lock"]:
        assert path.stat().st_mode & 0o077 == 0
    Queue(tmp_path).close()


@verifies("SRS-258@94a522ce", "SRS-259@9dcdf119", "RC-259@da7e9c28")
@pytest.mark.usefixtures("signals")
@pytest.mark.filterwarnings("ignore:Exception in thread worker")
def test_a_part_that_ends_by_itself_ends_the_node(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(_now: float) -> Never:
        message = "a defect"
        raise ZeroDivisionError(message)

    node = Node(configuration(tmp_path), device, from_outputs(device), stream=StringIO())
    monkeypatch.setattr(node.queue, "next_film", defect)
    with pytest.raises(RuntimeError, match="server, worker or sender ended"):
        node.serve()
    assert events(tmp_path) == ["started", "stopped"]
    Queue(tmp_path).close()


@verifies("SRS-336@402c3a27", "RC-149@fb40471f")
def test_a_thread_that_ends_by_an_exception_is_named_and_not_quoted(
    device: Device, tmp_path: Path
) -> None:
    def fail() -> Never:
        message = "PLANTED^NAME"
        raise LookupError(message)

    stream, before = StringIO(), threading.excepthook
    node = Node(configuration(tmp_path), device, from_outputs(device), stream=stream)
    with running(node):
        broken = threading.Thread(target=fail, name="broken")
        broken.start()
        broken.join()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    (told,) = [line for line in lines if line["event"] == "thread_ended"]
    assert (told["thread"], told["error"]) == ("broken", "LookupError")
    assert "PLANTED" not in stream.getvalue()
    assert threading.excepthook is before
