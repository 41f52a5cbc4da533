"""The device as a whole, in one process."""

import json
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import (
    J2K_LOSSLESS,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    RLE,
    compressed,
    dx,
    pixels,
    to_bytes,
)  # fmt: skip

from cxr_device import Analyzed, Device, Failed, IntegrityError, Rejected
from cxr_device.checks import DESCRIPTIONS
from cxr_device.outputs.json_record import record
from cxr_device.preprocessing import levels, prepare, resize, standardize
from cxr_device.radiograph import AcceptedRadiograph
from cxr_device.release import PACKAGE, Release
from cxr_device.result import Checked
from cxr_device.vocabulary import CheckCode, Flag, Outcome
from verification import verifies


def score(device: Device, data: bytes) -> float:
    """Score of a film that must be analysed."""
    result = device.read(data)
    assert isinstance(result, Analyzed)
    return device.score(result.film)


def rejecting(result: object) -> set[CheckCode]:
    """Codes that ended a result."""
    return {c.code for c in result.checks if c.outcome is Outcome.REJECT}  # type: ignore[attr-defined]


@verifies("SRS-136@4341cfcb", "RC-136@45163aad", level="system")
@pytest.mark.parametrize("syntax", [RLE, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_LS, J2K_LOSSLESS])
def test_a_lossless_syntax_does_not_change_the_score(syntax: str, device: Device) -> None:
    assert score(device, to_bytes(compressed(dx(), syntax))) == score(device, to_bytes(dx()))


@verifies("SRS-135@52b2a92d", "RC-135@9bcc93e2")
@pytest.mark.parametrize("window", [{}, {"WindowCenter": "2048", "WindowWidth": "3000"}])
def test_a_monochrome1_twin_has_the_same_score_bit_for_bit(
    window: dict[str, Any], device: Device
) -> None:
    twin_window = dict(window)
    if window:  # PS3.3 C.11.2.1.2.1: x - (c - 0.5) changes sign with c' = max - c + 1
        twin_window["WindowCenter"] = str(4095 - 2048 + 1)
    twin = dx(
        (4095 - pixels()).astype(np.uint16), PhotometricInterpretation="MONOCHROME1",
        PresentationLUTShape="INVERSE", **twin_window,
    )  # fmt: skip
    assert score(device, to_bytes(twin)) == score(device, to_bytes(dx(**window)))


@verifies("SRS-153@e9f7fc7a", "RC-153@9cf4f7d8", level="system")
@pytest.mark.parametrize(
    "changes",
    [
        {"StudyDescription": "Pneumonia"}, {"PatientName": "Other^Name"},
        {"StudyDate": "20200101", "ContentDate": "20200101"}, {"PatientComments": "cough, fever"},
        {"SeriesTime": "010203", "AccessionNumber": "77"},
    ],
)  # fmt: skip
def test_free_text_names_and_dates_change_nothing(changes: dict[str, Any], device: Device) -> None:
    plain, changed = device.read(to_bytes(dx())), device.read(to_bytes(dx(**changes)))
    assert isinstance(plain, Analyzed)
    assert isinstance(changed, Analyzed)
    assert changed.decision == plain.decision
    assert changed.checks[3:] == plain.checks[3:] or changed.checks == plain.checks


@verifies("SRS-131@86618d56", "RC-131@bd2090ae")
def test_all_findings_are_reported(device: Device) -> None:
    film = dx(Modality="CT", BodyPartExamined="ABDOMEN", PatientAge="010Y", ViewPosition="LL")
    wanted = {CheckCode.MODALITY, CheckCode.BODY_PART, CheckCode.AGE, CheckCode.VIEW}
    assert rejecting(device.read(to_bytes(film))) == wanted


@verifies("SRS-132@9927ddaf")
def test_a_failed_finding_outranks_a_rejected_one(device: Device) -> None:
    film = dx(Modality="CT")
    film.Rows = 1000
    result = device.read(to_bytes(film))
    assert isinstance(result, Failed)
    assert rejecting(result) == {CheckCode.MODALITY, CheckCode.LENGTH}
    assert result.exit_code == 4


