"""The two pixel paths: the same films as small JPEG pictures and as DICOM, both scored.

Training and study films come as JPEG of 320 pixels; a hospital sends DICOM of 1,024 to 4,000. One
row a film and form, for `cxr-validate renditions`, which bounds the differences.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from pydicom import FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cxr_device.device import Device
from cxr_device.errors import DatasetError
from cxr_device.result import Analyzed
from cxr_device.training.image_file import DamagedImageError, read_image
from cxr_device.training.manifest import need_films, read_ages, read_table
from cxr_device.training.score import score_film

__all__ = ["FORMS", "Form", "Renditions", "render", "score_renditions"]

_SAME_FILM: Final = 0.98
"""Correlation of two pictures at 64 x 64 pixels that show one film."""
_DIGITAL_X_RAY: Final = "1.2.840.10008.5.1.4.1.1.1.1"
_COLUMNS: Final = ("file", "split", "age", "view", "nih_name", "orig_w")
_EXAMPLE_ROOT: Final = "1.2.826.0.1.3680043.10.1559.9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way to store a film as DX."""

    short_side: int
    """Pixels; the picture is resampled to it (Lanczos)."""
    bits_stored: int = 12
    monochrome1: bool = False
    cut: float | None = None
    """Share of pixels that a LINEAR window cuts at each end; None stores no window."""
    sigmoid: bool = False
    """The window is SIGMOID, as wide as the stored range."""

    @property
    def name(self) -> str:
        """Say the form in words."""
        words = [f"DICOM {self.short_side} px, {self.bits_stored} bit"]
        words += ["MONOCHROME1"] if self.monochrome1 else []
        words += [f"window cutting {self.cut:.0%} at each end"] if self.cut is not None else []
        words += ["SIGMOID window"] if self.sigmoid else []
        return ", ".join(words)


FORMS: Final = (
    Form(short_side=1024, bits_stored=8), Form(short_side=1024), Form(short_side=2048),
    Form(short_side=3000), Form(short_side=2048, bits_stored=16),
    Form(short_side=1024, monochrome1=True), Form(short_side=1024, cut=0.0),
    Form(short_side=1024, cut=0.01), Form(short_side=1024, cut=0.05),
    Form(short_side=1024, sigmoid=True),
)  # fmt: skip
"""Sizes, bit depths, polarities and windows; the last three change the grey scale on purpose."""


@dataclass(slots=True)
class Renditions:
    """Rows `case`, `rendition`, `reference`, `score`, and why other films have none."""

    rows: list[dict[str, object]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, case: str, rendition: str, reference: float | str, score: float | str) -> None:
        """Keep a pair of scores; a word in place of one says why there is none."""
        if isinstance(reference, float) and isinstance(score, float):
            row = {"case": case, "rendition": rendition, "reference": reference, "score": score}
            self.rows.append(row)
        else:
            why = score if isinstance(score, str) else reference
            self.left_out.append(f"{case} as {rendition}: {why}")

    def table(self) -> pd.DataFrame:
        """All pairs of scores."""
        return pd.DataFrame(self.rows, columns=["case", "rendition", "reference", "score"])


def render(picture: NDArray[np.uint8], form: Form) -> bytes:
    """Store an 8-bit picture (rows, columns), bright as bone, as a DX instance of this form.

    Returns the bytes of a Part 10 file of an adult's PA chest film.
    """
    scale = form.short_side / min(picture.shape)
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    grown = Image.fromarray(picture.astype(np.float32)).resize(size, Image.Resampling.LANCZOS)
    maximum = (1 << form.bits_stored) - 1
    stored = np.rint(np.asarray(grown).clip(0, 255) * (maximum / 255)).astype(np.uint16)
    low, high = np.quantile(stored, (form.cut or 0.0, 1 - (form.cut or 0.0)))
    if form.monochrome1:
        stored = np.uint16(maximum) - stored
    film = _header(stored.astype(np.uint8) if form.bits_stored == 8 else stored, form)  # noqa: PLR2004
    if form.sigmoid:
        film.WindowCenter, film.WindowWidth = (maximum + 1) // 2, maximum + 1
        film.VOILUTFunction = "SIGMOID"
    elif form.cut is not None:
        film.WindowCenter, film.WindowWidth = round((low + high + 1) / 2), round(high - low + 1)
    buffer = BytesIO()
    film.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _header(stored: NDArray[np.uint8] | NDArray[np.uint16], form: Form) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    film.SOPClassUID, film.SOPInstanceUID = _DIGITAL_X_RAY, f"{_EXAMPLE_ROOT}.3"
    film.StudyInstanceUID, film.SeriesInstanceUID = f"{_EXAMPLE_ROOT}.1", f"{_EXAMPLE_ROOT}.2"
    film.PatientID, film.PatientAge = "RENDITION", "045Y"
    film.Modality, film.PresentationIntentType = "DX", "FOR PRESENTATION"
    film.ImageType, film.BodyPartExamined = ["DERIVED", "PRIMARY"], "CHEST"
    film.ViewPosition, film.BurnedInAnnotation = "PA", "NO"
    film.PhotometricInterpretation = "MONOCHROME1" if form.monochrome1 else "MONOCHROME2"
    film.PresentationLUTShape = "INVERSE" if form.monochrome1 else "IDENTITY"
    film.SamplesPerPixel, film.PixelRepresentation = 1, 0
    film.Rows, film.Columns = stored.shape
    film.BitsAllocated = 8 * stored.dtype.itemsize
    film.BitsStored, film.HighBit = form.bits_stored, form.bits_stored - 1
    film.PixelData = stored.tobytes()
    film["PixelData"].VR = "OW"
    return film


