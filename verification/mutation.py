"""Mutation of the risk controls' code: whether a test notices when a control is wrong.

Results are kept by the digest of the code and the tests they were taken on, so that a gate knows
when they are of another state. A run is believed only where the baseline is green, the sentinel
dies, and the file that was imported is the mutated one.
"""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from verification import markers, mutants, survivors
from verification.dossier import Dossier
from verification.findings import ProjectError
from verification.items import Item
from verification.survivors import Survivor

__all__ = ["Outcome", "Record", "Target", "latest", "run", "targets"]

COMMITTED: Final = Path("risk") / "results" / "mutation.json"
LOCAL: Final = Path("build") / "verification" / "mutation.json"
_PIN: Final = re.compile(r"@[0-9a-f]{8}(?=[\"'])")
"""A pinned text: accepting a rewording changes no test."""

_ENDS: Final = frozenset({"killed", "survived", "timeout"})
"""How a mutant may end."""

_JUDGES: Final = frozenset({"validation", "verification"})
"""Folders of tests that are about another package than the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One module that implements risk controls, and the tests that must notice its faults."""

    module: str
    controls: tuple[str, ...]
    tests: tuple[str, ...]
    """Node ids."""
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one mutant ended."""

    line: int
    name: str
    outcome: str
    """`killed`, `survived` or `timeout` (which counts as killed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Mutants of one module."""

    module: str
    key: str
    generated: int
    """Mutants of the catalogue; a larger number than were tried means a sample."""
    outcomes: tuple[Outcome, ...]
    survivors: dict[str, Survivor]
    """Accepted ones, by the name of their mutant."""

    def _equivalent(self, outcome: Outcome) -> bool:
        reason = self.survivors.get(outcome.name)
        return outcome.outcome == "survived" and reason is not None and reason.equivalent

    @property
    def counted(self) -> int:
        """Mutants tried, without those that no input can tell from the original."""
        return sum(not self._equivalent(o) for o in self.outcomes)

    @property
    def killed(self) -> int:
        """Mutants that a test noticed."""
        return sum(o.outcome != "survived" for o in self.outcomes)

    @property
    def score(self) -> float:
        """Share of mutants that died; 1 where none was generated."""
        return self.killed / self.counted if self.counted else 1.0

    def _open(self) -> list[Outcome]:
        return [
            o for o in self.outcomes if o.outcome == "survived" and o.name not in self.survivors
        ]

    def surviving(self) -> list[str]:
        """Survivors without a reason, as `line: before -> after`."""
        return [f"{o.line}: {o.name}" for o in self._open()]

    def first_line(self) -> int:
        """Line of the first survivor."""
        return next((o.line for o in self._open()), 1)


def _module_files(root: Path, item: Item) -> list[str]:
    """Python files of an architecture item."""
    path = root / item.get("source")
    if path.is_file():
        return [item.get("source")]
    files = sorted(path.glob("*.py")) if path.is_dir() else []
    return [f"{item.get('source')}/{p.name}" for p in files if p.name != "__init__.py"]


def _tests_for(dossier: Dossier, module: str, names: set[str]) -> tuple[str, ...]:
    """Test functions for a module: its own test file's; where there is none, those of its items.

    What a test costs is not asked: the choice must be the same on every machine. Tests of whole
    commands try no mutant while others are there.
    """
    own = f"test_{Path(module).stem}.py"
    mine = [
        test.nodeid
        for test in dossier.tests
        if Path(test.file).name == own and not _JUDGES & set(Path(test.file).parts)
    ]
    if mine:
        return tuple(mine)
    named = [
        test
        for test in dossier.tests
        if any(markers.split(link.link)[0] in names for link in test.links)
    ]
    brisk = [test for test in named if "system" not in Path(test.file).parts]
    return tuple(test.nodeid for test in brisk or named)


def targets(dossier: Dossier) -> list[Target]:
    """Modules of class B and C that implement a risk control and have tests."""
    by_id = dossier.items.by_id
    controls: dict[str, set[str]] = {}
    names: dict[str, set[str]] = {}
    for item in dossier.items.of("req"):
        own = [c for c in item.links.get("implements", ()) if c in by_id and by_id[c].judged]
        for arc in item.links.get("item", ()):
            if not item.judged or arc not in by_id or by_id[arc].get("safety_class") == "A":
                continue
            names.setdefault(arc, set()).add(item.id)
            if own and item.get("method") == "test":
                controls.setdefault(arc, set()).update(own)
    found = []
    for arc, own_controls in sorted(controls.items()):
        for module in _module_files(dossier.root, by_id[arc]):
            tests = _tests_for(dossier, module, names[arc] | own_controls)
            if tests:
                key = _key(dossier.root, module, tests)
                listed = tuple(sorted(own_controls))
                found.append(Target(module=module, controls=listed, tests=tests, key=key))
    return found


def _key(root: Path, module: str, tests: tuple[str, ...]) -> str:
    """Digest of the module, of the chosen tests with what stands beside them, and of the catalogue.

    Comments, formatting, pinned texts and tests that are not chosen are outside it.
    """
    parts = [Path(mutants.__file__).read_text("utf-8"), _code((root / module).read_bytes())]
    chosen: dict[str, set[str]] = {}
    for test in tests:
        file, _, name = test.partition("::")
        chosen.setdefault(file, set()).add(name.split("::")[0])
    for file in sorted(chosen):
        tree = ast.parse((root / file).read_bytes())
        tree.body = [
            node
            for node in tree.body
            if not getattr(node, "name", "").lower().startswith("test")
            or getattr(node, "name", "") in chosen[file]
        ]
        parts += [file, _PIN.sub("", ast.unparse(tree))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _code(source: str | bytes) -> str:
    """Source without comments and formatting; as it stands where it cannot be parsed."""
    try:
        return ast.unparse(ast.parse(source))
    except (SyntaxError, ValueError):
        return source if isinstance(source, str) else source.decode("utf-8", "replace")


def _survivors(root: Path, module: str) -> dict[str, Survivor]:
    """Read the accepted survivors of a module, by the name of their mutant."""
    return {entry.name: entry for entry in survivors.read(root)[0] if entry.module == module}


def _stored(path: Path, root: Path) -> dict[str, Record]:
    """Read the records of a file, by module; none where it is absent or damaged."""
    try:
        raw = json.loads(path.read_text("utf-8"))
        return {
            str(entry["module"]): Record(
                module=str(entry["module"]),
                key=str(entry["key"]),
                generated=int(entry["generated"]),
                outcomes=tuple(_outcome(each) for each in entry["outcomes"]),
                survivors=_survivors(root, str(entry["module"])),
            )
            for entry in raw["modules"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _outcome(entry: dict[str, object]) -> Outcome:
    """One outcome from its JSON; a mutant that ended in no known way proves nothing."""
    found = Outcome(**entry)  # type: ignore[arg-type]
    if found.outcome not in _ENDS:
        raise ValueError(found.outcome)
    return found


def latest(root: Path, module: str, key: str | None = None) -> Record | None:
    """Record of a module: the one of the given key where there is one, else the committed one."""
    found = [_stored(root / path, root).get(module) for path in (LOCAL, COMMITTED)]
    known = [record for record in found if record]
    return next((record for record in known if record.key == key), known[-1] if known else None)


def run(
    dossier: Dossier,
    chosen: list[Target],
    *,
    path: Path,
    limit: int | None,
    say: Callable[[str], None],
) -> list[Record]:
    """Try mutants of some targets, all or `limit` each and evenly spread; store the records.

    A target whose run proves nothing has no record, and is said.
    """
    records = []
    for target in chosen:
        try:
            source = (dossier.root / target.module).read_text("utf-8-sig")
            every = mutants.mutants(source)
        except SyntaxError as error:
            say(f"{target.module}:{error.lineno}: no record: {error.msg}")
            continue
        except UnicodeDecodeError:
            say(f"{target.module}:1: no record: is not UTF-8")
            continue
        step = max(1, -(-len(every) // limit)) if limit else 1
        tried = every[::step]
        say(f"{target.module}: {len(tried)} of {len(every)} mutants, {len(target.tests)} tests")
        try:
            outcomes = _try(dossier.root, target, source, tried)
        except ProjectError as error:
            say(f"  no record: {error}")
            continue
        record = Record(
            module=target.module,
            key=target.key,
            generated=len(every),
            outcomes=tuple(outcomes),
            survivors=_survivors(dossier.root, target.module),
        )
        say(f"  {record.killed} of {record.counted} died")
        for line in record.surviving():
            say(f"  survived {target.module}:{line}")
        records.append(record)
        _store(path, dossier.root, record)
    return records


def _store(path: Path, root: Path, record: Record) -> None:
    """Replace a module's record in a file."""
    known = {}
    for name, each in {**_stored(path, root), record.module: record}.items():
        entry = asdict(each)
        del entry["survivors"]
        known[name] = {**entry, "killed": each.killed, "tried": len(each.outcomes)}
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"schema": "cxr-verify/mutation/1", "modules": [known[k] for k in sorted(known)]}
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    aside.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", "utf-8")
    aside.replace(path)


