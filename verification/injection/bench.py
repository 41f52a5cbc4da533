"""The bench of an experiment: fresh films, a folder, randomness, and the device as a command."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.random import Generator
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import generate_uid

from verification.injection.films import part10

__all__ = ["Bench", "Count", "Run", "with_frame"]

Count = tuple[int, int]
"""Injections that were answered, and all of them."""

_PROGRAM: Final = "from cxr_device.cli import main; main()"
_TIME_LIMIT_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Run:
    """What a command of the device left."""

    records: list[dict[str, Any]]
    exit_code: int
    said: str
    """Standard output and standard error together."""

    def probabilities(self) -> list[float | None]:
        """Probability of each record, in order; None where there is no finding."""
        return [r["finding"] and r["finding"]["probability"] for r in self.records]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One experiment's surroundings."""

    root: Path
    """Folder from which the device is imported."""
    film: Dataset
    """A film of the intended use."""
    folder: Path
    """Empty at the start."""
    rng: Generator

    def fresh(self, number: int) -> Dataset:
        """Copy the film under an instance UID of its own."""
        copy = pydicom.dcmread(io.BytesIO(part10(self.film)))
        copy.pixel_array_source = self.film.pixel_array
        copy.SOPInstanceUID = generate_uid(entropy_srcs=[str(self.folder), str(number)])
        copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
        return copy

    def varied(self, number: int) -> Dataset:
        """Copy the film with another exposure and other noise, 12 bits."""
        copy = self.fresh(number)
        frame = self.film.pixel_array.astype(np.float64)
        gain, shift = self.rng.uniform(0.7, 1.0), self.rng.uniform(0.0, 400.0)
        frame = gain * frame + shift + self.rng.normal(0.0, 4.0, frame.shape)
        return with_frame(copy, frame.round().clip(0, 4095).astype(np.uint16))

    def put(self, name: str, content: Dataset | bytes) -> Path:
        """Write a film or raw bytes below the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with pydicom.config.disable_value_validation():
            path.write_bytes(content if isinstance(content, bytes) else part10(content))
        return path

    def run(
        self,
        verb: str,
        *arguments: str | Path,
        program: str = _PROGRAM,
        environment: Mapping[str, str] | None = None,
        root: Path | None = None,
        cwd: Path | None = None,
    ) -> Run:
        """Run `cxr-device VERB ... --json` in a process of its own."""
        where = root or self.root
        done = subprocess.run(  # noqa: S603  # fixed program, no shell
            [sys.executable, "-c", program, verb, "--json", *map(str, arguments)],
            cwd=cwd or where,
            env={
                **os.environ,
                "PYTHONPATH": str(where),
                "PYTHONSAFEPATH": "1",
                **(environment or {}),
            },
            capture_output=True,
            check=False,
            timeout=_TIME_LIMIT_S,
        )
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{")]
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        return Run(records, done.returncode, said)

    def probabilities(self, paths: Iterable[Path]) -> list[float | None]:
        """Read films and give their probabilities in order."""
        return self.run("read", *paths).probabilities()

    def one_of(self, *values: Any) -> Any:  # noqa: ANN401  # DICOM values
        """Draw one of some values."""
        return values[int(self.rng.integers(len(values)))]


def with_frame(film: Dataset, frame: NDArray[np.uint16]) -> Dataset:
    """Give a film another frame of the same size."""
    film.PixelData = frame.astype("<u2").tobytes()
    film["PixelData"].VR = "OW"
    return film
