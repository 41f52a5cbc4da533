"""Each exit code provoked once; what stands on which stream; outputs cut short."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from builders import dx, pixels, to_bytes
from pydicom import config

from cxr_device.release import PACKAGE, Release
from verification import verifies
from verification.injection import INJECTIONS

CHECKOUT = PACKAGE.parent
MAIN = "from cxr_device.cli import main; main()"
Done = subprocess.CompletedProcess[str]


def run(
    *arguments: str | Path, root: Path = CHECKOUT, before: Callable[[], Any] | None = None
) -> Done:
    """Run `cxr-device ARGUMENTS` from the package below `root`."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"},
        cwd=root, capture_output=True, text=True, check=False,
        preexec_fn=before,  # a limit of the child alone
    )  # fmt: skip


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a copy of the package, to be damaged."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "cxr_device", ignore=ignored)
    return tmp_path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.dcm"
    path.write_bytes(to_bytes(dx(pixels(side=512))))
    return path


@verifies("SRS-150@17d39870", "SRS-130@d5f726ba", "RC-130@e432754c", level="system")
def test_an_altered_configuration_is_exit_5_and_no_record(installed: Path, film: Path) -> None:
    with (installed / "cxr_device/release.toml").open("a") as file:
        file.write("\n")
    for verb in ("read", "check"):
        done = run(verb, film, "--json", root=installed)
        assert done.returncode == 5
        assert done.stdout == ""
        assert "SELF" in done.stderr


@verifies("SRS-150@17d39870", level="system")
def test_a_defect_is_exit_70_and_the_batch_goes_on(installed: Path, film: Path) -> None:
    guards = installed / "cxr_device/guards.py"
    text = guards.read_text("utf-8")
    broken = '"""Run every guard on a header; all findings, not the first alone."""\n'
    assert broken in text
    fault = f'{broken}    if film.modality == "CR":\n        raise RuntimeError("a defect")\n'
    guards.write_text(text.replace(broken, fault), "utf-8")
    defect = film.with_name("a_defect.dcm")
    defect.write_bytes(to_bytes(dx(pixels(side=512), Modality="CR")))
    done = run("check", defect, film, "--json", root=installed)
    assert done.returncode == 70
    paths = [json.loads(line)["source"]["path"] for line in done.stdout.splitlines()]
    assert str(film) in paths
    assert "internal error RuntimeError" in done.stderr


@verifies("SRS-172@1c39d8ae", "RC-130@e432754c", level="system")
@pytest.mark.parametrize("altered", ["weights", "configuration", "expected value"])
def test_the_self_test_stops_an_altered_installation(altered: str, installed: Path) -> None:
    package = installed / "cxr_device"
    if altered == "weights":
        path = package / "weights/network.safetensors"
        whole = bytearray(path.read_bytes())
        whole[-1] ^= 1
        path.write_bytes(whole)
    else:
        path = package / "release.toml"
        text = path.read_text("utf-8")
        moved = text.replace("score = -", "score = -1") if altered[0] == "e" else text + "\n"
        assert moved != text
        path.write_text(moved, "utf-8")
        if altered == "expected value":  # locked anew, so that only the known film can tell
            digest = sha256(path.read_bytes()).hexdigest()
            (package / "release.sha256").write_text(digest + "\n", "ascii")
    done = run("selftest", root=installed)
    assert done.returncode == 5
    assert "self-test passed" not in done.stdout
    assert "SELF" in done.stderr
    assert ("known film" in done.stderr) == (altered == "expected value")


