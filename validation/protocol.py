"""The study protocol and the ledger of looks at `test`.

The protocol is fixed before unblinding; its hash stands in the report. Each look at the test split
is one line of the ledger, chained by hash. A protocol that changed since the last look is refused
unless it carries an amendment that names the hash it departs from.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final

from validation.errors import ProtocolError

__all__ = [
    "Amendment",
    "Look",
    "Protocol",
    "append_look",
    "check_unchanged",
    "consequence",
    "load_protocol",
    "read_looks",
    "same_look",
]

SECTIONS: Final = (
    "identifier",
    "title",
    "version",
    "population",
    "threshold",
    "reference",
    "hypotheses",
    "statistics",
    "subgroups",
    "missing",
)
"""What a protocol must state (STARD 2015; ICH E9)."""
START: Final = "0" * 64
"""What the first line of a ledger follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """A named change after unblinding: what, why, who, and the hash it departs from."""

    name: str
    reason: str
    by: str
    departs_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A protocol as read; `sha256` is of the file's bytes, amendments included."""

    identifier: str
    title: str
    version: int
    sha256: str
    amendments: tuple[Amendment, ...]
    content: Mapping[str, object]

    def section(self, name: str) -> Mapping[str, object]:
        """Return one table of the protocol."""
        found = self.content.get(name)
        if not isinstance(found, Mapping):
            raise ProtocolError(protocol=self.identifier, found=f"no [{name}]", accepted="a table")
        return found

    def hypotheses(self) -> tuple[Mapping[str, object], ...]:
        """Return the hypotheses in their order."""
        found = self.content["hypotheses"]
        return tuple(found) if isinstance(found, list) else ()


def load_protocol(path: Path) -> Protocol:
    """Read and check a protocol.

    Raises
    ------
    ProtocolError
        If it cannot be read, a section is missing, or an amendment is incomplete.
    """
    try:
        raw = path.read_bytes()
        content = tomllib.loads(raw.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProtocolError(protocol=str(path), found=str(error), accepted="a TOML file") from error
    missing = [name for name in SECTIONS if name not in content]
    if missing:
        raise ProtocolError(
            protocol=path.name, found=f"no '{missing[0]}'", accepted=", ".join(SECTIONS)
        )
    amendments = []
    for entry in content.get("amendments", []):
        try:
            amendments.append(Amendment(**{k: str(v) for k, v in entry.items()}))
        except TypeError as error:
            raise ProtocolError(
                protocol=path.name,
                found=f"amendment {entry}",
                accepted="name, reason, by, departs_from",
            ) from error
    return Protocol(
        identifier=str(content["identifier"]),
        title=str(content["title"]),
        version=int(content["version"]),
        sha256=hashlib.sha256(raw).hexdigest(),
        amendments=tuple(amendments),
        content=content,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the test split; hashes are None where none was recorded.

    `line_sha256` covers all the rest and the line before, so no line can be taken out unseen.
    """

    number: int
    on: str
    by: str
    purpose: str
    split: str
    protocol_sha256: str | None
    weights_sha256: str | None
    cases_sha256: str | None
    follows: str
    line_sha256: str


def _digest(fields: Mapping[str, object]) -> str:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def read_looks(path: Path) -> tuple[Look, ...]:
    """Read a ledger and check its chain; an absent file is an empty ledger.

    Raises
    ------
    ProtocolError
        If a line was changed, removed or put in another place.
    """
    if not path.exists():
        return ()
    looks: list[Look] = []
    follows = START
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            look = Look(**json.loads(line))
        except (TypeError, ValueError) as error:
            raise ProtocolError(
                protocol=path.name, found=f"line {number} unreadable", accepted="a look"
            ) from error
        fields = asdict(look)
        written = fields.pop("line_sha256")
        if look.number != number or look.follows != follows or _digest(fields) != written:
            raise ProtocolError(
                protocol=path.name,
                found=f"line {number} does not follow the one before it",
                accepted="an unbroken chain",
            )
        follows = look.line_sha256
        looks.append(look)
    return tuple(looks)


def check_unchanged(protocol: Protocol, looks: Sequence[Look]) -> None:
    """Refuse a protocol that changed since the last look made with one, unless amended by name.

    Raises
    ------
    ProtocolError
        If its hash differs from the last look's and no amendment departs from that hash.
    """
    known = [look.protocol_sha256 for look in looks if look.protocol_sha256 is not None]
    if not known or known[-1] == protocol.sha256:
        return
    if any(amendment.departs_from == known[-1] for amendment in protocol.amendments):
        return
    raise ProtocolError(
        protocol=protocol.identifier,
        found=f"changed after unblinding (last look: {known[-1][:16]}, "
        f"now {protocol.sha256[:16]}) without an amendment",
        accepted=f"[[amendments]] with name, reason, by, departs_from = '{known[-1]}'",
    )


def append_look(  # noqa: PLR0913 - the fields of a line
    path: Path,
    *,
    on: date | None,
    by: str,
    purpose: str,
    protocol: Protocol | None,
    weights_sha256: str | None,
    cases_sha256: str | None,
    split: str = "test",
) -> tuple[Look, ...]:
    """Write one look at the end of the ledger and return all of them.

    With a protocol, `check_unchanged` is applied first, and nothing is written when it refuses.
    `on` is None only for looks made before there was a ledger.
    """
    looks = read_looks(path)
    if protocol is not None:
        check_unchanged(protocol, looks)
    fields: dict[str, object] = {
        "number": len(looks) + 1,
        "on": "not recorded" if on is None else on.isoformat(),
        "by": by,
        "purpose": purpose,
        "split": split,
        "protocol_sha256": None if protocol is None else protocol.sha256,
        "weights_sha256": weights_sha256,
        "cases_sha256": cases_sha256,
        "follows": looks[-1].line_sha256 if looks else START,
    }
    line = {**fields, "line_sha256": _digest(fields)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as ledger:
        ledger.write(json.dumps(line, ensure_ascii=False) + "\n")
    return read_looks(path)


def same_look(
    path: Path, *, protocol: Protocol, weights_sha256: str, cases_sha256: str
) -> tuple[Look, ...]:
    """Return the ledger where its last look was at these very inputs; nothing is written.

    Computing again from the inputs of the last look shows nothing new of the test split.

    Raises
    ------
    ProtocolError
        If protocol, weights or CASES differ from those of the last look: that is a new look.
    """
    looks = read_looks(path)
    ours = {
        "protocol": protocol.sha256,
        "weights": weights_sha256,
        "cases": cases_sha256,
    }
    for name, value in ours.items():
        known = getattr(looks[-1], f"{name}_sha256") if looks else None
        if known != value:
            raise ProtocolError(
                protocol=protocol.identifier,
                found=f"{name} {value[:16]}, last look {str(known)[:16]}: a new look",
                accepted="--again with the very inputs of the last look",
            )
    return looks


def consequence(looks: Sequence[Look], *, level: float) -> str:
    """Say in words what the number of looks does to the claim."""
    number = len(looks)
    earlier = sum(look.protocol_sha256 is None for look in looks)
    if number <= 1:
        return f"First look at the test split: {level:.0%} intervals hold as printed."
    honest = 1.0 - (1.0 - level) / number
    return (
        f"Look number {number} at the test split, {earlier} of them before there was a protocol. "
        f"Choices made after earlier looks flatter these figures; read with Bonferroni over all "
        f"looks, an interval printed at {level:.0%} would have to be one at {honest:.1%}. Films "
        "kept back from all training are the check that this page cannot give."
    )
