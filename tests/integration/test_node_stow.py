"""Answers over STOW-RS: what counts as stored, what is tried again, and TLS."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from peers import HOST, film, store, wait
from study_service import study_service

from cxr_device import Device
from cxr_device.node import sender
from cxr_device.node.answers import from_outputs
from cxr_device.node.configuration import Configuration, Tls
from cxr_device.node.queue import State
from cxr_device.node.service import Node
from verification import verifies

REFUSED = {"PatientAge": "010Y"}


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    """The guards alone: a refused film has a report and a page."""
    loaded = Device.load_guards()
    yield loaded
    loaded.close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenths of a second between attempts."""
    monkeypatch.setattr(sender, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(sender, "LONGEST_WAIT_S", 0.2)


@contextmanager
def posting(
    device: Device, data: Path, url: str, *, tls: str | None = None, word: str | None = None
) -> Iterator[Node]:
    """A node whose way out is `url`."""
    configuration = Configuration.parse(
        ae="CXRDEVICE", bind=f"{HOST}:0", data=data, peer=url, allow=None, tls=tls, metrics=None,
        authorization=word,
    )  # fmt: skip
    node = Node(configuration, device, from_outputs(device), stream=StringIO())
    node.start()
    try:
        yield node
    finally:
        node.stop()


def delivered(node: Node) -> Callable[[], bool]:
    """Whether the only film is delivered."""
    return lambda: node.queue.counts()[State.DELIVERED] == 1


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20", level="integration")
def test_answers_are_posted_into_the_study(device: Device, tmp_path: Path) -> None:
    each = film(1, **REFUSED)
    with (
        study_service() as service,
        posting(device, tmp_path, service.address, word="Bearer a-token") as node,
    ):
        assert store(node.port, each) == [0xA900]
        wait(delivered(node))
        wait(lambda: not list((tmp_path / "answers").iterdir()))
    assert sorted(answer.Modality for answer in service.held.values()) == ["DOC", "SR"]
    assert {answer.StudyInstanceUID for answer in service.held.values()} == {each.StudyInstanceUID}
    assert set(service.offers.values()) == {1}
    assert service.authorizations == ["Bearer a-token"]


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20", level="integration")
@pytest.mark.parametrize(
    ("settings", "answered"),
    [
        ({"reasons": [{"DOC": 0xA700}]}, [202, 200]),
        ({"reasons": [{"DOC": 0xA700, "SR": 0x0110}]}, [409, 200]),
        ({"statuses": [503, 401, 302]}, [503, 401, 302, 200]),
        ({"statuses": [0]}, [200]),
        ({"bodies": [b"", b"<xml/>", b"[]", b"{}"]}, [200] * 5),
        ({"bodies": [b'{"00081199": {"Value": [{}]}}', b"[" * 100_000]}, [200] * 3),
        ({"reasons": [{}, {"DOC": 0x0111}]}, [200]),
    ],
    ids=["202", "409", "errors", "broken off", "no response", "malformed", "nothing wrong"],
)
def test_what_the_service_did_not_store_is_posted_again(
    device: Device, tmp_path: Path, settings: dict[str, Any], answered: list[int]
) -> None:
    with study_service(**settings) as service, posting(device, tmp_path, service.address) as node:
        assert store(node.port, film(1, **REFUSED)) == [0xA900]
        wait(delivered(node))
    assert service.answered == answered
    assert sorted(answer.Modality for answer in service.held.values()) == ["DOC", "SR"]
    taken_first = answered[0] == 202
    reports = [uid for uid, each in service.held.items() if each.Modality == "SR"]
    assert not taken_first or [service.offers[uid] for uid in reports] == [1]


@verifies("SRS-310@b3b208f8", "RC-310@15d93b20", level="integration")
def test_a_service_whose_certificate_does_not_hold_gets_nothing(
    device: Device, tmp_path: Path
) -> None:
    for name in ("known", "stranger"):
        subprocess.run(  # noqa: S603
            [  # noqa: S607
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{HOST}",
                "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem",
            ],
            check=True, capture_output=True,
        )  # fmt: skip

    def serving(name: str) -> ssl.SSLContext:
        files = f"{tmp_path / name}.pem,{tmp_path / name}.key"
        return Tls.parse(files).server()

    known = ",".join(f"{tmp_path / 'known'}.{end}" for end in ("pem", "key", "pem"))
    with study_service(tls=serving("stranger")) as service:
        address = service.address.replace("http:", "https:")
        with posting(device, tmp_path / "data", address, tls=known) as node:
            client = Tls.parse(known).client()
            assert store(node.port, film(1, **REFUSED), tls=client) == [0xA900]
            wait(lambda: node.health().peer_failures)
        assert not service.offers
    with study_service(tls=serving("known")) as service:
        address = service.address.replace("http:", "https:")
        with posting(device, tmp_path / "data", address, tls=known) as node:
            wait(delivered(node))
        assert len(service.held) == 2
