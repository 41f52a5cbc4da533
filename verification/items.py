"""Items: user needs, requirements, risks and controls, read from the documents.

They are written as sphinx-needs directives. The `needs` builder of Sphinx turns them into
needs.json, which is kept by the digest of its sources; so a second reading needs no Sphinx.
"""

import hashlib
import io
import json
import re
import tempfile
import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from verification import schema
from verification.findings import Finding, ProjectError, place
from verification.repository import Repository

__all__ = ["Item", "Items", "load", "locate", "text_hash"]

_FOLDERS: Final = ("design_history_file", "risk")
_ELSEWHERE: Final = "docs"
"""Documents that may name items and hold none."""

_DIRECTIVE: Final = re.compile(
    r"^\.\. (?:" + "|".join(kind.directive for kind in schema.TYPES) + r")::", re.MULTILINE
)
_ID: Final = re.compile(r"^\s+:id:\s*(\S+)\s*$")
_ANY_ID: Final = re.compile(rf"^\s+:id:\s*{schema.ID_PATTERN[1:-1]}\s*$", re.MULTILINE)
"""The id of an item, whether or not its directive can be read."""

_WARNING: Final = re.compile(
    r"^(?P<file>[^:\n]+):(?P<line>\d+): (?:WARNING|ERROR|CRITICAL): (?P<text>.*)$"
)
_OWN: Final = ("needs.link_outgoing", "needs.duplicate_id", "sn_schema", "already exists")
"""Sphinx warnings that a rule of the gate reports itself, with the item's line."""


