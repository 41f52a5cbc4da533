"""Six faults of a quality record, given to cxr-verify and to the tools nearest to it.

Each tool gets the same small device (two requirements, two risk controls, their tests) in its own
form, set up as strictly as its manual allows; its gate must pass. Then one fault at a time is put
in, tests are run again where a team would, and the gate is asked. Found: it exits with an error.

Usage: python benchmarks/bench_six_faults.py FOLDER_OF_A_VIRTUAL_ENVIRONMENT_WITH_THE_PEERS
writes results/six_faults.json. A peer that is not installed there is left out by name.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results/six_faults.json"
SAMPLE = ROOT / "tests/verification/sample_project"
CODE = "cxr_device/guards.py"

FAULTS = {
    "reworded": "a requirement reworded under a green test",
    "other_commit": "results of another commit",
    "other_weights": "results of other weights",
    "control_deleted": "a risk control deleted",
    "control_mutated": "a control's code changed so that no test notices",
    "effectiveness_missing": "the record of a control's effectiveness removed",
}


@dataclass(frozen=True)
class Tool:
    """One tool: how its project is made, its tests are run, and its gate is asked."""

    name: str
    python: Path
    build: Callable[[Path], None]
    tests: list[str]
    gates: list[list[str]]
    """Found: one of them exits with an error."""
    requirements: tuple[str, str, str]
    """File, a phrase of a requirement in it, and the phrase that rewords it."""
    control: tuple[str, str]
    """File that holds the control RC-002, and where its text begins; `` deletes the file."""
    after: list[list[str]] = field(default_factory=list)
    """Commands that bring a new project to a clean state, after its first tests."""

    def run(self, root: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command of the tool's environment in a project."""
        paths = f"{root}{os.pathsep}{ROOT}" if self.name == "cxr-verify" else str(root)
        return subprocess.run(  # noqa: S603
            [str(self.python), *([] if command[0] == "-c" else ["-m"]), *command], cwd=root,
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip


def commit(root: Path) -> None:
    """Commit everything."""
    words = ["-c", "user.name=sample", "-c", "user.email=sample@example.org"]
    for command in (["add", "-A"], [*words, "commit", "-q", "--allow-empty", "-m", "state"]):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)  # noqa: S603, S607


def device(root: Path, test_head: str, mark: str) -> None:
    """Write the sample's code, its weights and its tests under a tool's own marker."""
    for name in (CODE, "cxr_device/__init__.py", "cxr_device/weights/network.onnx"):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SAMPLE / f"{name}.tmpl", target)
    (root / "tests").mkdir(exist_ok=True)
    (root / "tests/test_guards.py").write_text(
        f"from cxr_device import guards\n{test_head}\n\n"
        f"@{mark.format('SRS-001')}\ndef test_views():\n"
        "    assert [guards.accepts_view(v) for v in ('PA', 'AP', 'LL')] == [True, True, False]\n\n"
        f"@{mark.format('SRS-002')}\ndef test_age_bounds():\n"
        "    ages = [guards.accepts_age(years) for years in (21, 22, 120, 121)]\n"
        "    assert ages == [False, True, True, False]\n",
        "utf-8",
    )
    (root / "results.json").write_text('{"RC-001": 300, "RC-002": 300}', "utf-8")
    (root / ".gitignore").write_text("build/\nreports/\nreqcov-report/\n__pycache__/\n", "utf-8")


def sample(root: Path) -> None:
    """Unpack the sample project of cxr-verify."""
    for path in SAMPLE.rglob("*.tmpl"):
        name = path.relative_to(SAMPLE).as_posix().removesuffix(".tmpl")
        target = root / name.replace("gitignore", ".gitignore")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


TEXTS = {
    "UN-001": "A radiologist needs answers for frontal films of adults only.",
    "RC-001": "A film of another view is refused.",
    "RC-002": "A film of a child is refused.",
    "SRS-001": "The software shall reject a film whose view is neither PA nor AP.",
    "SRS-002": "The software shall reject a film of a patient below 22 or above 120 years.",
}
PARENT = {"RC-001": "UN-001", "RC-002": "UN-001", "SRS-001": "RC-001", "SRS-002": "RC-002"}


