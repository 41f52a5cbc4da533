"""The command line, in a process of its own, as its user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from builders import dx, pixels, to_bytes

from cxr_device.release import PACKAGE, Release
from cxr_device.vocabulary import CheckCode
from verification import verifies

PHANTOM = PACKAGE / "examples/phantom_opacity.dcm"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `cxr-device ARGUMENTS`."""
    command = [
        sys.executable,
        "-c",
        "from cxr_device.cli import main; main()",
        *map(str, arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: a film, a rejected one, a broken one, in this order by name."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "1_film.dcm").write_bytes(
        to_bytes(
            dx(
                PatientName="Planted^Name",
                PatientID="PLANTED-ID",
                PatientBirthDate="19610203",
                PatientAge="064Y",
            )
        )
    )
    (folder / "2_lateral.dcm").write_bytes(to_bytes(dx(ViewPosition="LL", PatientID="PLANTED-ID")))
    (folder / "sub").mkdir()
    (folder / "sub/3_text.txt").write_text("not DICOM")
    (folder / "sub/4_film.dcm").write_bytes(to_bytes(dx(pixels(opacity=False))))
    return folder


@verifies(
    "SRS-150@17d39870",
    "SRS-151@b722b509",
    "RC-151@b2fa273c",
    "SRS-168@a6e43416",
    "RC-168@57330627",
    "SRS-170@6e5a15ee",
    "SRS-156@56474560",
    level="system",
)
def test_a_batch_goes_on_and_returns_the_highest_code(batch: Path) -> None:
    done = run("read", batch, "--json")
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    names = [Path(entry["source"]["path"]).name for entry in entries]
    assert names == ["1_film.dcm", "2_lateral.dcm", "3_text.txt", "4_film.dcm"]
    assert [e["status"] for e in entries] == ["analyzed", "rejected", "failed", "analyzed"]
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


@verifies("SRS-149@a4a13613", "RC-149@fb40471f", level="system")
def test_no_patient_stands_in_any_output(batch: Path, tmp_path: Path) -> None:
    done = run("read", batch, "--out", tmp_path / "out")
    written = b"".join(p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file())
    everything = written.decode("utf-8", "replace") + done.stdout + done.stderr
    assert len(list((tmp_path / "out").rglob("report.html"))) == 4
    for planted in ("Planted", "PLANTED-ID", "19610203"):
        assert planted not in everything


@verifies("SRS-150@17d39870", level="system")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["read", PHANTOM], 0), (["check", PHANTOM], 0), (["read", "absent.dcm"], 4),
        (["read"], 2), (["read", PHANTOM, "--profile", "cade"], 2), (["nonsense"], 2),
    ],
)  # fmt: skip
def test_exit_codes(arguments: list[str | Path], code: int) -> None:
    assert run(*arguments).returncode == code


@verifies("SRS-174@f8da7617", level="system")
def test_wrong_usage_says_what_is_accepted() -> None:
    done = run("explain", "LATERAL_VIEW")
    assert done.returncode == 2
    assert "VIEW" in done.stderr


@verifies("SRS-150@17d39870", "SRS-167@c6062141", level="system")
def test_a_folder_that_cannot_be_written_is_exit_6(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run("read", PHANTOM, "--out", tmp_path / "file/results", "--json")
    assert done.returncode == 6
    assert json.loads(done.stdout)["status"] == "analyzed"
    assert "OUTPUT" in done.stderr


@verifies("SRS-155@5e9e6fbd", "RC-155@66076a19", level="system")
def test_the_research_profile_says_so_everywhere() -> None:
    told = run("read", PHANTOM, "--profile", "research")
    assert "not the device" in told.stdout
    assert "not the device" in told.stderr


@verifies("SRS-157@74eb2bf2", "RC-157@dc06e628", level="system")
def test_every_code_is_explained() -> None:
    script = (
        "from click.testing import CliRunner; from cxr_device.cli import main\n"
        "from cxr_device.vocabulary import CheckCode\n"
        "for code in [*CheckCode, 'SELF']:\n"
        "    done = CliRunner().invoke(main, ['explain', code])\n"
        "    assert done.exit_code == 0, code\n"
        "    assert 'Hazard:' in done.output and 'What to do:' in done.output, code\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603
    assert "22 to 120 years" in run("explain", "AGE").stdout


@verifies("SRS-158@177269cb", "RC-158@8ae17440", level="system")
def test_info_states_identity_and_use(release: Release) -> None:
    facts = json.loads(run("info", "--json").stdout)
    assert facts["intended_use"] == release.label.intended_use
    assert facts["weights_sha256"] == release.weights_sha256
    assert facts["operating_point"]["threshold"] == release.operating_point.threshold
    assert release.label.intended_use in run("info").stdout


@verifies("SRS-172@1c39d8ae", level="system")
def test_the_self_test_passes() -> None:
    done = run("selftest")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "self-test passed"


@verifies("SRS-181@63e776af", level="system")
def test_the_conformance_statement_is_printed_from_the_tables() -> None:
    text = run("conformance").stdout
    assert all(f"| {code} |" in text for code in CheckCode)
    assert "1.2.840.10008.1.2.4.70" in text


@verifies("SRS-159@24d45582", level="system")
def test_reading_loads_no_torch() -> None:
    script = (
        "import sys; from cxr_device import Device\n"
        f"assert Device.load().read({str(PHANTOM)!r}).exit_code == 0\n"
        "loaded = {'torch', 'torchvision', 'timm', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603


@verifies("SRS-173@5d6ee333", level="system")
def test_check_loads_no_runtime() -> None:
    script = (
        "import sys; from cxr_device.device import Device\n"
        f"assert Device.load_guards().check({str(PHANTOM)!r}).exit_code == 0\n"
        "assert 'onnxruntime' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603


@verifies("SRS-160@9d43fdda", level="system")
def test_help_loads_neither_network_nor_reader() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from cxr_device.cli import main\n"
        "for words in (['--help'], ['--version'], ['read', '--help']):\n"
        "    assert CliRunner().invoke(main, words).exit_code == 0\n"
        "loaded = {'torch', 'onnxruntime', 'pydicom', 'numpy', 'PIL'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603


@verifies("SRS-179@e15c5319", "RC-179@88e1ca7f", level="system")
def test_a_hostile_file_costs_less_than_two_gigabytes_and_ten_seconds(tmp_path: Path) -> None:
    import time  # noqa: PLC0415

    (tmp_path / "bomb.dcm").write_bytes(to_bytes(dx()).ljust(64 * 2**20, b"\xff"))
    film = dx()
    film.Rows, film.Columns = 65535, 65535
    (tmp_path / "huge.dcm").write_bytes(to_bytes(film))
    words = [sys.executable, "-c", "from cxr_device.cli import main; main()", "read", str(tmp_path)]
    script = (  # a small process of its own: the largest child of this one may be another test's
        "import resource, subprocess\n"
        f"code = subprocess.run({words!r}, capture_output=True).returncode\n"
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    code, kilobytes = map(int, done.stdout.split())
    assert code == 4
    assert time.monotonic() - begun < 2 * 10
    assert kilobytes < 2 * 2**20
