"""Whether a film answered several times over, each time a little otherwise, is answered better.

    python benchmarks/averaging.py --data DATA --cache DIR

Test-time averaging of the locked graph on the films of `tune`: the mean score of the film and its
copies that are moved, grown, shrunk or turned as much as another radiographer might have done.
Beside it, the film alone. Rows and intervals are those of `ablation.py`; results/averaging.json.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from ablation import GROUPS, MANIFESTS, RESAMPLES, Floats, compared, tuning_films
from numpy.typing import NDArray
from PIL import Image

from cxr_device import runtimes
from cxr_device.preprocessing import standardize
from cxr_device.release import Release

OUT = Path(__file__).parent / "results" / "averaging.json"
SHIFT, ZOOM, TURN = 0.03, 0.06, 3.0
"""Shares of the side, and degrees."""
COPIES = {
    "moved": [(1.0, x, y, 0.0) for x, y in ((SHIFT, 0), (-SHIFT, 0), (0, SHIFT), (0, -SHIFT))],
    "grown and shrunk": [(1 + ZOOM, 0, 0, 0.0), (1 - ZOOM, 0, 0, 0.0)],
    "turned": [(1.0, 0, 0, TURN), (1.0, 0, 0, -TURN)],
}
"""Scale, shift and turn of each copy."""


def copy_of(
    film: NDArray[np.uint16], scale: float, x: float, y: float, turn: float
) -> NDArray[np.float32]:
    """Levels of a film scaled and turned about its centre and moved; its border is repeated."""
    side = film.shape[0]
    edge = side // 4
    wide = np.pad(film.astype(np.float32), edge, mode="edge")
    cos, sin = np.cos(np.radians(turn)) / scale, np.sin(np.radians(turn)) / scale
    middle, to = side / 2 + edge, side / 2
    where = (
        cos, sin, middle - cos * (to + x * side) - sin * (to + y * side),
        -sin, cos, middle + sin * (to + x * side) - cos * (to + y * side),
    )  # fmt: skip
    image = Image.fromarray(wide).transform(
        (side, side), Image.Transform.AFFINE, where, Image.Resampling.BILINEAR
    )
    return np.asarray(image)


def main() -> None:
    """Score every film and its copies, compare, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    asked = parser.parse_args()
    release = Release.load()
    infer = runtimes.on_cpu(release.graph, threads=0)
    heads = [release.heads.index(name) for name in release.score_heads]
    films = tuning_films(asked.data, asked.cache, MANIFESTS)

    def score(copies: list[tuple[float, float, float, float]]) -> Floats:
        found = []
        for film in films.pixels[:]:
            made = [standardize(copy_of(film, *copy)) for copy in copies]
            found.append(np.mean([infer(m[np.newaxis, np.newaxis])[0][heads] for m in made]))
        return np.array(found)

    alone = score([(1.0, 0, 0, 0.0)])
    several = {name: (score(copies), len(copies)) for name, copies in COPIES.items()}
    several["all"] = (
        np.sum([value * n for value, n in several.values()], axis=0)
        / sum(n for _, n in several.values()),
        sum(n for _, n in several.values()),
    )
    named = [({"answered": "as it is"}, alone)]
    for name, (value, n) in several.items():
        told = {"answered": f"with {n} copies, {name}"}
        named.append((told, (alone + n * value) / (1 + n)))
    rows, positives = compared(named, films)
    for row in rows:
        print(row["answered"], {name: row[f"{name}_difference"] for name in GROUPS})
    found = {
        "films": rows[0]["within_view"]["n"],
        "positives": positives,
        "resamples": RESAMPLES,
        "rows": rows,
    }
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
