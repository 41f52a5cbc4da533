"""Fuzz campaigns, counted: `make fuzz` writes benchmarks/results/fuzzing.json.

Attackers that know nothing of the device: libFuzzer by atheris (guided by the coverage of intake,
guards and the decoders that run in the process; or of the node and what it speaks), and zzuf,
which flips bits of whole films at random; `cxr-device check` is run on its files, a folder at a
time.

    PYTHONPATH=tests python tests/fuzz/campaign.py guided 600
    PYTHONPATH=tests python tests/fuzz/campaign.py received 600
    PYTHONPATH=tests python tests/fuzz/campaign.py flipped 2000
"""

import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from builders import (
    J2K_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    RLE,
    compressed,
    dx,
    pixels,
    to_bytes,
)
from command import Run

HERE = Path(__file__).resolve().parent
RESULT = HERE.parents[1] / "benchmarks/results/fuzzing.json"
FOLDER_FILES = 500
RATIOS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
"""Shares of a file's bits that zzuf flips: from one or two bits to one in a hundred."""


def guided(seconds: int, script: str = "fuzz_intake.py") -> dict[str, Any]:
    """Run atheris; a crash keeps its input and ends the campaign."""
    command = [sys.executable, str(HERE / script), f"-max_total_time={seconds}",
               "-print_final_stats=1", "-seed=1"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    runs = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
    covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
    if done.returncode or not runs:
        sys.exit(f"atheris ended with {done.returncode}:\n{done.stderr[-4000:]}")
    edges, features, corpus = map(int, covered[-1])
    return {
        "attacker": f"atheris {version('atheris')}", "seconds": seconds, "runs": int(runs[-1]),
        "edges_covered": edges, "features": features, "corpus": corpus, "crashes": 0,
    }  # fmt: skip


def received(seconds: int) -> dict[str, Any]:
    """Run atheris against a running server of the node."""
    return guided(seconds, "fuzz_receive.py")


def films() -> dict[str, bytes]:
    """Whole films of 512 x 512 pixels, by their transfer syntax."""
    film = dx(pixels(side=512))
    eight = dx((pixels(side=512) >> 4).astype(np.uint8), bits_stored=8)
    found = {"1.2.840.10008.1.2.1": to_bytes(film)}
    for syntax in (RLE, JPEG_LOSSLESS_SV1, JPEG_LS, J2K_LOSSLESS):
        found[syntax] = to_bytes(compressed(dx(pixels(side=512)), syntax))
    return {**found, JPEG_BASELINE: to_bytes(compressed(eight, JPEG_BASELINE))}


def flipped(files: int) -> dict[str, Any]:
    """Let zzuf damage `files` films, and count how the command answers them."""
    zzuf = shutil.which("zzuf")
    if zzuf is None:
        sys.exit("zzuf is missing: install the Debian package zzuf")
    counts, codes = Counter[str](), Counter[str]()
    slowest = memory = 0.0
    begun, sources = time.monotonic(), list(films().values())
    for first in range(0, files, FOLDER_FILES):
        with tempfile.TemporaryDirectory() as folder:
            numbers = range(first, min(first + FOLDER_FILES, files))
            for number in numbers:
                ratio = RATIOS[number // len(sources) % len(RATIOS)]
                with (Path(folder) / f"{number:05}.dcm").open("wb") as out:
                    subprocess.run(  # noqa: S603
                        [zzuf, "-s", str(number), "-r", f"{ratio:.7f}"],
                        input=sources[number % len(sources)],
                        stdout=out,
                        check=True,
                    )
            run = Run("check", folder, "--json")
        if len(run.entries) != len(numbers) or "Traceback" in run.errors or run.code == 70:
            sys.exit(f"files {numbers}: exit {run.code}\n{run.errors[-4000:]}")
        for entry in run.entries:
            counts[entry["status"]] += 1
            codes.update(c["code"] for c in entry["checks"] if c["outcome"] == "reject")
            slowest = max(slowest, entry["timing_ms"]["total"])
        memory = max(memory, run.memory)
    return {
        "attacker": "zzuf, Debian", "files": files, "statuses": dict(counts.most_common()),
        "codes": dict(codes.most_common()), "tracebacks": 0, "internal_errors": 0,
        "slowest_ms": round(slowest), "most_memory_mib": round(memory / 2**20),
        "seconds": round(time.monotonic() - begun),
    }  # fmt: skip


def main() -> None:
    """Run one campaign and put its counts into the result."""
    campaigns = {"guided": guided, "received": received, "flipped": flipped}
    if len(sys.argv) != 3 or sys.argv[1] not in campaigns:
        sys.exit("usage: campaign.py guided|received SECONDS | flipped FILES")
    name, amount = sys.argv[1], int(sys.argv[2])
    found = campaigns[name](amount)
    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    result[name] = {
        "command": f"PYTHONPATH=tests python tests/fuzz/campaign.py {name} {amount}",
        "python": platform.python_version(),
        **found,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(result[name], indent=2) + "\n")


if __name__ == "__main__":
    main()
