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
    side = research.release.side
    assert found.cells.shape == (side // 32, side // 32)  # the stride of the network
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
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_changed_corner_changes_nearer_cells_than_the_corner_beside_it(
    axis: int,
    other: bool,  # noqa: FBT001
    research: Device,
    shipped: ClassActivation,
) -> None:
    result = research.read(to_bytes(dx()))
    assert isinstance(result, Analyzed)
    film = prepare(result.film)
    whole = shipped(film).cells
    places = []
    for end in (False, True):
        changed = film.pixels.copy()
        corner = np.moveaxis(changed[0, 0], axis, 0)[:: -1 if end else 1, :: -1 if other else 1]
        corner[:48, :48] = 0
        apart = np.abs(shipped(ModelInput(pixels=changed)).cells - whole).sum(axis=1 - axis)
        places.append(float(np.average(np.arange(len(apart)), weights=apart)))
    assert places[0] < places[1]


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
def test_a_release_of_links_is_taken_apart(release: Release, tmp_path: Path) -> None:
    """Installers may link files into place, as the score's runtime allows."""
    graph, weights = tmp_path / release.graph.name, tmp_path / release.weights.name
    graph.symlink_to(release.graph)
    weights.symlink_to(release.weights)
    film = ModelInput(pixels=np.zeros((1, 1, 224, 224), dtype=np.float32))
    found = of(replace(release, graph=graph, weights=weights))(film)
    assert np.array_equal(found.cells, of(release)(film).cells)


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