def text_hash(title: str, text: str, criterion: str) -> str:
    """Eight hex digits of what a reader must agree to; line breaks and spacing do not count."""
    folded = [" ".join(unicodedata.normalize("NFC", part).split()) for part in (title, text)]
    folded.append(" ".join(unicodedata.normalize("NFC", criterion).split()))
    return hashlib.sha256("\n".join(folded).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item as the documents state it."""

    id: str
    type: str
    """The directive, such as `req`."""
    title: str
    text: str
    status: str
    file: str
    line: int
    fields: Mapping[str, str]
    links: Mapping[str, tuple[str, ...]]

    @property
    def hash(self) -> str:
        """The pinned part of a link: `SRS-012@1a009e7a`."""
        return text_hash(self.title, self.text, self.fields.get("criterion", ""))

    @property
    def judged(self) -> bool:
        """Whether the gate asks for evidence: the item is neither planned, pending nor retired."""
        return self.status == schema.Status.OPEN

    @property
    def planned(self) -> bool:
        """Whether a later version implements it."""
        return self.status == schema.Status.PLANNED

    @property
    def stands(self) -> bool:
        """Whether this version may rest on it: it is neither retired nor planned."""
        return self.status != schema.Status.RETIRED and not self.planned

    def get(self, name: str) -> str:
        """Value of an attribute, empty where absent."""
        return self.fields.get(name, "")


@dataclass(frozen=True, slots=True)
class Items:
    """Every item by id, with what went wrong while reading them."""

    by_id: Mapping[str, Item]
    findings: tuple[Finding, ...] = ()
    places: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    """Every place that claims an id; more than one is a fault."""

    def of(self, *directives: str) -> Iterator[Item]:
        """Items of the given types, in order of id."""
        return (item for item in self.by_id.values() if item.type in directives)

    def incoming(self, link: str) -> dict[str, list[str]]:
        """Ids that point at each id by `link`."""
        found: dict[str, list[str]] = {}
        for item in self.by_id.values():
            for target in item.links.get(link, ()):
                found.setdefault(target, []).append(item.id)
        return found


def _holds_items(path: Path) -> bool:
    """Whether a document holds items, or what looks like the id of one."""
    text = path.read_text("utf-8", "replace")
    return bool(_DIRECTIVE.search(text) or _ANY_ID.search(text))


def _sources(root: Path) -> list[Path]:
    """Documents that hold items."""
    files = [path for name in _FOLDERS for path in sorted((root / name).rglob("*.rst"))]
    return [path for path in files if _holds_items(path)]


def _undecodable(path: Path, root: Path) -> Finding | None:
    """Find the first byte of a document that is no UTF-8; None where there is none."""
    raw = path.read_bytes()
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Finding("R10", "", place(path, root), line, f"is not UTF-8: {error.reason}")
    return None


def _elsewhere(root: Path) -> Iterator[Finding]:
    """Find items in documents where no item is read."""
    for path in sorted((root / _ELSEWHERE).rglob("*.rst")):
        text = path.read_text("utf-8", "replace")
        for match in _ANY_ID.finditer(text):
            name = match[0].split()[-1]
            line = text.count("\n", 0, match.end()) + 1
            where = " and ".join(_FOLDERS)
            message = f"items are read in {where} alone: move it there"
            yield Finding("R10", name, place(path, root), line, message)


def _unread(
    found: Mapping[str, Item], places: Mapping[str, tuple[tuple[str, int], ...]], read: set[str]
) -> Iterator[Finding]:
    """Find ids that stand in a document and of which Sphinx made no item."""
    for name, each in places.items():
        file, line = each[0]
        if name not in found and file in read:
            text = "no item was made of it: is its directive `.. type:: Title`, not in a comment?"
            yield Finding("R10", name, file, line, text)


def locate(root: Path) -> dict[str, tuple[tuple[str, int], ...]]:
    """Find file and line of each id without Sphinx; an id found twice has two places."""
    places: dict[str, tuple[tuple[str, int], ...]] = {}
    for path in _sources(root):
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if match := _ID.match(line):
                here = (place(path, root), number)
                places[match[1]] = (*places.get(match[1], ()), here)
    return places


def _key(files: list[Path]) -> str:
    """Digest of the sources and of the schema they are read with."""
    sha = hashlib.sha256(Path(schema.__file__).read_bytes())
    sha.update(Path(__file__).read_bytes())
    for path in files:
        sha.update(path.as_posix().encode() + b"\0" + path.read_bytes())
    return sha.hexdigest()[:24]


def _settings(root: Path, files: list[Path]) -> dict[str, Any]:
    """Configure Sphinx to read items alone."""
    names = [place(path, root).removesuffix(".rst") for path in files]
    return {
        "extensions": ["sphinx_needs"],
        "include_patterns": [f"{name}.rst" for name in names],
        "root_doc": names[0],
        "suppress_warnings": ["toc.not_included", "toc.not_readable", "ref.ref", "ref.doc"],
        "needs_types": schema.needs_types(),
        "needs_fields": schema.needs_fields(),
        "needs_links": schema.needs_links(),
        "needs_schema_definitions": schema.needs_schema(),
        "needs_id_regex": schema.ID_PATTERN,
        "needs_id_required": True,
        "needs_reproducible_json": True,
    }


def _build(root: Path, files: list[Path]) -> dict[str, Any]:
    """Run the needs builder over the item documents alone."""
    try:
        import sphinx_needs  # noqa: F401, PLC0415  # an extra: asked for when it is needed
        from sphinx.application import Sphinx  # noqa: PLC0415
    except ImportError:
        message = "the items are read with Sphinx: pip install 'cxr-device[docs]'"
        raise ProjectError(message) from None
    from docutils.parsers.rst import directives, roles  # type: ignore[import-untyped]  # noqa: PLC0415

    kept = dict(directives._directives), dict(roles._roles)  # noqa: SLF001  # no public way
    report = io.StringIO()
    needs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            app = Sphinx(
                root,
                None,
                f"{scratch}/out",
                f"{scratch}/trees",
                "needs",
                confoverrides=_settings(root, files),
                status=None,
                warning=report,
                freshenv=True,
            )
            for name in schema.DOCUMENT_DIRECTIVES:
                app.add_directive(name, _silent(), override=True)
            app.build()
            output = Path(scratch) / "out" / "needs.json"
            versions = json.loads(output.read_text("utf-8"))["versions"]
            needs = next(iter(versions.values()))["needs"]
        except Exception as error:  # noqa: BLE001  # any text in a document must end in a finding
            report.write(f"\n{place(files[0], root)}:1: ERROR: Sphinx stopped: {error}\n")
        finally:
            directives._directives, roles._roles = kept  # noqa: SLF001
    plain = re.sub(r"\x1b\[[0-9;]*m", "", report.getvalue())
    return {"needs": needs, "warnings": plain.splitlines()}


def _silent() -> Any:  # noqa: ANN401  # a directive class of an optional package
    """Make a stand-in for directives that documents fill with numbers; items hold none."""
    from sphinx.util.docutils import SphinxDirective  # noqa: PLC0415  # an extra

    class Silent(SphinxDirective):
        has_content = True
        optional_arguments = 99
        final_argument_whitespace = True

        def run(self) -> list[Any]:
            return []

    return Silent


def _warnings(lines: list[str], root: Path) -> list[Finding]:
    """Make findings of what Sphinx complained about."""
    found = []
    for line in lines:
        match = _WARNING.match(line)
        if match and not any(word in line for word in _OWN):
            file = place(Path(match["file"]), root)
            found.append(Finding("R10", "", file, int(match["line"]), match["text"]))
    return found


def _item(need: dict[str, Any], places: Mapping[str, tuple[tuple[str, int], ...]]) -> Item:
    """One item from one entry of needs.json."""
    file, line = places.get(need["id"], ((f"{need.get('docname')}.rst", need.get("lineno") or 1),))[
        0
    ]
    return Item(
        id=need["id"],
        type=need["type"],
        title=need.get("title") or "",
        text=need.get("content") or "",
        status=need.get("status") or "",
        file=file,
        line=line,
        fields={name: str(need[name]) for name in schema.TEXT_FIELDS if need.get(name)},
        links={name: tuple(need.get(name) or ()) for name in schema.LINKS},
    )


def load(repository: Repository) -> Items:
    """Read every item; the result is kept under build/verification by digest."""
    root = repository.root
    written = _sources(root)
    broken = {path: finding for path in written if (finding := _undecodable(path, root))}
    files = [path for path in written if path not in broken]
    faults = [*broken.values(), *_elsewhere(root)]
    if not files:
        nothing = Finding("R10", "", "design_history_file", 1, "no item is written")
        return Items({}, (nothing, *faults))
    cache = repository.build / f"items-{_key(files)}.json"
    try:
        raw = json.loads(cache.read_text("utf-8"))
    except (OSError, ValueError):
        raw = _build(root, files)
        cache.parent.mkdir(parents=True, exist_ok=True)
        for old in cache.parent.glob("items-*.json"):
            old.unlink(missing_ok=True)
        cache.write_text(json.dumps(raw, indent=0, sort_keys=True), "utf-8")
    places = locate(root)
    found = [_item(need, places) for need in raw["needs"].values()]
    by_id = {item.id: item for item in sorted(found, key=lambda item: item.id)}
    if by_id:  # where Sphinx stopped, that is the fault
        faults += _unread(by_id, places, {place(path, root) for path in files})
    return Items(by_id, (*_warnings(raw["warnings"], root), *faults), places)
