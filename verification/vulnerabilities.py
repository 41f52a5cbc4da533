"""Known vulnerabilities of the locked packages, looked up in an OSV export without a network.

The check fails closed: a database that is absent, damaged, of another ecosystem or too old, a
version that cannot be compared and an acceptance that accepts nothing are findings, like a
vulnerability itself.

References
----------
.. [1] Open Source Vulnerability format 1.6, https://ossf.github.io/osv-schema/.
.. [2] OSV's export of one ecosystem: one JSON record a vulnerability in `all.zip`.
"""

import json
import tomllib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from typing_extensions import override

from verification.findings import ProjectError
from verification.locks import Pinned, read_locks

__all__ = ["ACCEPTED", "JUSTIFICATIONS", "MAX_AGE_DAYS", "Found", "check", "read_database"]

ACCEPTED: Final = Path("risk") / "vulnerabilities.toml"
"""Vulnerabilities that were judged not to affect the device: `[[accepted]]` id, package,
justification (of VEX), reason."""

JUSTIFICATIONS: Final = (
    "component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist",
)  # fmt: skip
"""Status justifications of a VEX `not_affected` statement (CISA, 2022)."""

MAX_AGE_DAYS: Final = 14
"""Days; an older database says nothing about today."""

_UNPACKING: Final = (EOFError, RuntimeError, zlib.error)
"""What a damaged, encrypted or unknown entry of a zip raises; NotImplementedError is among them."""

_ECOSYSTEM: Final = "PyPI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One vulnerability of one locked package."""

    identifier: str
    aliases: tuple[str, ...]
    package: Pinned
    summary: str
    fixed: tuple[str, ...]
    """Versions that hold the mend."""

    @override
    def __str__(self) -> str:
        names = ", ".join((self.identifier, *self.aliases))
        mend = f"mended in {', '.join(self.fixed)}" if self.fixed else "no mended version is known"
        return f"{self.package.name} {self.package.version}: {names}: {self.summary} ({mend})"


def read_database(path: Path) -> list[dict[str, Any]]:
    """Read an OSV export: a zip or a folder of JSON records.

    Raises
    ------
    ProjectError
        It is absent, holds no record, or a record is no JSON with an `id` and `modified`.
    """
    records: list[dict[str, Any]] = []
    for name, text in _files(path):
        try:
            record = json.loads(text)
            _modified(record)
            record["id"].strip()
            list(record.get("aliases", []))
            for affected in record.get("affected", []):
                affected.get("package", {}).get("name")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            message = f"{path}: {name} is no OSV record ({type(error).__name__})"
            raise ProjectError(message) from error
        records.append(record)
    if not records:
        raise ProjectError(f"{path} holds no OSV record; give OSV's export of {_ECOSYSTEM}")
    return records


def _modified(record: dict[str, Any]) -> datetime:
    """When a record was changed last; in UTC where it does not say."""
    when = datetime.fromisoformat(record["modified"])
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.is_dir():
            for file in sorted(path.glob("*.json")):
                yield file.name, file.read_bytes()
            return
        with zipfile.ZipFile(path) as export:
            for name in export.namelist():
                if name.endswith(".json"):
                    yield name, export.read(name)
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, *_UNPACKING) as error:
        raise ProjectError(f"{path} cannot be read ({error}); give OSV's all.zip") from error


