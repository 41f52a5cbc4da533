"""Cache: a data set decoded once, in parallel, into one memory-mapped array of 8-bit levels.

The folder holds `plan.json` (what is being prepared), `journal.jsonl` (a line a film done),
`pixels.npy` (films, size, size), `manifest.csv` (a row a film, its place in the array and its
checksums) and, written last, `prepared.json`. A cut run goes on where it stopped and ends with the
same bytes. No torch.
"""

import errno
import json
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from hashlib import file_digest, sha256
from importlib.metadata import version
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_device import preprocessing
from cxr_device.errors import DatasetError, OutputError, TrainingError
from cxr_device.training.cohort import select
from cxr_device.training.dataset import Dataset, read_dataset
from cxr_device.training.image_file import square
from cxr_device.training.progress import Progress
from cxr_device.training.splits import SPLITS, Rule, split
from cxr_device.whole_file import make_folder, write_json, write_text

__all__ = ["SCHEMA", "prepare"]

SCHEMA: Final = "cxr-device/prepared/1"

_BLOCK: Final = 512
"""Films between two flushes to the disk: what a kill costs at most."""

_MANIFEST: Final = (
    "row", "file", "nih_name", "patient_id", "split", "finding_labels", "label_pneumonia", "age",
    "sex", "view", "follow_up", "orig_w", "orig_h", "source", "file_sha256", "pixels_crc32",
)  # fmt: skip


def prepare(  # noqa: PLR0913  # each is one choice of the user
    nih_dir: Path,
    *,
    out: Path,
    size: int,
    rule: Rule,
    key: str,
    lists: Path | None,
    ages: tuple[int, int],
    workers: int,
) -> dict[str, Any]:
    """Select the cohort, split it by patient and decode it into the cache `out`.

    Parameters
    ----------
    size : int
        Pixels; side of the cached squares.
    rule, key, lists
        As `splits.split` takes them.
    ages : tuple of int
        Lowest and highest age in years, both included.
    workers : int
        Processes that decode.

    Returns
    -------
    dict
        What `prepared.json` holds: cohort flow, splits, damaged images, and the digests of the
        manifest and of the pixels.

    Raises
    ------
    DatasetError
        The download, a list or the folder cannot be used as it is.
    OutputError
        The cache cannot be written; the room it needs is taken before the first film is decoded.
    TrainingError
        A worker was killed. Run again: it goes on.
    """
    dataset = read_dataset(nih_dir)
    cohort = select(dataset, min_age_years=ages[0], max_age_years=ages[1])
    splitting = split(cohort.table, dataset, rule=rule, key=key, lists=lists)
    order = splitting.table["split"].map(SPLITS.index)
    films = splitting.table.assign(order=order).sort_values(["order", "nih_name"])
    films = films.reset_index(drop=True)
    plan = {
        "schema": SCHEMA,
        "size": size,
        "preprocessing_sha256": _digest(Path(preprocessing.__file__)),
        "versions": {name: version(name) for name in ("numpy", "pillow")},
        "tables_sha256": dict(dataset.digests),
        "films_sha256": sha256(
            "\n".join(films["nih_name"] + " " + films["split"]).encode()
        ).hexdigest(),
        "cohort": cohort.flow(),
        "split": splitting.record,
    }
    make_folder(out)
    _same_plan(out, plan)
    if (out / "prepared.json").exists():
        done: dict[str, Any] = json.loads((out / "prepared.json").read_text(encoding="utf-8"))
        return done
    pixels = _room(out, (len(films), size, size))
    entries = _decode(films, dataset, pixels, out=out, workers=workers)
    return _finish(out, plan, films, entries, dataset)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _same_plan(out: Path, plan: dict[str, Any]) -> None:
    """Begin a plan, or go on with the same one; another is refused, never mixed in."""
    path = out / "plan.json"
    if not path.exists():
        write_json(path, plan)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = sorted(name for name in plan if before.get(name) != plan[name])
    if changed:
        raise DatasetError(
            out,
            f"holds a preparation of other {', '.join(changed)}",
            "name another folder, or remove this one",
        )


