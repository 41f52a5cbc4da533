"""The decoding worker dies, hangs or asks for too much: one coded finding, and the next film."""

import mmap
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from builders import (
    J2K_LOSSLESS,
    JPEG_EXTENDED,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    RLE,
    compressed,
    dx,
    pixels,
    to_bytes,
)
from numpy.typing import NDArray
from pydicom import FileDataset
from pydicom.encaps import encapsulate, generate_frames

from cxr_device import decoder_worker
from cxr_device.decoding import DecodeError, Decoder
from cxr_device.intake import receive
from cxr_device.label import Label
from cxr_device.radiograph import Radiograph
from verification import verifies

END = b"\xfe\xff\xdd\xe0" + bytes(4)
"""Sequence Delimitation Item (PS3.5 annex A.4)."""


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    loaded = Decoder(time_limit_s=120.0)  # a start on a busy machine is no hang
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def film(label: Label) -> Radiograph:
    taken = receive(to_bytes(compressed(dx(), JPEG_LS)), label).radiograph
    assert taken is not None
    return taken


def worker_of(decoder: Decoder) -> int:
    """Process id of the running worker."""
    assert decoder._worker is not None  # noqa: SLF001  # the hazard is injected from outside
    return decoder._worker._process.pid  # noqa: SLF001


