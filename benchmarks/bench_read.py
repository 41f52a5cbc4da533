"""Reading against torchxrayvision, in one run: file to network input, and file to answer.

    PYTHONPATH=tests python benchmarks/bench_read.py [--film FILM.dcm] [--rounds N] [--films N]

writes results/read.json. The peer is torchxrayvision 1.5.7 or newer on its documented path:
`utils.read_xray_dcm`, `XRayCenterCrop`, `XRayResizer(224)` (scikit-image), and its DenseNet class
with random weights (the time is that of trained ones). It is no dependency of this project
(pip install torchxrayvision); to decode JPEG lossless pydicom needs another package, python-gdcm.
A syntax that the peer cannot decode here is named in the file, without a ratio.

The claim is the ratio of processor times (this process with its threads, and the decoding worker);
that of wall clock stands beside it, where SHA-256 has the other core. On a machine that others load
too the first means more, but it is no longer that of a quiet one: the side that works more in
memory, the peer, is slowed more. The load is written beside both. Idle threads sleep on both sides
(OMP_WAIT_POLICY), for the peer's would spin for seconds where another program has the core. Both
sides take turns: of a second of the peer for the network's input, of one pass over the batch. The
device's part holds what the peer has not: SHA-256 of the file, every guard, a decoder that may die.
`decoder` is the device's decoder alone, in turn with both: what no work around it can go below.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from builders import (
    J2K_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    RLE,
    compressed,
    dx,
    pixels,
    to_bytes,
)  # fmt: skip
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import get_frame

from cxr_device import Analyzed, Device
from cxr_device.batch import Batch
from cxr_device.decoder_worker import DECODERS
from cxr_device.decoding import Decoder
from cxr_device.release import PACKAGE, Release

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # before torch is imported
RESULTS = Path(__file__).parent / "results/read.json"
SYNTAXES = {
    "RLE": RLE, "JPEG lossless": JPEG_LOSSLESS_SV1, "JPEG-LS": JPEG_LS, "JPEG 2000": J2K_LOSSLESS,
}  # fmt: skip
RAW_8, RAW_12 = "raw, 8 bits, 1024 x 1024", "raw, 12 bits, 3000 x 2500"
GOALS = {RAW_8: 10, RAW_12: 20, "RLE": 8, "JPEG lossless": 4, "JPEG-LS": 3.5, "JPEG 2000": 1.3}
"""Ratio aimed at, file to network input."""
WHOLE_GOAL = 20
"""Ratio aimed at, file to answer, of a batch."""
LARGE = (3000, 2500)
"""Rows and columns of the 12-bit films."""
TURN_S = 1.0
"""Seconds that a turn of the peer lasts, or one film: films are read one after another."""


def films(folder: Path, source: Path | None) -> dict[str, Path]:
    """Write one film enlarged with noise, sigma 12 of 4,096, in every syntax."""
    frame = dcmread(source).pixel_array if source else pixels() >> 4
    small = np.asarray(Image.fromarray(frame.astype(np.uint8)).resize((1024, 1024)))
    grown = Image.fromarray(small.astype(np.uint16) * 16).resize(LARGE[::-1])
    noise = np.random.default_rng(0).normal(0, 12, LARGE)
    large = (np.asarray(grown) + noise).round().clip(0, 4095).astype(np.uint16)
    spacing = {"ImagerPixelSpacing": [0.14, 0.14]}
    made = {
        RAW_8: dx(small, bits_stored=8),
        RAW_12: dx(large, **spacing),
        **{name: compressed(dx(large, **spacing), uid) for name, uid in SYNTAXES.items()},
    }
    paths = {}
    for number, (name, film) in enumerate(made.items()):
        paths[name] = folder / f"{number}.dcm"
        paths[name].write_bytes(to_bytes(film))
    return paths


def children_s() -> float:
    """Processor seconds of this process's living children, ended threads too (Linux)."""
    seconds = 0.0
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that just ended
            for child in (task / "children").read_text(encoding="ascii").split():
                seconds += time.clock_gettime((~int(child)) << 3 | 2)  # clock_getcpuclockid(3)
    return seconds


def turn(job: Callable[[], Any], films: int) -> tuple[float, float]:
    """Processor and wall-clock milliseconds of a film, of some one after another."""
    children = children_s()  # first and last: looking takes time too
    wall, own = time.perf_counter(), time.process_time()
    for _ in range(films):
        job()
    own, wall = time.process_time() - own, time.perf_counter() - wall
    return 1e3 * (own + children_s() - children) / films, 1e3 * wall / films


def both(
    device: Callable[[], Any],
    peer: Callable[[], Any],
    rounds: int,
    films: int = 1,
    decoder: Callable[[], Any] | None = None,
) -> dict[str, Any]:
    """Medians of interleaved turns after one warm-up, and the peer's time by the device's."""
    jobs = {"device": device, "torchxrayvision": peer}
    if decoder is not None:
        jobs["decoder"] = decoder
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            found = turn(job, films)
            if number:
                times[name].append(found)
    medians = {
        name: [statistics.median(column) for column in zip(*found, strict=True)]
        for name, found in times.items()
    }
    figures: dict[str, Any] = {
        name: {"processor_ms": round(own, 1), "wall_ms": round(wall, 1)}
        for name, (own, wall) in medians.items()
    }
    for place, name in enumerate(("processor_ratio", "wall_ratio")):
        ratio = medians["torchxrayvision"][place] / medians["device"][place]
        figures[name] = round(ratio, 2)
    return figures


