"""A folder a film: `result.json` and `report.html`, whole or not at all; an index for a run."""

import json
import os
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_device.errors import OutputError
from cxr_device.explanation import ActivationMap
from cxr_device.outputs.index_html import Card, index
from cxr_device.outputs.json_record import WrittenOutput, record
from cxr_device.outputs.report_html import report
from cxr_device.release import Release
from cxr_device.result import Analyzed, Checked, Failed, Rejected

__all__ = ["write", "write_index"]

_DIGEST_CHARACTERS = 12


def write(
    result: Analyzed | Rejected | Failed | Checked,
    release: Release,
    *,
    picture: NDArray[np.uint8] | None,
    out: Path,
    activation: ActivationMap | None = None,
) -> list[WrittenOutput]:
    """Write one film's folder under `out`; returns what was written.

    The folder is named by the file's stem and the digest of its bytes, never by a UID.

    Raises
    ------
    ClaimError
        `activation` was given for a result of the triage profile.
    OutputError
        Something could not be written; nothing half-written is left.
    """
    folder = out / _folder_name(result)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page = report(result, release, picture=picture, activation=activation).encode("utf-8")
        written = [_put(folder / "report.html", page, kind="report_html")]
        entry = json.dumps(record(result, written), indent=2).encode("utf-8") + b"\n"
        written.append(_put(folder / "result.json", entry, kind="result_json"))
    except OSError as error:
        raise OutputError(folder, error.strerror or str(error)) from error
    return written


def write_index(cards: Sequence[Card], release: Release, *, out: Path, research: bool) -> None:
    """Write `index.html` for the films of one run, in their order, under `out`.

    Raises
    ------
    OutputError
        It could not be written; nothing half-written is left.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        page = index(cards, release, research=research).encode("utf-8")
        _put(out / "index.html", page, kind="index_html")
    except OSError as error:
        raise OutputError(out, error.strerror or str(error)) from error


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
