"""Experiments with what must change nothing: encodings, texts, names, orders, repetition.

Each gives how many of its injections left the answer, its place and its secrecy untouched, and how
many there were.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import Dataset, config
from pydicom.uid import UID, RLELossless

from verification.injection.bench import Bench, Count, Run, with_frame
from verification.injection.encodings import ENCODERS, encoded
from verification.injection.films import word

__all__ = ["EXPERIMENTS"]

_CHEAP: Final = 100
"""Injections where no network runs."""
_READ: Final = 40
"""Injections where each film is read by the network."""
_ROUNDS: Final = 4
"""Commands that share the files given in another order."""

_ONE_UID: Final = UID("1.2.826.0.1.3680043.9.1")

_TOP: Final = 4095
"""Largest value of 12 bits."""


def _equal(bench: Bench, pairs: Sequence[tuple[Path, Path]]) -> Count:
    """Count pairs of films that the network gives one and the same probability."""
    found = bench.probabilities([path for pair in pairs for path in pair])
    same = [a is not None and a == b for a, b in zip(found[::2], found[1::2], strict=True)]
    return sum(same), len(pairs)


def inverted_twins(bench: Bench) -> Count:
    """Films stored as MONOCHROME1 instead of MONOCHROME2, with and without a window."""
    pairs = []
    for number in range(_READ):
        film = bench.varied(number)
        twin = bench.fresh(number)
        twin = with_frame(twin, (_TOP - film.pixel_array).astype(np.uint16))
        twin.PhotometricInterpretation, twin.PresentationLUTShape = "MONOCHROME1", "INVERSE"
        if bench.rng.random() < 0.5:  # noqa: PLR2004  # a fair coin
            centre, width = int(bench.rng.integers(1200, 2800)), int(bench.rng.integers(1500, 4000))
            film.WindowCenter, film.WindowWidth = str(centre), str(width)
            twin.WindowCenter, twin.WindowWidth = str(_TOP - centre + 1), str(width)
        names = (f"{number:04}-2.dcm", f"{number:04}-1.dcm")
        pairs.append((bench.put(names[0], film), bench.put(names[1], twin)))
    return _equal(bench, pairs)


def lossless_encodings(bench: Bench) -> Count:
    """Films sent in a lossless compressed transfer syntax instead of an uncompressed one."""
    pairs = []
    for number in range(_READ):
        film = bench.varied(number)
        plain = bench.put(f"{number:04}-plain.dcm", film)
        syntax = bench.one_of(RLELossless, *ENCODERS)
        pairs.append((plain, bench.put(f"{number:04}-packed.dcm", encoded(film, str(syntax)))))
    return _equal(bench, pairs)


def _written(out: Path) -> dict[str, bytes]:
    """Every file below a folder, with the folder's name in front of its content."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def identities(bench: Bench) -> Count:
    """Names, numbers and dates of a patient, sought in every output, name of output and log."""
    marks = []
    for number in range(_READ):
        film, mark = bench.fresh(number), "Q" + word(bench.rng) + f"{number:06}"
        day = f"19{int(bench.rng.integers(30, 99))}{int(bench.rng.integers(10, 13))}17"
        film.PatientName, film.PatientID, film.PatientBirthDate = f"{mark}^A", f"{mark}B", day
        film.OtherPatientIDs, film.PatientAddress = f"{mark}C", f"{mark}D"
        film.AccessionNumber, film.ReferringPhysicianName = mark[:16], f"{mark}^E"
        film.PatientComments, film.PatientAge = f"{mark}F", None
        bench.put(f"in/{number:04}.dcm", film)
        marks.append((mark[:16], day))
    out = bench.folder / "out"
    ran = bench.run("read", bench.folder / "in", "--out", out)
    text = ran.said + "".join(
        f"{name}\n{content.decode('utf-8', 'replace')}" for name, content in _written(out).items()
    )
    pictures = re.compile(r"base64,[A-Za-z0-9+/=]+")
    plain = pictures.sub("", text)
    hidden = [mark not in plain and day not in plain for mark, day in marks]
    return sum(hidden) if len(ran.records) == _READ else 0, _READ


