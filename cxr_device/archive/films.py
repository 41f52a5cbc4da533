"""Films of an archive: the files of a folder, or those that a manifest names."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cxr_device.errors import ArchiveError

__all__ = ["list_films"]

_COLUMN: Final = "file"


def list_films(source: Path, *, leave_out: Iterable[Path] = ()) -> list[Path]:
    """List the films of a folder, sorted, or of a CSV manifest, in its order.

    Parameters
    ----------
    source : path
        A folder, walked to its end (links to folders are not followed); or CSV in UTF-8 with a
        column `file`: a path below `images/` beside the manifest, below the manifest's own folder,
        or absolute. Other columns are not read.
    leave_out : iterable of path
        Files and folders of the run itself, where they lie inside the folder.

    Returns
    -------
    list of path
        Also files that are absent or unreadable, and folders that cannot be listed: each has its
        row, with FILE_READ.

    Raises
    ------
    ArchiveError
        The source is absent or unreadable, holds no film, or is no such manifest.
    """
    films = _walked(source, leave_out) if source.is_dir() else _named(source)
    if not films:
        what = "no files" if source.is_dir() else "no rows"
        raise ArchiveError(source, what, "name a folder or a manifest of films")
    return films


def _walked(folder: Path, leave_out: Iterable[Path]) -> list[Path]:
    own = {os.path.abspath(path) for path in leave_out}  # noqa: PTH100  # links are kept as named
    films: list[Path] = []

    def unreadable(error: OSError) -> None:
        films.append(Path(os.fsdecode(error.filename)))

    for name, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [each for each in folders if _absolute(name, each) not in own]
        films += [Path(name, each) for each in files if _absolute(name, each) not in own]
    return sorted(films)


def _absolute(folder: str, name: str) -> str:
    return os.path.abspath(os.path.join(folder, name))  # noqa: PTH100, PTH118  # a million of them


def _named(manifest: Path) -> list[Path]:
    try:
        if _is_dicom(manifest):
            reason = "is one DICOM film, no archive"
            raise ArchiveError(manifest, reason, f"cxr-device read {manifest} reads it")
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            columns = rows.fieldnames or []
            if columns and _COLUMN not in columns:
                raise ArchiveError(
                    manifest,
                    f"no column `{_COLUMN}`; it has {', '.join(columns)[:200]}",
                    f"name the column of paths `{_COLUMN}`",
                )
            return [_path(manifest, row.get(_COLUMN), rows.line_num) for row in rows]
    except OSError as error:
        raise ArchiveError(manifest, error.strerror or "unreadable", "check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        reason = f"no CSV in UTF-8 ({error})"
        raise ArchiveError(manifest, reason, "save the table as CSV in UTF-8") from error


def _is_dicom(path: Path) -> bool:
    """Whether a file has the DICOM prefix (PS3.10 7.1)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _path(manifest: Path, name: str | None, line: int) -> Path:
    if not name or "\0" in name:
        raise ArchiveError(
            manifest, f"line {line}: no path in column `{_COLUMN}`", "name a file or drop the row"
        )
    beside = manifest.parent / "images" / name
    return beside if os.path.lexists(beside) else manifest.parent / name
