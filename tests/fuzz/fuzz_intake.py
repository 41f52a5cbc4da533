"""Coverage-guided fuzzing of the way from bytes to stored values (atheris, libFuzzer).

    PYTHONPATH=tests python tests/fuzz/fuzz_intake.py -max_total_time=60

Every input must end as a coded rejection or as a radiograph that every guard can judge; what is let
through must decode or end as a `DecodeError`. Anything else is a crash. The seeds are made
by code, small enough for mutation; libFuzzer's options pass through.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cxr_device", "pydicom.filereader", "pydicom.values"]):
    from cxr_device.decoding import DecodeError, Decoder
    from cxr_device.guards import judge_header
    from cxr_device.intake import receive
    from cxr_device.release import Release
    from cxr_device.vocabulary import UNCOMPRESSED, CheckCode, Outcome

from builders import RLE, compressed, dx, nested, pixels, to_bytes
from pydicom.uid import UID

LABEL, DECODER = Release.load().label, Decoder(time_limit_s=1.0)
LONGEST = 8192


def answer(data: bytes) -> None:
    """Take one input in; raises where the device would."""
    taken = receive(data, LABEL)
    rejected = {code for code, v in taken.verdicts.items() if v.outcome is Outcome.REJECT}
    film = taken.radiograph
    if (film is None) != bool(rejected):
        raise AssertionError(rejected)
    if film is None:
        return
    verdicts = judge_header(film, LABEL)
    rejected = {code for code, v in verdicts.items() if v.outcome is Outcome.REJECT}
    decodable = film.transfer_syntax_uid in {*UNCOMPRESSED, RLE} and film.rows and film.columns
    if decodable and rejected <= {CheckCode.ROWS_COLUMNS}:  # the seeds are smaller than a film
        try:
            DECODER.decode(film)
        except DecodeError:
            return


def seeds() -> list[bytes]:
    """Small films: explicit, implicit, RLE, windowed, nested, of another class."""
    tiny = pixels(side=512)[:16, :16]
    films = [
        dx(tiny),
        compressed(dx(tiny), RLE),
        dx(tiny, WindowCenter="2048", WindowWidth="4096", PixelPaddingValue=0),
        dx((tiny >> 4).astype("uint8"), bits_stored=8, PhotometricInterpretation="MONOCHROME1",
           PresentationLUTShape="INVERSE"),
        dx(tiny, Modality="CR", PatientAge=None, PatientBirthDate="19610203"),
    ]  # fmt: skip
    implicit = dx(tiny)
    implicit.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2")
    head = nested(3)
    return [*map(to_bytes, [*films, implicit]), head[:LONGEST]]


def main() -> None:
    """Run libFuzzer over the seeds; what it learns and what crashes is kept in build/fuzz."""
    folders = [Path("build/fuzz/corpus"), Path("build/fuzz/seeds")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for at, data in enumerate(seeds()):
        (folders[1] / f"seed-{at}").write_bytes(data)
    limits = [f"-max_len={LONGEST}", "-timeout=10", "-rss_limit_mb=2048"]
    kept = ["-artifact_prefix=build/fuzz/", *sys.argv[1:], *map(str, folders)]
    atheris.Setup([sys.argv[0], *limits, *kept], answer)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