def shuffled_orders(bench: Bench) -> Count:
    """Files given in an order that neither their names nor their dates have."""
    kept = 0
    for round_number in range(_ROUNDS):
        paths = [
            bench.put(f"{round_number:02}/{word(bench.rng)}-{n}.dcm", bench.fresh(n))
            for n in range(_CHEAP // _ROUNDS)
        ]
        order = [paths[int(n)] for n in bench.rng.permutation(len(paths))]
        records = bench.run("check", *order).records
        places = zip(records, order, strict=True)
        kept += sum(r["source"]["path"] == str(path) for r, path in places)
    return kept, _CHEAP


def free_texts(bench: Bench) -> Count:
    """Names, dates, descriptions and comments that suggest an answer."""
    words = ("PNEUMONIA", "normal chest", "r/o infiltrate", "no finding", "COVID-19 ICU")
    keywords = (
        "StudyDescription", "PatientComments", "ImageComments", "AdditionalPatientHistory",
        "InstitutionName", "ReasonForStudy", "PatientName", "DerivationDescription",
    )  # fmt: skip
    pairs = []
    for number in range(_READ):
        film = bench.varied(number)
        plain = bench.put(f"{number:04}-plain.dcm", film)
        for keyword in bench.rng.choice(keywords, size=3, replace=False):
            setattr(film, str(keyword), bench.one_of(*words))
        film.StudyDate = film.ContentDate = f"20{int(bench.rng.integers(10, 26))}0102"
        pairs.append((plain, bench.put(f"{number:04}-told.dcm", film)))
    return _equal(bench, pairs)


def hostile_names(bench: Bench) -> Count:
    """UIDs and texts of a film that would name a path outside the output folder."""
    paths = ("../../../../escape", "/etc/escape", "..\\..\\escape", "C:\\escape", "a/../../escape")
    for number in range(_READ):
        film = bench.fresh(number)
        with config.disable_value_validation():
            for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
                if bench.rng.random() < 0.6:  # noqa: PLR2004  # most of them
                    setattr(film, keyword, bench.one_of(*paths))
            film.StudyID, film.PatientID = bench.one_of(*paths)[:16], bench.one_of(*paths)
        film.file_meta.MediaStorageSOPInstanceUID = _ONE_UID
        film.Modality = "CT"  # refused by its header, so that no network is needed
        bench.put(f"in/{number:04}.dcm", film)
    out = bench.folder / "a" / "b" / "out"
    ran = bench.run("read", bench.folder / "in", "--out", out)
    inside = [
        all(
            Path(output["path"]).resolve().is_relative_to(out.resolve())
            and re.fullmatch(r"\d{4}-[0-9a-f]{12}", Path(output["path"]).parent.name)
            for output in record["outputs"]
        )
        and bool(record["outputs"])
        for record in ran.records
    ]
    strays = list(bench.folder.rglob("*escape*"))
    return sum(inside) if not strays else 0, _READ


def equal_uids(bench: Bench) -> Count:
    """Other pixels under one and the same instance UID."""
    wanted = []
    for number in range(_CHEAP):
        film = bench.varied(number)
        film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = _ONE_UID
        path = bench.put(f"{number:04}.dcm", film)
        wanted.append(hashlib.sha256(path.read_bytes()).hexdigest())
    records = bench.run("check", bench.folder).records
    bound = [r["source"]["sha256"] == w for r, w in zip(records, wanted, strict=True)]
    return sum(bound) if len(set(wanted)) == _CHEAP else 0, _CHEAP


_WATCHED: Final = """
import sys
OUTWARD = ("connect", "getaddrinfo", "gethostbyname", "gethostbyaddr", "sendto", "sendmsg")
def refuse(event, arguments):
    outward = event in {f"socket.{name}" for name in OUTWARD}
    served = event == "socket.bind" and arguments[1][0] not in {"::1", "127.0.0.1"}
    if outward or served or event in {"urllib.Request", "smtplib.connect"}:
        sys.stderr.write(f"CONNECTION {event} {arguments[1:]}\\n")
sys.addaudithook(refuse)
from cxr_device.cli import main
main()
"""
"""The device under an audit hook that tells of every name sought, connection, datagram and server.

A library of the development environment binds a socket of the loopback once to see whether IPv6
is there; nothing leaves the machine by that."""


def remote_references(bench: Bench) -> Count:
    """Films that refer to addresses on a network, read under watch for connections."""
    for number in range(_READ):
        film, url = bench.fresh(number), f"http://{word(bench.rng).lower()}.example.org/x"
        film.RetrieveURL, film.RetrieveURI = url, url
        film.add_new(0x00287FE0, "UR", url)  # Pixel Data Provider URL
        film.RetrieveAETitle, film.StationName = "REMOTE", word(bench.rng)
        bench.put(f"{number:04}.dcm", film)
    ran = bench.run("read", bench.folder, program=_WATCHED)
    alone = "CONNECTION" not in ran.said
    return sum(r["finding"] is not None for r in ran.records) if alone else 0, _READ


_MARKS: Final = re.compile(r"<svg|<canvas|<map|heatmap|activation|bounding|coords=", re.IGNORECASE)
_PLACES: Final = re.compile(r'"(box|boxes|region|regions|coordinates|heatmap|localization)"')


def requests_for_marks(bench: Bench) -> Count:
    """Films that carry annotations of regions, sought as marks in record and report."""
    clean = 0
    for number in range(_READ):
        film = bench.varied(number)
        film.ImageComments = bench.one_of("heatmap please", "localize", "draw the box")
        graphic, place = Dataset(), [float(v) for v in bench.rng.uniform(0, 900, 4)]
        graphic.GraphicAnnotationUnits, graphic.GraphicData = "PIXEL", place
        graphic.GraphicType, graphic.NumberOfGraphicPoints = "POLYLINE", 2
        layer = Dataset()
        layer.GraphicLayer, layer.GraphicObjectSequence = "MARKS", [graphic]
        film.GraphicAnnotationSequence = [layer]
        bench.put(f"in/{number:04}.dcm", film)
    out = bench.folder / "out"
    ran: Run = bench.run("read", bench.folder / "in", "--out", out)
    for folder in sorted(out.iterdir()):
        page = (folder / "report.html").read_text("utf-8")
        entry = (folder / "result.json").read_text("utf-8")
        clean += page.count("<img") == 1 and not _MARKS.search(page) and not _PLACES.search(entry)
    return clean if len(ran.records) == _READ else 0, _READ


def repeated_readings(bench: Bench) -> Count:
    """Repeated films: in one process, in another, and after other films."""
    paths = [bench.put(f"{n:04}.dcm", bench.varied(n)) for n in range(_READ)]
    first = bench.probabilities([*paths, *reversed(paths)])
    second = bench.probabilities(paths[::-1])[::-1]
    same = [
        a is not None and a == b == c
        for a, b, c in zip(first[:_READ], first[: _READ - 1 : -1], second, strict=True)
    ]
    return sum(same), _READ


EXPERIMENTS: Final[dict[str, Callable[[Bench], Count]]] = {
    "RC-135": inverted_twins,
    "RC-136": lossless_encodings,
    "RC-149": identities,
    "RC-151": shuffled_orders,
    "RC-153": free_texts,
    "RC-175": hostile_names,
    "RC-176": equal_uids,
    "RC-177": remote_references,
    "RC-178": requests_for_marks,
    "RC-180": repeated_readings,
}
"""Experiment of each control."""