def reqcov(root: Path) -> None:
    """Write requirements in Markdown and the strictest rules."""
    device(root, "import pytest", 'pytest.mark.req("{}")')
    (root / "docs").mkdir()
    rows = []
    for name, text in TEXTS.items():
        lines = [f"## {name} - {name}", text]
        lines += [f"Parent: {PARENT[name]}"] if name in PARENT else []
        lines += [f"Verification: {'test' if name.startswith('SRS') else 'none'}", ""]
        rows.append("\n".join(lines))
    (root / "docs/srs.md").write_text("# Items\n\n" + "\n".join(rows), "utf-8")
    (root / "pytest.ini").write_text("[pytest]\nmarkers = req: requirement\n", "utf-8")
    (root / "reqcov.yml").write_text(
        'version: 1\nid_pattern: "[A-Z]+-\\\\d+"\nrequirements: [docs/*.md]\n'
        "sources: [cxr_device/*.py]\ntests: [tests/*.py]\njunit: [reports/*.xml]\nrules:\n"
        "  min_test_coverage: 100\n  fail_on_unknown_ids: true\n  fail_on_orphan_tests: true\n"
        "  fail_on_failing_tests: true\n  require_parent_for: [SRS, RC]\n"
        "  fail_on_coverage_drop: true\n",
        "utf-8",
    )


def pytest_verifies(root: Path) -> None:
    """Write the manifest of requirements."""
    device(root, "from pytest_verifies import verifies", 'verifies("{}")')
    rows = [{"id": name, "text": text} for name, text in TEXTS.items() if name.startswith("SRS")]
    rows += [{"id": name, "text": TEXTS[name]} for name in ("RC-001", "RC-002")]
    path = root / "tests/test_guards.py"
    text = path.read_text("utf-8")
    for number in ("001", "002"):
        text = text.replace(f'verifies("SRS-{number}")', f'verifies("SRS-{number}", "RC-{number}")')
    path.write_text(text, "utf-8")
    body = ",\n ".join(json.dumps(row) for row in rows)
    (root / "requirements.json").write_text(f'{{"requirements": [\n {body}\n]}}\n', "utf-8")


def doorstop(root: Path) -> None:
    """Write one document for each level, one file for each item."""
    device(root, "import pytest", 'pytest.mark.filterwarnings("default:{}")')
    for prefix, parent in (("UN", ""), ("RC", "UN"), ("SRS", "RC")):
        folder = root / "reqs" / prefix
        folder.mkdir(parents=True)
        above = f"  parent: {parent}\n" if parent else ""
        (folder / ".doorstop.yml").write_text(
            f"settings:\n  digits: 3\n{above}  prefix: {prefix}\n  sep: '-'\n", "utf-8"
        )
    for name, text in TEXTS.items():
        prefix = name.split("-")[0]
        links = f"links:\n- {PARENT[name]}: null\n" if name in PARENT else "links: []\n"
        tests = (
            "references:\n- path: tests/test_guards.py\n  type: file\n" if prefix == "SRS" else ""
        )
        (root / "reqs" / prefix / f"{name}.yml").write_text(
            f"active: true\nderived: false\nheader: ''\nlevel: 1.{int(name[-1])}\n{links}"
            f"normative: true\nref: ''\n{tests}reviewed: null\ntext: |\n  {text}\n",
            "utf-8",
        )


def jamb(root: Path) -> None:
    """Write one document for each level, one file for each item, and mark tests by item."""
    device(root, "import pytest", 'pytest.mark.requirement("{}")')
    tests = root / "tests/test_guards.py"
    tests.write_text(tests.read_text("utf-8").replace("SRS-", "SRS"), "utf-8")
    for prefix, parent in (("UN", ""), ("RC", "UN"), ("SRS", "RC")):
        folder = root / "reqs" / prefix.lower()
        folder.mkdir(parents=True)
        above = f"  parents:\n  - {parent}\n" if parent else ""
        (folder / ".jamb.yml").write_text(
            f"settings:\n  prefix: {prefix}\n  digits: 3\n  sep: ''\n{above}", "utf-8"
        )
    for name, text in TEXTS.items():
        links = f"links:\n- {PARENT[name].replace('-', '')}\n" if name in PARENT else "links: []\n"
        (root / "reqs" / name.split("-")[0].lower() / f"{name.replace('-', '')}.yml").write_text(
            f"active: true\ntype: requirement\n{links}text: {text}\nreviewed: null\n", "utf-8"
        )
    (root / "pyproject.toml").write_text(
        '[project]\nname = "sample"\nversion = "1"\n[tool.jamb]\ntest_documents = ["SRS"]\n'
        '[tool.pytest.ini_options]\naddopts = "--jamb --jamb-fail-uncovered"\n', "utf-8",
    )  # fmt: skip