def check(
    root: Path, database: list[dict[str, Any]], *, today: datetime, max_age: int = MAX_AGE_DAYS
) -> tuple[list[str], list[str]]:
    """Look every locked package up.

    Parameters
    ----------
    today : datetime
        With a time zone; the newest record must not be older than `max_age` days.

    Returns
    -------
    findings, accepted : list of str
        What keeps the check from passing, and what was judged not to affect the device.

    Raises
    ------
    ProjectError
        A lock or the file of acceptances cannot be read.
    """
    findings = list(_age(database, today, max_age))
    by_package: dict[str, list[dict[str, Any]]] = {}
    for record in database:
        for affected in record.get("affected", []):
            of = affected.get("package", {})
            if of.get("ecosystem") == _ECOSYSTEM and not record.get("withdrawn"):
                told = {"record": record, "affected": affected}
                by_package.setdefault(canonicalize_name(str(of.get("name", ""))), []).append(told)
    if not by_package:
        findings.append(f"the database has no record of {_ECOSYSTEM}: it is of something else")
    judged = _accepted(root)
    told_of: set[tuple[str, str]] = set()
    accepted = []
    for package in _packages(root):
        for told in by_package.get(canonicalize_name(package.name), []):
            try:
                hit = _is_affected(package.version, told["affected"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                findings.append(
                    f"{package.name} {package.version}: {told['record']['id']} cannot be compared "
                    f"({error})"
                )
                continue
            if not hit:
                continue
            found = _found(package, told["record"], told["affected"])
            names = {found.identifier, *found.aliases}
            reasons = [judged[package.name, n] for n in names if (package.name, n) in judged]
            told_of |= {(package.name, name) for name in names}
            if reasons:
                accepted.append(f"{found} - {reasons[0]}")
            else:
                findings.append(str(found))
    findings += [
        f"{ACCEPTED}: {identifier} of {package} accepts nothing: take it out"
        for package, identifier in judged
        if (package, identifier) not in told_of
    ]
    return sorted(set(findings)), sorted(set(accepted))


def _age(database: list[dict[str, Any]], today: datetime, max_age: int) -> Iterable[str]:
    newest = max(_modified(record) for record in database)
    if today - newest > timedelta(days=max_age):
        ends = f"the database ends on {newest.date()}, more than {max_age} days ago"
        yield f"{ends}: fetch the export anew"


def _packages(root: Path) -> list[Pinned]:
    """Every locked package once."""
    return list({p.name: p for packages in read_locks(root).values() for p in packages}.values())


def _is_affected(version: str, affected: dict[str, Any]) -> bool:
    """Whether a version is listed, or lies in a range of versions of the ecosystem."""
    listed = affected.get("versions", [])
    if version in listed:
        return True
    own = Version(version)
    if any(_same(other, own) for other in listed):
        return True
    return any(
        _is_inside(own, ranged["events"])
        for ranged in affected.get("ranges", [])
        if ranged["type"] in ("ECOSYSTEM", "SEMVER")
    )


def _same(other: str, own: Version) -> bool:
    """Whether a version is the same in another form: 12.0 is 12.0.0."""
    try:
        return Version(other) == own
    except InvalidVersion:
        return False


def _is_inside(version: Version, events: list[dict[str, str]]) -> bool:
    """Walk the events in the order of their versions (OSV, `evaluation`)."""

    def at(event: dict[str, str]) -> Version:
        (value,) = event.values()
        return Version("0.dev0") if value == "0" else Version(value)

    inside = False
    for event in sorted((e for e in events if "limit" not in e), key=at):
        reached = version > at(event) if "last_affected" in event else version >= at(event)
        if reached:
            inside = "introduced" in event
    return inside


def _found(package: Pinned, record: dict[str, Any], affected: dict[str, Any]) -> Found:
    events = [event for ranged in affected.get("ranges", []) for event in ranged.get("events", [])]
    summary = str(record.get("summary") or str(record.get("details", "")).split("\n")[0])
    return Found(
        identifier=str(record["id"]),
        aliases=tuple(map(str, record.get("aliases", []))),
        package=package,
        summary=summary[:120] or "no summary",
        fixed=tuple(sorted({str(event["fixed"]) for event in events if "fixed" in event})),
    )


def _accepted(root: Path) -> dict[tuple[str, str], str]:
    """Reasons by package and identifier."""
    path = root / ACCEPTED
    if not path.exists():
        return {}
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("accepted", [])
        wanted = {"id", "package", "justification", "reason"}
        for entry in entries:
            if set(entry) != wanted or not str(entry["reason"]).strip():
                raise ProjectError(f"{ACCEPTED}: an entry needs {', '.join(sorted(wanted))}")
            if entry["justification"] not in JUSTIFICATIONS:
                raise ProjectError(
                    f"{ACCEPTED}: {entry['id']}: justification {entry['justification']!r}; "
                    f"accepted: {', '.join(JUSTIFICATIONS)}"
                )
    except (ValueError, AttributeError, TypeError) as error:
        raise ProjectError(f"{ACCEPTED} cannot be read ({error})") from error
    return {
        (canonicalize_name(e["package"]), e["id"]): f"{e['justification']}: {e['reason']}"
        for e in entries
    }