@verifies("SRS-147@8b6ad5e8", level="integration")
def test_the_record_has_the_keys_of_its_schema(device: Device) -> None:
    entry = json.loads(json.dumps(record(device.read(to_bytes(dx())))))
    assert list(entry) == [
        "schema", "status", "source", "device", "checks", "view", "finding", "outputs", "timing_ms",
    ]  # fmt: skip
    assert entry["schema"] == "cxr-device/result/1"
    assert set(entry["source"]) == {
        "path", "sha256", "sop_instance_uid", "study_instance_uid", "transfer_syntax_uid",
    }  # fmt: skip
    assert set(entry["device"]) == {
        "name", "version", "claim", "profile", "weights_sha256", "config_sha256",
        "preprocessing_sha256",
    }  # fmt: skip
    assert set(entry["checks"][0]) == {
        "code", "outcome", "tag", "value", "accepted", "hazard", "message",
    }  # fmt: skip
    assert set(entry["finding"]) == {"probability", "operating_point", "flag"}
    assert set(entry["finding"]["operating_point"]) == {"name", "threshold"}
    assert entry["finding"]["flag"] in ("suspected", "not_suspected")
    assert {c["code"] for c in entry["checks"]} == set(CheckCode)


@verifies("SRS-148@b944f448", "RC-148@4c3b5db0")
@pytest.mark.parametrize(
    ("data", "status"),
    [(b"", "failed"), (to_bytes(dx(Modality="CT")), "rejected")],
)
def test_only_an_analysed_film_has_a_finding(data: bytes, status: str, device: Device) -> None:
    entry = record(device.read(data))
    assert entry["status"] == status
    assert entry["finding"] is None


@verifies("SRS-171@ec46c465", level="unit")
def test_the_view_is_stated_with_its_source(device: Device) -> None:
    film = dx(ViewPosition="AP", ViewCodeSequence=None)
    assert record(device.read(to_bytes(film)))["view"] == {"value": "AP", "source": "ViewPosition"}


@verifies("SRS-154@4d0805bf", "RC-154@d9af5b2a", level="integration")
def test_path_text_bytes_and_data_set_give_one_answer(device: Device, tmp_path: Path) -> None:
    film = dx()
    path = tmp_path / "film.dcm"
    path.write_bytes(to_bytes(film))
    results = [device.read(source) for source in (path, str(path), path.read_bytes(), film)]
    assert len({r.decision.probability for r in results if isinstance(r, Analyzed)}) == 1
    assert len(results) == sum(isinstance(r, Analyzed) for r in results)


@verifies(
    "SRS-154@4d0805bf",
    "RC-154@d9af5b2a",
    "SRS-180@07397333",
    "RC-180@1dfcdd47",
    level="integration",
)
def test_eight_threads_give_the_answers_of_one(device: Device) -> None:
    films = [to_bytes(dx(pixels(side=512, seed=seed))) for seed in range(4)]
    films += [to_bytes(compressed(dx(pixels(side=512, seed=seed)), JPEG_LS)) for seed in range(4)]
    alone = [score(device, film) for film in films]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda film: score(device, film), films * 3))
    assert together == alone * 3


@verifies("SRS-169@ed0d4aed", "RC-169@3e0d5462", level="integration")
def test_a_refusal_says_that_silence_is_not_negative(device: Device) -> None:
    from cxr_device.outputs.report_html import report  # noqa: PLC0415

    page = report(device.read(to_bytes(dx(Modality="CT"))), device.release, picture=None)
    assert "not a negative answer" in page
    page = report(device.read(to_bytes(dx())), device.release, picture=None)
    assert "not flagged is not a normal film" in page


@verifies("SRS-173@5d6ee333", level="integration")
def test_check_runs_no_network(release: Release) -> None:
    def never(_pixels: object) -> object:
        raise AssertionError("the network ran")

    device = Device(release, infer=never)  # type: ignore[arg-type]
    result = device.check(to_bytes(dx()))
    assert isinstance(result, Checked)
    outcomes = {c.code: c.outcome for c in result.checks}
    assert outcomes[CheckCode.PIXEL_GATE] is Outcome.NOT_RUN
    assert outcomes[CheckCode.PIXEL_RANGE] is Outcome.PASS
    assert isinstance(device.check(to_bytes(dx(Modality="CT"))), Rejected)


