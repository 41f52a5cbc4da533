"""The device's own part: what it was loaded as, which stage ran, and what the result carries."""

import os
from collections.abc import Callable
from io import BytesIO
from itertools import count
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from builders import RLE, compressed, dx, pixels, to_bytes
from numpy.typing import NDArray

from cxr_device import Analyzed, Device, Failed, Rejected, device, runtimes
from cxr_device.checks import Check, Verdict
from cxr_device.errors import ReleaseError
from cxr_device.release import PACKAGE, Release
from cxr_device.result import Checked, Result
from cxr_device.vocabulary import CheckCode, Outcome, Profile
from verification import verifies

SMALL = pixels(side=512)
FILM = to_bytes(dx(SMALL))
ONE = Verdict(outcome=Outcome.PASS, value="new", message="the first under its UID")
TWO = Verdict(outcome=Outcome.REJECT, value="known", message="another film has this UID")


def quick(release: Release, gate: runtimes.Infer | None = None) -> Device:
    """The device with a network that says nothing of the film."""
    logits = np.zeros((1, len(release.heads)), np.float32)
    return Device(release, infer=lambda _pixels: logits, gate=gate)


@pytest.fixture(scope="module")
def reader(release: Release) -> Device:
    return quick(release)


def checks(result: Result | Checked) -> dict[CheckCode, Check]:
    """Checks by their codes."""
    return {check.code: check for check in result.checks}


def tasks() -> int:
    """Threads of this process."""
    return len(list(Path("/proc/self/task").iterdir()))


@verifies("SRS-176@7ee54576", "RC-176@80508525", level="integration")
def test_a_loaded_device_is_the_installed_release_under_its_profile(release: Release) -> None:
    held = runtimes.on_cpu(release.graph, threads=1)  # a process's first starts one thread more
    begun = tasks()
    loaded = Device.load()
    assert tasks() == begun  # network and gate have the caller's thread alone
    del held
    assert loaded.identity.profile == "triage"
    assert loaded.identity.claim == str(release.label.claim)
    assert (loaded.identity.name, loaded.identity.version) == (release.name, release.version)
    assert Device.load(profile="research").profile is Profile.RESEARCH


@verifies("SRS-321@307293d6", "RC-320@0319c052", level="integration")
def test_a_release_in_another_folder_is_loaded_for_research_alone(tmp_path: Path) -> None:
    for name in ("release.toml", "release.sha256", "preprocessing.py", "weights"):
        (tmp_path / name).symlink_to(PACKAGE / name)
    with pytest.raises(ReleaseError, match="profile triage"):
        Device.load(folder=tmp_path)
    loaded = Device.load(folder=tmp_path, profile=Profile.RESEARCH)
    assert loaded.release.graph == tmp_path / "weights" / "network.onnx"


@verifies("SRS-359@3a2d6280", level="integration")
def test_a_release_s_folder_is_named_by_text_too(tmp_path: Path) -> None:
    for name in ("release.toml", "release.sha256", "preprocessing.py", "weights"):
        (tmp_path / name).symlink_to(PACKAGE / name)
    loaded = Device.load(folder=str(tmp_path), profile="research")
    assert loaded.release.graph == tmp_path / "weights" / "network.onnx"
    with pytest.raises(ReleaseError, match="profile triage"):
        Device.load(folder=str(tmp_path))


@verifies("SRS-173@5d6ee333", level="integration")
def test_guards_are_loaded_without_a_network() -> None:
    before = tasks()
    guards = Device.load_guards()
    assert tasks() == before
    assert isinstance(guards.check(FILM), Checked)
    with pytest.raises(RuntimeError, match="without its network"):
        guards.read(FILM)


