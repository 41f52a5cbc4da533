"""What the locked pixel gate answers to each kind of film: the table behind its error rates.

One row a film and kind, for `cxr-validate refusals`, which counts and gives the intervals.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cxr_device import runtimes
from cxr_device.errors import DatasetError
from cxr_device.pixel_gate import CONTENTS, Content, probabilities
from cxr_device.preprocessing import INPUT_SIZE, resize, standardize
from cxr_device.release import PACKAGE, Release
from cxr_device.training.films import read_manifests, squares
from cxr_device.training.gate_films import FAULTS, Fault, FaultName
from cxr_device.training.image_file import DamagedImageError
from cxr_device.training.lock import within_label
from cxr_device.training.manifest import need_columns, read_ages, read_table

__all__ = ["every_answer", "gate_answers", "object_answers", "real_fault_answers"]

_REAL_FAULTS: Final = {
    "non-frontal": "a film that is not frontal (real)",
    "rotated": "a turned film (real)",
    "inverted": "an inverted film (real)",
}
"""Words of the manifests' `quality_flags`, and the kind they stand for."""

_UNDER_AGE: Final = "none, patient under 18"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """The locked gate, asked one square at a time."""

    infer: runtimes.Infer
    threshold: float

    @classmethod
    def locked(cls, package: Path) -> "_Gate":
        release = Release.load(package)
        return cls(
            infer=runtimes.on_cpu(release.pixel_gate.graph, threads=1),
            threshold=release.pixel_gate.threshold.upright,
        )

    def answer(self, *squares: NDArray[np.float32]) -> list[dict[str, object]]:
        logits = self.infer(np.stack([standardize(square) for square in squares])[:, np.newaxis])
        return [
            {
                "upright": float(shares[0]),
                "refused": int(not shares[0] >= self.threshold),
                "looks_like": str(CONTENTS[int(np.argmax(shares))]),
            }
            for shares in map(probabilities, logits)
        ]


def every_answer(  # noqa: PLR0913  # what is asked, and where
    manifests: list[Path],
    *,
    splits: Sequence[str],
    cache: Path,
    films: int | None = None,
    objects: Path | None = None,
    package: Path = PACKAGE,
) -> pd.DataFrame:
    """Join the answers to made faults of each split, to real faults, and to other pictures.

    Raises
    ------
    DatasetError
        A manifest cannot be used, a split has no film inside the label, or `objects` holds no
        picture.
    """
    tables = [
        gate_answers(manifests, split=split, cache=cache, films=films, package=package)
        for split in splits
    ]
    tables += [real_fault_answers(manifest, package) for manifest in manifests]
    tables += [object_answers(objects, package)] if objects is not None else []
    gate = Release.load(package).pixel_gate
    answers = pd.concat([table for table in tables if len(table)], ignore_index=True)
    return answers.assign(
        guard_sha256=gate.graph_sha256, guard_threshold=repr(gate.threshold.upright)
    )


