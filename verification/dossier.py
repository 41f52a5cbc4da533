"""The dossier: everything the rules judge, read once."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from verification import evidence as evidence_module
from verification import items as items_module
from verification import ledger, markers, waivers
from verification.evidence import Evidence, Row
from verification.findings import Finding
from verification.items import Items
from verification.markers import MarkedTest
from verification.repository import Repository

__all__ = ["Dossier", "open_dossier"]


@dataclass(frozen=True)
class Dossier:
    """Items, test sources, evidence, ledger and waivers of one repository."""

    repository: Repository
    items: Items
    tests: tuple[MarkedTest, ...]
    evidence: Evidence | None
    approvals: tuple[ledger.Approval, ...]
    waivers: waivers.Waivers
    findings: tuple[Finding, ...] = field(default=())
    """What went wrong while reading."""

    @property
    def root(self) -> Path:
        """Folder of the project."""
        return self.repository.root

    @cached_property
    def by_function(self) -> dict[str, MarkedTest]:
        """Test functions by node id."""
        return {test.nodeid: test for test in self.tests}

    @cached_property
    def rows(self) -> dict[str, list[Row]]:
        """Recorded cases by item id; a case counts where its source still names the item."""
        found: dict[str, list[Row]] = {}
        for row in self.evidence.tests if self.evidence else ():
            test = self.by_function.get(row.function)
            if test is None:
                continue
            for link in row.links:
                found.setdefault(markers.split(link)[0], []).append(row)
        return found

    @cached_property
    def named(self) -> dict[str, list[MarkedTest]]:
        """Test functions by the item ids their sources name."""
        found: dict[str, list[MarkedTest]] = {}
        for test in self.tests:
            for name in dict.fromkeys(markers.split(link.link)[0] for link in test.links):
                found.setdefault(name, []).append(test)
        return found


def open_dossier(root: Path, results: Path | None = None) -> Dossier:
    """Read a project; what cannot be read is a finding of the dossier."""
    repository = Repository(root)
    tests, broken_tests = markers.read_tests(root)
    approvals, broken_ledger = ledger.read(root)
    found = evidence_module.read(results or evidence_module.default_path(root), root)
    broken_evidence = [found] if isinstance(found, Finding) else []
    items = items_module.load(repository)
    stated = waivers.read(root)
    return Dossier(
        repository=repository,
        items=items,
        tests=tuple(tests),
        evidence=found if isinstance(found, Evidence) else None,
        approvals=tuple(approvals),
        waivers=stated,
        findings=(
            *items.findings,
            *broken_tests,
            *broken_ledger,
            *broken_evidence,
            *stated.findings,
        ),
    )