def decoding_alone(path: Path) -> Callable[[], Any] | None:
    """Return the device's decoder alone, in this process; None where no library decodes a film."""
    film = dcmread(path)
    name = DECODERS.get(film.file_meta.TransferSyntaxUID)
    if name is None:
        return None
    stream = get_frame(film.PixelData, 0, number_of_frames=1)
    out = np.zeros((film.Rows, film.Columns), np.uint16)
    options = {"numthreads": 2} if name == "jpeg2k" else {}
    return partial(getattr(imagecodecs, f"{name}_decode"), stream, out=out, **options)


def inputs(
    paths: dict[str, Path], peer: Callable[[Path], Any], rounds: int
) -> list[dict[str, Any]]:
    """Measure file to network input; the device's network is left out of its path."""
    release = Release.load()
    nothing = np.zeros((1, len(release.heads)), dtype=np.float32)
    passing = np.array([[9.0, -9.0, -9.0, -9.0, -9.0]], dtype=np.float32)  # the gate lets it in
    device = Device(release, infer=lambda _pixels: nothing, gate=lambda _pixels: passing)
    device._decoder = Decoder(time_limit_s=300.0)  # noqa: SLF001  # a busy machine is no hang
    found: list[dict[str, Any]] = []
    for name, path in paths.items():
        row: dict[str, Any] = {"film": name, "goal": GOALS[name]}
        found.append(row)

        def read(path: Path = path) -> None:
            result = device.read(path)
            assert isinstance(result, Analyzed), [c for c in result.checks if c.is_rejection]

        def theirs(path: Path = path) -> None:
            peer(path)

        try:
            theirs()
            films = max(1, round(1e3 * TURN_S / turn(theirs, 1)[1]))
        except (RuntimeError, NotImplementedError) as error:
            row["torchxrayvision"] = f"cannot decode here: {type(error).__name__}"
            continue
        row |= {"films": films, **both(read, theirs, rounds, films, decoding_alone(path))}
        row.setdefault("decoder", None)
        print(row, flush=True)
    device.close()
    return found


def whole(paths: dict[str, Path], peer: Callable[[Path], Any], count: int) -> list[dict[str, Any]]:
    """Measure file to answer over a batch of raw films, the median of three passes each."""
    device = Device.load()
    found: list[dict[str, Any]] = []
    for name in (RAW_8, RAW_12):
        batch = [paths[name]] * count

        def read(batch: list[Path] = batch) -> None:
            with Batch(device.read_group, batch) as judged:
                assert all(isinstance(judged(film), Analyzed) for film in batch)

        def theirs(batch: list[Path] = batch) -> None:
            for film in batch:
                peer(film)

        figures = both(read, theirs, rounds=3)
        found.append({"film": name, "films": count, "goal": WHOLE_GOAL, **figures})
        print("whole", found[-1], flush=True)
    device.close()
    return found


def peak_mib(path: Path) -> float:
    """Largest resident set of a process that reads one film, or of its worker, in MiB.

    By VmHWM, which is of the one program: `ru_maxrss` keeps that of the process it was started
    from, and this one holds torch.
    """
    script = (
        "import sys; from pathlib import Path; from cxr_device import Device;"
        "d = Device.load(); d.read(sys.argv[1]); tasks = Path('/proc/self/task').iterdir();"
        "ids = ['self', *(i for t in tasks for i in (t / 'children').read_text().split())];"
        "print(max(int(line.split()[1]) for i in ids"
        " for line in Path('/proc', i, 'status').read_text().splitlines() if 'VmHWM' in line))"
    )
    command = [sys.executable, "-c", script, str(path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return round(int(told.stdout) / 1024, 1)


def first_result_s() -> float:
    """Processor seconds of `cxr-device read FILM` in a new process."""
    film = PACKAGE / "examples/phantom_opacity.dcm"
    command = [sys.executable, "-c", "from cxr_device.cli import main; main()", "read", str(film)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3)


def peers() -> tuple[Callable[[Path], NDArray[np.float32]], Callable[[Path], Any]]:
    """Return torchxrayvision's path to the network's input, and on through its network."""
    xrv: Any = importlib.import_module("torchxrayvision")
    torch: Any = importlib.import_module("torch")
    crop, resize = xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)
    net = xrv.models.DenseNet(num_classes=18, in_channels=1).eval()

    def shaped(path: Path) -> NDArray[np.float32]:
        square: NDArray[np.float32] = resize(crop(xrv.utils.read_xray_dcm(path)[None]))
        return square

    def answer(path: Path) -> Any:  # noqa: ANN401
        with torch.inference_mode():
            return net(torch.from_numpy(shaped(path))[None])

    return shaped, answer


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--film", type=Path, help="a real 8-bit film; the phantom without it")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--films", type=int, default=200, help="of the batch")
    asked = parser.parse_args()
    shaped, answer = peers()
    figures: dict[str, Any] = {
        "film": "a real film" if asked.film else "the phantom",
        "torchxrayvision": version("torchxrayvision"),
        "rounds": asked.rounds,
        "cores": os.cpu_count(),
    }
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        paths = films(Path(folder), asked.film)
        for name, measure in (
            ("file_to_answer", lambda: whole(paths, answer, asked.films)),
            ("first_result_processor_s", first_result_s),
            ("file_to_input", lambda: inputs(paths, shaped, asked.rounds)),
            (
                "peak_mib",
                lambda: {"raw": peak_mib(paths[RAW_12]), "jpeg_2000": peak_mib(paths["JPEG 2000"])},
            ),
        ):
            figures[name] = measure()
            figures["load_average"] = [round(load, 1), round(os.getloadavg()[0], 1)]
            RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
