"""What a node is told at its start: what is taken, what is refused, and what certificates hold."""

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from peers import HOST

from cxr_device.errors import NodeError
from cxr_device.node.configuration import (
    Address,
    Configuration,
    Peer,
    StudyService,
    Tls,
    way_out,
)
from verification import verifies

SETTINGS = {
    "ae": "CXRDEVICE", "bind": "127.0.0.1:0", "peer": "ARCHIVE@127.0.0.1:104",
    "allow": None, "tls": None, "metrics": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signed itself; its key and a stranger's lie beside it."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("node", "stranger"):
        subprocess.run(  # noqa: S603  # fixed arguments
            [  # noqa: S607
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                f"subjectAltName=IP:{HOST}", "-keyout", folder / f"{name}.key",
                "-out", folder / f"{name}.pem",
            ],
            check=True, capture_output=True,
        )  # fmt: skip
    return folder / "node.pem"


@verifies("SRS-251@3d6a7be0")
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ae", ""), ("ae", " "), ("ae", "SEVENTEEN_LETTERS"), ("ae", "BACK\\SLASH"),
        ("ae", "UMLAUT_Ä"), ("ae", "TAB\tTAB"),
        ("bind", "127.0.0.1"), ("bind", "104"), ("bind", ":104"), ("bind", "127.0.0.1:dicom"),
        ("bind", "127.0.0.1:"), ("bind", "127.0.0.1:-1"), ("bind", "127.0.0.1:\uff11\uff10\uff14"),
        ("bind", "127.0.0.1:65536"), ("peer", "ARCHIVE"), ("peer", "@127.0.0.1:104"),
        ("peer", "ARCHIVE@127.0.0.1"), ("allow", "A,,B"), ("allow", ""), ("tls", "absent.pem"),
        ("tls", "absent.pem,absent.key"), ("metrics", "0.0.0.0:9104"),
        ("metrics", "192.0.2.1:9104"), ("metrics", "monitor.example:9104"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_and_named(option: str, value: str, tmp_path: Path) -> None:
    Configuration.parse(data=tmp_path, **SETTINGS)  # type: ignore[arg-type]
    with pytest.raises(NodeError, match=f"--{'return' if option == 'peer' else option} "):
        Configuration.parse(data=tmp_path, **{**SETTINGS, option: value})  # type: ignore[arg-type]


@verifies("SRS-251@3d6a7be0")
def test_each_option_reaches_its_place(tmp_path: Path, certificate: Path) -> None:
    key = certificate.with_suffix(".key")
    plain = Configuration.parse(data=tmp_path, **SETTINGS)  # type: ignore[arg-type]
    assert (plain.tls, plain.metrics, plain.authorization) == (None, None, None)
    assert plain.callers == frozenset()
    full = Configuration.parse(
        ae=" CXRDEVICE ", bind="[::]:65535", data=tmp_path, peer="ARCHIVE@pacs.example:104",
        allow="MODALITY,SIXTEEN__LETTERS", tls=f"{certificate},{key}", metrics="localhost:9104",
        authorization="Bearer a-token",
    )  # fmt: skip
    assert full == Configuration(
        ae_title="CXRDEVICE",
        bind=Address(host="::", port=65535),
        data=tmp_path,
        peer=Peer(ae_title="ARCHIVE", address=Address(host="pacs.example", port=104)),
        callers=frozenset({"MODALITY", "SIXTEEN__LETTERS"}),
        tls=Tls(certificate=certificate, key=key, authority=None),
        metrics=Address(host="localhost", port=9104),
        authorization="Bearer a-token",
    )


@verifies("SRS-396@c89ede12", level="unit")
@pytest.mark.parametrize("held", ["", " ", "secret\n", " secret", "secret ", "s\u00e9cret", "a\tb"])
def test_an_authorization_is_what_a_header_can_hold(held: str, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="CXR_NODE_AUTHORIZATION") as refused:
        Configuration.parse(data=tmp_path, authorization=held, **SETTINGS)  # type: ignore[arg-type]
    assert "secret" not in str(refused.value)


@verifies("SRS-396@c89ede12", level="unit")
def test_a_peer_has_a_port() -> None:
    with pytest.raises(NodeError, match="--return 'A@x:0': port 0; accepted: 1 to 65535"):
        Peer.parse("A@x:0", option="--return")
    assert Peer.parse("A@x:1", option="--return").address.port == 1


@verifies("SRS-251@3d6a7be0", "SRS-250@33dff3b0")
def test_a_title_of_one_character_is_one(tmp_path: Path) -> None:
    read = Configuration.parse(data=tmp_path, **{**SETTINGS, "ae": "A", "allow": "B"})  # type: ignore[arg-type]
    assert (read.ae_title, read.callers) == ("A", frozenset({"B"}))


@verifies("SRS-251@3d6a7be0", "SRS-259@9dcdf119")
@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("192.0.2.1", False), ("::", False), ("localhost.example", False),  # noqa: S104
    ],
)  # fmt: skip
def test_only_this_machine_s_addresses_are_loopback(host: str, *, loopback: bool) -> None:
    assert Address(host=host, port=1).is_loopback is loopback