def _go_on(process: int) -> None:
    """Let a stopped process go on, where it still is."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)


@verifies("SRS-134@45e5cd16", "RC-134@74902e5f", level="integration")
@pytest.mark.parametrize("how", [signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL])
def test_a_worker_that_dies_costs_one_film(
    how: signal.Signals, decoder: Decoder, film: Radiograph
) -> None:
    decoder.decode(film)
    os.kill(worker_of(decoder), signal.SIGSTOP)  # it dies with the film in hand
    threading.Timer(0.2, os.kill, (worker_of(decoder), how)).start()
    threading.Timer(0.4, _go_on, (worker_of(decoder),)).start()
    with pytest.raises(DecodeError, match="died"):
        decoder.decode(film)
    assert np.array_equal(decoder.decode(film).stored, pixels())


@verifies("SRS-134@45e5cd16", "RC-134@74902e5f", level="integration")
def test_a_worker_that_never_answers_is_ended_at_the_limit(
    decoder: Decoder, film: Radiograph
) -> None:
    decoder.decode(film)
    os.kill(worker_of(decoder), signal.SIGSTOP)
    decoder._time_limit_s = 2.0  # noqa: SLF001  # only now: the start is over
    with pytest.raises(DecodeError, match="more than 2 s"):
        decoder.decode(film)
    decoder._time_limit_s = 120.0  # noqa: SLF001
    assert np.array_equal(decoder.decode(film).stored, pixels())


def _stream(film: FileDataset) -> bytes:
    return next(generate_frames(film.PixelData, number_of_frames=1))


def _damaged(stream: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """The stream with a bit turned, with bytes exchanged, and with a part cut out of it."""
    at = int(rng.integers(100, len(stream) - 40))
    yield stream[:at] + bytes([stream[at] ^ 1 << int(rng.integers(8))]) + stream[at + 1 :]
    yield stream[:at] + rng.bytes(20) + stream[at + 20 :]
    yield stream[:at] + stream[-2:]


@verifies("SRS-371@fbf24d99", level="integration")
@pytest.mark.parametrize(
    ("syntax", "least"),
    [(RLE, 1), (JPEG_EXTENDED, 1), (JPEG_LOSSLESS_SV1, 1), (JPEG_LS, 0), (J2K_LOSSLESS, 1)],
)
def test_a_damaged_frame_shows_nothing_of_the_film_before_it(
    syntax: str, least: int, decoder: Decoder, label: Label
) -> None:
    rng, shape = np.random.default_rng(3), (512, 512)
    film = compressed(dx(pixels(side=512)), syntax)
    taken = receive(to_bytes(film), label).radiograph
    before = [compressed(dx(np.full(shape, level, np.uint16)), RLE) for level in (4095, 0)]
    first = [receive(to_bytes(each), label).radiograph for each in before]
    shown = 0
    for _ in range(10):
        for stream in _damaged(_stream(film), rng):
            found: list[Any] = []
            for plain in first:
                assert plain is not None
                assert taken is not None
                decoder.decode(plain)
                try:
                    value = encapsulate([stream], has_bot=False) + END
                    pixel_data = memoryview(value)
                    found.append(decoder.decode(replace(taken, pixel_data=pixel_data)).stored)
                except DecodeError as error:
                    found.append(error.value)
            assert np.array_equal(found[0], found[1])
            shown += not isinstance(found[0], str)
    assert shown >= least  # some damaged streams are taken, or nothing was tried


@verifies("SRS-371@fbf24d99", level="integration")
def test_what_a_decoder_leaves_out_is_not_the_film_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def half(_stream: memoryview, out: NDArray[np.uint16]) -> None:
        out[:32] = 7

    monkeypatch.setitem(sys.modules, "imagecodecs", SimpleNamespace(jpegls_decode=half))
    shared = mmap.mmap(-1, 64 * 64 * 2)
    shared[:] = b"\xff" * len(shared)  # the film before it
    decoder_worker._fill(  # noqa: SLF001  # the hazard is injected where it would arise
        shared, stream=memoryview(b""), syntax=JPEG_LS, shape=(64, 64, 2)
    )
    frame = np.frombuffer(bytes(shared), "<u2").reshape(64, 64)
    assert (frame[:32] == 7).all()
    assert (frame[32:] == 0).all()


@verifies("SRS-366@72471aa6")
def test_a_frame_lies_in_memory_alone(
    decoder: Decoder, film: Radiograph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = str(tmp_path / "absent")
    monkeypatch.setattr("tempfile.tempdir", absent)
    monkeypatch.setenv("TMPDIR", absent)
    assert np.array_equal(decoder.decode(film).stored, pixels())
    maps = Path("/proc", str(worker_of(decoder)), "maps").read_text(encoding="utf-8")
    shared = [line.split(maxsplit=5)[-1] for line in maps.splitlines() if " rw-s " in line]
    assert shared
    assert all(name.startswith("/memfd:") for name in shared)


@verifies("SRS-133@24fd9d3d", "SRS-134@45e5cd16", level="integration")
@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS_SV1, JPEG_LS, J2K_LOSSLESS])
def test_the_largest_film_is_decoded_within_the_memory_limit(
    syntax: str, decoder: Decoder, label: Label
) -> None:
    side = np.arange(label.max_side_px, dtype=np.uint16)
    frame = (side[:, None] + side) % 4096  # a ramp that starts again: every level, not trivial
    taken = receive(to_bytes(compressed(dx(frame.astype(np.uint16)), syntax)), label).radiograph
    assert taken is not None
    assert np.array_equal(decoder.decode(taken).stored, frame)


@verifies("SRS-134@45e5cd16", "RC-134@74902e5f", level="integration")
def test_an_allocation_beyond_the_limit_costs_one_film(
    decoder: Decoder, film: Radiograph, label: Label
) -> None:
    bomb = compressed(dx(), J2K_LOSSLESS)
    stream = bytearray(next(generate_frames(bomb.PixelData, number_of_frames=1)))
    at = stream.index(b"\xff\x51") + 6  # SIZ: Xsiz, Ysiz; then the tile's size at + 16
    huge = (60000).to_bytes(4, "big") * 2
    stream[at : at + 8] = stream[at + 16 : at + 24] = huge
    bomb.PixelData = encapsulate([bytes(stream)])
    taken = receive(to_bytes(bomb), label).radiograph
    assert taken is not None
    with pytest.raises(DecodeError):
        decoder.decode(taken)
    assert np.array_equal(decoder.decode(film).stored, pixels())
