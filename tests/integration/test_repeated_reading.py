"""What must not move a result: repetition, threads, processes, free text, a missing network."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import dx, pixels, to_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import UID

from cxr_device import Analyzed, Device
from cxr_device.outputs import folder
from cxr_device.outputs.json_record import record
from cxr_device.release import Release
from cxr_device.vocabulary import CheckCode
from verification import verifies

SMALL = pixels(side=512)


@pytest.fixture(scope="module")
def counting(release: Release) -> Device:
    """The device with a network whose logits are the mean of its input: every pixel counts."""
    heads = len(release.heads)
    return Device(
        release,
        infer=lambda x: np.repeat(x.mean(axis=(1, 2, 3))[:, None], heads, 1).astype(np.float32),
    )


def told(device: Device, film: bytes) -> dict[str, Any]:
    """Record without what belongs to the bytes: digest, size, UIDs, times."""
    entry = record(device.read(film))
    entry["checks"] = [c for c in entry["checks"] if c["code"] != CheckCode.FILE_SIZE]
    del entry["timing_ms"], entry["source"]
    return entry


@verifies("SRS-153@e9f7fc7a", "RC-153@9cf4f7d8", level="system")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    keyword=st.sampled_from(
        ["StudyDescription", "PatientComments", "ImageComments", "InstitutionName", "PatientName"]
    ),
    text=st.text(st.characters(codec="ascii", exclude_characters="\\^="), max_size=40),
    day=st.dates().filter(lambda day: day.year > 999).map(lambda day: day.strftime("%Y%m%d")),
)
def test_any_free_text_and_any_date_leave_the_result(
    keyword: str, text: str, day: str, counting: Device
) -> None:
    plain = told(counting, to_bytes(dx(SMALL)))
    changes: dict[str, Any] = {keyword: text, "StudyDate": day, "ContentDate": day}
    changed = to_bytes(dx(SMALL, **changes))
    assert told(counting, changed) == plain


@verifies("SRS-180@07397333", "RC-180@1dfcdd47", level="integration")
def test_a_hundred_repetitions_from_eight_threads_give_one_value(device: Device) -> None:
    film = to_bytes(dx(SMALL))

    def probability(_number: int) -> float:
        result = device.read(film)
        assert isinstance(result, Analyzed)
        return result.decision.probability

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(probability, range(100)))) == 1


@verifies(
    "SRS-180@07397333", "RC-180@1dfcdd47", "SRS-177@68444642", "RC-177@4d05b5fb", level="system"
)
def test_new_processes_and_blocked_sockets_give_the_same_record(
    device: Device, tmp_path: Path
) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(to_bytes(dx(SMALL)))
    block = (
        "import sys\n"
        "def refuse(event, arguments):\n"
        "    if event.startswith('socket.'): raise OSError('blocked')\n"
        "sys.addaudithook(refuse)\n"
    )
    entries = [json.loads(json.dumps(record(device.read(path))))]
    for head in ("", block):
        program = head + "from cxr_device.cli import main; main()"
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", program, "read", "--json", str(path)],
            capture_output=True, check=True,
        )  # fmt: skip
        entries.append(json.loads(done.stdout))
    for entry in entries:
        del entry["timing_ms"]
    assert entries[0]["finding"] is not None
    assert entries[1] == entries[0]
    assert entries[2] == entries[0]


@verifies("SRS-176@7ee54576", "RC-176@80508525", level="integration")
def test_the_record_states_bytes_uids_and_device(counting: Device, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(to_bytes(dx(SMALL)))
    entry = record(counting.read(path))
    assert entry["source"] == {
        "path": str(path),
        "sha256": sha256(path.read_bytes()).hexdigest(),
        "sop_instance_uid": str(dx().SOPInstanceUID),
        "study_instance_uid": str(dx().StudyInstanceUID),
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
    }
    release = counting.release
    for name in ("weights_sha256", "config_sha256", "preprocessing_sha256"):
        assert entry["device"][name] == getattr(release, name)


@verifies("SRS-178@5aa37ec3", "RC-178@72e47793", level="integration")
def test_no_key_of_the_record_is_a_place_in_the_image(counting: Device, tmp_path: Path) -> None:
    result = counting.read(to_bytes(dx(SMALL)))
    folder.write(result, counting.release, picture=counting.picture(result), out=tmp_path)
    (path,) = tmp_path.rglob("result.json")
    entry = json.loads(path.read_text("utf-8"))
    assert set(entry["finding"]) == {"probability", "operating_point", "flag"}
    assert {output["kind"] for output in entry["outputs"]} == {"report_html"}


@verifies("SRS-175@700100c2", "RC-175@0352d367", level="integration")
@pytest.mark.parametrize("text", ["../../x", "/etc/x", "..\\x", "a/../../x", ".", "x\ny", "C:x"])
def test_no_attribute_names_a_path(text: str, counting: Device, tmp_path: Path) -> None:
    from pydicom import config  # noqa: PLC0415

    with config.disable_value_validation():
        film = dx(SMALL, StudyInstanceUID=text, PatientID=text, StudyID=text, Modality="CT")
        film.SOPInstanceUID = text
        film.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
        data = to_bytes(film)
    out = tmp_path / "a" / "b"
    written = folder.write(counting.read(data), counting.release, picture=None, out=out)
    digest = sha256(data).hexdigest()[:12]
    assert {Path(w.path).parent for w in written} == {out / f"film-{digest}"}
    files = {p for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {Path(w.path) for w in written}
