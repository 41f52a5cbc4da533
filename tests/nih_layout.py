"""A ChestX-ray14 download in small, made by code, in the layout in which NIH ships it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
SAMPLE_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y"
)
LABELS = ("No Finding", "Pneumonia|Infiltration", "Effusion", "Consolidation", "Cardiomegaly")


def name(patient: int, follow_up: int = 0) -> str:
    """An image's name, as NIH forms it."""
    return f"{patient:08d}_{follow_up:03d}.png"


def row(  # noqa: PLR0913
    patient: int,
    follow_up: int = 0,
    *,
    labels: str = "No Finding",
    age: object = 50,
    sex: str = "F",
    view: str = "PA",
) -> str:
    """One row of the label table."""
    parts = (name(patient, follow_up), labels, follow_up, patient, age, sex, view)
    return ",".join(map(str, (*parts, 2500, 2048, 0.168, 0.168)))


def film(seed: int, *, side: int = 96, bright: bool = False) -> NDArray[np.uint8]:
    """A smooth grey square with grain; brighter in its middle where asked."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    square = 60 + 80 * np.exp(-6 * (x**2 + y**2)) * (2 if bright else 1)
    levels: NDArray[np.uint8] = np.clip(square + rng.normal(0, 6, (side, side)), 0, 255).astype(
        np.uint8
    )
    return levels


@dataclass
class Layout:
    """Writes a download; `rows` in the full table's form."""

    folder: Path
    rows: list[str] = field(default_factory=list)

    def table(self, name: str = "Data_Entry_2017_v2020.csv", header: str = HEADER) -> "Layout":
        """Write the label table."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text("\n".join([header, *self.rows]) + "\n")
        return self

    def lists(self, **names: Iterable[str]) -> "Layout":
        """Write `<key>_list.txt` of images."""
        for key, images in names.items():
            (self.folder / f"{key}_list.txt").write_text("\n".join(images) + "\n")
        return self

    def images(self, films: Mapping[str, NDArray[np.uint8]], *, part: int = 1) -> "Layout":
        """Write films into `images_<part>/images`."""
        folder = self.folder / f"images_{part:03d}" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        for file, levels in films.items():
            Image.fromarray(levels).save(folder / file)
        return self


def cohort(folder: Path, *, patients: int = 30, images: bool = True, side: int = 96) -> Layout:
    """Adults with two films each, five kinds of labels, both views, listed as NIH does."""
    layout, films = Layout(folder), {}
    for patient in range(1, patients + 1):
        for follow_up in (0, 1):
            kind = (patient + 2 * follow_up) % len(LABELS)
            view = "AP" if (patient // len(LABELS)) % 2 else "PA"
            layout.rows.append(
                row(patient, follow_up, labels=LABELS[kind], age=30 + patient % 40, view=view)
            )
            films[name(patient, follow_up)] = film(
                1000 * patient + follow_up, side=side, bright=kind in (1, 3)
            )
    layout.table()
    names = sorted(films)
    cut = 2 * (patients * 3 // 4)
    layout.lists(train_val=names[:cut], test=names[cut:])
    if images:
        layout.images({n: films[n] for n in names[: len(names) // 2]}, part=1)
        layout.images({n: films[n] for n in names[len(names) // 2 :]}, part=2)
    return layout