@verifies("SRS-176@7ee54576", "RC-176@80508525", level="integration")
def test_the_record_is_bound_to_the_bytes_not_the_uid(device: Device) -> None:
    first, second = dx(), dx(pixels(opacity=False))
    assert first.SOPInstanceUID == second.SOPInstanceUID
    one, two = device.read(to_bytes(first)), device.read(to_bytes(second))
    assert one.source.sha256 != two.source.sha256
    assert isinstance(one, Analyzed)
    assert isinstance(two, Analyzed)
    assert one.decision.probability != two.decision.probability


@verifies("SRS-177@68444642", "RC-177@4d05b5fb", level="system")
def test_reading_opens_no_connection(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert isinstance(device.read(to_bytes(compressed(dx(), JPEG_LS))), Analyzed)


@verifies("SRS-178@5aa37ec3", "RC-178@72e47793", level="integration")
def test_the_triage_claim_marks_no_region(device: Device) -> None:
    from cxr_device.outputs.report_html import report  # noqa: PLC0415

    result = device.read(to_bytes(dx()))
    page = report(result, device.release, picture=device.picture(result))
    assert page.count("<img") == 1
    assert not any(word in page.lower() for word in ("heatmap", "activation", "<canvas"))
    assert device.identity.claim == "triage"


@verifies("SRS-184@3cf91756", "RC-184@3c64cc72", level="integration")
def test_a_rejected_film_never_reaches_the_network(release: Release) -> None:
    def never(_pixels: object) -> object:
        raise AssertionError("the network ran")

    device = Device(release, infer=never)  # type: ignore[arg-type]
    for film in (dx(ViewPosition="LL"), dx(PatientAge="021Y"), dx(np.zeros((600, 600), np.uint16))):
        assert isinstance(device.read(to_bytes(film)), Rejected)


@verifies("SRS-142@b9082156", level="unit")
def test_the_score_is_the_mean_logit_of_the_release_s_heads(release: Release) -> None:
    logits = np.arange(len(release.heads), dtype=np.float32)[np.newaxis]
    device = Device(release, infer=lambda _pixels: logits)
    result = Device(release, infer=lambda _pixels: logits).read(to_bytes(dx()))
    assert isinstance(result, Analyzed)
    wanted = np.mean([release.heads.index(head) for head in release.score_heads])
    assert device.score(result.film) == pytest.approx(wanted)


@verifies("SRS-145@305eeadf", "RC-145@df1f3171", level="integration")
def test_the_operating_point_is_the_release_s_and_frozen(device: Device) -> None:
    result = device.read(to_bytes(dx()))
    assert isinstance(result, Analyzed)
    assert result.decision.operating_point == device.release.operating_point
    with pytest.raises(AttributeError):
        device.release.operating_point.threshold = 0.9  # type: ignore[misc]
    suspected = result.decision.probability >= device.release.operating_point.threshold
    assert (result.decision.flag is Flag.SUSPECTED) == suspected


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of what the release locks."""
    for name in ("release.toml", "release.sha256", "preprocessing.py"):
        shutil.copy(PACKAGE / name, tmp_path / name)
    shutil.copytree(PACKAGE / "weights", tmp_path / "weights")
    return tmp_path


@verifies("SRS-130@d5f726ba", "RC-130@e432754c", level="integration")
@pytest.mark.parametrize(
    "name",
    [
        "weights/network.safetensors",
        "weights/network.onnx",
        "weights/gate.onnx",
        "preprocessing.py",
    ],
)
def test_a_changed_byte_stops_the_device(name: str, package: Path) -> None:
    Release.load(package)
    blob = bytearray((package / name).read_bytes())
    blob[len(blob) // 2] ^= 1
    (package / name).write_bytes(blob)
    with pytest.raises(IntegrityError, match="SELF"):
        Release.load(package)
    (package / name).unlink()
    with pytest.raises(IntegrityError, match="SELF"):
        Release.load(package)


@verifies(
    "SRS-130@d5f726ba",
    "RC-130@e432754c",
    "SRS-166@5c924c83",
    "RC-166@4af25ac0",
    level="integration",
)
@pytest.mark.parametrize("broken", ["min_age_years = 22", "[operating_point]", "claim = "])
def test_a_damaged_release_file_stops_the_device(broken: str, package: Path) -> None:
    text = (package / "release.toml").read_text(encoding="utf-8")
    (package / "release.toml").write_text(text.replace(broken, "x y"), encoding="utf-8")
    with pytest.raises(IntegrityError):
        Release.load(package)


@verifies("SRS-130@d5f726ba", "RC-130@e432754c", "SRS-145@305eeadf", level="integration")
def test_a_moved_threshold_stops_the_device(package: Path) -> None:
    path = package / "release.toml"
    text = path.read_text(encoding="utf-8")
    moved = text.replace("threshold = 0.", "threshold = 0.9")
    assert moved != text
    path.write_text(moved, encoding="utf-8")
    with pytest.raises(IntegrityError, match="configuration"):
        Release.load(package)


@verifies("SRS-141@140d2709", "RC-141@66b99488", level="integration")
def test_the_runtime_equals_the_network_it_was_exported_from(release: Release) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from cxr_device import runtimes  # noqa: PLC0415

    films = [
        standardize(resize(pixels(opacity=o, seed=s)))[None] for o in (True, False) for s in (1, 2)
    ]
    batch = np.stack(films)
    eager = runtimes.on_torch(release.weights, release.architectures, "cpu", side=release.side)(
        batch
    )
    assert (
        np.abs(runtimes.on_cpu(release.graph, threads=0)(batch) - eager).max()
        <= runtimes.LOGIT_TOLERANCE
    )


@verifies("SRS-141@140d2709", "RC-141@66b99488", level="integration")
def test_the_runtime_equals_the_network_on_real_films(shared_data: Path, release: Release) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from cxr_device import runtimes  # noqa: PLC0415
    from cxr_device.preprocessing import prepare  # noqa: PLC0415

    reader = Device.load()
    results = [reader.read(path) for path in sorted((shared_data / "dicom").glob("test[123].dcm"))]
    batch = np.concatenate([prepare(r.film).pixels for r in results if isinstance(r, Analyzed)])
    assert len(batch) == 3
    eager = runtimes.on_torch(release.weights, release.architectures, "cpu", side=release.side)(
        batch
    )
    assert (
        np.abs(runtimes.on_cpu(release.graph, threads=0)(batch) - eager).max()
        <= runtimes.LOGIT_TOLERANCE
    )


@verifies("SRS-182@1cf56f19", "SRS-183@ce65f977", level="unit")
def test_every_code_is_described_once_with_an_action() -> None:
    assert list(DESCRIPTIONS) == list(CheckCode)
    assert all(d.action and d.hazard and d.accepted and d.otherwise for d in DESCRIPTIONS.values())
    with pytest.raises(ValueError, match="LATERAL"):
        CheckCode("LATERAL")


@verifies("SRS-135@52b2a92d", "RC-135@9bcc93e2", "SRS-137@8ea9322f", level="integration")
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("windowed", [False, True])
def test_the_network_sees_the_levels_that_the_display_copy_is_drawn_from(
    *, windowed: bool, inverted: bool
) -> None:
    table = np.linspace(65_534, 0, 4096).round().astype(np.uint16) if windowed else None
    film = AcceptedRadiograph(
        stored=pixels(side=1501), maximum=4095, inverted=inverted, table=table, table_maximum=65_534
    )
    shown = standardize(resize(levels(film)))
    assert np.array_equal(prepare(film).pixels[0, 0], shown)
    other = standardize(resize(film.stored, maximum=4095))  # neither windowed nor inverted
    assert np.allclose(shown, other, atol=0.01) == (windowed == inverted)