def _try(root: Path, target: Target, source: str, tried: list[mutants.Mutant]) -> list[Outcome]:
    """Run the mutants in a process of their own; refuse results that prove nothing."""
    sentinel = mutants.sentinel(source).source
    if _code(sentinel) == _code(source):  # no function could raise: the module itself must
        sentinel = 'raise AssertionError("sentinel")'
    cases = [source, sentinel, *(mutant.source for mutant in tried)]
    job = {"root": str(root), "module": target.module, "tests": target.tests, "sources": cases}
    with tempfile.TemporaryDirectory() as scratch:
        order = Path(scratch) / "job.json"
        order.write_text(json.dumps(job), "utf-8")
        command = [sys.executable, "-m", "verification.mutant_runner", str(order)]
        package = str(Path(__file__).resolve().parent.parent)
        done = subprocess.run(  # noqa: S603  # fixed arguments, no shell
            command,
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": package},
        )
        answer = order.with_name("answer.json")
        if done.returncode or not answer.is_file():
            tail = done.stderr.decode("utf-8", "replace")[-2000:]
            message = f"{target.module}: the mutants could not be run:\n{tail}"
            raise ProjectError(message)
        results = json.loads(answer.read_text("utf-8"))
    if results[0] != "survived":
        message = f"{target.module}: the tests do not pass on the original ({results[0]})"
        raise ProjectError(message)
    if results[1] != "killed":
        message = f"{target.module}: the sentinel lives ({results[1]}): the run proves nothing"
        raise ProjectError(message)
    strange = sorted(set(results[2:]) - _ENDS)
    if strange:
        message = f"{target.module}: the run proves nothing: {', '.join(strange)}"
        raise ProjectError(message)
    return [
        Outcome(line=m.line, name=m.name, outcome=o)
        for m, o in zip(tried, results[2:], strict=True)
    ]
