"""History: what changed between two revisions, and what that touches (62304 6.3 and 7.4)."""

import io
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verification import items as items_module
from verification import markers, schema
from verification.findings import ProjectError
from verification.items import Item, Items
from verification.repository import Repository

__all__ = ["Change", "compare", "impact"]


@dataclass(frozen=True, slots=True)
class Change:
    """One item that differs between two revisions."""

    item: str
    kind: str
    """`added`, `deleted`, or what differs: `retired`, `open to planned`, `reworded`, `relinked`,
    `changed: severity`; several are parted by semicolons."""
    before: str
    after: str
    touches: tuple[str, ...]
    """Risk controls, risks, architecture and tests that hang on it."""


def _at(repository: Repository, revision: str) -> tuple[Items, list[markers.MarkedTest], list[str]]:
    """Items and tests of a revision, read from git without touching the tree, and what is wrong."""
    name = repository.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if name is None:
        message = f"no revision {revision}"
        raise ProjectError(message)
    wanted = ["design_history_file", "risk", "tests", "pyproject.toml"]
    there = repository.git("ls-tree", "--name-only", name.strip()) or ""
    paths = [path for path in wanted if path in there.split()]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "pyproject.toml").touch()
        if paths:
            archive = folder / "tree.tar"
            if repository.git("archive", f"--output={archive}", name.strip(), *paths) is None:
                message = f"{revision} cannot be read"
                raise ProjectError(message)
            with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as tar:
                tar.extractall(folder, filter="data")
            archive.unlink()
        found = items_module.load(Repository(folder))
        tests, broken = markers.read_tests(folder)
    return found, tests, [f"{revision}: {finding}" for finding in (*found.findings, *broken)]


def impact(items: Items, tests: list[markers.MarkedTest], item: Item) -> tuple[str, ...]:
    """Find what hangs on an item: links in both directions, and the tests that name it."""
    near: list[str] = [target for targets in item.links.values() for target in targets]
    for name in schema.LINKS:
        near += items.incoming(name).get(item.id, [])
    for control in [n for n in near if n.startswith("RC-")]:
        near += items.incoming("controls").get(control, [])
    near += [t.nodeid for t in tests if item.id in {markers.split(k.link)[0] for k in t.links}]
    return tuple(dict.fromkeys(near))


def compare(repository: Repository, old: str, new: str) -> tuple[list[Change], list[str]]:
    """List the items that differ from `old` to `new`, and what of either cannot be read."""
    before, _, faults = _at(repository, old)
    after, tests, more = _at(repository, new)
    changes = []
    for name in sorted({*before.by_id, *after.by_id}):
        was, now = before.by_id.get(name), after.by_id.get(name)
        kind = _kind(was, now)
        if kind is None:
            continue
        where, item = (after, now) if now else (before, was)
        touches = impact(where, tests, item) if item else ()
        changes.append(
            Change(name, kind, was.hash if was else "", now.hash if now else "", touches)
        )
    return changes, faults + more


def _kind(was: Item | None, now: Item | None) -> str | None:
    """Name the difference between two states of an item."""
    if was is None or now is None:
        return "deleted" if now is None else "added"
    kinds = []
    if was.status != now.status:
        to = f"{was.status or 'none'} to {now.status}"
        kinds.append("retired" if now.status == schema.Status.RETIRED else to)
    if was.hash != now.hash:
        kinds.append("reworded")
    if was.links != now.links:
        kinds.append("relinked")
    outside = [name for name in schema.TEXT_FIELDS if name != "criterion"]
    if names := [name for name in outside if was.get(name) != now.get(name)]:
        kinds.append(f"changed: {', '.join(names)}")
    return "; ".join(kinds) or None


def table(changes: list[Change]) -> list[dict[str, Any]]:
    """Write changes as data."""
    return [
        {"item": c.item, "kind": c.kind, "before": c.before, "after": c.after, "touches": c.touches}
        for c in changes
    ]
