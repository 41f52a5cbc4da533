"""Pictures of no chest film, for the gate card: samples that three packages carry, in one folder.

    python benchmarks/sample_pictures.py OUT

From scikit-image (in an environment of its own or on PYTHONPATH; it is no dependency), from
matplotlib, and from pydicom's examples, whose first frames are scaled to 8 bits. Then

    cxr-device dataset gate --manifest ... --split tune --split test --films 250 --objects OUT ...
"""

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import examples

EXAMPLES = ("ct", "jpeg2k", "mr", "overlay", "palette_color", "rgb_color", "ybr_color")
ENDINGS = {".png", ".jpg", ".tif", ".gif"}


def carried(package: str, folder: str) -> list[Path]:
    """Pictures in a package's folder."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed")
    files = sorted((Path(spec.origin).parent / folder).iterdir())
    return [path for path in files if path.suffix in ENDINGS]


def main() -> None:
    """Copy the files and write the DICOM examples as pictures."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True)
    for path in [*carried("skimage", "data"), *carried("matplotlib", "mpl-data/sample_data")]:
        shutil.copyfile(path, out / path.name)
    for name in EXAMPLES:
        dataset = getattr(examples, name)
        frame = dataset.pixel_array
        frame = frame[0] if "NumberOfFrames" in dataset else frame
        low, high = int(frame.min()), int(frame.max())
        scaled = ((frame.astype(np.float64) - low) * 255 / (high - low)).astype(np.uint8)
        Image.fromarray(scaled).save(out / f"dicom_{name}.png")
    sys.stdout.write(f"{len(list(out.iterdir()))} pictures\n")


if __name__ == "__main__":
    main()
