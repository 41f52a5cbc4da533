"""The documents of this repository: what they state, what they take from files, what they owe."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from verification import clauses, items, pipeline, verifies
from verification.metric import MetricError, criterion, resolve
from verification.repository import Repository
from verification.risk_rules import level_of
from verification.submission import attachments, for_paper

ROOT = Path(__file__).resolve().parents[2]


def text(name: str) -> str:
    return " ".join((ROOT / name).read_text("utf-8").split())


@pytest.fixture(scope="module")
def found() -> items.Items:
    pytest.importorskip("sphinx_needs")
    return items.load(Repository(ROOT))


def test_the_items_of_this_repository_read_without_complaint(found: items.Items) -> None:
    assert found.findings == ()
    assert sum(item.type == "req" for item in found.by_id.values()) >= 60
    assert sum(item.type == "risk" for item in found.by_id.values()) >= 25
    assert {name for name, places in found.places.items() if len(places) > 1} == set()


@verifies("SRS-185@7370bfa0")
@pytest.mark.system
def test_instructions_state_use_limits_and_what_is_not_seen() -> None:
    statement = (
        "cxr_device is software that flags frontal chest radiographs of adults (22 years or older)"
        " on which pneumonia is suspected, so that a radiologist can read them earlier; it neither"
        " diagnoses nor marks regions, and every film is read by a radiologist."
    )
    ours = text("docs/instructions_for_use.rst")
    assert statement in ours
    assert statement in text("design_history_file/intended_use.rst")
    assert statement in text("docs/submission/indications.rst")
    assert "is not a normal film: pneumonia is not excluded" in ours
    assert "History, examination, demographics, cultures" in ours
    assert "At low prevalence most flags are false" in ours
    release = ROOT / "cxr_device" / "release.toml"
    if release.is_file():
        label = tomllib.loads(release.read_text("utf-8"))["label"]
        assert label["intended_use"] == statement


@verifies("SRS-370@6b2d5f0a")
@pytest.mark.system
def test_the_risk_report_names_what_rests_on_information_alone(found: items.Items) -> None:
    report = text("risk/risk_management_report.rst")
    opening = "Risks that rest on information alone:"
    named = set(re.findall(r"RISK-\d+", report.partition(opening)[2].partition(" Risks from ")[0]))
    risks = [item for item in found.of("risk") if item.judged]
    alone = {
        risk.id
        for risk in risks
        if {found.by_id[name].get("control_type") for name in risk.links["controls"]}
        == {"information"}
    }
    assert named == alone
    above = {risk.id for risk in risks if level_of(risk, "residual_") != "acceptable"}
    assert bool(above) != ("in the risk item: there is none" in report)


@verifies("SRS-186@15492e92")
@pytest.mark.system
def test_the_performance_chapter_takes_subgroups_and_numbers_from_results() -> None:
    chapter = (ROOT / "docs" / "submission" / "performance.rst").read_text("utf-8")
    assert "metric-table:: validation/results/subgroups.json#/subgroups" in chapter
    assert ".. limitations:: validation/results/subgroups.json" in chapter
    prose = re.sub(r"`[^`]*`|^\.\. .*$|:\w[\w-]*:.*$", "", chapter, flags=re.MULTILINE)
    assert re.findall(r"\b0\.\d{2,}", prose) == [], "a performance number is typed by hand"


@verifies("SRS-187@7d8f627a")
@pytest.mark.system
def test_the_monitoring_plan_names_rates_limits_and_actions() -> None:
    plan = text("docs/monitoring_plan.rst")
    for rate in ("films flagged", "films refused", "Positive predictive value", "Failed self-test"):
        assert rate in plan
    labelling = next(a for a in attachments(ROOT) if "labelling" in a.file)
    assert "docs/monitoring_plan" in labelling.documents


@verifies("SRS-188@fff21301")
def test_every_dependency_is_locked_by_digest_at_the_version_of_the_soup_list(
    found: items.Items,
) -> None:
    for name in ("base.txt", "dev.txt"):
        lock = (ROOT / "requirements" / name).read_text("utf-8").replace("\\\n", " ")
        entries = [line for line in lock.splitlines() if re.match(r"[A-Za-z0-9]", line)]
        assert entries
        assert [line for line in entries if "--hash=sha256:" not in line] == []
        locked = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", lock, re.MULTILINE))
        for item in found.of("soup"):
            package = item.get("package")
            assert locked.get(package, item.get("version")) == item.get("version"), package


def test_every_clause_of_every_map_is_addressed(found: items.Items) -> None:
    for name in clauses.standards():
        known = clauses.standard(name, ROOT, found)
        assert [c.number for c in known.clauses if not c.met] == [], name


def test_every_placeholder_has_an_owner() -> None:
    places = clauses.placeholders(ROOT)
    assert places
    assert [p for p in places if not p.owner] == []


def test_every_declared_stage_has_an_architecture_item(found: items.Items) -> None:
    steps = pipeline.steps(ROOT, found)
    names = [step.name for step in steps]
    assert names[:3] == ["intake", "guards", "decoding"]
    timed = [
        name
        for name in pipeline.declared(ROOT)
        if name in ("preprocessing", "pixel_gate", "network")
    ]
    assert [name for name in names if name in timed] == timed
    chart = pipeline.dot(steps)
    assert chart.index('"intake" -> "guards"') < chart.index('"calibration" -> "decision"')


def test_a_stage_without_architecture_item_is_refused(found: items.Items) -> None:
    known = {k: v for k, v in found.by_id.items() if k != "ARC-calibration"}
    with pytest.raises(pipeline.PipelineError, match="calibration"):
        pipeline.steps(ROOT, items.Items(known))


def test_a_metric_is_found_or_named_as_missing(tmp_path: Path) -> None:
    content = {"auc": {"estimate": 0.9, "rows": [1, 2]}}
    (tmp_path / "r.json").write_text(json.dumps(content), "utf-8")
    assert resolve(tmp_path, "r.json#/auc/estimate") == 0.9
    assert resolve(tmp_path, "r.json#/auc/rows/1") == 2
    for missing in ("r.json#/auc/lower", "r.json#/auc/rows/7", "none.json#/a"):
        with pytest.raises(MetricError):
            resolve(tmp_path, missing)


@pytest.mark.parametrize(("value", "holds"), [(0.86, True), (0.8599, False), (float("nan"), False)])
def test_a_criterion_holds_at_its_bound(value: float, *, holds: bool) -> None:
    assert criterion("r.json#/auc >= 0.86").holds(value) is holds


def test_a_criterion_without_number_is_refused() -> None:
    for wrong in ("r.json#/auc", "r.json#/auc >= high", "auc >= 0.8"):
        with pytest.raises(MetricError):
            criterion(wrong)


class Builds:
    """A folder of documents beside some results, built by Sphinx in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("conf.py", f"extensions = {EXTENSIONS}\ncxr_drawings = {DRAWINGS}\n")

    def write(self, name: str, content: object) -> None:
        """Write a text, or an object as JSON."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.folder / name).write_text(text, "utf-8")

    def __call__(self, page: str, form: str = "text") -> "subprocess.CompletedProcess[str]":
        """Build one page."""
        self.write("index.rst", f"T\n=\n\n{page}\n")
        command = [sys.executable, "-m", "sphinx", "-q", "-E", "-b", form, ".", "out"]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        return subprocess.run(  # noqa: S603  # fixed command
            command, cwd=self.folder, capture_output=True, text=True, check=False, env=environment
        )

    def shown(self, name: str = "index.txt") -> str:
        """Read what was built."""
        return (self.folder / "out" / name).read_text("utf-8")


EXTENSIONS = ["sphinx.ext.graphviz", "verification.documents"]
DRAWINGS = {"training-loss": "validation.training_curves:loss"}


@pytest.fixture
def builds(tmp_path: Path) -> Builds:
    pytest.importorskip("sphinx")
    return Builds(tmp_path)


@pytest.mark.system
def test_a_missing_number_stops_the_build(builds: Builds) -> None:
    builds.write("r.json", {"auc": {"estimate": 0.9, "lower": 0.8, "upper": 0.95}})
    builds.write("p.toml", "[criteria]\nauc = 0.8\n")
    good = builds(
        "AUC :metric:`r.json#/auc/estimate .2f`, bound :metric:`p.toml#/criteria/auc .2f`.\n\n"
        ".. metric:: r.json#/auc\n   :label: AUC"
    )
    assert good.returncode == 0, good.stderr
    assert "AUC 0.90, bound 0.80" in builds.shown()
    assert "0.900 [0.800, 0.950]" in builds.shown()
    assert builds(":metric:`r.json#/auc/n`").returncode != 0
    assert builds(":metric:`p.toml#/criteria/none`").returncode != 0
    assert builds(".. metric:: r.json#/sensitivity").returncode != 0
    assert builds(".. placeholder:: readers").returncode != 0
    absent = builds(".. results:: none.json\n\n   .. metric:: none.json#/auc")
    assert absent.returncode == 0, absent.stderr
    assert "none.json is not in the repository" in builds.shown()


@pytest.mark.system
def test_a_table_of_rows_shows_intervals_and_their_methods(builds: Builds) -> None:
    rows = [
        {"kind": "a", "share": 0.05, "ppv": {"estimate": 0.1, "lower": None, "upper": 0.2,
         "n": 1200, "method": "exact", "reason": "one-sided"}},
        {"kind": "b", "share": 0.15, "ppv": {"estimate": None, "reason": "no film"}},
    ]  # fmt: skip
    builds.write("r.json", {"rows": rows})
    table = ".. metric-table:: r.json#/rows\n   :columns: share ppv\n   :headings: Share, PPV\n"
    good = builds(table + "   :formats: .0% .2f\n   :where: kind=a", "html")
    assert good.returncode == 0, good.stderr
    page = builds.shown("index.html")
    assert ">5 %<" in page
    assert ">0.10 [\u2013, 0.20]<" in page
    assert "Methods: exact" in page
    assert "15 %" not in page
    assert "a heading and a format for each column" in builds(table + "   :formats: .0%").stderr
    assert "holds no npv" in builds(table.replace("ppv", "npv")).stderr


def subgroups(*limited: str, floor: float = 0.65) -> dict[str, object]:
    """Return a subgroup table: AP has a lower bound of 0.70, PA of 0.65, LL has none."""
    bounds = {"AP": 0.7, "PA": 0.65, "LL": None}
    return {
        "floor": floor,
        "measures": ["sensitivity"],
        "subgroups": [
            {"reference": "readers", "column": "view", "stratum": s, "sensitivity": {"lower": b}}
            for s, b in bounds.items()
        ],
        "limitations": [
            {"reference": "readers", "column": "view", "stratum": s, "measure": "sensitivity",
             "lower": bounds[s], "reason": f"because {s}"}
            for s in limited
        ],
    }  # fmt: skip


@verifies("SRS-213@60bc41c5", "RC-203@a9bc1b37", level="integration")
@pytest.mark.system
def test_a_failing_bound_without_its_limitation_stops_the_build(builds: Builds) -> None:
    """A bound at the floor does not exceed it; one that is absent says nothing."""
    page = ".. limitations:: s.json"
    builds.write("s.json", subgroups("PA", "LL"))
    good = builds(page, "html")
    assert good.returncode == 0, good.stderr
    assert "because PA" in builds.shown("index.html")
    assert "because LL" in builds.shown("index.html")
    for wrong in (("PA",), ("LL",), ("PA", "LL", "AP")):
        builds.write("s.json", subgroups(*wrong))
        failed = builds(page)
        assert failed.returncode != 0
        assert "and its limitations differ at readers, view" in failed.stderr
    builds.write("s.json", subgroups("PA", "LL") | {"floor": None})
    assert builds(page).returncode != 0


@verifies("SRS-212@efa9ce50", level="integration")
@pytest.mark.system
def test_a_figure_is_drawn_from_its_record_or_stops_the_build(builds: Builds) -> None:
    curve = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.4}]
    record = {"members": [{"config": {"seed": 1}, "curve": curve}]}
    builds.write("t.json", record)
    builds.write("roc.svg", "<svg>roc</svg>")
    page = ".. drawing:: t.json\n   :by: training-loss\n\n.. drawing:: roc.svg\n   :title: ROC"
    good = builds(page, "html")
    assert good.returncode == 0, good.stderr
    assert builds.shown("index.html").count("<circle") == 2
    assert "<svg>roc</svg>" in builds.shown("index.html")
    del curve[1]["loss"]
    builds.write("t.json", record)
    assert "member 1" in builds(page, "html").stderr
    assert "no figure pr.svg" in builds(".. drawing:: pr.svg", "html").stderr
    assert "no drawing other" in builds(".. drawing:: t.json\n   :by: other", "html").stderr


def test_a_figure_is_printed_in_its_light_palette() -> None:
    from validation.figures import Chart  # noqa: PLC0415  # the drawer of the committed figures

    drawing = Chart(title="T", x_label="x", y_label="y").line([0.0, 1.0], [0.0, 1.0]).svg()
    assert "var(--a)" in drawing
    paper = for_paper(drawing)
    assert "var(" not in paper
    assert "@media" not in paper
    assert 'stroke="#1f6feb"' in paper
    assert paper.endswith("</svg>\n")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("rq", "rq"),
        ("req\n   :columns: title ownr", "ownr"),
        ("req\n   :status: pendng", "pendng"),
    ],
)
@pytest.mark.system
def test_a_table_of_items_that_do_not_exist_stops_the_build(
    builds: Builds, words: str, fault: str
) -> None:
    done = builds(f".. item-table:: {words}")
    assert done.returncode != 0
    assert fault in done.stderr