@verifies("SRS-174@f8da7617", level="system")
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["raed", "x.dcm"], "raed"),
        (["read", "x.dcm", "--jsno"], "--jsno"),
        (["read"], "PATH"),
        (["read", "x.dcm", "--profile", "cade"], "cade"),
        (["read", "x.dcm", "--device", "tpu"], "tpu"),
        (["explain", "LATERAL_VIEW"], "LATERAL_VIEW"),
    ],
)
def test_wrong_usage_names_the_word_and_prints_no_record(arguments: list[str], word: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert word in done.stderr


@verifies("SRS-156@56474560", level="system")
def test_standard_output_holds_records_and_redirected_errors_no_control_characters(
    film: Path,
) -> None:
    done = run("check", film, film, "absent.dcm", "--json")
    assert [json.loads(line)["schema"] for line in done.stdout.splitlines()] == [
        "cxr-device/result/1"
    ] * 3
    assert not [c for c in done.stderr if ord(c) < 32 and c != "\n"]


@verifies("SRS-158@177269cb", "RC-158@8ae17440", level="system")
def test_info_gives_every_value_of_the_release(release: Release) -> None:
    facts = json.loads(run("info", "--json").stdout)
    for name in (
        "name", "version", "weights_sha256", "config_sha256", "preprocessing_sha256", "training",
    ):  # fmt: skip
        assert facts[name] == getattr(release, name), name
    assert facts["claim"] == release.label.claim
    assert facts["operating_point"] == {
        "identifier": release.operating_point.identifier,
        "threshold": release.operating_point.threshold,
        "rule": release.operating_point_rule,
    }
    document = CHECKOUT / "design_history_file/intended_use.rst"
    assert facts["intended_use"] in " ".join(document.read_text("utf-8").split())


@verifies("SRS-168@a6e43416", "RC-168@57330627", level="system")
def test_good_films_around_each_kind_of_bad_file_are_judged(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    good = to_bytes(dx(pixels(side=1024)))
    kinds = 0
    for name, (_, inject) in sorted(INJECTIONS.items()):
        bad = dx(pixels(side=1024))
        bad.pixel_array_source = bad.pixel_array
        with config.disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of the UIDs that are put in
            altered = inject(bad, rng)
            data = altered if isinstance(altered, bytes) else to_bytes(altered)  # type: ignore[arg-type]
        (tmp_path / f"{name}-1.dcm").write_bytes(data)
        (tmp_path / f"{name}-2.dcm").write_bytes(good)
        kinds += 1
    done = run("check", tmp_path, "--json")
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    judged = [e for e in entries if e["source"]["path"].endswith("-2.dcm")]
    assert len(entries) == 2 * kinds
    assert {e["status"] for e in judged} == {"analyzed"}
    status = {"analyzed": 0, "rejected": 3, "failed": 4}
    assert done.returncode == max(status[e["status"]] for e in entries) == 4


@verifies("SRS-167@c6062141", "RC-167@5ee3caae", "SRS-150@17d39870", level="system")
def test_a_full_disk_is_exit_6_and_leaves_no_file(film: Path, tmp_path: Path) -> None:
    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = run("read", film, "--out", tmp_path / "out", before=full)
    assert done.returncode == 6
    assert "OUTPUT" in done.stderr
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@verifies("SRS-363@f36c08e5", level="system")
@pytest.mark.parametrize("verb", [["info"], ["check", "--json"]])
def test_a_full_standard_output_is_exit_6_and_one_line(film: Path, verb: list[str]) -> None:
    arguments = verb if verb == ["info"] else [*verb, str(film)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", MAIN, *arguments],
            cwd=CHECKOUT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 6
    assert done.stderr.splitlines() == ["OUTPUT standard output: No space left on device"]


@verifies("SRS-363@f36c08e5", level="system")
def test_a_name_that_the_terminal_cannot_show_is_written_with_code_points(
    film: Path, tmp_path: Path
) -> None:
    strange = tmp_path / "日本.dcm"
    shutil.copyfile(film, strange)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", MAIN, "check", str(strange)],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert r"\u65e5\u672c.dcm: checks passed" in done.stdout
    assert not done.stderr


@verifies("SRS-167@c6062141", "RC-167@5ee3caae", level="system")
def test_a_killed_run_leaves_no_part_under_a_final_name(film: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from cxr_device.device import Device\n"
        "from cxr_device.outputs.folder import write\n"
        "device = Device.load_guards(); result = device.check(sys.argv[1]); n = 0\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    n += 1; write(result, device.release, picture=None, out=Path(sys.argv[2]) / str(n))\n"
    )
    whole = 0
    for turn in range(5):
        out = tmp_path / str(turn)
        writer = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", program, str(film), str(out)],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert writer.stdout is not None
        with writer.stdout:
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(0.5 + 0.137 * turn)
            writer.kill()
            writer.wait()
        for path in out.rglob("result.json"):
            json.loads(path.read_text("utf-8"))
            whole += 1
        for path in out.rglob("report.html"):
            assert path.read_text("utf-8").rstrip().endswith("</html>")
    assert whole


@verifies("SRS-149@a4a13613", "RC-149@fb40471f", level="system")
def test_no_identity_attribute_reaches_an_output(tmp_path: Path) -> None:
    marker = "QQMARKERQQ"
    attributes: dict[str, Any] = {
        "PatientName": f"{marker}^A", "PatientID": marker, "PatientBirthDate": "19610203",
        "OtherPatientIDs": marker, "PatientAddress": marker, "AccessionNumber": marker,
        "ReferringPhysicianName": f"{marker}^B", "PatientComments": marker, "PatientAge": "064Y",
        "InstitutionName": marker, "OperatorsName": f"{marker}^C",
    }  # fmt: skip
    films = tmp_path / "films"
    films.mkdir()
    for name, changes in {
        "accepted": {}, "lateral": {"ViewPosition": "LL"}, "child": {"PatientAge": "010Y"},
        "flat": {"BitsStored": 7},
    }.items():  # fmt: skip
        film = dx(pixels(side=512), **{**attributes, **changes})  # type: ignore[dict-item]
        (films / f"{name}.dcm").write_bytes(to_bytes(film))
    (films / "cut.dcm").write_bytes(to_bytes(dx(pixels(side=512), **attributes))[:3000])
    assert pydicom.dcmread(films / "accepted.dcm").PatientID == marker
    for words in (["--json"], []):
        out = tmp_path / f"out{len(words)}"
        done = run("read", films, "--out", out, *words)
        text = done.stdout + done.stderr
        text += "".join(p.read_text("utf-8") for p in out.rglob("*") if p.is_file())
        assert done.returncode == 4
        assert marker not in text
        assert "19610203" not in text
