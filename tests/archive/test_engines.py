"""Engines: worker processes and Ray's actors run one scorer; a film ends alone."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import dx, pixels, to_bytes

from cxr_device import Device, intake, runtimes
from cxr_device.archive import engines
from cxr_device.archive.engines import Block, Scorer
from cxr_device.errors import EngineError
from cxr_device.intake import Intake
from cxr_device.label import Label
from verification import verifies


@verifies("SRS-300@f5f6d75e", level="integration")
def test_a_film_on_which_the_device_fails_ends_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    films = [tmp_path / f"{number}.dcm" for number in range(3)]
    real = intake.receive

    def receive(film: Path, label: Label) -> Intake:
        if film == films[1]:
            raise MemoryError("Zanzibar")
        return real(film, label)

    monkeypatch.setattr(intake, "receive", receive)
    told = [json.loads(line) for line in Scorer("onnxruntime")(films).splitlines()]
    assert [each["exit_code"] for each in told] == [4, 70, 4]
    assert [each["path"] for each in told] == [str(film) for film in films]
    assert "Zanzibar" not in json.dumps(told)


@verifies("SRS-303@a5d09773", "RC-303@947ed785", level="integration")
@pytest.mark.parametrize(
    ("runtime", "loader"), [("onnxruntime", "on_cpu"), ("openvino", "on_openvino")]
)
def test_a_scorer_runs_the_runtime_that_was_asked_for_on_one_thread(
    runtime: engines.Runtime, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Path, int]] = []

    def load(name: str) -> Callable[..., runtimes.Infer]:
        def loaded(graph: Path, *, threads: int) -> runtimes.Infer:
            asked.append((name, graph, threads))
            return lambda _pixels: np.zeros((1, 1), np.float32)

        return loaded

    release = Device.load_guards().release
    for name in ("on_cpu", "on_openvino"):
        monkeypatch.setattr(runtimes, name, load(name))
    Scorer(runtime)
    assert [each for each in asked if each[1] == release.graph] == [(loader, release.graph, 1)]


class Told(Sequence[Block]):
    """Blocks that count how many were taken."""

    def __init__(self, blocks: list[Block]) -> None:
        self.blocks, self.taken = blocks, 0

    def __getitem__(self, at: Any) -> Any:  # type: ignore[explicit-override]
        return self.blocks[at]

    def __len__(self) -> int:  # type: ignore[explicit-override]
        return len(self.blocks)

    def __iter__(self) -> Iterator[Block]:  # type: ignore[explicit-override]
        for block in self.blocks:
            self.taken += 1
            yield block


@verifies("SRS-302@8f2d2113", "SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_worker_processes_give_each_block_its_rows_and_take_two_at_a_time(tmp_path: Path) -> None:
    film = tmp_path / "film.dcm"
    film.write_bytes(to_bytes(dx(pixels(side=512))))
    blocks = Told([(number, (film, tmp_path / f"{number}.dcm")) for number in range(10, 18)])
    scored = engines.local(blocks, "onnxruntime", 2)
    first = next(scored)
    assert blocks.taken == 2 * 2 + 1  # two a worker, and one for the block that was done
    told = dict([first, *scored])
    assert sorted(told) == list(range(10, 18))
    alone = Scorer("onnxruntime")
    for number, films in blocks.blocks:
        assert told[number] == alone(films)
    statuses = [json.loads(line)["status"] for line in told[10].splitlines()]
    assert statuses == ["analyzed", "failed"]


@verifies("SRS-300@f5f6d75e", level="integration")
def test_a_run_that_is_closed_waits_for_the_block_in_hand_and_begins_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    in_hand = threading.Event()

    class Pool(ThreadPoolExecutor):
        """As a pool of processes, but in threads."""

        def __init__(self, workers: int, *, initargs: Any, **_options: Any) -> None:
            monkeypatch.setattr(engines, "_closing", initargs[1])
            super().__init__(workers)

    def score(films: Sequence[Path]) -> str:
        begun.append(len(films))
        if len(films) > 1:
            in_hand.set()
            assert engines._closing is not None  # noqa: SLF001
            assert engines._closing.wait(30)  # noqa: SLF001
        return ""

    monkeypatch.setattr(engines, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(engines, "_scorer", score)
    blocks = [(number, [tmp_path / "film.dcm"] * number) for number in range(1, 5)]
    scored = engines.local(blocks, "onnxruntime", 1)
    assert next(scored) == (1, "")
    assert in_hand.wait(30)
    scored.close()  # type: ignore[attr-defined]
    assert begun == [1, 2]
    assert engines._score([]) == ""  # noqa: SLF001


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_a_worker_ends_with_its_run_and_scores_nothing_before_it_was_started() -> None:
    engines._end_with_parent()  # noqa: SLF001  # this process is no worker: it goes on
    with pytest.raises(RuntimeError, match="not started"):
        engines._score([])  # noqa: SLF001


@verifies("SRS-302@8f2d2113", "RC-302@f2ea7ca6", level="integration")
def test_an_actor_gives_a_block_the_rows_of_a_scorer(tmp_path: Path) -> None:
    films = [tmp_path / "one.dcm", tmp_path / "two.dcm"]
    told = engines._Actor("onnxruntime")(  # noqa: SLF001
        {"number": 7, "films": json.dumps([str(film) for film in films])}
    )
    assert told == {"number": 7, "rows": Scorer("onnxruntime")(films)}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@verifies("SRS-302@8f2d2113", level="integration")
@pytest.mark.parametrize(("address", "cores"), [(None, 4), ("cluster:6379", None)])
def test_ray_is_started_quietly_with_a_core_for_handing_out_or_joined(
    address: str | None, cores: int | None, ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda **options: asked.update(options))
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    assert engines._started(3) is ray  # noqa: SLF001
    assert asked["num_cpus"] == cores
    assert asked["include_dashboard"] is False  # no port is opened for it
    assert asked["log_to_driver"] is False
    assert ray.data.DataContext.get_current().enable_progress_bars is False


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@verifies("SRS-302@8f2d2113", level="integration")
def test_a_ray_that_does_not_start_is_an_engine_error(
    ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(**_options: Any) -> None:
        raise TimeoutError("x" * 1000)

    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(EngineError, match=r"Ray did not start \(x{100}\)"):
        engines._started(1)  # noqa: SLF001
