"""Answers posted to Orthanc's DICOMweb plugin, in a network namespace of its own (`unshare -n`).

Prints what QIDO-RS then finds in the film's study as JSON.
"""

import json
import sys
from pathlib import Path

from orthanc_round_trip import HTTP, Orthanc, raise_loopback, until
from peers import HOST, film, store

from cxr_device import Device
from cxr_device.node.answers import from_outputs
from cxr_device.node.configuration import Configuration
from cxr_device.node.queue import State
from cxr_device.node.service import Node


def main(folder: Path, plugin: str) -> None:
    """Let a refused film's answers be posted, and print how it stands."""
    raise_loopback()
    device, each = Device.load_guards(), film(1, PatientAge="010Y")
    orthanc = Orthanc(folder, plugin)
    try:
        configuration = Configuration.parse(
            ae="CXRDEVICE", bind=f"{HOST}:0", data=folder / "data",
            peer=f"http://{HOST}:{HTTP}/dicom-web/studies", allow=None, tls=None, metrics=None,
            authorization=orthanc.authorization,
        )  # fmt: skip
        node = Node(configuration, device, from_outputs(device))
        node.start()
        try:
            status = store(node.port, each)
            until(lambda: node.queue.counts()[State.DELIVERED] == 1)
        finally:
            node.stop()
        series = orthanc.qido(f"/studies/{each.StudyInstanceUID}/series")
    finally:
        orthanc.stop()
        device.close()
    modalities = sorted(row["00080060"]["Value"][0] for row in series)
    sys.stdout.write(json.dumps({"status": status, "modalities": modalities}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
