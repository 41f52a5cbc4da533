"""The command in a process of its own, as its user runs it, with the memory that it held."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["MAIN", "Run"]

MAIN = [sys.executable, "-c", "from cxr_device.cli import main; main()"]


class Run:
    """One run of the command: its records, and the most memory that it and its children held."""

    def __init__(self, *arguments: str | Path, environment: dict[str, str] | None = None) -> None:
        command = [*MAIN, *map(str, arguments)]
        with subprocess.Popen(  # noqa: S603
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        ) as process:
            self.memory = 0
            while True:
                self.memory = max(self.memory, _held(process.pid))
                try:
                    output, errors = process.communicate(timeout=0.25)
                    break
                except subprocess.TimeoutExpired:
                    continue
        self.code, self.errors = process.returncode, errors.decode()
        self.entries: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]

    def entry(self, name: str) -> dict[str, Any]:
        """The record of one file."""
        (found,) = [e for e in self.entries if Path(e["source"]["path"]).stem == name]
        return found


def _held(pid: int) -> int:
    """Bytes that a process and its children hold, shared pages shared out (Linux: Pss)."""
    total = 0
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total = 1024 * int(line.split()[1])
    except (OSError, ValueError):  # it has just ended
        return total
    return total + sum(map(_held, map(int, children)))
