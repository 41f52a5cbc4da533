"""Experiments with what must be refused: files, streams, installations, numbers, options.

Each gives how many of its injections were answered, and how many there were.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pydicom

from verification.injection.bench import Bench, Count
from verification.injection.encodings import ENCODERS, encoded, with_stream
from verification.injection.films import INJECTIONS, part10, word
from verification.injection.guards import answers

__all__ = ["EXPERIMENTS"]

_CHEAP: Final = 100
"""Injections where no network runs."""
_STARTS: Final = 40
"""Injections where each starts a process of its own."""


def _refused(records: Sequence[dict[str, Any]], code: str) -> int:
    """Count records that a code refused."""
    return sum(answers(record, code) for record in records)


def unreadable_files(bench: Bench) -> Count:
    """Paths that are absent, folders, pipes, or links to nowhere or to themselves."""
    paths = []
    for number in range(_CHEAP):
        path = bench.folder / f"{number:04}.dcm"
        kind = bench.one_of("absent", "folder", "pipe", "nowhere", "itself")
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "nowhere":
            path.symlink_to(bench.folder / word(bench.rng) / "none")
        elif kind == "itself":
            path.symlink_to(path)
        paths.append(path)
    return _refused(bench.run("check", *paths).records, "FILE_READ"), _CHEAP


def oversized_files(bench: Bench) -> Count:
    """Films that go on beyond 64 MiB, and empty files."""
    for number in range(_STARTS):
        whole = part10(bench.fresh(number)) if bench.rng.random() < 0.8 else b""  # noqa: PLR2004
        path = bench.put(f"{number:04}.dcm", whole)
        if whole:
            os.truncate(path, 64 * 2**20 + int(bench.rng.integers(1, 2**24)))
    return _refused(bench.run("check", bench.folder).records, "FILE_SIZE"), _STARTS


def undecodable_frames(bench: Bench) -> Count:
    """Compressed frames that are cut, replaced by noise, or of another size than the header."""
    for number in range(_CHEAP):
        film = bench.fresh(number)
        syntax = bench.one_of(*ENCODERS)
        stream = bytes(ENCODERS[syntax](film.pixel_array))
        kind = bench.one_of("cut", "noise", "size")
        if kind == "cut":
            stream = stream[: int(bench.rng.integers(1, len(stream) - 2))]
        elif kind == "noise":
            stream = bench.rng.bytes(len(stream))
        else:
            stream = bytes(ENCODERS[syntax](film.pixel_array[: -int(bench.rng.integers(1, 64))]))
        bench.put(f"{number:04}.dcm", with_stream(film, syntax, stream))
    return _refused(bench.run("check", bench.folder).records, "DECODE"), _CHEAP


def altered_installations(bench: Bench) -> Count:
    """One bit turned in a locked file of the installation."""
    package = bench.folder / "cxr_device"
    shutil.copytree(bench.root / "cxr_device", package)
    film = bench.put("film.dcm", bench.fresh(0))
    names = (
        "weights/network.safetensors", "weights/network.onnx", "release.toml", "release.sha256",
    )  # fmt: skip
    stopped = 0
    for _ in range(_STARTS):
        path = package / bench.one_of(*names)
        whole = path.read_bytes()
        changed = bytearray(whole)
        last = 64 if path.suffix == ".sha256" else len(whole)
        changed[int(bench.rng.integers(last))] ^= 1 << int(bench.rng.integers(8))
        path.write_bytes(changed)
        ran = bench.run("check", film, root=bench.folder)
        stopped += ran.exit_code == 5 and not ran.records  # noqa: PLR2004  # integrity
        path.write_bytes(whole)
    healthy = bench.run("check", film, root=bench.folder).exit_code == 0
    return stopped if healthy else 0, _STARTS


_TOGETHER: Final = (
    "RC-109", "RC-110", "RC-111", "RC-112", "RC-113", "RC-114", "RC-116", "RC-119", "RC-121",
    "RC-122", "RC-123",
)  # fmt: skip
"""Header hazards that may stand in one film."""


def several_hazards(bench: Bench) -> Count:
    """Two to six hazards in one film; each must be named in its record."""
    wanted = []
    for number in range(_CHEAP):
        film = bench.fresh(number)
        chosen = bench.rng.choice(_TOGETHER, size=int(bench.rng.integers(2, 7)), replace=False)
        with pydicom.config.disable_value_validation():
            for name in map(str, chosen):
                film = INJECTIONS[name][1](film, bench.rng)  # type: ignore[assignment]
        bench.put(f"{number:04}.dcm", film)
        wanted.append([INJECTIONS[str(name)][0] for name in chosen])
    records = bench.run("check", bench.folder).records
    found = zip(records, wanted, strict=True)
    return sum(all(answers(r, code) for code in codes) for r, codes in found), _CHEAP


def decoder_bombs(bench: Bench) -> Count:
    """Streams that claim frames of up to 65,535 x 65,535 pixels; the next film must be decoded."""
    for number in range(_STARTS):
        film = bench.fresh(number)
        syntax = bench.one_of(*ENCODERS)
        stream = bytearray(ENCODERS[syntax](film.pixel_array))
        claim = [int(side).to_bytes(2, "big") for side in bench.rng.integers(8000, 65536, 2)]
        if syntax.endswith("90"):  # SIZ: marker, length, Rsiz, then Xsiz and Ysiz of 4 bytes
            at = stream.index(b"\xff\x51") + 6
            stream[at : at + 8] = b"\0\0" + claim[0] + b"\0\0" + claim[1]
        else:  # SOF: marker, length, precision, then lines and samples of 2 bytes
            marker = b"\xff\xf7" if syntax.endswith("80") else b"\xff\xc3"
            at = stream.index(marker) + 5
            stream[at : at + 4] = claim[0] + claim[1]
        bench.put(f"{number:04}-bomb.dcm", with_stream(film, syntax, bytes(stream)))
        bench.put(f"{number:04}-good.dcm", encoded(bench.fresh(number), syntax))
    records = bench.run("check", bench.folder).records
    pairs = zip(records[::2], records[1::2], strict=True)
    survived = [answers(b, "DECODE") and g["status"] == "analyzed" for b, g in pairs]
    return sum(survived), _STARTS


def moved_thresholds(bench: Bench) -> Count:
    """Options, variables and files that try to move the threshold."""
    locked = bench.run("info").records[0]["operating_point"]["threshold"]
    film = bench.put("film.dcm", bench.fresh(0))
    held = 0
    for _ in range(_STARTS):
        value = f"{bench.rng.uniform():.3f}"
        kind = bench.one_of("option", "variable", "file")
        if kind == "option":
            name = bench.one_of("--threshold", "--operating-point", "--sensitivity", "-t", "--set")
            held += bench.run("read", film, f"{name}={value}").exit_code == 2  # noqa: PLR2004
            continue
        environment, cwd = {}, bench.folder / "there"
        cwd.mkdir(exist_ok=True)
        if kind == "variable":
            name = bench.one_of("THRESHOLD", "OPERATING_POINT", "RELEASE", "CONFIG")
            environment = {f"CXR_DEVICE_{name}": value, f"CXR_{name}": value, name: value}
        else:
            names = ("release.toml", "cxr_device.toml", "config.toml", ".cxr_device", "cxr.ini")
            text = f'[operating_point]\nidentifier = "X"\nthreshold = {value}\n'
            (cwd / bench.one_of(*names)).write_text(text, "utf-8")
        ran = bench.run("info", environment={**environment, "HOME": str(cwd)}, cwd=cwd)
        held += ran.records[0]["operating_point"]["threshold"] == locked
    return held, _STARTS


_DECIDE: Final = """
import json, sys
import numpy as np
from cxr_device.decision import OperatingPoint, decide, is_suspected
from cxr_device.errors import ProbabilityError
at = OperatingPoint(identifier="X", threshold=0.5)
for text in sys.argv[3:]:
    refused = 0
    value = float(text)
    tries = (lambda: decide(value, at),
             lambda: is_suspected(np.array([0.5, value, 0.1]), at))
    for attempt in tries:
        try:
            attempt()
        except ProbabilityError:
            refused += 1
    print(json.dumps({"refused": refused == len(tries)}))
