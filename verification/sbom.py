"""The software bill of materials: CycloneDX JSON of the locked packages and of the weights.

Equal commits give equal bytes: the serial number comes from the content, the time is the commit's.
"""

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

from verification import licences
from verification.findings import ProjectError
from verification.licences import Licence
from verification.locks import RUN_TIME, Pinned, read_locks
from verification.repository import Repository

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

__all__ = ["FILE", "Entry", "entries", "run_time_faults", "to_json"]

FILE: Final = "sbom.cdx.json"
"""Name of the bill of materials in a submission."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One locked package; `licence` is None where that version is not installed to be asked."""

    package: Pinned
    run_time: bool
    licence: Licence | None


def entries(root: Path) -> list[Entry]:
    """Every package of every lock once, those of run time first.

    Raises
    ------
    ProjectError
        If a lock is absent or damaged, or two locks pin a package at two versions.
    """
    found: dict[str, Entry] = {}
    for name, packages in read_locks(root).items():
        for package in packages:
            known = found.get(package.name)
            if known is None:
                licence = licences.of_package(package)
                found[package.name] = Entry(package, name in RUN_TIME, licence)
            elif known.package.version != package.version:
                raise ProjectError(
                    f"{name}.txt: {package.name} is {package.version}, but "
                    f"{known.package.version} in another lock; run make lock"
                )
    return list(found.values())


def run_time_faults(found: Iterable[Entry]) -> list[str]:
    """Say of each package of run time whose licence is unknown or not permissive."""
    faults = []
    for entry in found:
        if not entry.run_time:
            continue
        name = f"{entry.package.name} {entry.package.version}"
        if entry.licence is None:
            faults.append(f"{name}: not installed at this version, or states no licence")
        elif entry.licence.spdx is None or not licences.is_permissive(entry.licence.spdx):
            faults.append(f"{name}: {entry.licence.stated} is not on the permissive list")
    return faults


def to_json(root: Path, found: Iterable[Entry]) -> str:
    """Write the bill of materials (CycloneDX 1.6, by its library).

    Raises
    ------
    ProjectError
        If a weights file is absent, or its digest is not the one of the release.
    """
    from cyclonedx.model.bom import Bom  # noqa: PLC0415  # an extra
    from cyclonedx.model.component import ComponentType  # noqa: PLC0415
    from cyclonedx.output import make_outputter  # noqa: PLC0415
    from cyclonedx.schema import OutputFormat, SchemaVersion  # noqa: PLC0415

    repository = Repository(root)
    name = str(repository.pyproject["project"]["name"])
    device = _component(
        name,
        repository.version,
        kind=ComponentType.APPLICATION,
        digests=(),
        licence=Licence("Apache-2.0", "Apache-2.0"),
    )
    packages = list(found)
    parts = {entry.package.name: _package(entry) for entry in packages}
    weights = _weights(root, repository.version)
    bom = Bom()
    bom.metadata.component = device
    bom.metadata.timestamp = _commit_time(repository)
    for component in (*parts.values(), *weights):
        bom.components.add(component)
    for entry in packages:
        this = parts[entry.package.name]
        bom.register_dependency(this)
        for user in entry.package.needed_by:
            if user.lower() in parts:
                bom.register_dependency(parts[user.lower()], [this])
            elif user == name and entry.run_time:
                bom.register_dependency(device, [this])
    bom.register_dependency(device, weights)
    content = "".join(sorted(f"{p.name} {p.version} {sorted(p.hashes)}" for p in bom.components))
    bom.serial_number = uuid5(NAMESPACE_URL, f"{name} {repository.version} {content}")
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)


def _commit_time(repository: Repository) -> datetime:
    stamp = (repository.git("log", "-1", "--format=%ct") or "0").strip()
    return datetime.fromtimestamp(int(stamp), UTC)


def _package(entry: Entry) -> "Component":
    from cyclonedx.model.component import ComponentScope, ComponentType  # noqa: PLC0415
    from packageurl import PackageURL  # noqa: PLC0415

    component = _component(
        entry.package.name,
        entry.package.version,
        kind=ComponentType.LIBRARY,
        digests=entry.package.digests,
        licence=entry.licence,
    )
    component.purl = PackageURL("pypi", None, entry.package.name, entry.package.version)
    component.scope = ComponentScope.REQUIRED if entry.run_time else ComponentScope.EXCLUDED
    return component


def _weights(root: Path, version: str) -> list["Component"]:
    """List the files of the network, each compared with the digest of the release."""
    from cyclonedx.model.component import ComponentType  # noqa: PLC0415

    folder = root / "cxr_device"
    network = tomllib.loads((folder / "release.toml").read_text("utf-8"))["network"]
    components = []
    for key in ("weights", "graph"):
        name, stated = str(network[key]), str(network[f"{key}_sha256"])
        path = folder / name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"
        if found != stated:
            raise ProjectError(
                f"cxr_device/{name}: {found[:16]}, release.toml states {stated[:16]}; lock again"
            )
        component = _component(
            f"cxr_device/{name}",
            version,
            kind=ComponentType.MACHINE_LEARNING_MODEL,
            digests=(stated,),
            licence=Licence("Apache-2.0", "Apache-2.0"),
        )
        component.description = "Training data, attribution and terms: cxr_device/weights/NOTICE"
        components.append(component)
    return components


def _component(
    name: str,
    version: str,
    *,
    kind: "object",
    digests: tuple[str, ...],
    licence: Licence | None,
) -> "Component":
    from cyclonedx.contrib.license.factories import LicenseFactory  # noqa: PLC0415
    from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    return Component(
        name=name,
        version=version,
        type=ComponentType(kind),
        bom_ref=f"{name}@{version}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests],
        licenses=[LicenseFactory().make_from_string(licence.spdx or licence.stated)]
        if licence
        else (),
    )
