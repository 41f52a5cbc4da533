"""Failpoints: a crash at the N-th point of a process, and the files that it leaves."""

import os
import signal
import subprocess
import sys

import pytest

from cxr_device.node.failpoints import ENVIRONMENT, reach
from verification import verifies

THREE_POINTS = """
from cxr_device.node.failpoints import reach
for point in ("written", "flushed", "renamed"):
    reach(point)
"""


@verifies("SRS-261@b4884f46", "RC-261@68ea0417")
@pytest.mark.parametrize(
    ("asked", "ended", "told"),
    [
        ("1", -signal.SIGKILL, ["failpoint 1 written"]),
        ("2", -signal.SIGKILL, ["failpoint 1 written", "failpoint 2 flushed"]),
        ("0", 0, ["failpoint 1 written", "failpoint 2 flushed", "failpoint 3 renamed"]),
    ],
)
def test_a_process_ends_at_the_point_that_is_asked(asked: str, ended: int, told: list[str]) -> None:
    done = subprocess.run(  # noqa: S603  # fixed arguments
        [sys.executable, "-c", THREE_POINTS],
        env={**os.environ, ENVIRONMENT: asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines() == told
    assert done.stdout == ""
    assert done.returncode == ended


@verifies("SRS-261@b4884f46")
def test_points_are_inert_where_nothing_is_asked(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    reach("written")
    assert capfd.readouterr() == ("", "")