"""
"""Hands values to the decision; one line a value."""


def impossible_probabilities(bench: Bench) -> Count:
    """NaN, infinities and values outside [0, 1], the nearest ones included."""
    values = [np.nan, np.inf, -np.inf, np.nextafter(1.0, 2.0), np.nextafter(0.0, -1.0)]
    while len(values) < _CHEAP:
        size = 10.0 ** bench.rng.uniform(-300, 300)
        values.append(-size if bench.rng.random() < 0.5 else 1.0 + max(size, 1e-15))  # noqa: PLR2004
    ran = bench.run("--", *[repr(float(v)) for v in values], program=_DECIDE)
    return sum(record["refused"] for record in ran.records), _CHEAP


def refused_films(bench: Bench) -> Count:
    """Films outside the intended use, any hazard, given to the whole device with its network."""
    names = [n for n, (code, _) in INJECTIONS.items() if code not in {"PIXEL_SPACING", "IDENTITY"}]
    for number in range(_CHEAP):
        inject = INJECTIONS[bench.one_of(*names)][1]
        with pydicom.config.disable_value_validation():
            bench.put(f"{number:04}.dcm", inject(bench.fresh(number), bench.rng))
    records = bench.run("read", bench.folder).records
    silent = [r["finding"] is None and r["status"] in {"rejected", "failed"} for r in records]
    return sum(silent), _CHEAP


def damaged_bytes(bench: Bench) -> Count:
    """Films with bytes turned, cut out, doubled or put in, anywhere in the file."""
    for number in range(_CHEAP):
        film = bench.fresh(number)
        syntax = bench.one_of("", *ENCODERS)
        whole = bytearray(part10(encoded(film, syntax) if syntax else film))
        for _ in range(int(bench.rng.integers(1, 20))):
            end = 3000 if bench.rng.random() < 0.7 else len(whole)  # noqa: PLR2004  # the header
            at = int(bench.rng.integers(min(end, len(whole))))
            kind = bench.one_of("turn", "cut", "double", "insert")
            if kind == "turn":
                whole[at] ^= 1 + int(bench.rng.integers(255))
            elif kind == "cut":
                del whole[at : at + int(bench.rng.integers(1, 400))]
            elif kind == "double":
                whole[at:at] = whole[at : at + int(bench.rng.integers(1, 400))]
            else:
                whole[at:at] = bench.rng.bytes(int(bench.rng.integers(1, 40)))
        bench.put(f"{number:04}.dcm", bytes(whole))
    ran = bench.run("check", bench.folder)
    sound = ran.exit_code in {0, 3, 4} and "Traceback" not in ran.said
    known = sum(r["status"] in {"analyzed", "rejected", "failed"} for r in ran.records)
    return known if sound else 0, _CHEAP


def bad_between_good(bench: Bench) -> Count:
    """Refused or unreadable files, each before a good film that must be judged."""
    for number in range(_CHEAP):
        inject = INJECTIONS[bench.one_of(*INJECTIONS)][1]
        with pydicom.config.disable_value_validation():
            bench.put(f"{number:04}-bad.dcm", inject(bench.fresh(number), bench.rng))
        bench.put(f"{number:04}-good.dcm", bench.fresh(number))
    records = bench.run("check", bench.folder).records
    good = [r for r in records if str(r["source"]["path"]).endswith("-good.dcm")]
    return sum(r["status"] == "analyzed" for r in good), _CHEAP


EXPERIMENTS: Final[dict[str, Callable[[Bench], Count]]] = {
    "RC-101": unreadable_files,
    "RC-102": oversized_files,
    "RC-128": undecodable_frames,
    "RC-130": altered_installations,
    "RC-131": several_hazards,
    "RC-134": decoder_bombs,
    "RC-145": moved_thresholds,
    "RC-146": impossible_probabilities,
    "RC-148": refused_films,
    "RC-154": damaged_bytes,
    "RC-168": bad_between_good,
}
"""Experiment of each control."""
