"""Files of the node: written aside, flushed, renamed, the folder flushed; whole or absent."""

import os
import threading
from pathlib import Path

from cxr_device.node.failpoints import reach

__all__ = ["remove", "write"]


def write(path: Path, data: bytes, *, kind: str) -> None:
    """Put `data` at `path` so that a crash at any point leaves the whole file or none.

    Raises
    ------
    OSError
        The disk refuses; what was begun is removed.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    half = len(data) // 2
    try:
        with aside.open("wb") as file:
            file.write(memoryview(data)[:half])
            file.flush()
            reach(f"{kind} half written")
            file.write(memoryview(data)[half:])
            file.flush()
            reach(f"{kind} written")
            os.fsync(file.fileno())
            reach(f"{kind} flushed")
        aside.replace(path)
        reach(f"{kind} renamed")
    finally:
        aside.unlink(missing_ok=True)
    _flush_folder(path.parent)
    reach(f"{kind} safe")


def remove(path: Path, *, kind: str) -> None:
    """Remove a file that is no longer needed; it may be gone already."""
    path.unlink(missing_ok=True)
    reach(f"{kind} removed")


def _flush_folder(folder: Path) -> None:
    """Flush the folder's entries: a rename is safe only then (fsync(2), notes)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