def medharness(root: Path) -> None:
    """Write its items, each requirement verified by test, and link tests by id."""
    device(root, "import pytest", 'pytest.mark.dhf_links("{}")')
    (root / "DHF/config").mkdir(parents=True)
    (root / "DHF/config/global.yaml").write_text(
        "project_name: Sample\nomit_doc_types: [CR, REL, SOUP, DEF, SYSARCH, MODULE, SWDD]\n",
        "utf-8",
    )
    number = {"001": "view", "002": "age"}
    items = {"00_uc/UC-001": "", "01_crs/CRS-001": "derives_from: [UC-001]\nuser_group: Clinical\n"
             "priority: High\nverification_method: [Inspection]\n"
             "verification_criteria: as read\n"}  # fmt: skip
    for n, what in number.items():
        items[f"02_sys/SYS-{n}"] = (
            "category: Functional\nsatisfies: [CRS-001]\nverification_method: [Inspection]\n"
            "verification_criteria: as tested\n"
        )
        items[f"03_srs/SRS-{n}"] = (
            f"derives_from: [SYS-{n}]\nverification_method: [Test]\n"
            "verification_criteria: as tested\n"
        )
        items[f"10_risk/RISK-{n}"] = (
            f"hazard: wrong {what}\ncause: header\neffect: wrong answer\nseverity_pre: S1\n"
            "probability_pre: P1\nseverity_post: S1\nprobability_post: P1\n"
            "risk_acceptability: Acceptable\n"
        )
        items[f"11_rcm/RCM-{n}"] = f"mitigates: [RISK-{n}]\nimplements: [SYS-{n}]\n"
    for path, fields in items.items():
        file = root / "DHF/items" / f"{path}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        name = file.stem
        text = TEXTS.get(name.replace("RCM", "RC"), TEXTS["UN-001"])
        content = "" if name.startswith("RISK") else f"content: {text}\n"
        file.write_text(f"id: {name}\ntitle: {name}\n{content}{fields}", "utf-8")


JAMB = ["-c", "from jamb.cli.commands import cli; cli()"]


def tools(peers: Path) -> list[Tool]:
    """List cxr-verify and the peers that an environment holds."""
    python = peers / "bin/python"
    verify = "verification.cli"
    own = Tool(
        name="cxr-verify", python=Path(sys.executable), build=sample,
        tests=["pytest", "-q", "-p", "no:xdist", "-p", "no:cov"],
        gates=[[verify, "check"]],
        requirements=(
            "design_history_file/requirements.rst", "is neither PA nor AP", "is none of PA, AP, LL"
        ),
        control=("risk/risks.rst", ".. control:: Adults only"),
        after=[
            [verify, "accept", "--all", "--reviewer", "A. Author", "--reason", "first pin"],
            [verify, "mutate", "--commit"],
        ],
    )  # fmt: skip
    reworded = ("is neither PA nor AP", "is none of PA, AP, LL")
    listed = [
        Tool(
            name="reqcov", python=python, build=reqcov,
            tests=["pytest", "-q", "--junitxml=reports/junit.xml"],
            gates=[["reqcov.cli", "check", "--no-report"]],
            requirements=("docs/srs.md", *reworded), control=("docs/srs.md", "## RC-002"),
        ),
        Tool(
            name="pytest-verifies", python=python, build=pytest_verifies,
            tests=["pytest", "-q", "--verifies-out=reports",
                   "--verifies-baseline=requirements.json"],
            gates=[["pytest_verifies.cli", "combine", "reports", "--baseline", "requirements.json",
                    "--disallow-orphans", "--fail-under", "100"]],
            requirements=("requirements.json", *reworded),
            control=("requirements.json", '{"id": "RC-002"'),
        ),
        Tool(
            name="doorstop", python=python, build=doorstop, tests=["pytest", "-q"],
            gates=[["doorstop.cli.main", "--error-all"]],
            requirements=("reqs/SRS/SRS-001.yml", *reworded), control=("reqs/RC/RC-002.yml", ""),
            after=[["doorstop.cli.main", "clear", "all"], ["doorstop.cli.main", "review", "all"]],
        ),
        Tool(
            name="jamb", python=python, build=jamb, tests=["pytest", "-q"],
            gates=[[*JAMB, "validate", "--error-all"], [*JAMB, "check"], ["pytest", "-q"]],
            requirements=("reqs/srs/SRS001.yml", *reworded), control=("reqs/rc/RC002.yml", ""),
            after=[[*JAMB, "review", "mark", "all"], [*JAMB, "review", "clear", "all"]],
        ),
        Tool(
            name="medharness", python=python, build=medharness,
            tests=["pytest", "-q", "--junitxml=reports/junit.xml"],
            gates=[["medharness", "verify", "dhf", "--strict"],
                   ["medharness", "verify", "tests", "--strict", "--junit", "reports"]],
            requirements=("DHF/items/03_srs/SRS-001.yaml", *reworded),
            control=("DHF/items/11_rcm/RCM-002.yaml", ""),
        ),
    ]  # fmt: skip
    return [own, *listed]


