"""A folder a film: the record, the page and the DICOM objects, whole or not at all; an index."""

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_device.errors import OutputError, words_of
from cxr_device.explanation import ActivationMap
from cxr_device.outputs.index_html import Card, index
from cxr_device.outputs.json_record import WrittenOutput, record
from cxr_device.outputs.report_html import report
from cxr_device.release import Release
from cxr_device.result import Analyzed, Checked, Failed, Rejected

__all__ = ["name_of", "write", "write_index"]

_DIGEST_CHARACTERS = 12


def write(  # noqa: PLR0913  # what goes into the folder
    result: Analyzed | Rejected | Failed | Checked,
    release: Release,
    *,
    picture: NDArray[np.uint8] | None,
    out: Path,
    copy: int = 1,
    dicom_source: Path | None = None,
    activation: ActivationMap | None = None,
) -> list[WrittenOutput]:
    """Write one film's folder under `out`; returns what was written.

    The folder is named by `name_of`; the second `copy` of a film in one run, a file of the same
    name and bytes elsewhere, and those after it by their number too. With `dicom_source`, the
    film's file, it also holds the DICOM objects that join the film's study.

    Raises
    ------
    ClaimError
        `activation` was given for a result of the triage profile.
    OutputError
        Something could not be made or written; nothing of this film is left.
    """
    folder = out / (name_of(result) + (f"-{copy}" if copy > 1 else ""))
    try:
        page = report(result, release, picture=picture, activation=activation).encode("utf-8")
        files = [_File("report_html", folder / "report.html", page)]
        if dicom_source is not None and not isinstance(result, Checked):
            files += _dicom(
                result, release, picture, activation, source=dicom_source, folder=folder
            )
        written = [file.as_written() for file in files]
        entry = json.dumps(record(result, written), indent=2).encode("utf-8") + b"\n"
        files.append(_File("result_json", folder / "result.json", entry))
        folder.mkdir(parents=True, exist_ok=True)
        _put(files)
    except OutputError:
        raise
    except OSError as error:
        with suppress(OSError):  # it holds another run's record, or was never made
            folder.rmdir()
        raise OutputError(folder, words_of(error)) from error
    return [file.as_written() for file in files]


@dataclass(frozen=True, slots=True)
class _File:
    """One file to be written, made in memory before the first byte reaches the disk."""

    kind: str
    path: Path
    data: bytes
    sop_instance_uid: str | None = None

    def as_written(self) -> WrittenOutput:
        return WrittenOutput(
            kind=self.kind,
            path=str(self.path),
            sha256=sha256(self.data).hexdigest(),
            sop_instance_uid=self.sop_instance_uid,
        )


def _dicom(  # noqa: PLR0913  # what stands beside the result
    result: Analyzed | Rejected | Failed,
    release: Release,
    picture: NDArray[np.uint8] | None,
    activation: ActivationMap | None,
    *,
    source: Path,
    folder: Path,
) -> list[_File]:
    """Make the DICOM objects; none where the film's header names no study."""
    from pydicom.uid import generate_uid  # noqa: PLC0415  # only where DICOM is asked for

    from cxr_device.outputs.composite_instance import Making  # noqa: PLC0415
    from cxr_device.outputs.dicom_answer import answer  # noqa: PLC0415

    if result.source.sop_instance_uid is None:
        return []  # its header was never read: the bytes are not opened again
    objects = answer(
        result,
        Making(
            release=release,
            device=result.device,
            made_at=datetime.now().astimezone(),
            new_uid=lambda: str(generate_uid(prefix=None)),
        ),
        data=source.read_bytes(),
        picture=picture,
        activation=activation,
    )
    return [
        _File(str(made.kind), folder / f"{made.kind}.dcm", made.data, made.sop_instance_uid)
        for made in objects
    ]


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
        _put([_File("index_html", out / "index.html", page)])
    except OSError as error:
        raise OutputError(out, error.strerror or str(error)) from error


def name_of(result: Analyzed | Rejected | Failed | Checked) -> str:
    """Name a film's folder: the file's stem and the digest of its bytes, never a UID."""
    source = result.source
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(source.path or "film").stem)[:60].lstrip(".")
    digest = source.sha256 or sha256((source.path or "").encode()).hexdigest()
    return f"{stem or 'film'}-{digest[:_DIGEST_CHARACTERS]}"


def _put(files: Sequence[_File]) -> None:
    """Write every file aside, flush it to the disk, then rename all; or leave none of them."""
    asides = {file.path.with_name(f".{file.path.name}.{os.getpid()}.part"): file for file in files}
    placed: list[Path] = []
    try:
        for aside, file in asides.items():
            with aside.open("wb") as stream:
                stream.write(file.data)
                stream.flush()
                os.fsync(stream.fileno())
        for aside, file in asides.items():
            aside.replace(file.path)
            placed.append(file.path)
    except OSError:
        for path in placed:
            path.unlink(missing_ok=True)
        raise
    finally:
        for aside in asides:
            aside.unlink(missing_ok=True)
