"""The ledger of a run: its films, and the rows of every block that is done.

It lies beside the table as `TABLE.parts/` until the table is whole::

    plan.json                     device, runtime, source, films in their order, films a block
    000012-<SHA-256>.jsonl        rows of block 12, under the digest of their bytes

Each file is written aside, flushed and renamed, so a run that was killed at any point finds whole
blocks or none; a block whose bytes are not those of its name is scored again.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from cxr_device.errors import ArchiveError
from cxr_device.result import DeviceIdentity
from cxr_device.whole_file import make_folder, write_json, write_text

__all__ = ["Ledger", "Plan", "parts_of"]

_DIGITS: Final = 6


def parts_of(out: Path) -> Path:
    """Folder of the ledger of a table."""
    return out.with_name(f"{out.name}.parts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run scores, and with what; a run that goes on has the same."""

    source: str
    device: DeviceIdentity
    runtime: str
    films: Sequence[Path]
    block: int
    """Films a block, at least 1."""

    @property
    def blocks(self) -> range:
        """Numbers of the blocks."""
        return range(-(-len(self.films) // self.block))

    def films_of(self, number: int) -> Sequence[Path]:
        """Films of one block."""
        return self.films[number * self.block : (number + 1) * self.block]

    def digest(self) -> str:
        """SHA-256 over what the table depends on: the size of blocks is left out."""
        told = self._told()
        del told["block"]
        return sha256(json.dumps(told).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Write the plan whole or not at all; raises `OutputError`."""
        write_json(path, self._told())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a plan that was written; raises OSError, or ValueError for another file."""
        told = json.loads(path.read_text(encoding="utf-8"))
        try:
            return cls(
                source=told["source"],
                device=DeviceIdentity(**told["device"]),
                runtime=told["runtime"],
                films=[Path(film) for film in told["films"]],
                block=told["block"],
            )
        except (KeyError, TypeError) as error:
            message = f"no plan: {error}"
            raise ValueError(message) from error

    def _told(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "device": asdict(self.device),
            "runtime": self.runtime,
            "block": self.block,
            "films": [os.fspath(film) for film in self.films],
        }


@dataclass(slots=True)
class Ledger:
    """Blocks of a plan that are done: `begin` a run, or `resume` one that was cut."""

    folder: Path
    plan: Plan
    _done: dict[int, Path] = field(default_factory=dict)

    def begin(self) -> None:
        """Begin the run in a folder of its own.

        Raises
        ------
        ArchiveError
            The folder holds a run that was cut.
        OutputError
            The folder cannot be written.
        """
        if (self.folder / "plan.json").exists():
            action = "go on with it by --resume, or remove the folder"
            raise ArchiveError(self.folder, "holds a run that was cut", action)
        make_folder(self.folder)
        _clear(self.folder)  # what a run left whose removal was cut
        self.plan.write(self.folder / "plan.json")

    @classmethod
    def resume(cls, folder: Path, *, device: DeviceIdentity, runtime: str, source: str) -> "Ledger":
        """Go on with a run; its films are those that it was begun with.

        Raises
        ------
        ArchiveError
            The run was begun with another device, runtime or source, or its plan is damaged.
        """
        again = "remove the folder and begin anew"
        try:
            plan = Plan.read(folder / "plan.json")
        except (OSError, ValueError) as error:
            raise ArchiveError(folder, f"its plan is damaged ({error})", again) from error
        for what, then, now in (
            ("device", plan.device, device),
            ("runtime", plan.runtime, runtime),
            ("source", plan.source, source),
        ):
            if then != now:
                action = f"run as it was begun, or {again}"
                raise ArchiveError(folder, f"begun with {what} {then}, not {now}", action)
        ledger = cls(folder, plan)
        for part in sorted(folder.glob(f"{'[0-9]' * _DIGITS}*-*.jsonl")):
            ledger._take(part)
        return ledger

    @property
    def left(self) -> list[int]:
        """Blocks that are not done."""
        return [number for number in self.plan.blocks if number not in self._done]

    @property
    def films_done(self) -> int:
        """Films of the blocks that are done."""
        return sum(len(self.plan.films_of(number)) for number in self._done)

    def keep(self, number: int, rows: str) -> None:
        """Keep the rows of a block, JSON Lines; raises `OutputError` (full disk, no permission)."""
        digest = sha256(rows.encode()).hexdigest()
        part = self.folder / f"{number:0{_DIGITS}}-{digest}.jsonl"
        write_text(part, rows)
        self._done[number] = part

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows of all films in their order; every block must be done."""
        for number in self.plan.blocks:
            for line in self._done[number].read_text(encoding="utf-8").splitlines():
                yield json.loads(line)

    def remove(self) -> None:
        """Remove the folder, once the table is whole; the plan last."""
        _clear(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take(self, part: Path) -> None:
        """Take a block that is whole; remove any other."""
        number, _, digest = part.stem.partition("-")
        if int(number) in self.plan.blocks and sha256(part.read_bytes()).hexdigest() == digest:
            self._done[int(number)] = part
        else:
            part.unlink()


def _clear(folder: Path) -> None:
    """Remove the blocks of a run: they are of no use without its plan."""
    for part in folder.glob("*.jsonl"):
        part.unlink()
