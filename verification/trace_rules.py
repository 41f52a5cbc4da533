"""Trace rules R1 to R6 and R9 to R11: whether requirements and tests hang together."""

import re
from collections.abc import Iterator

from verification import clauses, evidence, markers, schema
from verification.dossier import Dossier
from verification.evidence import Evidence, Row
from verification.findings import Finding, place
from verification.items import Item
from verification.repository import UNKNOWN, Repository
from verification.verdicts import at_level, passing, record_holds

__all__ = ["RULES"]

_BAD = ("failed", "error", "skipped", "xfailed", "xpassed")


def _names(rows: list[Row]) -> tuple[str, ...]:
    """Functions of some cases, each once."""
    return tuple(dict.fromkeys(row.function for row in rows))


def _about(rule: str, item: Item, message: str, tests: tuple[str, ...] = ()) -> Finding:
    """Make a finding at an item's own place."""
    return Finding(rule, item.id, item.file, item.line, message, tests)


def _tested(dossier: Dossier) -> Iterator[Item]:
    """Choose the requirements that tests must show."""
    for item in dossier.items.of("req"):
        if item.judged and item.get("method") == "test":
            yield item


def r1(dossier: Dossier) -> Iterator[Finding]:
    """Find requirements without a test at their level, or without their record."""
    for item in _tested(dossier):
        named = dossier.named.get(item.id, [])
        rows = dossier.rows.get(item.id, [])
        if not named and not rows:
            text = f'no test verifies it: write one and mark it @verifies("{item.id}@{item.hash}")'
            yield _about("R1", item, text)
        elif rows and not any(at_level(item, row.level) for row in rows):
            text = f"no test at level {item.get('level')}; the tests named are below it"
            yield _about("R1", item, text, _names(rows))
    for item in dossier.items.of("req"):
        if not item.judged or item.get("method") in {"test", "metric"}:
            continue
        if not passing(dossier, item) and (why := record_holds(dossier.root, item)):
            yield _about("R1", item, f"method {item.get('method')}: {why}")


def _unlinked_failures(record: Evidence) -> Iterator[Finding]:
    """Find failed tests that name no item: the run that shows the others did not pass."""
    for row in record.tests:
        if not row.links and row.outcome in {"failed", "error"}:
            text = f"{row.outcome}: it names no item, but the suite does not pass"
            yield Finding("R2", "", row.file, row.line, text, (row.function,))


def _not_recorded(dossier: Dossier, record: Evidence) -> Iterator[Finding]:
    """Find linked tests that the run left out."""
    recorded = {row.function for row in record.tests}
    for test in dossier.tests:
        if test.links and test.nodeid not in recorded:
            first = markers.split(test.links[0].link)[0]
            text = f"{test.nodeid} is not in the evidence: run the whole suite"
            yield Finding("R2", first, test.file, test.line, text, (test.nodeid,))


def r2(dossier: Dossier) -> Iterator[Finding]:
    """Find requirements without a passing test, and linked tests that did not pass."""
    if dossier.evidence is None:
        return
    for item in _tested(dossier):
        named = dossier.named.get(item.id, [])
        if named and not passing(dossier, item):
            ran = dossier.rows.get(item.id, [])
            said = ", ".join(sorted({row.outcome for row in ran})) or "not run"
            tests = tuple(test.nodeid for test in named)
            yield _about("R2", item, f"no passing test at its level ({said})", tests)
    seen: set[tuple[str, str]] = set()
    for row in dossier.evidence.tests:
        if not row.links or row.outcome not in _BAD or (row.function, row.outcome) in seen:
            continue
        if row.outcome == "skipped" and dossier.waivers.allows_skip(row.reason):
            continue
        seen.add((row.function, row.outcome))
        names = ", ".join(markers.split(link)[0] for link in row.links)
        why = f" ({row.reason})" if row.reason else ""
        text = f"{row.outcome}{why}: it verifies {names}, and this is no pass"
        first = markers.split(row.links[0])[0]
        yield Finding("R2", first, row.file, row.line, text, (row.function,))
    yield from _unlinked_failures(dossier.evidence)
    yield from _not_recorded(dossier, dossier.evidence)


def r3(dossier: Dossier) -> Iterator[Finding]:
    """Find links pinned to another text, and links not pinned; one line for each place."""
    for test in dossier.tests:
        for literal in dict.fromkeys(test.links):
            name, pin = markers.split(literal.link)
            item = dossier.items.by_id.get(name)
            if item is None or pin == item.hash:
                continue
            what = (
                f"suspect: pinned to {pin}, but the text is now {item.hash}" if pin else "unpinned"
            )
            text = f"{what}; read {item.file}:{item.line}, then cxr-verify accept {name}"
            yield Finding("R3", name, literal.file, literal.line, text, (test.nodeid,))
    yield from _unseen_links(dossier)


