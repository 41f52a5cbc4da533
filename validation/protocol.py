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
from validation.estimate import percent

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
NEEDED: Final = {
    "population": ("cluster",),
    "reference": ("findings", "label_sensitivities", "label_specificities"),
    "statistics": ("level", "alpha_two_sided", "bootstrap", "seed"),
    "subgroups": ("columns",),
}
"""Values that the study reads: a protocol without one is refused before a look is written."""
TESTED: Final = {"auc": "goal", "one_reader": "margin", "two_readers": "margin"}
"""Hypotheses that the study can test, each with the bound that it is held against."""
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
        If it cannot be read, a section or a value that the study reads is missing, a hypothesis
        is none that the study can test, or an amendment is incomplete.
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
    version = content["version"]
    if isinstance(version, bool) or not isinstance(version, int):
        raise ProtocolError(
            protocol=path.name, found=f"version = {version!r}", accepted="a whole number"
        )
    found = Protocol(
        identifier=str(content["identifier"]),
        title=str(content["title"]),
        version=version,
        sha256=hashlib.sha256(raw).hexdigest(),
        amendments=_amendments(content.get("amendments", []), path.name),
        content=content,
    )
    _check_values(found)
    return found


def _amendments(entries: object, name: str) -> tuple[Amendment, ...]:
    amendments = []
    for entry in entries if isinstance(entries, list) else [entries]:
        try:
            if not isinstance(entry, Mapping):
                raise TypeError  # noqa: TRY301 - as a key that is none
            amendment = Amendment(**{str(k): str(v).strip() for k, v in entry.items()})
        except TypeError as error:
            raise ProtocolError(
                protocol=name, found=f"amendment {entry}", accepted="name, reason, by, departs_from"
            ) from error
        if not all(asdict(amendment).values()):
            raise ProtocolError(
                protocol=name, found=f"amendment {entry}", accepted="a text for each of its keys"
            )
        amendments.append(amendment)
    return tuple(amendments)


def _check_values(protocol: Protocol) -> None:
    """Refuse a protocol that lacks a value which the study reads, or states what it cannot test."""
    name = protocol.identifier
    for section, keys in NEEDED.items():
        for key in keys:
            if key not in protocol.section(section):
                raise ProtocolError(
                    protocol=name, found=f"no {section}.{key}", accepted="a value that is read"
                )
    _check_statistics(protocol.section("statistics"), name)
    seen: list[str] = []
    for one in protocol.hypotheses():
        if one.get("name") in seen:
            raise ProtocolError(
                protocol=name, found=f"hypothesis '{one['name']}' twice", accepted="each once"
            )
        _check_hypothesis(one, name)
        seen.append(str(one["name"]))
    if not seen:
        raise ProtocolError(protocol=name, found="no hypothesis", accepted=", ".join(TESTED))


def _check_statistics(statistics: Mapping[str, object], name: str) -> None:
    for key in ("level", "alpha_two_sided"):
        if not _share(statistics[key]):
            raise ProtocolError(
                protocol=name,
                found=f"statistics.{key} = {statistics[key]!r}",
                accepted="a number inside (0, 1)",
            )
    for key, least in (("bootstrap", 2), ("seed", 0)):
        value = statistics[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ProtocolError(
                protocol=name,
                found=f"statistics.{key} = {value!r}",
                accepted=f"a whole number, {least} or more",
            )


def _check_hypothesis(one: Mapping[str, object], name: str) -> None:
    """Refuse what the study cannot test: left out in silence, it would open the gate behind it."""
    claim = str(one.get("name"))
    bound = TESTED.get(claim)
    if bound is None:
        raise ProtocolError(
            protocol=name, found=f"hypothesis '{claim}'", accepted=", ".join(TESTED)
        )
    other = ({*TESTED.values()} - {bound}) & one.keys()
    family = one.get("family")
    numbered = isinstance(family, int) and not isinstance(family, bool)
    if other or not _share(one.get(bound)) or not numbered or not one.get("endpoint"):
        raise ProtocolError(
            protocol=name,
            found=f"hypothesis '{claim}': {dict(one)}",
            accepted=f"family (a whole number), endpoint, and a {bound} alone, inside (0, 1)",
        )


def _share(value: object) -> bool:
    return isinstance(value, float) and 0.0 < value < 1.0


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
    threshold: float | None = None
    reads_sha256: str | None = None


LATER: Final = ("threshold", "reads_sha256")
"""Fields that older lines lack: they count in a line's digest only where they are stated."""


def _digest(fields: Mapping[str, object]) -> str:
    stated = {k: v for k, v in fields.items() if k not in LATER or v is not None}
    text = json.dumps(stated, sort_keys=True, ensure_ascii=True)
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
    threshold: float | None = None,
    reads_sha256: str | None = None,
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
    later = {"threshold": threshold, "reads_sha256": reads_sha256}
    fields |= {name: value for name, value in later.items() if value is not None}
    line = {**fields, "line_sha256": _digest(fields)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as ledger:
        ledger.write(json.dumps(line, ensure_ascii=False) + "\n")
    return read_looks(path)


def same_look(  # noqa: PLR0913 - the inputs of a look
    path: Path,
    *,
    protocol: Protocol,
    weights_sha256: str,
    cases_sha256: str,
    threshold: float | None = None,
    reads_sha256: str | None = None,
) -> tuple[Look, ...]:
    """Return the ledger where its last look was at these very inputs; nothing is written.

    Computing again from the inputs of the last look shows nothing new of the test split.

    Raises
    ------
    ProtocolError
        If protocol, weights or CASES differ from those of the last look, or threshold or READS
        where it states them: that is a new look.
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
    for name, given in (("threshold", threshold), ("reads_sha256", reads_sha256)):
        stated = getattr(looks[-1], name)
        if stated is not None and given != stated:
            raise ProtocolError(
                protocol=protocol.identifier,
                found=f"{name} {given}, last look {stated}: a new look",
                accepted="--again with the very inputs of the last look",
            )
    return looks


def consequence(looks: Sequence[Look], *, level: float) -> str:
    """Say in words what the number of looks does to the claim."""
    number = len(looks)
    earlier = sum(look.protocol_sha256 is None for look in looks)
    if number <= 1:
        return f"First look at the test split: {percent(level)} intervals hold as printed."
    honest = 1.0 - (1.0 - level) / number
    return (
        f"Look number {number} at the test split, {earlier} of them before there was a protocol. "
        f"Choices made after earlier looks flatter these figures; read with Bonferroni over all "
        f"looks, an interval printed at {percent(level)} would have to be one at {honest:.1%}. "
        "Films kept back from all training are the check that this page cannot give."
    )
