"""Cold read: a new process reads the bundled film, and `--help` answers.

Run as a script, it writes the medians that the requirements quote to results/cold_read.json.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from cxr_device.release import PACKAGE

RUNS = 7
FILM = PACKAGE / "examples/phantom_opacity.dcm"
RESULTS = Path(__file__).parent / "results/cold_read.json"


def seconds(*arguments: str) -> list[float]:
    """Wall-clock seconds of `cxr-device ARGUMENTS` in a new process, RUNS times."""
    command = [sys.executable, "-c", "from cxr_device.cli import main; main()", *arguments]
    found = []
    for _ in range(RUNS + 1):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        found.append(time.perf_counter() - begun)
    return found[1:]


def main() -> None:
    """Measure and write."""
    read, shown = seconds("read", str(FILM)), seconds("--help")
    RESULTS.parent.mkdir(exist_ok=True)
    figures = {
        "median_s": round(statistics.median(read), 3),
        "fastest_s": round(min(read), 3),
        "help_median_s": round(statistics.median(shown), 3),
        "runs": RUNS,
        "film": FILM.name,
        "method": "wall clock of a new process on a shared machine of 2 cores, after one warm-up",
    }
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(figures)


if __name__ == "__main__":
    main()