def score_renditions(
    manifests: list[Path],
    device: Device,
    *,
    split: str,
    films: int,
    samples: Path | None = None,
) -> Renditions:
    """Score films of a split in every form, and every film that the manifests hold twice.

    Parameters
    ----------
    manifests : list of path
        ChestX-ray14 manifests, as `dataset score` takes them.
    split : str
        Where the `films` films are taken from, evenly through the manifest's order.
    samples : path, optional
        Folder of DICOM films; each is paired with the `reserved` picture of the same film.

    Raises
    ------
    DatasetError
        A manifest lacks a column, an age is no number, a picture cannot be used, or the split has
        no film.
    """
    tables = []
    for manifest in manifests:
        rows = read_table(manifest, _COLUMNS)
        rows["age"] = read_ages(manifest, rows)
        tables.append(rows.assign(path=[manifest.parent / "images" / f for f in rows["file"]]))
    table = pd.concat(tables, ignore_index=True)
    label = device.release.label
    inside = table["age"].between(label.min_age_years, label.max_age_years)
    chosen = table[(table["split"] == split) & inside & table["view"].isin(("PA", "AP"))]
    if chosen.empty:
        reason = f"no frontal films of adults in split {split}"
        raise DatasetError(manifests[0], reason, "name a split with films")
    found = Renditions()
    for place in np.unique(np.linspace(0, len(chosen) - 1, films).round().astype(int)):
        path = chosen["path"].iloc[place]
        picture = _picture(path)
        reference = score_film(path, device)
        for form in FORMS:
            found.add(path.name, form.name, reference, _read(render(picture, form), device))
    for first, second in _copies(table[inside & table["split"].isin(("train", "tune"))]):
        scores = (score_film(path, device) for path in (first, second))
        found.add(second.name, "another copy of the film", *scores)
    if samples is not None:
        pictures = {
            Path(p): _small(_picture(p)) for p in table["path"][table["split"] == "reserved"]
        }
        for path in sorted(samples.glob("*.dcm")):
            _pair(path, pictures, device, found)
    need_films(manifests[0], kept=len(found.rows), left_out=found.left_out)
    return found


def _picture(path: Path) -> NDArray[np.uint8]:
    try:
        return read_image(path).stored
    except DamagedImageError as error:
        raise DatasetError(path, str(error), "leave it out of the manifest") from error


def _read(source: bytes | Path, device: Device) -> float | str:
    result = device.read(source)
    if isinstance(result, Analyzed):
        return result.decision.probability
    return ", ".join(c.code for c in result.checks if c.is_failure or c.is_rejection)


def _copies(table: pd.DataFrame) -> Iterator[tuple[Path, Path]]:
    """Pairs of pictures that name one film of ChestX-ray14, the larger original first."""
    named = table[table["nih_name"].notna()].sort_values("orig_w", ascending=False, kind="stable")
    for _, rows in named.groupby("nih_name"):
        paths = rows["path"].tolist()
        yield from ((paths[0], other) for other in paths[1:])


def _small(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    small = Image.fromarray(picture).resize((64, 64), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.float64).ravel()


def _pair(
    path: Path, pictures: dict[Path, NDArray[np.float64]], device: Device, found: Renditions
) -> None:
    """Find the reserved picture of a sample film, and keep both scores."""
    result = device.read(path)
    if not isinstance(result, Analyzed):
        return
    picture = device.picture(result)
    if picture is None:
        return
    mine = _small(picture)
    for other, small in pictures.items():
        if np.corrcoef(mine, small)[0, 1] >= _SAME_FILM:
            found.add(
                f"{path.name} and {other.name}", "sample DICOM, 1024 px, 8 bit",
                score_film(other, device), result.decision.probability,
            )  # fmt: skip