def _room(out: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Map the array, its room on the disk taken: a full disk is an error here, no crash later."""
    path = _array(out)
    try:
        if not path.exists():
            np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r+")
    except (OSError, ValueError) as error:
        path.unlink(missing_ok=True)
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        need = f"{np.prod(shape, dtype=np.int64) / 1e9:.2f} GB are needed"
        raise OutputError(path, f"{'the disk is full' if full else error} ({need})") from error
    return pixels


def _array(out: Path) -> Path:
    """Where the array lies while it is made; afterwards under its own name."""
    final = out / "pixels.npy"
    return final if final.exists() else out / "pixels.part.npy"


def _decode(
    films: pd.DataFrame, dataset: Dataset, pixels: NDArray[np.uint8], *, out: Path, workers: int
) -> dict[str, dict[str, Any]]:
    """Decode what the journal does not hold yet; returns the journal by image name."""
    entries = _journal(out / "journal.jsonl", films, pixels)
    left = [(row, name) for row, name in enumerate(films["nih_name"]) if name not in entries]
    progress, done = Progress("films decoded"), len(entries)
    work = partial(square, size=pixels.shape[1])
    try:
        with (
            ProcessPoolExecutor(max(1, workers), mp_context=get_context("spawn")) as pool,
            (out / "journal.jsonl").open("a", encoding="utf-8") as journal,
        ):
            for block in _blocks(left):
                found = pool.map(work, [dataset.images[name] for _, name in block], chunksize=8)
                lines = []
                for (row, name), (film, words) in zip(block, found, strict=True):
                    entry: dict[str, Any] = {"nih_name": name}
                    if film is None:
                        entry["damaged"] = words
                    else:
                        pixels[row] = film
                        entry |= {"file_sha256": words, "pixels_crc32": _checksum(film)}
                    entries[name] = entry
                    lines.append(json.dumps(entry) + "\n")
                _sync(pixels)
                journal.writelines(lines)
                journal.flush()
                os.fsync(journal.fileno())
                done += len(block)
                progress(done, len(films))
    except BrokenProcessPool as error:
        raise TrainingError(
            out, f"a worker was killed after {done} films", "run again, it goes on"
        ) from error
    except OSError as error:
        raise OutputError(out, error.strerror or str(error)) from error
    return entries


def _blocks(left: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    rest = iter(left)
    while block := list(islice(rest, _BLOCK)):
        yield block


def _sync(pixels: NDArray[np.uint8]) -> None:
    """Have the films on the disk before the journal says so."""
    if isinstance(pixels, np.memmap):
        pixels.flush()


def _checksum(film: NDArray[np.uint8]) -> str:
    return f"{zlib.crc32(film.tobytes()):08x}"


def _journal(
    path: Path, films: pd.DataFrame, pixels: NDArray[np.uint8]
) -> dict[str, dict[str, Any]]:
    """Films done before, each held against its checksum; a torn last line is cut off."""
    if not path.exists():
        return {}
    rows = {name: row for row, name in enumerate(films["nih_name"])}
    entries, lines = {}, []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            break
        whole = "damaged" in entry or _checksum(pixels[rows[entry["nih_name"]]]) == entry.get(
            "pixels_crc32"
        )
        if whole:
            entries[entry["nih_name"]] = entry
            lines.append(line + "\n")
    write_text(path, "".join(lines))
    return entries


def _finish(
    out: Path,
    plan: dict[str, Any],
    films: pd.DataFrame,
    entries: dict[str, dict[str, Any]],
    dataset: Dataset,
) -> dict[str, Any]:
    """Write manifest and record; the record last, so that its presence means a whole cache."""
    damaged = {n: e["damaged"] for n, e in sorted(entries.items()) if "damaged" in e}
    films = films.assign(
        row=np.arange(len(films)),
        file=[str(dataset.images[n].relative_to(dataset.folder)) for n in films["nih_name"]],
        file_sha256=[entries[n].get("file_sha256", "") for n in films["nih_name"]],
        pixels_crc32=[entries[n].get("pixels_crc32", "") for n in films["nih_name"]],
    )
    kept = films[~films["nih_name"].isin(list(damaged))]
    if kept.empty:
        raise DatasetError(
            dataset.folder, f"all {len(films)} images are damaged", "download them again"
        )
    write_text(out / "manifest.csv", kept[list(_MANIFEST)].to_csv(index=False))
    if _array(out).name != "pixels.npy":
        _array(out).replace(out / "pixels.npy")
    record = {
        **plan,
        "films": {name: int((kept["split"] == name).sum()) for name in SPLITS},
        "damaged": {"n": len(damaged), "reasons": damaged},
        "images": str(dataset.folder.resolve()),
        "manifest_sha256": _digest(out / "manifest.csv"),
        "pixels_sha256": _digest(out / "pixels.npy"),
    }
    write_json(out / "prepared.json", record)
    return record
