"""The round trip through Orthanc, run in a network namespace of its own (`unshare -n`).

Modality -> Orthanc -> node -> answers back into the study; found by QIDO-RS, retrieved by WADO-RS.
Orthanc 1.10 binds to every address, hence the namespace. Prints what was found as JSON.
"""

import base64
import fcntl
import json
import secrets
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builders import to_bytes
from node_runs import node
from peers import HOST, Archive, film
from pydicom import FileDataset

HTTP, DICOM, NODE = 18042, 14242, 11112
_SET_FLAGS, _UP = 0x8914, 0x1
"""SIOCSIFFLAGS and IFF_UP (netdevice(7))."""


def raise_loopback() -> None:
    """Bring the namespace's own loopback interface up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))


class Orthanc:
    """A running Orthanc, and requests to it."""

    def __init__(self, folder: Path, plugin: str) -> None:
        self._word = secrets.token_hex()
        (folder / "db").mkdir(parents=True)
        settings = {
            "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
            "RemoteAccessAllowed": False, "AuthenticationEnabled": True,
            "RegisteredUsers": {"test": self._word}, "HttpPort": HTTP, "DicomPort": DICOM,
            "DicomAet": "ORTHANC", "DicomCheckCalledAet": True, "DicomAlwaysAllowStore": True,
            "OverwriteInstances": False, "StableAge": 1, "Plugins": [plugin],
            "DicomModalities": {"cxr": ["CXRDEVICE", HOST, NODE]},
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }  # fmt: skip
        (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
        with (folder / "orthanc.log").open("wb") as log:
            command = ["Orthanc", str(folder / "orthanc.json")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
        until(self._answers)

    @property
    def authorization(self) -> str:
        """Value of the HTTP header that it asks for."""
        return f"Basic {base64.b64encode(f'test:{self._word}'.encode()).decode()}"

    def request(
        self, path: str, body: str | None = None, accept: str = "application/json"
    ) -> bytes:
        """Answer of the REST or DICOMweb interface."""
        asked = urllib.request.Request(
            f"http://{HOST}:{HTTP}{path}",
            data=body.encode() if body is not None else None,
            headers={"Authorization": self.authorization, "Accept": accept},
        )
        with urllib.request.urlopen(asked, timeout=60) as response:  # noqa: S310
            found: bytes = response.read()
        return found

    def qido(self, path: str) -> Any:
        """Answer of a QIDO-RS search."""
        return json.loads(self.request(f"/dicom-web{path}", accept="application/dicom+json"))

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)

    def _answers(self) -> bool:
        try:
            return bool(self.request("/system"))
        except (urllib.error.URLError, ConnectionError):
            return False


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            message = "waited in vain"
            raise TimeoutError(message)
        time.sleep(0.05)


def push(orthanc: Orthanc, each: FileDataset) -> str:
    """Let Orthanc send a film to the node; whether the node took it."""
    held = json.loads(orthanc.request("/tools/lookup", body=str(each.SOPInstanceUID)))
    (identifier,) = (entry["ID"] for entry in held if entry["Type"] == "Instance")
    try:
        orthanc.request("/modalities/cxr/store", body=identifier)
    except urllib.error.HTTPError:
        return "refused"
    return "stored"


def collect(orthanc: Orthanc, each: FileDataset, *, answers: int) -> dict[str, Any]:
    """Find a film's study by QIDO-RS once its answers are there, and retrieve the report."""
    study = f"/studies/{each.StudyInstanceUID}"
    until(lambda: len(orthanc.qido(f"{study}/instances")) == 1 + answers)
    series = orthanc.qido(f"{study}/series")
    (report,) = (row for row in series if row["00080060"]["Value"] == ["SR"])
    place = f"/dicom-web{study}/series/{report['0020000E']['Value'][0]}"
    retrieved = orthanc.request(place, accept="multipart/related; type=application/dicom")
    return {
        "modalities": sorted(row["00080060"]["Value"][0] for row in series),
        "names_its_film": str(each.SOPInstanceUID).encode() in retrieved,
        "says_not_attempted": b"Not Attempted" in retrieved,
    }


def main(folder: Path, plugin: str) -> None:
    """Send an accepted and a refused film, and print what came back for each."""
    raise_loopback()
    films = {"accepted": film(1), "refused": film(2, PatientAge="010Y")}
    peer = Archive(ae_title="ORTHANC", port=DICOM)
    found: dict[str, Any] = {}
    begun = time.monotonic()
    orthanc = Orthanc(folder, plugin)
    try:
        with node(folder / "data", peer.address, bind_port=NODE, with_network=True) as run:
            for name, each in films.items():
                path = folder / f"{name}.dcm"
                path.write_bytes(to_bytes(each))
                subprocess.run(  # noqa: S603
                    ["storescu", "-aec", "ORTHANC", HOST, str(DICOM), str(path)],  # noqa: S607
                    check=True,
                )
            status = {name: push(orthanc, each) for name, each in films.items()}
            for name, answers in (("accepted", 3), ("refused", 2)):
                returned = collect(orthanc, films[name], answers=answers)
                found[name] = {"status": status[name], **returned}
        found["exit_code"] = run.process.exitcode
        found["studies"] = len(orthanc.qido("/studies"))
    finally:
        orthanc.stop()
    found["seconds"] = round(time.monotonic() - begun, 1)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