def edit(path: Path, find: str, replace: str) -> None:
    """Replace a text that must be there."""
    text = path.read_text("utf-8")
    if find not in text:
        raise SystemExit(f"{path} does not hold {find!r}")
    path.write_text(text.replace(find, replace), "utf-8")


def put_in(tool: Tool, fault: str, root: Path) -> bool:
    """Put a fault into a clean project; says whether the tests are run again after it."""
    match fault:
        case "reworded":
            file, find, replace = tool.requirements
            edit(root / file, find, replace)
            return True
        case "other_commit":
            (root / "README.md").write_text("A change.\n", "utf-8")
        case "other_weights":
            with (root / "cxr_device/weights/network.onnx").open("ab") as weights:
                weights.write(b"other")
        case "control_deleted":
            delete(root, *tool.control)
            return True
        case "control_mutated":
            edit(root / CODE, "<= years <= 120", "<= years <= 130")
            edit(root / "tests/test_guards.py", "(21, 22, 120, 121)", "(21, 22, 120, 131)")
            return True
        case "effectiveness_missing":
            name = "risk/results/controls.json" if tool.name == "cxr-verify" else "results.json"
            (root / name).write_text("{}", "utf-8")
            return True
    return False


def delete(root: Path, file: str, begin: str) -> None:
    """Delete the control RC-002 where a tool keeps it."""
    path = root / file
    if not begin:
        path.unlink()
        return
    text = path.read_text("utf-8")
    start = text.index(begin)
    if path.suffix == ".json":
        rows = json.loads(text)["requirements"]
        kept = [row for row in rows if row["id"] != "RC-002"]
        path.write_text(json.dumps({"requirements": kept}), "utf-8")
        return
    end = text.find("\n## ", start + 1)
    path.write_text(text[:start] + (text[end + 1 :] if end > 0 else ""), "utf-8")


def version(tool: Tool) -> str:
    """Version of a tool where it is installed; empty where it is not."""
    package = "cxr-device" if tool.name == "cxr-verify" else tool.name
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run(  # noqa: S603
        [str(tool.python), "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def measure(tool: Tool, scratch: Path) -> dict[str, object]:
    """Give a tool each fault in a fresh copy of its clean project."""
    clean = scratch / "clean"
    clean.mkdir()
    tool.build(clean)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=clean, check=True)  # noqa: S607
    commit(clean)
    first = tool.run(clean, tool.tests)
    for command in tool.after:
        tool.run(clean, command)
    commit(clean)
    again = tool.run(clean, tool.tests)
    asked = [tool.run(clean, gate) for gate in tool.gates]
    if first.returncode or again.returncode or any(gate.returncode for gate in asked):
        said = "".join(done.stdout + done.stderr for done in (again, *asked))
        raise SystemExit(f"{tool.name}: the clean project fails:\n{said}")
    row: dict[str, object] = {"tool": tool.name, "version": version(tool)}
    for fault in FAULTS:
        root = scratch / fault
        shutil.copytree(clean, root, symlinks=True)
        rerun = put_in(tool, fault, root)
        commit(root)
        if rerun:
            tool.run(root, tool.tests)
        found = any(tool.run(root, gate).returncode for gate in tool.gates)
        row[fault] = "found" if found else "missed"
    row["found"] = sum(row[fault] == "found" for fault in FAULTS)
    return row


def main(peers: Path) -> None:
    """Measure every tool and write the table."""
    rows, absent = [], []
    for tool in tools(peers):
        if not version(tool):
            absent.append(tool.name)
            continue
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(measure(tool, Path(scratch)))
        print(rows[-1])
    table = {
        "faults": FAULTS,
        "tools": rows,
        "not_installed": absent,
        "method": "found: the gate that passed the clean project exits with an error",
    }
    RESULTS.write_text(json.dumps(table, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
