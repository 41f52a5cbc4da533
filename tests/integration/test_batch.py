"""A batch: order and results are those of films read one by one."""

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from builders import JPEG_LS, RLE, compressed, dx, pixels, to_bytes

from cxr_device import Analyzed, Device, batch
from cxr_device.batch import GROUP, Batch, ahead, each
from cxr_device.decoding import Decoder
from verification import verifies

FILMS = [Path(f"{number}.dcm") for number in range(20)]


@verifies("SRS-237@4a917d64", "RC-237@42db4e12", level="integration")
@pytest.mark.parametrize("group", [2, GROUP])
def test_a_batch_gives_bit_for_bit_what_films_give_alone(
    group: int, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "GROUP", group)
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
    with Batch(device.read_group, films) as judged:
        together = [judged(film) for film in films]
    patient.close()
    assert sum(isinstance(result, Analyzed) for result in alone) == 5
    for one, other in zip(alone, together, strict=True):
        assert (one.source, one.checks) == (other.source, other.checks)
        assert getattr(one, "decision", None) == getattr(other, "decision", None)


@verifies("SRS-237@4a917d64", "RC-237@42db4e12", level="integration")
def test_the_order_is_kept_whichever_film_finishes_first() -> None:
    def judge(film: Path) -> str:
        time.sleep(0.05 if int(film.stem) % 2 == 0 else 0.0)
        return film.stem

    with Batch(each(judge), FILMS) as judged:
        assert [judged(film) for film in FILMS] == [film.stem for film in FILMS]


@verifies("SRS-237@4a917d64", "RC-237@42db4e12", level="integration")
def test_a_film_out_of_its_turn_is_refused() -> None:
    with Batch(each(str), FILMS) as judged:
        with pytest.raises(ValueError, match=r"1\.dcm is not the next film"):
            judged(FILMS[1])
        assert judged(FILMS[0]) == "0.dcm"
    with Batch(each(str), []) as judged, pytest.raises(ValueError, match="not the next film"):
        judged(FILMS[0])


@verifies("SRS-237@4a917d64", level="integration")
def test_a_film_whose_reading_raises_ends_alone() -> None:
    def judge(film: Path) -> str:
        if film == FILMS[1]:
            raise RuntimeError("a defect")
        return film.stem

    with Batch(each(judge), FILMS[:3]) as judged:
        assert judged(FILMS[0]) == "0"
        with pytest.raises(RuntimeError, match="a defect"):
            judged(FILMS[1])
        assert judged(FILMS[2]) == "2"


@verifies("SRS-237@4a917d64", level="integration")
def test_a_group_whose_judging_raises_raises_there_and_nowhere_else() -> None:
    def judge(films: Sequence[Path]) -> list[str]:
        if FILMS[1] in films:
            raise RuntimeError("a defect")
        return [film.stem for film in films]

    with Batch(judge, FILMS) as judged:
        for film in FILMS[:GROUP]:
            with pytest.raises(RuntimeError, match="a defect"):
                judged(film)
        assert [judged(film) for film in FILMS[GROUP:]] == [film.stem for film in FILMS[GROUP:]]


@verifies("SRS-237@4a917d64", level="integration")
def test_no_more_groups_are_begun_than_may_lie_in_memory() -> None:
    films = [Path(f"{number}.dcm") for number in range(GROUP * (4 * ahead()))]
    begun: list[Path] = []
    all_at_once = threading.Barrier(ahead(), timeout=30)

    def judge(group: Sequence[Path]) -> Sequence[Path]:
        begun.extend(group)
        all_at_once.wait()  # passes only when so many groups are in hand at once
        return group

    with Batch(judge, films) as judged:
        for number, film in enumerate(films):
            assert len(begun) <= GROUP * (number // GROUP + ahead() + 1)
            judged(film)
    assert sorted(begun) == sorted(films)


@verifies("SRS-237@4a917d64", level="integration")
@pytest.mark.parametrize(("cores", "groups"), [(1, 2), (2, 2), (3, 3), (4, 4), (5, 4), (64, 4)])
def test_as_many_groups_as_cores_are_in_hand_from_two_to_four_and_one_waits(
    cores: int, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {0: range(cores)}  # of this process
    monkeypatch.setattr(os, "sched_getaffinity", own.__getitem__)
    assert ahead() == groups
    films = [Path(f"{number}.dcm") for number in range(GROUP * (groups + 4))]
    begun: list[Path] = []
    names: set[str] = set()
    over = threading.Event()

    def judge(group: Sequence[Path]) -> Sequence[Path]:
        names.add(threading.current_thread().name)
        begun.extend(group)
        over.wait(30)
        return group

    with Batch(judge, films):
        deadline = time.monotonic() + 30
        while len(begun) < GROUP * groups and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(names) == groups
        assert sorted(begun) == sorted(films[: GROUP * groups])
        threading.Timer(0.2, over.set).start()
    assert len(begun) <= GROUP * (groups + 1)


@verifies("SRS-237@4a917d64", level="integration")
def test_a_group_holds_eight_films_or_16_mib_of_them_and_a_large_film_is_alone(
    tmp_path: Path,
) -> None:
    mib = 2**20
    sizes = [
        16 * mib - 1, 1, 1,  # the first two fill a group
        8 * mib, 8 * mib, *[1] * 8, 8 * mib, 8 * mib + 1, 16 * mib + 1, 16 * mib,
    ]  # fmt: skip
    films = [tmp_path / f"{number:02}.dcm" for number in range(len(sizes))]
    for film, size in zip(films, sizes, strict=True):
        with film.open("wb") as file:
            file.truncate(size)  # holes take no disk
    films += [tmp_path / "absent.dcm", tmp_path / "\0.dcm"]  # their reading will say why
    groups: list[str] = []

    def judge(group: Sequence[Path]) -> Sequence[Path]:
        groups.append(" ".join(film.stem for film in group))
        return group

    with Batch(judge, films) as judged:
        assert [judged(film) for film in films] == films
    assert sorted(groups) == [
        "00 01", "02 03", "04 05 06 07 08 09 10 11", "12 13", "14", "15", "16 absent \0",
    ]  # fmt: skip


@verifies("SRS-237@4a917d64", "RC-237@42db4e12", level="integration")
def test_fewer_results_than_films_are_refused() -> None:
    with (
        Batch[Path](lambda films: films[1:], FILMS) as judged,
        pytest.raises(ValueError, match="zip"),
    ):
        judged(FILMS[0])


@verifies("SRS-237@4a917d64", level="integration")
def test_what_waits_is_not_begun_when_a_batch_is_left() -> None:
    begun: list[Path] = []
    entered = threading.Barrier(ahead() + 1, timeout=30)

    def judge(group: Sequence[Path]) -> Sequence[Path]:
        begun.extend(group)
        entered.wait()
        time.sleep(0.3)
        return group

    with Batch(judge, [Path(f"{number}.dcm") for number in range(GROUP * (ahead() + 4))]):
        entered.wait()  # all threads have a group
    assert len(begun) == GROUP * ahead()
