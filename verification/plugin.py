"""The pytest plugin: records which test verifies which item, and how it ended.

It only records; judging is the gate's. Links travel in `user_properties`, so they reach the
controller under pytest-xdist and the JUnit XML of any CI. The evidence is written by
`verification.evidence` at the end of the session.
"""

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from verification import evidence, items, markers

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_makereport",
]

_EXAMPLES: Final = re.compile(r"(\d+) passing examples?, (\d+) failing examples?, (\d+) invalid")
_LEVELS: Final = ("unit", "integration", "system")
_CHOICES: Final = (
    "keyword", "markexpr", "lf", "stepwise", "deselect", "ignore", "ignore_glob", "maxfail",
)  # fmt: skip
"""Options of pytest that leave cases out."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--evidence PATH`."""
    parser.addoption(
        "--evidence",
        metavar="PATH",
        default=None,
        help="where the links and outcomes are written (build/verification/results.json); "
        "empty: nowhere",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and on the controller the recorder."""
    config.addinivalue_line("markers", "verifies(*links): the items a test verifies, with hashes")
    wanted = not config.option.collectonly and config.option.evidence != ""
    if not hasattr(config, "workerinput") and wanted:
        config.pluginmanager.register(_Recorder(config), "verification-recorder")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a test that names an unknown id before anything runs."""
    known = _known(config.rootpath)
    if not known:
        return
    unknown = [
        f"{test.location[0]}:{(test.location[1] or 0) + 1}: {test.name} names the unknown id {name}"
        for test in items
        for link in _links(test)
        for name in [markers.split(link)[0]]
        if name not in known
    ]
    if unknown:
        raise pytest.UsageError("\n".join(sorted(set(unknown))))


def _known(root: Path) -> frozenset[str]:
    """Ids of the items below a root; empty where there are none."""
    return frozenset(items.locate(root))


def _links(test: pytest.Item) -> list[str]:
    """Links of a test from every marker above it, without repetition."""
    marks = test.iter_markers("verifies")
    return list(dict.fromkeys(str(link) for mark in marks for link in mark.args))


def _level(test: pytest.Item) -> str:
    """Level of a test: stated by its marker, else by its system mark or folder, else unit."""
    for mark in test.iter_markers("verifies"):
        stated = mark.kwargs.get("level")
        if stated in _LEVELS:
            return str(stated)
    if test.get_closest_marker("system") or "system" in Path(test.location[0]).parts:
        return "system"
    return "integration" if "integration" in Path(test.location[0]).parts else "unit"


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Attach links, level, technique and the count of tried examples to the report."""
    outcome = yield
    report = outcome.get_result()
    if call.when == "setup":
        techniques = [m.kwargs.get("technique") for m in item.iter_markers("verifies")]
        line = (item.location[1] or 0) + 1
        report.user_properties.extend(
            [
                ("verifies", " ".join(_links(item))),
                ("verifies_at", f"{item.location[0]}:{line}"),
                ("verifies_level", _level(item)),
                ("verifies_technique", " ".join(t for t in techniques if t)),
            ]
        )
    elif call.when == "call" and (stats := getattr(item, "hypothesis_statistics", None)):
        counts = [_EXAMPLES.search(line) for line in str(stats).splitlines()]
        passing, failing, invalid = (
            sum(int(match[k]) for match in counts if match) for k in (1, 2, 3)
        )
        text = f"{passing} passing, {failing} failing, {invalid} invalid"
        report.user_properties.append(("verifies_examples", text))


def _reason(report: pytest.TestReport) -> str:
    """Why a test was skipped or expected to fail, in its own words."""
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return ""


class _Recorder:
    """Collects reports on the controller and writes the evidence when the session ends."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._rows: dict[str, evidence.Row] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Fold one phase of a test into its row; the worst phase decides."""
        named = {str(key): str(value) for key, value in report.user_properties}
        at, _, line = named.get("verifies_at", f"{report.location[0]}:1").rpartition(":")
        fresh = evidence.Row(
            nodeid=report.nodeid,
            file=Path(at).as_posix(),
            line=int(line) if line.isdecimal() else 1,
            links=tuple(named.get("verifies", "").split()),
            level=named.get("verifies_level", "unit"),
            technique=named.get("verifies_technique", ""),
            examples=named.get("verifies_examples", ""),
            outcome=self._outcome(report),
            reason=_reason(report),
            duration=report.duration,
        )
        known = self._rows.get(report.nodeid)
        self._rows[report.nodeid] = known.join(fresh) if known else fresh

    @staticmethod
    def _outcome(report: pytest.TestReport) -> str:
        """Outcome of a phase, with expected failures by their own names."""
        if hasattr(report, "wasxfail"):
            return "xfailed" if report.skipped else "xpassed"
        if report.failed:
            return "failed" if report.when == "call" else "error"
        return "skipped" if report.skipped else "passed"

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the evidence of what ran."""
        stopped = bool(session.shouldfail or session.shouldstop)
        to_the_end = not stopped and exitstatus in {
            pytest.ExitCode.OK,
            pytest.ExitCode.TESTS_FAILED,
        }
        root = self._config.rootpath
        if not self._rows or not _known(root):
            return
        target = self._config.getoption("--evidence")
        seed = self._config.getoption("--hypothesis-seed", None)
        record = evidence.gather(
            root,
            list(self._rows.values()),
            complete=to_the_end and self._complete(),
            seed=str(seed or "none"),
        )
        evidence.write(record, Path(target) if target else evidence.default_path(root))

    def _complete(self) -> bool:
        """Whether the whole of the configured test folders ran, unfiltered."""
        option = self._config.option
        chosen = any(getattr(option, name, None) for name in _CHOICES)
        paths = [Path(str(arg)) for arg in self._config.args]
        whole = {(self._config.rootpath / p).resolve() for p in self._config.getini("testpaths")}
        given = {(self._config.invocation_params.dir / p).resolve() for p in paths}
        return not chosen and whole <= given
