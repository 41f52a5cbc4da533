"""The locked pixel gate inside the device: what it refuses, what it lets through, how fast."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import dx, pixels, to_bytes
from numpy.typing import NDArray
from pydicom import dcmread

from cxr_device import Analyzed, Device, Rejected, runtimes
from cxr_device.pixel_gate import judge_content
from cxr_device.preprocessing import prepare
from cxr_device.release import Release
from cxr_device.vocabulary import CheckCode, Outcome
from verification import verifies

Frame = NDArray[Any]
FAULTS: dict[str, Callable[[Frame], Frame]] = {
    "turned 90": np.rot90,
    "turned 180": lambda frame: np.rot90(frame, 2),
    "turned 270": lambda frame: np.rot90(frame, 3),
    "mirrored": lambda frame: frame[:, ::-1],
    "flipped": lambda frame: frame[::-1],
    "inverted": lambda frame: frame.max() - frame,
}


def rejecting(result: object) -> set[CheckCode]:
    """Codes that ended a result."""
    return {c.code for c in result.checks if c.outcome is Outcome.REJECT}  # type: ignore[attr-defined]


@verifies("SRS-125@1d130270", "RC-125@42d7ed6a", level="integration")
@pytest.mark.parametrize("opacity", [True, False])
@pytest.mark.parametrize("seed", [7, 8, 9])
def test_an_upright_phantom_is_let_through(seed: int, opacity: bool, device: Device) -> None:  # noqa: FBT001
    result = device.read(to_bytes(dx(pixels(seed=seed, opacity=opacity))))
    assert isinstance(result, Analyzed)
    gate = next(c for c in result.checks if c.code is CheckCode.PIXEL_GATE)
    assert gate.outcome is Outcome.PASS
    assert gate.value.startswith("upright frontal chest ")
    assert "pixel_gate" in result.timing_ms


@verifies("SRS-125@1d130270", "RC-125@42d7ed6a", level="integration")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_phantom_is_refused_by_the_gate_alone_and_never_scored(
    fault: str, release: Release
) -> None:
    def never(_pixels: object) -> object:
        raise AssertionError("the network ran")

    device = Device(release, infer=never)  # type: ignore[arg-type]
    frame = np.ascontiguousarray(FAULTS[fault](pixels()))
    result = device.read(to_bytes(dx(frame)))
    assert isinstance(result, Rejected)
    assert rejecting(result) == {CheckCode.PIXEL_GATE}
    assert result.exit_code == 3


@verifies("SRS-125@1d130270", "RC-125@42d7ed6a", level="integration")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_sample_is_refused(fault: str, device: Device, shared_data: Path) -> None:
    for path in sorted((shared_data / "dicom").glob("test[123].dcm")):
        film = dcmread(path)
        frame = np.ascontiguousarray(FAULTS[fault](film.pixel_array))
        film.Rows, film.Columns = frame.shape
        film.PixelData = frame.tobytes()
        assert rejecting(device.read(film)) == {CheckCode.PIXEL_GATE}, path.name


@verifies("SRS-125@1d130270", "RC-125@42d7ed6a", level="integration")
def test_pictures_of_something_else_are_refused(device: Device) -> None:
    rng = np.random.default_rng(1)
    axis = np.linspace(0, 1, 700)
    rings = np.sin(60 * np.hypot(axis[:, None] - 0.4, axis[None] - 0.5))
    slope = axis[:, None] + 0.3 * axis[None] + 0.05 * rng.normal(size=(700, 700))
    for picture in (rings, slope, rng.normal(size=(700, 700))):
        low, high = picture.min(), picture.max()
        frame = ((picture - low) / (high - low) * 4095).astype(np.uint16)
        assert rejecting(device.read(to_bytes(dx(frame)))) == {CheckCode.PIXEL_GATE}


@verifies("SRS-282@e19f1eb8", level="system")
def test_the_gate_answers_in_less_than_20_ms_on_one_core(device: Device, release: Release) -> None:
    result = device.read(to_bytes(dx()))
    assert isinstance(result, Analyzed)
    film, infer = prepare(result.film), runtimes.on_cpu(release.pixel_gate.graph, threads=1)
    times = []
    for _ in range(50):
        begun = time.thread_time()
        judge_content(infer(film.pixels)[0], at=release.pixel_gate.threshold)
        times.append(1e3 * (time.thread_time() - begun))
    assert statistics.median(times) < 20
