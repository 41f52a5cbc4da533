"""Scoring: which blocks are handed out, what is kept, when a table stays as it is."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from archive_runs import plan, rows

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

import pyarrow.parquet as pq

from cxr_device.archive import scoring
from cxr_device.archive.engines import ENGINES, Block, Runtime
from cxr_device.archive.ledger import Ledger, parts_of
from cxr_device.errors import ArchiveError, EngineError, IntegrityError
from verification import verifies


class Engine:
    """An engine in this process, for films that are absent; it may end after some blocks."""

    def __init__(self, *, ends_after: int = 1_000_000) -> None:
        self.handed: list[int] = []
        self.workers: list[int] = []
        self.ends_after = ends_after

    def __call__(
        self, blocks: Sequence[Block], _runtime: Runtime, workers: int
    ) -> Iterator[tuple[int, str]]:
        """Give rows of blocks, as an engine does."""
        self.workers.append(workers)
        for number, films in blocks[: self.ends_after]:
            self.handed.append(len(films))
            yield number, rows(replace(plan(), films=films, block=len(films)), 0)
        if len(blocks) > self.ends_after:
            raise EngineError("a worker was killed", "lower --workers")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setitem(ENGINES, "local", made)
    return made


def manifest(folder: Path, films: int) -> Path:
    """A manifest of films that are absent."""
    path = folder / "films.csv"
    path.write_text("\n".join(["file", *(f"{number:04}.dcm" for number in range(films))]) + "\n")
    return path


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
@pytest.mark.parametrize(
    ("films", "workers", "block"),
    [
        (3, 1, 1),  # a block has one film at least
        (40, 2, 5),  # four blocks a worker
        (133, 1, 32),  # 32 films at most
    ],
)
def test_blocks_are_small_enough_that_workers_end_together(
    films: int, workers: int, block: int, engine: Engine, tmp_path: Path
) -> None:
    out = tmp_path / "scores.parquet"
    told = scoring.score(manifest(tmp_path, films), out=out, workers=workers)
    assert engine.handed[0] == max(engine.handed) == block
    assert sum(engine.handed) == films
    assert engine.workers == [workers]
    assert (told.films, told.by_status, told.exit_code) == (films, {"failed": films}, 4)


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_progress_is_told_from_none_to_all(engine: Engine, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    scoring.score(
        manifest(tmp_path, 9), out=tmp_path / "scores.parquet", workers=1,
        progress=lambda done, of: told.append((done, of)),
    )  # fmt: skip
    assert told == [(0, 9), (2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]
    assert engine.workers == [1]


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_a_run_that_was_cut_goes_on_by_resume_alone(engine: Engine, tmp_path: Path) -> None:
    source, out = manifest(tmp_path, 12), tmp_path / "scores.parquet"
    engine.ends_after = 2
    with pytest.raises(EngineError):
        scoring.score(source, out=out, workers=1, resume=True)  # none was begun: one is begun
    assert not out.exists()
    engine.ends_after = 1_000_000
    with pytest.raises(ArchiveError, match="--resume"):
        scoring.score(source, out=out, workers=1)
    engine.handed.clear()
    told = scoring.score(source, out=out, workers=9, resume=True)
    assert engine.handed == [3, 3]  # two of four blocks were done
    assert engine.workers[-1] == 2  # no more workers than blocks
    assert told.films == pq.read_table(out).num_rows == 12
    assert not parts_of(out).exists()


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_a_run_that_was_cut_before_its_table_asks_no_engine(engine: Engine, tmp_path: Path) -> None:
    source, out = manifest(tmp_path, 2), tmp_path / "scores.parquet"
    made = replace(plan(), source=str(source), films=[tmp_path / "0000.dcm", tmp_path / "0001.dcm"])
    cut = Ledger(parts_of(out), made)
    cut.begin()
    cut.keep(0, rows(made, 0))
    told = scoring.score(source, out=out, workers=1, resume=True)
    assert (told.films, engine.handed) == (2, [])
    assert pq.read_table(out).num_rows == 2


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_a_whole_table_stays_under_resume_and_over_the_same_films_alone(
    engine: Engine, tmp_path: Path
) -> None:
    source, out = manifest(tmp_path, 2), tmp_path / "scores.parquet"
    scoring.score(source, out=out, workers=1)
    scoring.score(source, out=out, workers=1, resume=True)
    assert engine.handed == [1, 1]
    scoring.score(source, out=out, workers=1)  # asked for anew
    assert engine.handed == [1] * 4
    told = scoring.score(manifest(tmp_path, 3), out=out, workers=1, resume=True)
    assert (told.films, len(engine.handed)) == (3, 7)


@verifies("SRS-302@8f2d2113", "RC-302@f2ea7ca6", "RC-300@a029fb1b", level="integration")
def test_rows_of_another_device_or_other_films_are_not_kept() -> None:
    made = plan()
    told = rows(made, 0)
    scoring._hold(told, made.films_of(0), made.device)  # noqa: SLF001
    with pytest.raises(RuntimeError, match="not those of the block"):
        scoring._hold(told, made.films_of(1), made.device)  # noqa: SLF001
    with pytest.raises(RuntimeError, match="not those of the block"):
        scoring._hold(told.splitlines()[0], made.films_of(0), made.device)  # noqa: SLF001
    for name in ("weights_sha256", "config_sha256", "preprocessing_sha256", "version"):
        other = replace(made.device, **{name: "another"})
        with pytest.raises(IntegrityError, match=name):
            scoring._hold(told, made.films_of(0), other)  # noqa: SLF001


@verifies("SRS-304@57a9e1b1", level="integration")
def test_a_table_that_says_another_format_is_refused(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    with pytest.raises(ArchiveError, match=r"scores\.csv: suffix '\.csv'; the table is Parquet"):
        scoring.score(manifest(tmp_path, 2), out=out, workers=1)
    assert not engine.handed
    assert not list(tmp_path.glob("scores*"))