def _unseen_links(dossier: Dossier) -> Iterator[Finding]:
    """Find links that a run of this state recorded and that are not read in the sources."""
    record = dossier.evidence
    if record is None or record.state != dossier.repository.state:
        return
    seen: set[tuple[str, str]] = set()
    for row in record.tests:
        test = dossier.by_function.get(row.function)
        written = {literal.link for literal in test.links} if test else set(row.links)
        for link in row.links:
            if link not in written and (row.function, link) not in seen:
                seen.add((row.function, link))
                text = f"{link} is not read in the sources: write @verifies(...) on the test"
                name = markers.split(link)[0]
                yield Finding("R3", name, row.file, row.line, text, (row.function,))


def _bad_link(dossier: Dossier, link: str) -> str | None:
    """Say what is wrong with the id that a test names; None where nothing is."""
    item = dossier.items.by_id.get(markers.split(link)[0])
    if not markers.LINK.match(link):
        return f"{link!r} is no link: write SRS-012 or SRS-012@1a009e7a"
    if item is None:
        return "no item has this id"
    if item.status == schema.Status.RETIRED:
        return f"the item is retired: {item.get('reason')}"
    return None


def r4(dossier: Dossier) -> Iterator[Finding]:
    """Find tests and items that name an id that is unknown, retired or of another kind."""
    by_id = dossier.items.by_id
    seen: dict[tuple[str, int, str], Finding] = {}
    for test in dossier.tests:
        for literal in test.links:
            name = markers.split(literal.link)[0]
            if text := _bad_link(dossier, literal.link):
                finding = Finding("R4", name, literal.file, literal.line, text, (test.nodeid,))
                seen.setdefault((literal.file, literal.line, name), finding)
    yield from seen.values()
    for item in by_id.values():
        for link, target in [(k, t) for k, targets in item.links.items() for t in targets]:
            if target not in by_id:
                yield _about("R4", item, f"{link}: no item has the id {target}")
            elif by_id[target].type not in schema.LINK_ENDS[link]:
                kinds = {kind.directive: kind.title.lower() for kind in schema.TYPES}
                owed = " or ".join(kinds[end] for end in schema.LINK_ENDS[link])
                text = f"{link}: {target} is a {kinds[by_id[target].type]}; it names a {owed}"
                yield _about("R4", item, text)
            elif by_id[target].status == schema.Status.RETIRED and item.judged:
                yield _about("R4", item, f"{link}: {target} is retired")


def _reaches_need(dossier: Dossier, item: Item, seen: set[str]) -> bool:
    """Whether the chain of `derives` ends at a user need."""
    if item.type == "user_need":
        return True
    if item.id in seen:
        return False
    seen.add(item.id)
    above = [dossier.items.by_id.get(name) for name in item.links.get("derives", ())]
    return any(_reaches_need(dossier, parent, seen) for parent in above if parent)


def r5(dossier: Dossier) -> Iterator[Finding]:
    """Find requirements that nobody asked for: no user need, no risk control."""
    for item in dossier.items.of("req", "sys_req"):
        controls = [c for c in item.links.get("implements", ()) if c in dossier.items.by_id]
        retired = item.status == schema.Status.RETIRED
        if not retired and not controls and not _reaches_need(dossier, item, set()):
            yield _about("R5", item, "derives from no user need and implements no risk control")


def r6(dossier: Dossier) -> Iterator[Finding]:
    """Find user needs and system requirements without requirement, and needs without validation."""
    derived = dossier.items.incoming("derives")
    for item in dossier.items.of("user_need", "sys_req"):
        if item.status == schema.Status.RETIRED:
            continue
        below = [dossier.items.by_id[name] for name in derived.get(item.id, [])]
        if not any(child.stands or (child.planned and not item.judged) for child in below):
            yield _about("R6", item, "no requirement of this version derives from it")
        if item.type == "user_need" and not item.get("validation"):
            yield _about("R6", item, "names no validation")


def r9(dossier: Dossier) -> Iterator[Finding]:
    """Find ids that are claimed twice, and ids that were accepted and then deleted."""
    for name, places in dossier.items.places.items():
        for file, line in places[1:]:
            first = f"{places[0][0]}:{places[0][1]}"
            yield Finding(
                "R9", name, file, line, f"the id is taken by {first}; ids are never reused"
            )
    known = set(dossier.items.places)
    gone = sorted({a.item for a in dossier.approvals} - known)
    for name in gone:
        text = "was accepted and is gone: give it `:status: retired` and a reason"
        yield Finding("R9", name, "design_history_file/approvals.toml", 1, text)


def _circles(dossier: Dossier) -> Iterator[Finding]:
    """Find links that lead back to where they began."""
    for link in schema.LINKS:
        for item in dossier.items.by_id.values():
            stack, seen = list(item.links.get(link, ())), set()
            while stack:
                name = stack.pop()
                if name == item.id:
                    yield _about("R10", item, f"circular: {link} leads back to {item.id}")
                    break
                if name not in seen and name in dossier.items.by_id:
                    seen.add(name)
                    stack += dossier.items.by_id[name].links.get(link, ())


