"""A whole small project, clean by the gate, for faults to be put into."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from verification.cli import main

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent


@dataclass(frozen=True)
class Project:
    """A git checkout of the sample project."""

    root: Path

    def git(self, *arguments: str) -> None:
        """Run git."""
        identity = ["-c", "user.name=sample", "-c", "user.email=sample@example.org"]
        command = ["git", "-c", "commit.gpgsign=false", *identity, *arguments]
        subprocess.run(command, cwd=self.root, check=True, capture_output=True)  # noqa: S603

    def commit(self) -> None:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "state", "--allow-empty")

    def pytest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the project's own suite."""
        environment = {**os.environ, "PYTHONPATH": f"{self.root}{os.pathsep}{PACKAGE}"}
        for name in [n for n in environment if n.startswith(("PYTEST_", "COV_"))]:
            del environment[name]
        return subprocess.run(  # noqa: S603
            [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cov", *arguments],
            cwd=self.root,
            check=False,
            capture_output=True,
            text=True,
            env=environment,
        )

    def verify(self, *arguments: str) -> Result:
        """Run cxr-verify."""
        return CliRunner().invoke(main, ["--root", str(self.root), *arguments])

    def path(self, name: str) -> Path:
        """Find a file."""
        return self.root / name

    def edit(self, name: str, find: str, replace: str) -> None:
        """Replace the first occurrence of a text."""
        text = self.path(name).read_text("utf-8")
        assert find in text, f"{name} does not hold {find!r}"
        self.path(name).write_text(text.replace(find, replace, 1), "utf-8")


def _unpack(target: Path) -> None:
    source = HERE / "sample_project"
    for path in sorted(source.rglob("*.tmpl")):
        name = path.relative_to(source).as_posix().removesuffix(".tmpl")
        place = target / name.replace("gitignore", ".gitignore")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make the sample project with pinned tests, tried mutants and evidence of its commit."""
    project = Project(tmp_path_factory.mktemp("sample") / "project")
    project.root.mkdir()
    _unpack(project.root)
    project.git("init", "-q", "-b", "main")
    project.commit()
    first = project.pytest()
    assert first.returncode == 0, first.stdout + first.stderr
    reviewed = ["--reviewer", "A. Author", "--reason", "first pin"]
    accepted = project.verify("accept", "--all", *reviewed)
    assert accepted.exit_code == 0, accepted.output
    tried = project.verify("mutate", "--commit")
    assert tried.exit_code == 0, tried.output
    project.commit()
    assert project.pytest().returncode == 0
    return project


@pytest.fixture
def project(clean: Project, tmp_path: Path) -> Project:
    """Give a copy of the clean project to change at will."""
    copy = Project(tmp_path / "project")
    shutil.copytree(clean.root, copy.root, symlinks=True)
    return copy
