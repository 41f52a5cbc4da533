"""The activation map: the score taken apart, and kept out of triage."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from builders import dx, pixels, to_bytes

from cxr_device import Analyzed, Device
from cxr_device.errors import ClaimError
from cxr_device.explanation import ClassActivation
from cxr_device.outputs import folder
from cxr_device.preprocessing import prepare
from cxr_device.radiograph import ModelInput
from cxr_device.release import Release
from verification import verifies


def of(release: Release) -> ClassActivation:
    """What takes the scores of a release apart."""
    return ClassActivation(
        graph=release.graph, weights=release.weights, heads=release.heads,
        score_heads=release.score_heads,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> ClassActivation:
    return of(Release.load())


@pytest.fixture(scope="module")
def research() -> Device:
    return Device.load(profile="research")


@verifies("SRS-235@174ea457", level="integration")
@pytest.mark.parametrize("opacity", [True, False])
def test_the_cells_add_up_to_the_score(opacity: bool, research: Device) -> None:  # noqa: FBT001
    result = research.read(to_bytes(dx(pixels(opacity=opacity))))
    found = research.activation(result)
    assert found is not None
    assert isinstance(result, Analyzed)
    assert found.cells.shape == (7, 7)  # 224 pixels, stride 32
    assert found.cells.std() > 0
    assert found.cells.sum() + found.offset == pytest.approx(research.score(result.film), abs=1e-4)


@verifies("SRS-235@174ea457", level="integration")
def test_the_cells_add_up_on_the_sample_films(shared_data: Path, research: Device) -> None:
    for path in sorted((shared_data / "dicom").glob("test[123].dcm")):
        result = research.read(path)
        assert isinstance(result, Analyzed)
        found = research.activation(result)
        assert found is not None
        score = research.score(result.film)
        assert found.cells.sum() + found.offset == pytest.approx(score, abs=1e-4)


@verifies("SRS-235@174ea457", level="integration")
@pytest.mark.parametrize("bottom", [False, True])
@pytest.mark.parametrize("right", [False, True])
def test_a_changed_corner_changes_the_nearer_cells_more(
    bottom: bool,  # noqa: FBT001
    right: bool,  # noqa: FBT001
    research: Device,
    shipped: ClassActivation,
) -> None:
    result = research.read(to_bytes(dx()))
    assert isinstance(result, Analyzed)
    film = prepare(result.film)
    changed = film.pixels.copy()
    corner = changed[..., ::-1, :] if bottom else changed
    corner = corner[..., ::-1] if right else corner
    corner[..., :48, :48] = 0
    apart = np.abs(shipped(ModelInput(pixels=changed)).cells - shipped(film).cells)
    rows, columns = apart.sum(axis=1), apart.sum(axis=0)
    assert (rows[3:].sum() > rows[:4].sum()) == bottom
    assert (columns[3:].sum() > columns[:4].sum()) == right


@verifies("SRS-235@174ea457", "SRS-178@5aa37ec3", "RC-178@72e47793", level="integration")
def test_the_graph_of_the_score_gives_logits_alone(release: Release) -> None:
    session = onnxruntime.InferenceSession(release.graph, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["logits"]


@verifies("SRS-235@174ea457", level="integration")
def test_a_graph_of_another_form_is_refused(release: Release, tmp_path: Path) -> None:
    graph = tmp_path / "network.onnx"
    graph.write_bytes(release.graph.read_bytes().replace(b'"\x04Gemm', b'"\x04Gemn'))
    shutil.copy(release.weights, tmp_path)
    with pytest.raises(ValueError, match="no linear layer"):
        of(replace(release, graph=graph))


@verifies("SRS-235@174ea457", level="integration")
@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "densenet121"])
def test_a_freshly_exported_network_is_taken_apart(
    architecture: str, release: Release, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from cxr_device import runtimes  # noqa: PLC0415
    from cxr_device.network import HEADS, Ensemble, build  # noqa: PLC0415
    from cxr_device.training.export import export  # noqa: PLC0415

    torch.manual_seed(0)
    net = Ensemble([build(architecture), build(architecture)])  # type: ignore[arg-type]
    weights, graph = tmp_path / "network.safetensors", tmp_path / "network.onnx"
    export(net, weights=weights, graph=graph)
    fresh = replace(
        release, weights=weights, graph=graph, architectures=(architecture,) * 2, heads=HEADS
    )
    noise = np.random.default_rng(1).normal(size=(1, 1, 224, 224)).astype(np.float32)
    logits = runtimes.on_cpu(graph, threads=0)(noise)[0]
    score = np.mean([logits[HEADS.index(head)] for head in release.score_heads])
    found = of(fresh)(ModelInput(pixels=noise))
    assert found.cells.sum() + found.offset == pytest.approx(float(score), abs=1e-4)


@verifies("SRS-236@b66621e7", "SRS-178@5aa37ec3", "RC-178@72e47793", level="system")
def test_no_map_is_in_a_triage_output(device: Device, research: Device, tmp_path: Path) -> None:
    data = to_bytes(dx())
    triage, other = device.read(data), research.read(data)
    assert device.activation(triage) is None
    assert device.activation(other) is None
    found = research.activation(other)
    assert found is not None
    with pytest.raises(ClaimError, match="triage"):
        folder.write(triage, device.release, picture=None, out=tmp_path, activation=found)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@verifies(
    "SRS-236@b66621e7", "RC-178@72e47793", "SRS-155@5e9e6fbd", "RC-155@66076a19", level="system"
)
def test_the_research_report_shows_the_map_and_says_what_it_is(
    research: Device, tmp_path: Path
) -> None:
    result = research.read(to_bytes(dx()))
    written = folder.write(
        result, research.release, picture=research.picture(result), out=tmp_path,
        activation=research.activation(result),
    )  # fmt: skip
    page = Path(written[0].path).read_text(encoding="utf-8")
    (figure,) = re.findall(r'<figure class="film-box">(.*?)</figure>', page, re.DOTALL)
    assert figure.count('<img class="map"') == 1
    assert 'name="opacity"' in figure
    assert "not the device" in figure
    entry = json.loads(Path(written[1].path).read_text(encoding="utf-8"))
    assert "cells" not in json.dumps(entry)


@verifies("SRS-236@b66621e7", level="integration")
def test_the_score_is_the_same_under_both_profiles(device: Device, research: Device) -> None:
    data = to_bytes(dx())
    one, two = device.read(data), research.read(data)
    assert isinstance(one, Analyzed)
    assert isinstance(two, Analyzed)
    assert one.decision == two.decision
