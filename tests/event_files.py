"""What TensorBoard's event files hold."""

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def told(folder: Path) -> dict[tuple[str, int], list[float]]:
    """Values in a folder's event files, by name and step; the framing is that of TFRecord."""
    found: dict[tuple[str, int], list[float]] = {}
    for path in sorted(folder.iterdir()):
        blob, at = path.read_bytes(), 0
        while at < len(blob):
            (size,) = struct.unpack_from("<Q", blob, at)
            event = Event.FromString(blob[at + 12 : at + 12 + size])
            for value in event.summary.value:
                found.setdefault((value.tag, event.step), []).append(value.simple_value)
            at += 12 + size + 4
    return found
