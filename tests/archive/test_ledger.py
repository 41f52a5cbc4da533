"""The ledger: blocks under the digest of their bytes, and a run that goes on as it was begun."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from archive_runs import plan, rows

from cxr_device.archive.ledger import Ledger, Plan, parts_of
from cxr_device.errors import ArchiveError
from verification import verifies


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="unit")
@pytest.mark.parametrize(
    ("films", "block", "sizes"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (1, 32, [1]), (3, 1, [1] * 3)]
)
def test_blocks_hold_every_film_once_and_in_order(films: int, block: int, sizes: list[int]) -> None:
    made = plan(films=films, block=block)
    blocks = [made.films_of(number) for number in made.blocks]
    assert [len(each) for each in blocks] == sizes
    assert [film for each in blocks for film in each] == made.films


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="unit")
def test_a_plan_is_read_as_it_was_written_and_known_by_what_the_table_depends_on(
    tmp_path: Path,
) -> None:
    made = plan()
    made.write(tmp_path / "plan.json")
    assert Plan.read(tmp_path / "plan.json") == made
    assert replace(made, block=1).digest() == made.digest()
    for other in (
        replace(made, source="/other"), replace(made, runtime="openvino"),
        replace(made, films=list(reversed(made.films))),
        replace(made, device=replace(made.device, version="0.0.1")),
    ):  # fmt: skip
        assert other.digest() != made.digest()


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_finished_blocks_are_found_again_and_damaged_ones_are_not(tmp_path: Path) -> None:
    made = plan()
    ledger = Ledger(tmp_path / "parts", made)
    ledger.begin()
    for number in (0, 2):
        ledger.keep(number, rows(made, number))
    again = Ledger.resume(
        tmp_path / "parts", device=made.device, runtime="onnxruntime", source="/films"
    )
    assert (again.left, again.films_done) == ([1], 3)
    assert again.plan == replace(made, films=list(made.films))
    (part,) = (tmp_path / "parts").glob("000002-*")
    part.write_text(part.read_text().replace("failed", "analyzed"))
    again = Ledger.resume(
        tmp_path / "parts", device=made.device, runtime="onnxruntime", source="/films"
    )
    assert again.left == [1, 2]
    assert not part.exists()


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
@pytest.mark.parametrize("what", ["device", "runtime", "source"])
def test_a_run_goes_on_only_as_it_was_begun(what: str, tmp_path: Path) -> None:
    made = plan()
    Ledger(tmp_path, made).begin()
    now: dict[str, Any] = {"device": made.device, "runtime": made.runtime, "source": made.source}
    now[what] = replace(made.device, weights_sha256="0" * 64) if what == "device" else "other"
    with pytest.raises(ArchiveError, match=f"begun with {what}"):
        Ledger.resume(tmp_path, **now)
    with pytest.raises(ArchiveError, match="--resume"):
        Ledger(tmp_path, made).begin()
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(ArchiveError, match="plan is damaged"):
        Ledger.resume(tmp_path, device=made.device, runtime=made.runtime, source=made.source)


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_blocks_without_their_plan_are_never_taken(tmp_path: Path) -> None:
    made = plan()
    stray = Ledger(tmp_path, made)
    stray.begin()
    stray.keep(0, rows(made, 0))
    (tmp_path / "plan.json").unlink()  # as a removal leaves it that was cut
    Ledger(tmp_path, made).begin()
    again = Ledger.resume(tmp_path, device=made.device, runtime=made.runtime, source=made.source)
    assert again.left == [0, 1, 2]


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_a_block_lies_beside_the_table_under_its_number_and_digest(tmp_path: Path) -> None:
    made, folder = plan(), parts_of(tmp_path / "scores.parquet")
    ledger = Ledger(folder, made)
    ledger.begin()
    told = {number: rows(made, number) for number in (2, 0, 1)}
    for number, lines in told.items():
        ledger.keep(number, lines)
    names = [
        f"00000{number}-{sha256(told[number].encode()).hexdigest()}.jsonl" for number in (0, 1, 2)
    ]
    assert sorted(path.name for path in folder.iterdir()) == [*names, "plan.json"]
    assert folder == tmp_path / "scores.parquet.parts"
    assert (ledger.left, ledger.films_done) == ([], 5)
    in_order = [json.loads(line) for number in (0, 1, 2) for line in told[number].splitlines()]
    assert list(ledger.rows()) == in_order
    ledger.remove()
    assert not folder.exists()
    ledger.remove()  # a table that was whole already has no folder


@verifies("SRS-301@8ce8f2a9", "RC-301@4d82e888", level="integration")
def test_a_block_of_a_number_that_the_plan_has_not_is_removed(tmp_path: Path) -> None:
    made = plan()
    ledger = Ledger(tmp_path, made)
    ledger.begin()
    ledger.keep(3, rows(made, 2))
    (part,) = tmp_path.glob("000003-*")
    again = Ledger.resume(tmp_path, device=made.device, runtime=made.runtime, source=made.source)
    assert again.left == [0, 1, 2]
    assert not part.exists()
