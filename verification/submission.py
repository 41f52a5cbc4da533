"""The submission: one PDF for each attachment, from the same documents as the HTML.

Sphinx writes each page without a theme; the pages of an attachment are joined, links between them
are kept, links out of it become plain text, and WeasyPrint prints. Equal commits give equal bytes:
no clock is read, the time is the commit's.
"""

import hashlib
import html
import io
import json
import logging
import os
import re
import shutil
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verification import sbom
from verification.findings import ProjectError
from verification.repository import Repository

__all__ = ["Attachment", "attachments", "build", "for_paper"]

_RECORD: Final = "submission.json"
_IDS: Final = re.compile(r'(\s(?:id|name))="([^"]*)"')
_LINKS: Final = re.compile(r'<a\b([^>]*?)\shref="([^"]*)"([^>]*)>(.*?)</a>', re.DOTALL)
_RANDOM: Final = re.compile(r' id="SNCB-[0-9a-f]+"')
"""Ids that sphinx-needs draws at random for its boxes; nothing links to them."""

_OBJECTS: Final = re.compile(
    r'<object data="([^"]+)"[^>]*type="image/svg\+xml"[^>]*>.*?</object>', re.DOTALL
)
_DRAWINGS: Final = re.compile(r'<svg[^>]*class="cxr-fig".*?</svg>', re.DOTALL)
_PALETTE: Final = re.compile(r"--([a-z]+):(#[0-9a-f]+)")
_HEADINGS: Final = re.compile(r'<section id="([^"]+)">\s*<h([12])>(.*?)</h\2>', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Attachment:
    """One PDF: its file name, title and documents in reading order."""

    file: str
    title: str
    documents: tuple[str, ...]


def attachments(root: Path) -> list[Attachment]:
    """Read the list of attachments; a document that does not exist is an error."""
    path = root / "docs" / "submission" / "attachments.toml"
    raw = tomllib.loads(path.read_text("utf-8"))
    found = [
        Attachment(str(a["file"]), str(a["title"]), tuple(a["documents"]))
        for a in raw["attachment"]
    ]
    for attachment in found:
        for name in attachment.documents:
            if not (root / f"{name}.rst").is_file():
                message = f"{attachment.file}: no document {name}.rst"
                raise ProjectError(message)
    return found


def _pages(root: Path, out: Path) -> None:
    """Let Sphinx write every page as a bare fragment; a warning stops it."""
    from sphinx.application import Sphinx  # noqa: PLC0415  # an extra

    report = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = Sphinx(
            root,
            root / "docs",
            out,
            out.with_name("trees"),
            "json",
            confoverrides={"html_permalinks": False},
            status=None,
            warning=report,
            freshenv=True,
        )
        app.build()
    said = [
        line
        for line in re.sub(r"\x1b\[[0-9;]*m", "", report.getvalue()).splitlines()
        if "WARNING" in line or "ERROR" in line
    ]
    if said:
        raise ProjectError("the documents do not build cleanly:\n" + "\n".join(said[:20]))


def _anchor(document: str, name: str) -> str:
    """Make an id that is unique in an attachment."""
    return f"{document.replace('/', '-')}--{name}"


def _target(document: str, href: str) -> tuple[str, str]:
    """Resolve a link of a fragment to document and anchor."""
    path, _, anchor = href.partition("#")
    if not path:
        return document, anchor
    # the JSON builder writes links as folders: from a/b/ the page a/c is ../c/
    parts = [*document.split("/")]
    for part in path.strip("/").split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return "/".join(parts), anchor


def _fragment(document: str, body: str, inside: set[str], out: Path) -> str:
    """Take one page over: unique ids, links that hold in one file, pictures by absolute path."""

    def link(match: re.Match[str]) -> str:
        before, href, after, text = match.groups()
        if href.startswith(("http:", "https:", "mailto:")):
            return match[0]
        name, anchor = _target(document, html.unescape(href))
        if name not in inside:
            return f"<span>{text}</span>"
        where = _anchor(name, anchor) if anchor else _anchor(name, "top")
        return f'<a{before} href="#{where}"{after}>{text}</a>'

    body = _RANDOM.sub("", body)
    body = _DRAWINGS.sub(lambda m: for_paper(m[0]), body)
    body = _OBJECTS.sub(r'<img src="\1">', body)
    body = re.sub(
        r'src="(?:\.\./)*(_images/[^"]+)"', lambda m: f'src="{(out / m[1]).as_uri()}"', body
    )
    body = _LINKS.sub(link, body)
    return _IDS.sub(lambda m: f'{m[1]}="{_anchor(document, m[2])}"', body)


def for_paper(drawing: str) -> str:
    """Write the light palette and the size of its letters into a figure.

    The printer knows neither custom properties nor the `font` shorthand inside a drawing.
    """
    style = drawing.partition("@media")[0]
    for name, colour in _PALETTE.findall(style):
        drawing = drawing.replace(f"var(--{name})", colour)
    drawing = drawing.replace(".cxr-fig text{", ".cxr-fig text{font-size:12px;", 1)
    return re.sub(r"@media \(prefers-color-scheme:dark\)\{[^}]*\}\}", "", drawing)


def _contents(body: str) -> str:
    """List the headings of an attachment with their pages."""
    lines = [
        f'<li style="margin-left:{12 * (int(level) - 1)}pt"><a href="#{anchor}">'
        f"{re.sub(r'<[^>]+>', '', text)}</a></li>"
        for anchor, level, text in _HEADINGS.findall(body)
    ]
    return f'<ul class="contents" style="list-style:none;padding:0">{"".join(lines)}</ul>'


def _page(attachment: Attachment, out: Path, state: str, style: str) -> str:
    """Join the documents of an attachment into one page."""
    inside = set(attachment.documents)
    parts = []
    for index, document in enumerate(attachment.documents):
        raw = json.loads((out / f"{document}.fjson").read_text("utf-8"))
        first = ' class="first"' if index == 0 else ""
        body = _fragment(document, str(raw["body"]), inside, out)
        parts.append(f'<article{first} id="{_anchor(document, "top")}">{body}</article>')
    body = "\n".join(parts)
    title = html.escape(attachment.title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style></head><body><div class=cover><h1 class=title>{title}</h1>"
        f"<p class=state>{html.escape(state)}</p>{_contents(body)}</div>{body}</body></html>"
    )


def _print(page: str, pdf: Path, identifier: bytes) -> None:
    """Print one page by WeasyPrint; a broken link or picture stops it."""
    from weasyprint import HTML  # noqa: PLC0415  # an extra

    log = logging.getLogger("weasyprint")
    problems: list[str] = []

    class _Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # type: ignore[explicit-override]
            if record.levelno >= logging.ERROR:
                problems.append(record.getMessage())

    handler = _Keep()
    log.addHandler(handler)
    log.setLevel(logging.ERROR)
    logging.getLogger("weasyprint.progress").setLevel(logging.ERROR)
    try:
        HTML(string=page).write_pdf(pdf, pdf_identifier=identifier)
    finally:
        log.removeHandler(handler)
    if problems:
        raise ProjectError(f"{pdf.name}: " + "; ".join(sorted(set(problems))[:8]))


def _bill_of_materials(root: Path, out: Path) -> str:
    """Write the bill of materials; a run-time licence that is not permissive stops it."""
    found = sbom.entries(root)
    if faults := sbom.run_time_faults(found):
        raise ProjectError("; ".join(faults))
    path = out / sbom.FILE
    path.write_text(sbom.to_json(root, found), "utf-8")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build(root: Path, out: Path, *, say: Callable[[str], None], only: tuple[str, ...] = ()) -> None:
    """Print every attachment and the bill of materials; their digests go to submission.json.

    With `only`, those attachments: there is no submission.json then, which speaks for the whole.
    """
    repository = Repository(root)
    chosen = [each for each in attachments(root) if not only or each.file in only]
    if unknown := sorted(set(only) - {each.file for each in chosen}):
        known = ", ".join(each.file for each in attachments(root))
        message = f"no attachment {', '.join(unknown)}; one of {known}"
        raise ProjectError(message)
    epoch = (repository.git("log", "-1", "--format=%ct") or "0").strip()
    os.environ["SOURCE_DATE_EPOCH"] = epoch
    commit = repository.commit or "no commit"
    dirty = ", changed tree" if repository.dirty else ""
    state = f"cxr_device {repository.version}, commit {commit[:12]}{dirty}, draft"
    pages = out / "pages"
    out.mkdir(parents=True, exist_ok=True)
    (out / _RECORD).unlink(missing_ok=True)  # its digests are those of what is printed anew
    shutil.rmtree(pages, ignore_errors=True)
    _pages(root, pages)
    style = (root / "docs" / "_static" / "print.css").read_text("utf-8")
    digests: dict[str, str] = {}
    if not only:
        digests[sbom.FILE] = _bill_of_materials(root, out)
        say(f"{digests[sbom.FILE][:16]}  {sbom.FILE}")
    for attachment in chosen:
        page = _page(attachment, pages, state, style)
        (out / f"{attachment.file}.html").write_text(page.replace(pages.as_uri(), "pages"), "utf-8")
        pdf = out / f"{attachment.file}.pdf"
        identifier = hashlib.sha256(f"{attachment.file} {commit}".encode()).digest()[:16]
        _print(page, pdf, identifier)
        digests[pdf.name] = hashlib.sha256(pdf.read_bytes()).hexdigest()
        say(f"{digests[pdf.name][:16]}  {pdf.name}")
    if only:
        say(f"{len(digests)} of {len(attachments(root))} attachments, so no {_RECORD}")
        return
    whole = hashlib.sha256("".join(f"{v}  {k}\n" for k, v in sorted(digests.items())).encode())
    record = {
        "commit": commit,
        "dirty": repository.dirty,
        "files": digests,
        "sha256": whole.hexdigest(),
    }
    (out / _RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", "utf-8")
    say(f"{whole.hexdigest()[:16]}  the whole of {len(digests)} files")
