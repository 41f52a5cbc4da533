"""A batch: order and results are those of films read one by one."""

import os
import threading
import time
from pathlib import Path

import pytest
from builders import JPEG_LS, RLE, compressed, dx, pixels, to_bytes

from cxr_device import Analyzed, Device
from cxr_device.batch import Batch, ahead
from cxr_device.decoding import Decoder
from verification import verifies

FILMS = [Path(f"{number}.dcm") for number in range(12)]


@verifies("SRS-237@84582586", "RC-237@42db4e12", level="integration")
def test_a_batch_gives_bit_for_bit_what_films_give_alone(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = Decoder(time_limit_s=120.0)  # a start on a busy machine is no hang
    monkeypatch.setattr(device, "_decoder", patient)
    films = []
    for seed, syntax in enumerate([None, JPEG_LS, RLE, None, JPEG_LS]):
        film = dx(pixels(side=512, seed=seed, opacity=seed % 2 == 0))
        films.append(tmp_path / f"{seed}.dcm")
        films[-1].write_bytes(to_bytes(compressed(film, syntax) if syntax else film))
    (tmp_path / "text.dcm").write_text("no film")
    films.insert(2, tmp_path / "text.dcm")
    alone = [device.read(film) for film in films]
    with Batch(device.read, films) as judged:
        together = [judged(film) for film in films]
    patient.close()
    assert sum(isinstance(result, Analyzed) for result in alone) == 5
    for one, other in zip(alone, together, strict=True):
        assert (one.source, one.checks) == (other.source, other.checks)
        assert getattr(one, "decision", None) == getattr(other, "decision", None)


@verifies("SRS-237@84582586", "RC-237@42db4e12", level="integration")
def test_the_order_is_kept_whichever_film_finishes_first() -> None:
    def judge(film: Path) -> str:
        time.sleep(0.05 if int(film.stem) % 2 == 0 else 0.0)
        return film.stem

    with Batch(judge, FILMS) as judged:
        assert [judged(film) for film in FILMS] == [film.stem for film in FILMS]


@verifies("SRS-237@84582586", "RC-237@42db4e12", level="integration")
def test_a_film_out_of_its_turn_is_refused() -> None:
    with Batch(str, FILMS) as judged:
        with pytest.raises(ValueError, match=r"1\.dcm is not the next film"):
            judged(FILMS[1])
        assert judged(FILMS[0]) == "0.dcm"
    with Batch(str, []) as judged, pytest.raises(ValueError, match="not the next film"):
        judged(FILMS[0])


@verifies("SRS-237@84582586", level="integration")
def test_a_film_whose_reading_raises_ends_alone() -> None:
    def judge(film: Path) -> str:
        if film == FILMS[1]:
            raise RuntimeError("a defect")
        return film.stem

    with Batch(judge, FILMS[:3]) as judged:
        assert judged(FILMS[0]) == "0"
        with pytest.raises(RuntimeError, match="a defect"):
            judged(FILMS[1])
        assert judged(FILMS[2]) == "2"


@verifies("SRS-237@84582586", level="integration")
def test_no_more_films_are_begun_than_may_lie_in_memory() -> None:
    begun: list[Path] = []
    all_at_once = threading.Barrier(ahead(), timeout=30)

    def judge(film: Path) -> Path:
        begun.append(film)
        all_at_once.wait()  # passes only when so many films are in hand at once
        return film

    with Batch(judge, FILMS) as judged:
        for number, film in enumerate(FILMS):
            assert len(begun) <= number + ahead()
            judged(film)
    assert sorted(begun) == sorted(FILMS)


@verifies("SRS-237@84582586", level="integration")
@pytest.mark.parametrize(("cores", "films"), [(1, 2), (2, 2), (3, 3), (4, 4), (5, 4), (64, 4)])
def test_as_many_films_as_cores_are_begun_from_two_to_four(
    cores: int, films: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {0: range(cores)}  # of this process
    monkeypatch.setattr(os, "sched_getaffinity", own.__getitem__)
    assert ahead() == films
    begun: list[Path] = []
    with Batch(begun.append, FILMS) as judged:
        judged(FILMS[0])
    assert sorted(begun) == sorted(FILMS[: films + 1])
