"""What a node is told at its start: addresses, titles, folder, certificates."""

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cxr_device.errors import NodeError

__all__ = ["Address", "Configuration", "Peer", "StudyService", "Tls"]

_MAX_TITLE: Final = 16
"""Characters of an AE title (PS3.5 table 6.2-1, AE)."""
_MAX_PORT: Final = 65535
_NO_HEADER: Final = (
    "CXR_NODE_AUTHORIZATION holds what no HTTP header can; accepted: printable ASCII characters "
    "without a space or a line end before or behind them"
)
"""Its value is not repeated: it is a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host and a TCP port; port 0 takes a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, option: str) -> "Address":
        """Read HOST:PORT; raises NodeError with what is accepted."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not port.isascii() or not port.isdigit():
            raise NodeError(f"{option} {text!r}; accepted: HOST:PORT")
        if int(port) > _MAX_PORT:
            raise NodeError(f"{option} {text!r}: port {port}; accepted: 0 to {_MAX_PORT}")
        return cls(host=host, port=int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:  # type: ignore[explicit-override]
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The application entity that answers are sent to."""

    ae_title: str
    address: Address

    @classmethod
    def parse(cls, text: str, *, option: str) -> "Peer":
        """Read AE@HOST:PORT."""
        title, at, rest = text.partition("@")
        if not at:
            raise NodeError(f"{option} {text!r}; accepted: AE@HOST:PORT")
        address = Address.parse(rest, option=option)
        if address.port == 0:
            raise NodeError(f"{option} {text!r}: port 0; accepted: 1 to {_MAX_PORT}")
        return cls(ae_title=ae_title(title, option=option), address=address)

    @property
    def name(self) -> str:
        """How the audit trail calls it."""
        return self.ae_title

    def __str__(self) -> str:  # type: ignore[explicit-override]
        return f"{self.ae_title}@{self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyService:
    """The DICOMweb study service that answers are posted to (STOW-RS)."""

    address: Address
    path: str
    """Path of the studies resource."""
    is_encrypted: bool

    @classmethod
    def parse(cls, text: str, *, option: str) -> "StudyService":
        """Read https://HOST[:PORT]/.../studies; http on loopback alone."""
        accepted = "accepted: https://HOST[:PORT]/.../studies without user, query or fragment"
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError as error:
            raise NodeError(f"{option}: {error}; {accepted}") from error
        is_encrypted = url.scheme == "https"
        plain = url.path.isascii() and url.path.isprintable() and " " not in url.path
        if "@" in url.netloc:  # not repeated: it may hold a password
            raise NodeError(f"{option}: the URL names a user; {accepted}")
        if (
            url.scheme not in {"http", "https"}
            or not url.hostname
            or not plain
            or not url.path.endswith("/studies")
            or url.query
            or url.fragment
        ):
            raise NodeError(f"{option} {text!r}; {accepted}")
        address = Address(host=url.hostname, port=port or (443 if is_encrypted else 80))
        if not is_encrypted and not address.is_loopback:
            raise NodeError(f"{option} {text!r}: http leaves this machine unencrypted; {accepted}")
        return cls(address=address, path=url.path, is_encrypted=is_encrypted)

    @property
    def name(self) -> str:
        """How the audit trail calls it."""
        return str(self)

    def __str__(self) -> str:  # type: ignore[explicit-override]
        return f"http{'s' * self.is_encrypted}://{self.address}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificate, key and, to ask clients for a certificate, the authority that signs theirs."""

    certificate: Path
    key: Path
    authority: Path | None

    @classmethod
    def parse(cls, text: str) -> "Tls":
        """Read CERT,KEY[,CA]; the files are PEM."""
        paths = [Path(part) for part in text.split(",")]
        if len(paths) not in (2, 3) or "" in text.split(","):
            raise NodeError(f"--tls {text!r}; accepted: CERT,KEY[,CA]")
        for path in paths:
            if not path.is_file():
                raise NodeError(f"--tls {path}: there is no such file")
        certificate, key, *authority = paths
        return cls(certificate=certificate, key=key, authority=authority[0] if authority else None)

    def server(self) -> ssl.SSLContext:
        """Context in which films are received: TLS 1.2 or later (PS3.15 B.12)."""
        context = self._loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        if self.authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> ssl.SSLContext:
        """Context in which answers are sent: the peer's certificate must name its host."""
        context = self._loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        if self.authority is None:
            context.load_default_certs()
        return context

    def _loaded(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.authority is not None:
                context.load_verify_locations(self.authority)
        except (ssl.SSLError, OSError) as error:
            raise NodeError(f"--tls {self.certificate}: {error}") from error
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One node."""

    ae_title: str
    bind: Address
    data: Path
    peer: Peer | StudyService
    callers: frozenset[str]
    """AE titles that may call; empty: any."""
    tls: Tls | None
    metrics: Address | None
    authorization: str | None = None
    """Value of the HTTP header of that name, for a study service."""

    @classmethod
    def parse(  # noqa: PLR0913  # one parameter an option of the command line
        cls,
        *,
        ae: str,
        bind: str,
        data: Path,
        peer: str,
        allow: str | None,
        tls: str | None,
        metrics: str | None,
        authorization: str | None = None,
    ) -> "Configuration":
        """Read the options of `cxr-device node`; raises NodeError with what is accepted."""
        callers = allow.split(",") if allow is not None else ()
        return cls(
            ae_title=ae_title(ae, option="--ae"),
            bind=Address.parse(bind, option="--bind"),
            data=data,
            peer=way_out(peer, option="--return"),
            callers=frozenset(ae_title(title, option="--allow") for title in callers),
            tls=Tls.parse(tls) if tls is not None else None,
            metrics=Address.parse(metrics, option="--metrics") if metrics is not None else None,
            authorization=authorization,
        )

    def __post_init__(self) -> None:
        if self.metrics is not None and not self.metrics.is_loopback:
            raise NodeError(
                f"--metrics {self.metrics}: it answers anybody; accepted: a loopback address"
            )
        held = self.authorization
        if held is not None and (
            not held or held != held.strip(" ") or not (held.isascii() and held.isprintable())
        ):
            raise NodeError(_NO_HEADER)


def way_out(text: str, *, option: str) -> Peer | StudyService:
    """Read where answers go: an application entity, or the URL of a study service."""
    if "://" in text:
        return StudyService.parse(text, option=option)
    return Peer.parse(text, option=option)


def ae_title(text: str, *, option: str) -> str:
    """Check an AE title (PS3.5 table 6.2-1): 1 to 16 printable characters, no backslash."""
    title = text.strip(" ")
    if not 0 < len(title) <= _MAX_TITLE or not title.isascii() or not title.isprintable():
        raise NodeError(f"{option} {text!r}; accepted: an AE title of 1 to 16 characters")
    if "\\" in title:
        raise NodeError(f"{option} {text!r}: an AE title holds no backslash")
    return title