@verifies("SRS-173@5d6ee333", level="integration")
def test_each_way_of_asking_runs_its_own_stages(reader: Device) -> None:
    not_run = {
        "read": set(),
        "check": {CheckCode.PIXEL_GATE},
        "check_header": {CheckCode.PIXEL_GATE, CheckCode.DECODE, CheckCode.PIXEL_RANGE},
    }
    results: dict[str, Result | Checked] = {
        "read": reader.read(FILM),
        "check": reader.check(FILM),
        "check_header": reader.check_header(FILM, duplicate_uid=ONE),
    }
    for name, result in results.items():
        outcomes = {code for code, each in checks(result).items() if each.outcome == "not_run"}
        assert outcomes - {CheckCode.DUPLICATE_UID} == not_run[name]
        assert isinstance(result, Analyzed if name == "read" else Checked)
    assert "only reading looks" in checks(results["check"])[CheckCode.PIXEL_GATE].message
    assert "earlier check" in checks(results["check_header"])[CheckCode.PIXEL_GATE].message


@verifies("SRS-176@7ee54576", level="integration")
def test_each_stage_s_milliseconds_are_stated(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = count()
    clock = SimpleNamespace(perf_counter=lambda: 100.0 + 0.00123456 * next(looks))
    monkeypatch.setattr(device, "time", clock)
    stages = ("intake", "guards", "decoding", "pixel_range", "preprocessing", "pixel_gate")
    told = quick(release).read(FILM).timing_ms
    assert told == {**dict.fromkeys((*stages, "network"), 1.235), "total": 9.876}


@verifies("SRS-125@1d130270", "RC-125@42d7ed6a", level="integration")
def test_the_gate_that_is_handed_over_is_the_one_that_judges(release: Release) -> None:
    asked: list[NDArray[np.float32]] = []

    def mirrored(shaped: NDArray[np.float32]) -> NDArray[np.float32]:
        asked.append(shaped)
        return np.array([[0.0, 9.0, *[0.0] * 8]], np.float32)

    result = quick(release, gate=mirrored).read(FILM)
    assert isinstance(result, Rejected)
    assert [shaped.shape for shaped in asked] == [(1, 1, 224, 224)]
    assert checks(result)[CheckCode.PIXEL_GATE].outcome == "reject"
    assert "network" not in result.timing_ms


class Seeing:
    """A network that keeps how many films it saw at once, and fails where it sees one of them."""

    def __init__(self, answer: list[float], fails_at: float | None = None) -> None:
        self.answer, self.fails_at = answer, fails_at
        self.seen: list[int] = []
        self.corners: list[float] = []

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer each film by its own pixels."""
        self.seen.append(len(pixels))
        self.corners += map(float, pixels[:, 0, 0, 0])
        if self.fails_at in self.corners[-len(pixels) :]:
            raise MemoryError("a defect")
        return np.array([[*self.answer, float(film.sum())] for film in pixels], np.float32)


@verifies("SRS-237@4a917d64", "RC-237@42db4e12", level="integration")
def test_films_that_the_networks_see_at_once_have_what_they_have_alone(release: Release) -> None:
    films = [to_bytes(dx(pixels(side=600, seed=seed))) for seed in range(3)]
    lateral = to_bytes(dx(SMALL, ViewPosition="LL"))
    gate = Seeing([9.0, 0.0, 0.0, 0.0])
    net = Seeing([0.5] * (len(release.heads) - 1))
    together = Device(release, infer=net, gate=gate).read_group([*films, lateral, b"text"])
    assert (gate.seen, net.seen) == ([3], [3])
    for film, result in zip([*films, lateral, b"text"], together, strict=True):
        assert not isinstance(result, Exception)
        alone = Device(release, infer=net, gate=gate).read(film)
        assert (result.source, result.checks) == (alone.source, alone.checks)
        assert getattr(result, "decision", None) == getattr(alone, "decision", None)
    assert Device(release, infer=net, gate=gate).read_group([]) == []


@verifies("SRS-237@4a917d64", "RC-237@42db4e12", level="integration")
def test_the_network_sees_the_films_that_the_gate_let_through(release: Release) -> None:
    films = [to_bytes(dx(pixels(side=600, seed=seed))) for seed in range(4)]
    shown: list[NDArray[np.float32]] = []

    def gate(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        shown.append(pixels)
        return np.array([[9.0 * (n % 2), 1, 0, 0, 0] for n in range(len(pixels))], np.float32)

    heads = len(release.heads)
    seen: list[NDArray[np.float32]] = []

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(pixels)
        return np.repeat(pixels[:, :, 112, 112], heads, axis=1)

    results = Device(release, infer=infer, gate=gate).read_group(films)
    assert [type(result) for result in results] == [Rejected, Analyzed, Rejected, Analyzed]
    assert np.array_equal(seen[0], shown[0][1::2])
    point = release.calibration
    for result, pixels_ in zip(results[1::2], seen[0], strict=True):
        assert isinstance(result, Analyzed)
        score = float(np.float64(pixels_[0, 112, 112]))
        assert result.decision.probability == pytest.approx(point.probability(score), abs=1e-9)
    stopped, passed = results[0], results[1]
    assert not isinstance(stopped, Exception)
    assert not isinstance(passed, Exception)
    assert "network" not in stopped.timing_ms
    assert {"pixel_gate", "network"} <= set(passed.timing_ms)


@verifies("SRS-237@4a917d64", "RC-237@42db4e12", level="integration")
def test_a_film_on_which_the_network_fails_fails_alone(release: Release) -> None:
    films = [to_bytes(dx(pixels(side=600, seed=seed))) for seed in range(3)]
    gate = Seeing([9.0, 0.0, 0.0, 0.0])
    answer = [0.5] * (len(release.heads) - 1)
    Device(release, infer=(whole := Seeing(answer)), gate=gate).read_group(films)
    net = Seeing(answer, fails_at=whole.corners[1])
    broken = Device(release, infer=net, gate=gate)
    first, failed, last = broken.read_group(films)
    assert isinstance(first, Analyzed)
    assert isinstance(failed, MemoryError)
    assert isinstance(last, Analyzed)
    assert net.seen == [3, 1, 1, 1]
    wrong, right = broken.read_group([None, films[0]])  # type: ignore[list-item]
    assert isinstance(wrong, TypeError)
    assert isinstance(right, Analyzed)


@verifies("SRS-176@7ee54576", level="integration")
def test_films_seen_at_once_share_the_milliseconds_of_it(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, net = Seeing([9.0, 0.0, 0.0, 0.0]), Seeing([0.5] * (len(release.heads) - 1))
    slow = Device(release, infer=net, gate=gate)
    now = [0.0]
    monkeypatch.setattr(device, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def late(ask: Seeing, seconds: float) -> runtimes.Infer:
        def asked(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            now[0] += seconds
            return ask(pixels)

        return asked

    monkeypatch.setattr(slow, "_gate", late(gate, 3.0))
    monkeypatch.setattr(slow, "_infer", late(net, 6.0))
    for result in slow.read_group([FILM, FILM, FILM]):
        assert not isinstance(result, Exception)
        told = {stage: spent for stage, spent in result.timing_ms.items() if spent}
        assert told == {"pixel_gate": 1000.0, "network": 2000.0, "total": 3000.0}


@verifies("SRS-131@86618d56", "RC-131@bd2090ae", level="integration")
@pytest.mark.parametrize("missing", [None, "PatientID"])
def test_a_node_refuses_what_has_no_patient_and_a_command_line_warns(
    missing: str | None, reader: Device
) -> None:
    film = to_bytes(dx(SMALL, **({missing: ""} if missing else {})))  # type: ignore[arg-type]
    for ask in (reader.read, reader.check_header):
        as_node = checks(ask(film, duplicate_uid=ONE))
        assert as_node[CheckCode.IDENTITY].outcome == ("reject" if missing else "pass")
        assert as_node[CheckCode.DUPLICATE_UID].value == "new"
    alone = checks(reader.read(film))
    assert alone[CheckCode.IDENTITY].outcome == ("warn" if missing else "pass")
    assert "only a node remembers" in alone[CheckCode.DUPLICATE_UID].message


@verifies("SRS-131@86618d56", "RC-131@bd2090ae", level="integration")
def test_a_second_film_under_a_uid_is_refused_before_it_is_decoded(reader: Device) -> None:
    result = reader.read(FILM, duplicate_uid=TWO)
    assert isinstance(result, Rejected)
    assert checks(result)[CheckCode.DUPLICATE_UID].message == TWO.message
    assert checks(result)[CheckCode.DECODE].outcome == "not_run"


@verifies("SRS-128@1d0fb40e", "RC-128@24430ffb", level="integration")
def test_a_film_that_does_not_decode_fails_and_goes_no_further(reader: Device) -> None:
    film = compressed(dx(SMALL), RLE)
    film.PixelData = film.PixelData.replace(b"\x02\0\0\0", b"\x03\0\0\0", 1)
    result = reader.read(to_bytes(film))
    assert isinstance(result, Failed)
    assert checks(result)[CheckCode.DECODE].value == "ValueError: 3 segments, 2 are needed"
    assert checks(result)[CheckCode.PIXEL_RANGE].outcome == "not_run"


@verifies("SRS-124@d12ccafc", "RC-124@293df7e2", level="integration")
def test_a_blank_film_is_refused_and_never_shaped(reader: Device) -> None:
    result = reader.read(to_bytes(dx(np.zeros((600, 600), np.uint16))))
    assert isinstance(result, Rejected)
    assert checks(result)[CheckCode.DECODE].value == "600 x 600"
    assert checks(result)[CheckCode.PIXEL_RANGE].outcome == "reject"
    assert "preprocessing" not in result.timing_ms


@verifies("SRS-135@52b2a92d", "RC-135@9bcc93e2", level="integration")
@pytest.mark.parametrize("bits", [12, 16])
def test_the_accepted_film_knows_its_range_and_its_sense(bits: int, reader: Device) -> None:
    result = reader.read(to_bytes(dx(SMALL << (bits - 12), bits_stored=bits)))
    assert isinstance(result, Analyzed)
    assert (result.film.maximum, result.film.inverted) == (2**bits - 1, False)
    assert result.film.table is None
    twin = dx(
        (4095 - SMALL).astype(np.uint16), PhotometricInterpretation="MONOCHROME1",
        PresentationLUTShape="INVERSE", WindowCenter="2048", WindowWidth="4096",
        PixelPaddingValue=4095,
    )  # fmt: skip
    shown = reader.read(to_bytes(twin))
    assert isinstance(shown, Analyzed)
    assert (shown.film.maximum, shown.film.inverted) == (4095, True)
    assert shown.film.table is not None
    assert shown.film.table.max() == shown.film.table_maximum
    assert shown.film.padding == (4095, 4095)


@verifies("SRS-171@ec46c465", level="unit")
@pytest.mark.parametrize(
    ("film", "view"),
    [
        (FILM, "PA"),
        (to_bytes(dx(SMALL, ViewPosition="AP", ViewCodeSequence=None, Modality="CT")), "AP"),
        (to_bytes(dx(SMALL, ViewPosition="LL", ViewCodeSequence=None)), None),
        (to_bytes(dx(SMALL, ViewPosition=None, ViewCodeSequence=None)), None),
        (b"no film", None),
    ],
)
def test_the_view_is_stated_where_the_header_gives_one(
    film: bytes, view: str | None, reader: Device
) -> None:
    found = reader.read(film).view
    assert (found and str(found.value)) == view


@verifies("SRS-154@4d0805bf", "RC-154@d9af5b2a", level="integration")
def test_a_defect_of_the_device_is_a_record_without_the_film_s_values(reader: Device) -> None:
    path = Path("/films/one.dcm")
    result = reader.defect(path, MemoryError("Planted^Name"))
    assert isinstance(result, Failed)
    assert result.source.path == str(path)
    assert result.device == reader.identity
    assert [each.code for each in result.checks] == list(CheckCode)
    for each in result.checks:
        assert (each.outcome, each.value) == ("not_run", "")
        assert each.message == "not run: internal error MemoryError"
    assert "Planted" not in repr(result)


@verifies("SRS-154@4d0805bf", "RC-154@d9af5b2a", level="integration")
@pytest.mark.parametrize("form", [str, Path, bytes], ids=lambda form: form.__name__)
def test_a_film_is_read_from_text_path_or_bytes(
    form: Callable[..., str | Path | bytes], reader: Device, tmp_path: Path
) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(FILM)
    result = reader.read(FILM if form is bytes else form(path))
    assert isinstance(result, Analyzed)
    assert result.source.path == (None if form is bytes else str(path))
    assert result.source.sop_instance_uid == dx().SOPInstanceUID


@verifies("SRS-358@f03f5638", level="integration")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\ud800x.dcm", "\\ud800x.dcm"),
        ("\udcffx.dcm", "\\xffx.dcm"),
        ("nul\0.dcm", "nul\0.dcm"),
        ("x" * 300, "x" * 300),
        ("", "."),
    ],
)
def test_text_that_names_no_file_is_file_read(name: str, shown: str, reader: Device) -> None:
    result = reader.read(name)
    assert isinstance(result, Failed)
    assert checks(result)[CheckCode.FILE_READ].outcome == "reject"
    assert result.source.path == shown


class Named:
    """A path-like object that is no Path."""

    def __init__(self, name: str | bytes) -> None:
        self._name = name

    def __fspath__(self) -> str | bytes:
        return self._name


@verifies("SRS-358@f03f5638", level="integration")
def test_a_path_like_object_is_a_path(reader: Device, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(FILM)
    for like in (PurePath(path), Named(str(path)), Named(bytes(path))):
        result = reader.read(like)  # type: ignore[arg-type]
        assert isinstance(result, Analyzed)
        assert result.source.path == str(path)
    (entry,) = os.scandir(tmp_path)
    assert isinstance(reader.check(entry), Checked)


@verifies("SRS-358@f03f5638", level="integration")
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_bytes_are_a_film_and_never_a_name(
    form: Callable[[bytes], bytes], reader: Device, tmp_path: Path
) -> None:
    assert isinstance(reader.check(form(FILM)), Checked)
    path = tmp_path / "film.dcm"
    path.write_bytes(FILM)
    result = reader.read(form(bytes(path)))
    assert checks(result)[CheckCode.FILE_PART10].outcome == "reject"


@verifies("SRS-358@f03f5638", level="integration")
def test_a_data_set_is_the_file_that_it_would_be(reader: Device) -> None:
    given = reader.read(dx(SMALL))
    assert isinstance(given, Analyzed)
    assert (given.source, given.checks) == ((of := reader.read(FILM)).source, of.checks)


@verifies("SRS-358@f03f5638", level="integration")
@pytest.mark.parametrize(
    "given",
    [None, 5, 0, 1.5, True, [1, 2], (), {}, np.zeros(4, np.uint8), BytesIO(FILM), Path],
    ids=lambda given: type(given).__name__,
)
def test_what_is_no_film_is_a_programming_error(given: Any, reader: Device) -> None:
    with pytest.raises(TypeError) as refused:
        reader.read(given)
    assert str(refused.value) == (
        f"a film is given as a path, bytes or a pydicom Dataset, not as {type(given).__name__}"
    )


@verifies("SRS-358@f03f5638", level="integration")
def test_an_open_file_is_a_programming_error(reader: Device, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(FILM)
    with path.open("rb") as file, pytest.raises(TypeError, match="not as BufferedReader"):
        reader.check(file)  # type: ignore[arg-type]


@verifies("SRS-178@5aa37ec3", "RC-178@72e47793", level="integration")
def test_a_picture_and_a_map_are_of_an_analysed_film_alone(release: Release) -> None:
    research = Device(
        release, infer=runtimes.on_cpu(release.graph, threads=1), profile=Profile.RESEARCH
    )
    film, refused = research.read(FILM), research.read(b"no film")
    picture = research.picture(film)
    assert picture is not None
    assert picture.shape == SMALL.shape
    assert research.picture(refused) is None
    assert isinstance(film, Analyzed)
    for _ in range(2):
        found = research.activation(film)
        assert found is not None
        score = research.score(film.film)
        assert found.cells.sum() + found.offset == pytest.approx(score, abs=1e-4)
    assert research.activation(refused) is None
    assert quick(release).activation(film) is None  # a triage claim points at no region
