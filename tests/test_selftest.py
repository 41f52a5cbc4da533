"""The self-test: it passes on the locked device, and stops where the known film's score moved."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cxr_device import Device, IntegrityError, selftest
from cxr_device.release import PACKAGE, Release
from verification import verifies

Build = Callable[..., list[str]]


@pytest.fixture
def lines(device: Device, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Run the self-test on the loaded device with another locked film, score or tolerance."""

    def run(**changes: object) -> list[str]:
        test = replace(device.release.self_test, **changes)  # type: ignore[arg-type]
        release: Release = replace(device.release, self_test=test)
        changed = Device(release, infer=device._infer)  # noqa: SLF001  # the loaded network
        monkeypatch.setattr(selftest.Device, "load", lambda **_options: changed)  # type: ignore[attr-defined]
        return list(selftest.run())

    return run


@verifies("SRS-130@d5f726ba", "RC-130@e432754c", level="integration")
def test_the_locked_device_passes(lines: Build, device: Device) -> None:
    said = lines()
    assert len(said) == 3
    assert device.release.weights_sha256[:12] in said[0]
    assert said[-1] == "self-test passed"


@verifies("SRS-130@d5f726ba", "RC-130@e432754c", level="integration")
def test_a_score_at_its_tolerance_passes_and_beyond_it_stops(lines: Build, device: Device) -> None:
    result = device.read(device.release.self_test.film)
    score = device.score(result.film)  # type: ignore[union-attr]
    assert lines(score=score + 0.25, tolerance=abs(score - (score + 0.25)))
    for moved in (score + 0.26, score - 0.26, -score):
        with pytest.raises(IntegrityError, match="known film"):
            lines(score=moved, tolerance=0.25)


@verifies("SRS-130@d5f726ba", "RC-130@e432754c", level="integration")
def test_a_known_film_that_is_not_analysed_stops(lines: Build) -> None:
    with pytest.raises(IntegrityError, match="known film"):
        lines(film=PACKAGE / "release.toml")


@verifies("SRS-130@d5f726ba", "RC-130@e432754c", "SRS-321@307293d6", level="integration")
def test_a_release_in_another_folder_is_tested_as_research(tmp_path: Path) -> None:
    for name in ("release.toml", "release.sha256", "preprocessing.py", "weights", "examples"):
        (tmp_path / name).symlink_to(PACKAGE / name)
    assert list(selftest.run(folder=tmp_path))[-1] == "self-test passed"
