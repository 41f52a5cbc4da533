"""A folder a film: `result.json` and `report.html`, whole or not at all."""

import json
import os
import re
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_device.errors import OutputError
from cxr_device.outputs.json_record import WrittenOutput, record
from cxr_device.outputs.report_html import report
from cxr_device.release import Release
from cxr_device.result import Analyzed, Checked, Failed, Rejected

__all__ = ["write"]

_DIGEST_CHARACTERS = 12


def write(
    result: Analyzed | Rejected | Failed | Checked,
    release: Release,
    *,
    picture: NDArray[np.uint8] | None,
    out: Path,
) -> list[WrittenOutput]:
    """Write one film's folder under `out`; returns what was written.

    The folder is named by the file's stem and the digest of its bytes, never by a UID.

    Raises
    ------
    OutputError
        Something could not be written; nothing half-written is left.
    """
    folder = out / _folder_name(result)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page = report(result, release, picture=picture).encode("utf-8")
        written = [_put(folder / "report.html", page, kind="report_html")]
        entry = json.dumps(record(result, written), indent=2).encode("utf-8") + b"\n"
        written.append(_put(folder / "result.json", entry, kind="result_json"))
    except OSError as error:
        raise OutputError(folder, error.strerror or str(error)) from error
    return written


def _folder_name(result: Analyzed | Rejected | Failed | Checked) -> str:
    source = result.source
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(source.path or "film").stem)[:60].lstrip(".")
    digest = source.sha256 or sha256((source.path or "").encode()).hexdigest()
    return f"{stem or 'film'}-{digest[:_DIGEST_CHARACTERS]}"


def _put(path: Path, data: bytes, *, kind: str) -> WrittenOutput:
    """Write aside, flush to the disk, rename."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return WrittenOutput(
        kind=kind, path=str(path), sha256=sha256(data).hexdigest(), sop_instance_uid=None
    )
