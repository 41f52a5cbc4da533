"""DICOM outputs as other people's tools see them: dciodvfy of dicom3tools, dsrdump of dcmtk."""

import json
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from builders import JPEG_LOSSLESS_SV1, compressed, dx, pixels, to_bytes
from pydicom import dcmread

from cxr_device.outputs.source_study import COPIED
from cxr_device.release import PACKAGE
from verification import verifies


def tool(name: str, package: str) -> str:
    """Path of a tool, or a skip that names its Debian package."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"system package missing: {package} ({name})")
    return found


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `cxr-device ARGUMENTS`."""
    command = [sys.executable, "-c", "from cxr_device.cli import main; main()"]
    return subprocess.run(  # noqa: S603
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DICOM outputs of conformant films: read and refused, both polarities, a portrait."""
    folder = tmp_path_factory.mktemp("films")
    films = {
        "plain": dx(WindowCenter=2048, WindowWidth=4096),
        "inverted": dx(
            4095 - pixels(opacity=False),
            WindowCenter=2048, WindowWidth=4096,
            PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE",
            PixelIntensityRelationshipSign=1,
        ),
        "portrait": compressed(dx(pixels()[:, :800].copy()), JPEG_LOSSLESS_SV1),
        "lateral": dx(ViewPosition="LL"),
        "child": dx(PatientAge="012Y"),
        "named": dx(SpecificCharacterSet="ISO_IR 192", PatientName="Ümlaut^Ä", PatientID="ID"),
    }  # fmt: skip
    for name, film in films.items():
        (folder / f"{name}.dcm").write_bytes(to_bytes(film))
    examples = PACKAGE / "examples"
    done = run("read", folder, examples, "--dicom", "--out", folder / "out", "--json")
    assert done.returncode == 3, done.stderr
    kinds = [[o["kind"] for o in json.loads(line)["outputs"]] for line in done.stdout.splitlines()]
    read = ["report_html", "dicom_sr", "secondary_capture", "encapsulated_pdf", "result_json"]
    refused = [kind for kind in read if kind != "secondary_capture"]
    assert kinds == [refused, read, refused, read, read, read, read, read]
    return folder / "out"


@verifies("SRS-245@98ddb9da", "SRS-240@13ccd97d", level="system")
def test_dciodvfy_finds_no_error(outputs: Path) -> None:
    dciodvfy = tool("dciodvfy", "dicom3tools")
    files = sorted(outputs.rglob("*.dcm"))
    assert len(files) == 6 * 3 + 2 * 2
    for path in files:
        done = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False)  # noqa: S603
        told = done.stdout + done.stderr
        assert "Comprehensive3DSR" in told or "SCImage" in told or "EncapsulatedPDF" in told
        assert "Error" not in told, f"{path.parent.name}/{path.name}: {told}"


@verifies("SRS-245@98ddb9da", level="system")
def test_dciodvfy_would_find_an_error(outputs: Path, tmp_path: Path) -> None:
    """The check above can fail: an object without its type 1 flag is reported."""
    report = dcmread(next(outputs.rglob("dicom_sr.dcm")))
    del report.CompletionFlag
    report.save_as(tmp_path / "broken.dcm")
    dciodvfy = tool("dciodvfy", "dicom3tools")
    done = subprocess.run(  # noqa: S603
        [dciodvfy, tmp_path / "broken.dcm"], capture_output=True, text=True, check=False
    )
    assert "Error" in done.stdout + done.stderr


@verifies("SRS-245@98ddb9da", "SRS-242@ee6c0226", level="system")
def test_dcmtk_reads_the_reports(outputs: Path, tmp_path: Path) -> None:
    dsrdump, dsr2html = tool("dsrdump", "dcmtk"), tool("dsr2html", "dcmtk")
    for path in sorted(outputs.rglob("dicom_sr.dcm")):
        dumped = subprocess.run([dsrdump, "+Pl", path], capture_output=True, text=True, check=True)  # noqa: S603
        refused = path.parent.name.startswith(("lateral", "child"))
        status = '(111225,DCM,"Not Attempted")' if refused else '(111222,DCM,"Succeeded")'
        assert status in dumped.stdout
        assert ("Certainty of Finding" in dumped.stdout) is not refused
        page = tmp_path / f"{path.parent.name}.html"
        subprocess.run([dsr2html, path, page], capture_output=True, check=True)  # noqa: S603
        assert "Imaging Measurement Report" in page.read_text(encoding="utf-8", errors="replace")


@verifies("SRS-240@13ccd97d", "SRS-242@ee6c0226", level="system")
def test_the_six_samples_are_answered(shared_data: Path, tmp_path: Path) -> None:
    done = run("read", "--dicom", "--out", tmp_path, shared_data / "dicom", "--json")
    assert done.returncode == 3
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    made = [[o["kind"] for o in e["outputs"] if o["sop_instance_uid"]] for e in entries]
    refused = ["dicom_sr", "encapsulated_pdf"]
    assert made == [["dicom_sr", "secondary_capture", "encapsulated_pdf"]] * 3 + [refused] * 3
    for path in tmp_path.rglob("*.dcm"):
        assert b"No Finding" not in path.read_bytes()  # their Study Description


@verifies("SRS-247@fac297aa", level="system")
def test_dicom_without_a_folder_is_wrong_usage() -> None:
    done = run("read", "--dicom", PACKAGE / "examples/phantom_opacity.dcm")
    assert done.returncode == 2
    assert "--out DIR" in done.stderr
    assert not done.stdout


@verifies("SRS-247@fac297aa", level="system")
@pytest.mark.parametrize("missing", ["highdicom", "reportlab"])
def test_dicom_without_its_libraries_names_the_extra(missing: str, tmp_path: Path) -> None:
    script = (
        "from cxr_device import cli\n"
        f"cli.find_spec = lambda name: None if name == {missing!r} else object()\n"
        f"cli.main(['read', '--dicom', '--out', {str(tmp_path / 'out')!r}, 'film.dcm'])\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert missing in done.stderr
    assert "pip install 'cxr-device[node]'" in done.stderr
    assert not (tmp_path / "out").exists()


@verifies("SRS-240@13ccd97d", level="system")
def test_a_file_without_a_study_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("not DICOM")
    done = run("read", "--dicom", "--out", tmp_path / "out", tmp_path / "text.dcm")
    assert done.returncode == 4
    assert "no DICOM answer" in done.stderr
    assert not list((tmp_path / "out").rglob("*.dcm"))


PLANTED: dict[str, Any] = {
    "PatientName": "Planted^Name",
    "PatientID": "PLANTED-ID",
    "PatientBirthDate": "19610203",
    "PatientAge": "064Y",
    "AccessionNumber": "PLANTED-ACC",
    "StudyDescription": "PLANTED description",
    "OtherPatientIDs": "PLANTED-OTHER",
}


@verifies(
    "SRS-149@a4a13613", "RC-149@fb40471f", "SRS-243@7e4c2e1f", "RC-241@234e672e", level="system"
)
def test_no_patient_stands_outside_the_headers_of_the_objects(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    (films / "1.dcm").write_bytes(to_bytes(dx(**PLANTED)))
    (films / "2.dcm").write_bytes(to_bytes(dx(**PLANTED, ViewPosition="LL")))
    bad = to_bytes(dx(**PLANTED, SpecificCharacterSet="ISO_IR 192"))
    bad = bad.replace(b"Planted^Name", b"Planted^Nam\xfc")
    (films / "3.dcm").write_bytes(bad)  # its name cannot be copied: exit 6
    (films / "4.dcm").write_bytes(to_bytes(dx(**PLANTED)).replace(b"PA", b"\xff\xfe"))
    (films / "5.dcm").write_bytes(to_bytes(dx(**PLANTED))[:900])
    out = tmp_path / "out"
    told = [run("read", films, "--dicom", "--out", out)]
    told += [run("read", films, "--dicom", "--out", tmp_path / "again", "--json")]
    told += [run("check", films), run("read", films / "absent Planted^Name.dcm", "--json")]
    assert told[0].returncode == told[1].returncode == 6
    said = "".join(done.stdout + done.stderr for done in told[:3])
    for path in [path for path in out.rglob("*") if path.is_file()]:
        data = path.read_bytes()
        if path.suffix == ".dcm":
            made = dcmread(path)
            assert made.PatientID == "PLANTED-ID"  # its archive files it by this
            for keyword in COPIED:
                if keyword in made:
                    del made[keyword]
            buffer = BytesIO()
            made.save_as(buffer)
            data = buffer.getvalue()
        said += data.decode("latin-1")
    assert len(list(out.rglob("*.dcm"))) >= 3 + 2
    for planted in ("Planted", "PLANTED", "19610203"):
        assert planted not in said