def gate_answers(
    manifests: list[Path],
    *,
    split: str,
    cache: Path,
    films: int | None = None,
    package: Path = PACKAGE,
) -> pd.DataFrame:
    """Ask the gate about each film of a split that lies inside the label, and with each fault.

    With `films`, faults are put into that many films at most, spread evenly over the split; every
    film is asked about as it is.

    Parts, tilts, shuffles and drawn pictures are drawn from a generator seeded by the film's name,
    so the table comes out the same again.

    Returns
    -------
    DataFrame
        `case`, `patient_id`, `split`, `kind`, `wanted` ("accept" or "refuse"), `content`, `view`,
        `sex`, `age_band`, `upright`, `refused` (0, 1), `looks_like`.
    """
    table = read_manifests(manifests, ("split", "patient_id", "sex"))
    table = table[table["split"] == split].reset_index(drop=True)
    pixels = squares(table, size=INPUT_SIZE, cache=cache)
    inside = np.flatnonzero(within_label(table, package))
    if len(inside) == 0:
        reason = f"no film inside the label in split {split!r}"
        raise DatasetError(manifests[0], reason, "name a split with films")
    gate, rows, described = _Gate.locked(package), [], table.to_dict("records")
    every = -(-len(inside) // films) if films else 1
    for place, index in enumerate(inside):
        film, square = described[index], pixels[index].astype(np.float32)
        beside = pixels[inside[(place + np.arange(1, 5)) % len(inside)]].astype(np.float32)
        rng = np.random.default_rng(crc32(str(film["file"]).encode()))
        kinds = list(FAULTS) if place % every == 0 else [FaultName.NONE]
        made = [FAULTS[kind].make(square, beside, rng) for kind in kinds]
        for kind, answer in zip(kinds, gate.answer(*made), strict=True):
            rows.append({**_described(film, split), **_wanted(kind, FAULTS[kind]), **answer})
    return pd.DataFrame(rows)


def real_fault_answers(manifest: Path, package: Path = PACKAGE) -> pd.DataFrame:
    """Ask the gate about films that NIH's lists call rotated, inverted or not frontal.

    They stand in no split, and the gate never learned from them; upright films of children, whom
    AGE refuses, stand beside them.
    """
    films = read_table(manifest, ("file", "split", "age", "view", "sex", "patient_id"))
    films["age"] = read_ages(manifest, films)
    films = films[films["split"] == "out_of_scope"]
    if not films.empty:
        need_columns(manifest, films, ("quality_flags",))
    gate = _Gate.locked(package)
    return pd.DataFrame(list(_real(films, manifest.parent / "images", gate)))


def _real(films: pd.DataFrame, images: Path, gate: _Gate) -> Iterator[dict[str, object]]:
    for film in films.to_dict("records"):
        flags = [f for f in str(film["quality_flags"]).split(";") if f in _REAL_FAULTS]
        kinds = [_REAL_FAULTS[flag] for flag in flags] or [_UNDER_AGE]
        path = images / str(film["file"])
        try:
            (answer,) = gate.answer(_square(path))
        except DamagedImageError as error:
            raise DatasetError(path, str(error), "leave it out of the manifest") from error
        for kind in kinds:
            wanted = "accept" if kind == _UNDER_AGE else "refuse"
            row = {**_described(film, "out_of_scope"), "kind": kind, "wanted": wanted}
            yield {**row, "content": "", **answer}


def object_answers(folder: Path, package: Path = PACKAGE) -> pd.DataFrame:
    """Ask the gate about every picture in a folder: photographs, scans, pages.

    Raises
    ------
    DatasetError
        No file of the folder is a picture that Pillow opens.
    """
    gate = _Gate.locked(package)
    rows = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            square = _square(path)
        except DamagedImageError:  # not a picture
            continue
        row = {"case": path.name, "patient_id": path.name, "split": "objects", "view": ""}
        row |= {"sex": "", "age_band": "", "kind": "a picture of something else"}
        row |= {"wanted": "refuse", "content": str(Content.OTHER)}
        rows.append({**row, **gate.answer(square)[0]})
    if not rows:
        raise DatasetError(folder, "no picture that Pillow opens", "name a folder of pictures")
    return pd.DataFrame(rows)


def _square(path: Path) -> NDArray[np.float32]:
    """Levels of any picture; one that Pillow cannot open raises `DamagedImageError`."""
    try:
        with Image.open(path) as image:
            stored = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DamagedImageError(f"is no picture that Pillow opens ({error})") from error
    return resize(stored)


def _described(film: Mapping[Hashable, object], split: str) -> dict[str, object]:
    age = float(str(film["age"]))
    return {
        "case": str(film["file"]),
        "patient_id": str(film["patient_id"]),
        "split": split,
        "view": str(film["view"]),
        "sex": str(film["sex"]),
        "age_band": "under 65" if age < 65 else "65 and over",  # noqa: PLR2004  # two halves
    }


def _wanted(kind: str, fault: Fault) -> dict[str, object]:
    accept = fault.content is Content.UPRIGHT
    return {
        "kind": str(kind),
        "wanted": "accept" if accept else "refuse",
        "content": str(fault.content),
    }
