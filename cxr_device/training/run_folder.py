"""Run folder: the log, the state to go on from, the weights and the record of one training run."""

import json
import os
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save
from torch import nn

from cxr_device.errors import DatasetError, OutputError
from cxr_device.training.config import TrainingConfig
from cxr_device.training.prepared import is_prepared, read_record
from cxr_device.whole_file import make_folder, write_text

__all__ = ["RunFolder", "cohorts", "commit", "identity", "manifest_digests", "open_run", "versions"]

_LIBRARIES: Final = ("torch", "torchvision", "timm", "numpy", "pandas", "pillow")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Files of one run; each is written whole, so a kill leaves the last whole epoch."""

    path: Path

    @property
    def weights(self) -> Path:
        """Averaged weights of the chosen epoch."""
        return self.path / "weights.safetensors"

    @property
    def best(self) -> Path:
        """Averaged weights of the best epoch so far, where `choose` is `best`."""
        return self.path / "best.safetensors"

    def lines(self) -> list[dict[str, Any]]:
        """Epochs in the log, in their order."""
        log = self.path / "log.jsonl"
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def add_line(self, line: dict[str, Any]) -> None:
        """Add an epoch to the log."""
        entries = [*self.lines(), line]
        write_text(self.path / "log.jsonl", "".join(json.dumps(e) + "\n" for e in entries))

    def save_weights(self, net: nn.Module, path: Path) -> None:
        """Write a network's weights (safetensors)."""
        state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
        _write_bytes(path, save(state))

    def save_state(self, epoch: int, identity: dict[str, Any], *parts: Any) -> None:  # noqa: ANN401
        """Keep the state after a whole epoch (counted from 0)."""
        aside = self.path / "state.part"
        with aside.open("wb") as file:
            torch.save(
                {"epoch": epoch, "identity": identity, "parts": [p.state_dict() for p in parts]},
                file,
            )
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path / "state.pt")

    def resume(self, identity: dict[str, Any], *parts: Any) -> int:  # noqa: ANN401
        """Load the last whole epoch into `parts`; returns the epoch to begin with.

        Raises
        ------
        DatasetError
            The folder holds a run of another configuration or of other data.
        """
        path = self.path / "state.pt"
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True, map_location="cpu")  # noqa: TID251  # our own
        before = state.get("identity", identity)
        changed = sorted(name for name in identity if before.get(name) != identity[name])
        if changed:
            raise DatasetError(
                self.path, f"holds a run of other {', '.join(changed)}", "name another folder"
            )
        for part, saved in zip(parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        return int(state["epoch"]) + 1

    def cut_log(self, epochs: int) -> None:
        """Keep the log's first epochs: a kill may fall between the log and the state."""
        kept = [line for line in self.lines() if line["epoch"] <= epochs]
        write_text(self.path / "log.jsonl", "".join(json.dumps(line) + "\n" for line in kept))

    def write_record(self, record: dict[str, Any]) -> None:
        """Write the record of the run, last."""
        write_text(self.path / "record.json", json.dumps(record, indent=2) + "\n")


def _write_bytes(path: Path, blob: bytes) -> None:
    aside = path.with_suffix(".part")
    with aside.open("wb") as file:
        file.write(blob)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def open_run(run: Path, cache: Path) -> None:
    """Make the folders of a run; raises `OutputError` where they cannot be made or written."""
    for folder in (run, cache):
        make_folder(folder)
        if not os.access(folder, os.W_OK):
            raise OutputError(folder, "may not be written")


def manifest_digests(config: TrainingConfig, data: Path) -> dict[str, str]:
    """SHA-256 of each manifest that the configuration names.

    Raises
    ------
    DatasetError
        A manifest is missing.
    """
    digests = {}
    for name in config.manifests:
        path = data / name
        if not path.is_file():
            raise DatasetError(path, "is missing", "name it relative to --data, or prepare it")
        digests[name] = sha256(path.read_bytes()).hexdigest()
    return digests


def cohorts(config: TrainingConfig, data: Path) -> dict[str, Any]:
    """Cohort flow, split rule and damaged images of each prepared manifest."""
    found = {}
    for name in config.manifests:
        if is_prepared(data / name):
            record = read_record((data / name).parent)
            found[name] = {key: record[key] for key in ("cohort", "split", "films", "damaged")}
    return found


def identity(
    config: TrainingConfig, digests: dict[str, str], teachers: dict[str, str]
) -> dict[str, Any]:
    """Say what a run must share with another to go on from its state."""
    return {
        "config": json.loads(json.dumps(asdict(config))),
        "manifest_sha256": digests,
        "teachers": teachers,
    }


def versions() -> dict[str, str]:
    """Versions of what computes."""
    return {"python": platform.python_version(), **{n: version(n) for n in _LIBRARIES}}


def commit() -> str:
    """Commit of the code that trains, `-dirty` where it was changed since.

    Where there is no git (a container, a lent machine), what CXR_DEVICE_COMMIT says, or nothing.
    """
    told = os.environ.get("CXR_DEVICE_COMMIT", "")
    git = shutil.which("git")
    if git is None:
        return told
    folder = str(Path(__file__).parent)
    words = [git, "-C", folder, "describe", "--always", "--dirty", "--abbrev=40"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
    return found.stdout.strip() or told
