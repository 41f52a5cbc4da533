"""Training reads: batches drawn at random from a prepared cache, as float tensors, on one core.

Run as a script, it writes the rate that the documents quote to results/training_reads.json. The
films are noise of the cached size: what is read costs the same.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from cxr_device.training.prepared import Rows

FILMS, SIZE, BATCH, ROUNDS = 8_192, 224, 64, 7
RESULTS = Path(__file__).parent / "results/training_reads.json"


def rates(folder: Path) -> list[float]:
    """Films a second of processor time, a round of all films each, after one warm-up."""
    path = folder / "pixels.npy"
    made = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(FILMS, SIZE, SIZE))
    rng = np.random.default_rng(0)
    for row in range(FILMS):
        made[row] = rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
    made.flush()
    films = Rows(np.load(path, mmap_mode="r"), np.arange(FILMS))
    found = []
    for _ in range(ROUNDS + 1):
        order = rng.permutation(FILMS)
        begun = time.process_time()
        for start in range(0, FILMS, BATCH):
            batch = films[order[start : start + BATCH]]
            tensor = torch.from_numpy(batch)[:, None].float()
            assert tensor.shape == (BATCH, 1, SIZE, SIZE)
        found.append(FILMS / (time.process_time() - begun))
    return found[1:]


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = rates(Path(folder))
    figures = {
        "films_per_second_per_core": round(statistics.median(found)),
        "slowest": round(min(found)),
        "fastest": round(max(found)),
        "size_px": SIZE,
        "batch": BATCH,
        "rounds": ROUNDS,
        "method": "random batches of a memory-mapped uint8 cache in memory, to float32 tensors; "
        "processor time of one thread on a shared machine of 2 cores",
    }
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(figures)


if __name__ == "__main__":
    main()
