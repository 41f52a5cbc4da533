"""Mutants: small faults put into the source of a risk control, one at a time.

A test suite that stays green on a mutant would stay green on that fault in the device.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Mutant", "mutants", "sentinel"]

_COMPARE: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
_GENERICS: Final = ("Literal", "NDArray", "tuple", "dict", "list", "Callable", "Final")
"""Names whose subscripts are types."""

_MIN_SET: Final = 2
"""Members; a display of fewer cannot lose one and still be a choice."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: where, what stood there, what stands there now, and the whole new source."""

    line: int
    within: str
    """Function that holds the place; empty for the module's body."""
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        """What changed and where, without the line, so that an edit above does not rename it."""
        where = f"{self.within}: " if self.within else ""
        return f"{where}{self.before} -> {self.after}"


def _comparisons(node: ast.Compare) -> Iterator[ast.AST]:
    """Turn each comparison: a bound loses its tie, a membership its sense."""
    for index, operator in enumerate(node.ops):
        new = copy.deepcopy(node)
        new.ops[index] = _COMPARE[type(operator)]()
        yield new


def _connectives(node: ast.BoolOp) -> Iterator[ast.AST]:
    """Exchange `and` and `or`."""
    new = copy.deepcopy(node)
    new.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    yield new


def _negations(node: ast.UnaryOp) -> Iterator[ast.AST]:
    """Drop `not`."""
    if isinstance(node.op, ast.Not):
        yield copy.deepcopy(node.operand)


def _arithmetic(node: ast.BinOp) -> Iterator[ast.AST]:
    """Exchange an operator with its opposite."""
    if type(node.op) in _ARITHMETIC:
        new = copy.deepcopy(node)
        new.op = _ARITHMETIC[type(node.op)]()
        yield new


def _displays(node: ast.Set | ast.List | ast.Tuple) -> Iterator[ast.AST]:
    """Drop each member of a set, list or tuple of choices."""
    tuple_of_names = isinstance(node, ast.Tuple) and not all(
        isinstance(member, ast.Constant) for member in node.elts
    )
    if len(node.elts) < _MIN_SET or tuple_of_names:
        return
    for index in range(len(node.elts)):
        new = copy.deepcopy(node)
        del new.elts[index]
        yield new


def _returns(node: ast.Return) -> Iterator[ast.AST]:
    """Return nothing."""
    nothing = isinstance(node.value, ast.Constant) and node.value.value is None
    if node.value is not None and not nothing:
        yield ast.copy_location(ast.Return(value=ast.Constant(value=None)), node)


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    """Faulty copies of a constant: numbers move by one step, booleans turn."""
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(value=not value)
    elif isinstance(value, int):
        yield ast.Constant(value=value + 1)
    elif isinstance(value, float):
        yield ast.Constant(value=value * 1.25 if value else 0.25)


_CATALOGUE: Final[dict[type[ast.AST], Callable[[Any], Iterator[ast.AST]]]] = {
    ast.Compare: _comparisons,
    ast.BoolOp: _connectives,
    ast.UnaryOp: _negations,
    ast.BinOp: _arithmetic,
    ast.Constant: _constants,
    ast.Set: _displays,
    ast.List: _displays,
    ast.Tuple: _displays,
    ast.Return: _returns,
}
"""Faulty copies of a node, by its class."""


def _idle(node: ast.AST) -> list[ast.AST | None]:
    """Give the parts of a node that decide nothing: annotations, decorators, messages."""
    match node:
        case ast.AnnAssign() | ast.arg():
            return [node.annotation]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [node.returns, *node.decorator_list]
        case ast.ClassDef():
            return list(node.decorator_list)
        case (
            ast.JoinedStr()
            | ast.Assign(targets=[ast.Name(id="__all__")])
            | ast.Call(func=ast.Name(id="NewType" | "TypeVar" | "cast"))
        ):
            return [node]
        case ast.Subscript(value=ast.Name(id=name)) if name in _GENERICS:
            return [node]
        case _:
            return []


def _skipped(tree: ast.Module) -> set[int]:
    """Collect the nodes that decide nothing."""
    roots = [part for node in ast.walk(tree) for part in _idle(node) if part is not None]
    return {id(inner) for root in roots for inner in ast.walk(root)}


def _none(node: ast.AST) -> Iterator[ast.AST]:
    """Make no faulty copy."""
    del node
    return iter(())


def mutants(source: str) -> list[Mutant]:
    """Every fault of the catalogue at every place of a module, in order of line."""
    tree = ast.parse(source)
    skip = _skipped(tree)
    nodes = list(ast.walk(tree))
    parents = {id(child): parent for parent in nodes for child in ast.iter_child_nodes(parent)}
    found: list[Mutant] = []
    for node in nodes:
        if id(node) in skip or id(node) not in parents:
            continue
        for new in _CATALOGUE.get(type(node), _none)(node):
            faulty = _replaced(tree, parents[id(node)], node, new)
            if faulty is not None:
                line = getattr(node, "lineno", 1)
                before, after = (" ".join(ast.unparse(n).split())[:90] for n in (node, new))
                found.append(Mutant(line, _within(node, parents), before, after, faulty))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.name))


def _within(node: ast.AST, parents: dict[int, ast.AST]) -> str:
    """Name of the innermost function that holds a node."""
    above = parents.get(id(node))
    while above is not None:
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return above.name
        above = parents.get(id(above))
    return ""


def _replaced(tree: ast.Module, parent: ast.AST, node: ast.AST, new: ast.AST) -> str | None:
    """Source of the module with one node replaced."""
    for name, value in ast.iter_fields(parent):
        if value is node:
            setattr(parent, name, new)
            try:
                return ast.unparse(tree)
            finally:
                setattr(parent, name, node)
        if isinstance(value, list):
            for index, entry in enumerate(value):
                if entry is node:
                    value[index] = new
                    try:
                        return ast.unparse(tree)
                    finally:
                        value[index] = node
    return None


def sentinel(source: str) -> Mutant:
    """Make the mutant that must die: every function raises. If it lives, the run proves nothing."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.parse('raise AssertionError("sentinel")').body[0]]
    return Mutant(1, "", "every function", "raises", ast.unparse(ast.fix_missing_locations(tree)))
