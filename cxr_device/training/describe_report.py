"""The report on a data set: read the folder, count, and write `report.json` and `report.html`."""

from pathlib import Path
from typing import Any

from cxr_device.training.dataset import read_dataset
from cxr_device.training.describe import describe_tables
from cxr_device.training.describe_page import page
from cxr_device.training.describe_pixels import NEEDS_IMAGES, describe_pixels
from cxr_device.training.progress import Progress
from cxr_device.whole_file import make_folder, write_json, write_text

__all__ = ["describe"]


def describe(nih_dir: Path, *, out: Path, sample: int) -> dict[str, Any]:
    """Describe a ChestX-ray14 download and write the report into `out`.

    Parameters
    ----------
    sample : int
        Images whose pixels are read; 0 reads all.

    Returns
    -------
    dict
        What `report.json` holds; `pixels` is None and `needs_images` names what is left where no
        image file lies in the folder.

    Raises
    ------
    DatasetError
        The folder is not a ChestX-ray14 download; nothing is written.
    OutputError
        The report cannot be written.
    """
    dataset = read_dataset(nih_dir)
    report = describe_tables(dataset)
    here = bool(report["files"]["found"])
    report["needs_images"] = [] if here else list(NEEDS_IMAGES)
    report["pixels"] = (
        describe_pixels(dataset, sample=sample, progress=Progress("images read")) if here else None
    )
    make_folder(out)
    write_json(out / "report.json", report)
    write_text(out / "report.html", page(report))
    return report