def r10(dossier: Dossier) -> Iterator[Finding]:
    """Find items that break the schema."""
    kinds = {kind.directive: kind for kind in schema.TYPES}
    for item in dossier.items.by_id.values():
        kind = kinds[item.type]
        if not item.id.startswith(f"{kind.prefix}-"):
            text = f"the id of a {kind.title.lower()} begins with {kind.prefix}-"
            yield _about("R10", item, text)
        if item.status not in tuple(schema.Status):
            yield _about("R10", item, f"status {item.status!r}: {', '.join(schema.Status)}")
        for name in _missing(item, kind):
            yield _about("R10", item, f"{name} is missing")
        for name, value in item.fields.items():
            allowed = schema.enumeration(name)
            if allowed and value not in allowed:
                yield _about("R10", item, f"{name} {value!r}: {', '.join(allowed)}")
        if kind.shall and item.status != schema.Status.RETIRED:
            yield from _wording(item)
    yield from _circles(dossier)
    yield from clauses.unknown(dossier.root, dossier.items)


def _missing(item: Item, kind: schema.ItemType) -> list[str]:
    """Name what an item must carry and does not."""
    if item.status == schema.Status.RETIRED:
        return [] if item.get("reason") else ["the attribute reason"]
    owed = {"planned": ["planned_for"], "pending-study": ["owner"]}.get(item.status, [])
    names = [f"the attribute {n}" for n in (*kind.mandatory, *owed) if not item.get(n)]
    names += [f"the link {n}" for n in kind.links if not item.links.get(n)]
    return names if item.text.strip() else [*names, "the text"]


def _wording(item: Item) -> Iterator[Finding]:
    """Find a requirement that is no single testable statement."""
    count = len(re.findall(r"\bshall\b", item.text, re.IGNORECASE))
    if count != 1:
        yield _about("R10", item, f'{count} "shall" in the text: one requirement has one')
    for part, text in (("text", item.text), ("criterion", item.get("criterion"))):
        if match := schema.FORBIDDEN.search(text):
            yield _about("R10", item, f"{match[0]!r} in the {part}: no test decides it")


def _commit(record: Evidence, here: Repository, file: str) -> Iterator[Finding]:
    """Find evidence of another commit, or of a tree that differed from its commit."""

    def stale(text: str) -> Finding:
        return Finding("R11", "", file, 1, text)

    if record.commit is None or here.commit is None:
        yield stale("no commit is known: run inside a git checkout")
    elif record.commit != here.commit:
        was, now = record.commit[:12], here.commit[:12]
        yield stale(f"evidence of commit {was}, this is {now}: run again")
    for name in here.changed:
        text = "dirty tree: the file differs from the commit"
        text = "git cannot say which files differ" if name == UNKNOWN else text
        yield Finding("R11", "", name, 1, text)
    if record.dirty and not here.dirty:
        names = ", ".join(record.dirty_files[:3])
        yield stale(f"the evidence was taken from a dirty tree ({names}): run again")
    elif record.state != here.state:
        yield stale("files changed since the evidence was taken: run again")
    if not record.complete:
        yield stale("a part of the suite was run: run the whole of it")


def _weights(record: Evidence, here: Repository) -> Iterator[Finding]:
    """Find evidence of other weights."""
    release = "cxr_device/release.toml"
    if here.weights_sha256 is None:
        text = "states no digest of the weights: the evidence cannot be tied to weights"
        yield Finding("R11", "", release, 1, text)
    elif record.weights_sha256 != here.weights_sha256:
        text = f"evidence of weights {str(record.weights_sha256)[:12]}: run again"
        yield Finding("R11", "", release, 1, text)
    for name in sorted({*record.weight_files, *here.weight_files}):
        if record.weight_files.get(name) != here.weight_files.get(name):
            text = "the weights changed since the evidence was taken: run again"
            yield Finding("R11", "", f"cxr_device/weights/{name}", 1, text)


def r11(dossier: Dossier) -> Iterator[Finding]:
    """Find evidence that belongs to another state than the one at hand."""
    record, here = dossier.evidence, dossier.repository
    if record is None:
        return
    file = place(evidence.default_path(here.root), here.root)
    yield from _commit(record, here, file)
    yield from _weights(record, here)
    for row in record.tests:
        if row.links and row.function not in dossier.by_function:
            text = f"{row.function} is in the evidence and no longer in the sources"
            first = markers.split(row.links[0])[0]
            yield Finding("R11", first, row.file, row.line, text, (row.function,))


RULES = (r1, r2, r3, r4, r5, r6, r9, r10, r11)
"""Every rule of this module, in order."""