@verifies("SRS-251@3d6a7be0")
def test_an_application_entity_is_told_as_it_was_named() -> None:
    peer = Peer.parse("ARCHIVE@[::1]:104", option="--return")
    assert peer == Peer(ae_title="ARCHIVE", address=Address(host="::1", port=104))
    assert peer.name == "ARCHIVE"
    assert str(way_out("ARCHIVE@pacs.example:104", option="--return")) == (
        "ARCHIVE@pacs.example:104"
    )


@verifies("SRS-310@b3b208f8", "SRS-251@3d6a7be0")
@pytest.mark.parametrize(
    ("text", "told", "is_encrypted"),
    [
        (
            "https://pacs.example/dicom-web/studies",
            "https://pacs.example:443/dicom-web/studies",
            True,
        ),
        ("https://pacs.example:8443/studies", "https://pacs.example:8443/studies", True),
        ("http://127.0.0.1/studies", "http://127.0.0.1:80/studies", False),
        (
            "http://localhost:8042/dicom-web/studies",
            "http://localhost:8042/dicom-web/studies",
            False,
        ),
    ],
)
def test_a_study_service_has_the_port_of_its_scheme(
    text: str, told: str, *, is_encrypted: bool
) -> None:
    service = way_out(text, option="--return")
    assert isinstance(service, StudyService)
    assert str(service) == service.name == told
    assert service.is_encrypted is is_encrypted


@verifies("SRS-310@b3b208f8", "SRS-251@3d6a7be0")
@pytest.mark.parametrize(
    "text",
    [
        "http://pacs.example/studies", "https://pacs.example/dicom-web",
        "https://user:secret@pacs.example/studies", "https://pacs.example/studies?a=1",
        "https://pacs.example/studies#a", "https://pacs.example:99999/studies",
        "https:///studies", "ftp://127.0.0.1/studies", "https://pacs.example/a b/studies",
        "https://pacs.example/ä/studies", "https://pacs.example/\x7f/studies",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(NodeError, match=r"--return.*accepted: https://HOST") as refused:
        way_out(text, option="--return")
    assert "secret" not in str(refused.value)


@verifies("SRS-251@3d6a7be0", "SRS-260@3213ec5b")
@pytest.mark.parametrize(
    "names",
    [("node.pem",), ("node.pem", ""), ("node.pem", "node.key", ""), ("node.pem",) * 4],
)
def test_certificates_are_two_or_three_files(names: tuple[str, ...], certificate: Path) -> None:
    text = ",".join(str(certificate.with_name(name)) if name else "" for name in names)
    with pytest.raises(NodeError, match=r"--tls .*; accepted: CERT,KEY\[,CA\]"):
        Tls.parse(text)


@verifies("SRS-251@3d6a7be0", "SRS-260@3213ec5b")
def test_a_certificate_that_is_absent_or_none_is_refused(tmp_path: Path) -> None:
    for name in ("node.pem", "node.key"):
        (tmp_path / name).write_text("no certificate")
    with pytest.raises(NodeError, match=r"absent\.key: there is no such file"):
        Tls.parse(f"{tmp_path / 'node.pem'},{tmp_path / 'absent.key'}")
    tls = Tls.parse(f"{tmp_path / 'node.pem'},{tmp_path / 'node.key'}")
    for context in (tls.server, tls.client):
        with pytest.raises(NodeError, match=r"--tls .*node\.pem"):
            context()


def authorities(context: ssl.SSLContext) -> list[str]:
    """Names of the authorities that a context believes."""
    subjects: list[Any] = [each["subject"] for each in context.get_ca_certs()]
    return [dict(part for (part,) in subject)["commonName"] for subject in subjects]


@verifies("SRS-260@3213ec5b", "RC-260@ced4c950")
def test_an_authority_named_is_the_only_one_that_is_believed(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one, callers need no certificate, and the peer's is held to the system's list."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("stranger.pem")))
    pair = f"{certificate},{certificate.with_suffix('.key')}"
    without = Tls.parse(pair)
    assert without.authority is None
    assert without.server().verify_mode == ssl.CERT_NONE
    assert authorities(without.client()) == ["stranger"]
    named = Tls.parse(f"{pair},{certificate}")
    assert named.authority == certificate
    assert authorities(named.server()) == authorities(named.client()) == ["node"]
    assert named.server().verify_mode == named.client().verify_mode == ssl.CERT_REQUIRED
    assert named.client().check_hostname
    for context in (named.server(), named.client()):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
