"""The catalogue of mutants: each fault is one change, and idle code has none."""

from verification.mutants import mutants, sentinel


def names(source: str) -> set[str]:
    return {mutant.name for mutant in mutants(source)}


def test_a_bound_loses_its_tie() -> None:
    assert "a < 5 -> a <= 5" in names("x = a < 5")
    assert "5 -> 6" in names("x = a < 5")


def test_a_set_of_choices_loses_each_member() -> None:
    assert {"{'DX', 'CR'} -> {'CR'}", "{'DX', 'CR'} -> {'DX'}"} <= names("x = {'DX', 'CR'}")


def test_logic_membership_and_return_are_turned() -> None:
    source = "def f(a, b):\n    return not a or b in c"
    assert "f: not a -> a" in names(source)
    assert "f: b in c -> b not in c" in names(source)
    assert any("and" in name for name in names(source))
    assert any(name.endswith("-> return None") for name in names(source))


def test_annotations_exports_and_messages_are_left_alone() -> None:
    source = '__all__ = ["a", "b"]\nx: Literal[1, 2]\nraise E(f"at least {n + 1}")'
    assert names(source) == set()


def test_each_mutant_changes_one_place_and_keeps_the_rest() -> None:
    source = "a = 1\nb = 2"
    assert sorted(m.source for m in mutants(source)) == ["a = 1\nb = 3", "a = 2\nb = 2"]


def test_the_sentinel_raises_everywhere() -> None:
    assert sentinel("def f():\n    return 1").source.count("sentinel") == 1
