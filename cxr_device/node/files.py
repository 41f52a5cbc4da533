"""Files of the node: whole or absent, each step of their writing a point of the crash tests."""

from pathlib import Path

from cxr_device.node.failpoints import reach
from cxr_device.whole_file import put_whole

__all__ = ["remove", "write"]


def write(path: Path, data: bytes, *, kind: str) -> None:
    """Put `data` at `path` so that a crash at any point leaves the whole file or none.

    Raises
    ------
    OSError
        The disk refuses; what was begun is removed.
    """
    half = len(data) // 2
    with put_whole(path, reached=lambda step: reach(f"{kind} {step}")) as file:
        file.write(memoryview(data)[:half])
        file.flush()
        reach(f"{kind} half written")
        file.write(memoryview(data)[half:])


def remove(path: Path, *, kind: str) -> None:
    """Remove a file that is no longer needed; it may be gone already."""
    path.unlink(missing_ok=True)
    reach(f"{kind} removed")
