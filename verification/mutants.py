"""Mutants: small faults put into the source of a risk control, one at a time.

A test suite that stays green on a mutant would stay green on that fault in the device.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

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
_MIN_SET: Final = 2
"""Members; a display of fewer cannot lose one and still be a choice."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: where, what stood there, what stands there now, and the whole new source."""

    line: int
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        """What changed, without the line, so that an edit above does not rename it."""
        return f"{self.before} -> {self.after}"


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """Faulty copies of one node."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            new = copy.deepcopy(node)
            new.ops[index] = _COMPARE[type(operator)]()
            yield new
    elif isinstance(node, ast.BoolOp):
        new_bool = copy.deepcopy(node)
        new_bool.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield new_bool
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        new_op = copy.deepcopy(node)
        new_op.op = _ARITHMETIC[type(node.op)]()
        yield new_op
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Set | ast.List | ast.Tuple) and len(node.elts) >= _MIN_SET:
        if isinstance(node, ast.Tuple) and not all(isinstance(e, ast.Constant) for e in node.elts):
            return
        for index in range(len(node.elts)):
            new_set = copy.deepcopy(node)
            del new_set.elts[index]
            yield new_set
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
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


def _skipped(tree: ast.Module) -> set[int]:
    """Nodes that decide nothing: annotations, docstrings, `__all__`, messages, decorators."""
    skip: set[int] = set()

    def drop(node: ast.AST | None) -> None:
        skip.update(id(inner) for inner in ast.walk(node)) if node is not None else None

    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            drop(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            drop(node.returns)
            for decorator in node.decorator_list:
                drop(decorator)
        elif isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                drop(decorator)
        elif isinstance(node, ast.arg):
            drop(node.annotation)
        elif isinstance(node, ast.JoinedStr | ast.TypeAlias if hasattr(ast, "TypeAlias") else ast.JoinedStr):  # noqa: E501
            drop(node)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            if node.value.id in {"Literal", "NDArray", "tuple", "dict", "list", "Callable"}:
                drop(node)
        elif isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
        ):
            drop(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in {"TypeVar", "NewType", "cast"}:
                drop(node)
    return skip


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
        for new in _variants(node):
            faulty = _replaced(tree, parents[id(node)], node, new)
            if faulty is not None:
                line = getattr(node, "lineno", 1)
                before, after = (" ".join(ast.unparse(n).split())[:90] for n in (node, new))
                found.append(Mutant(line, before, after, faulty))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.name))


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
    return Mutant(1, "every function", "raises", ast.unparse(ast.fix_missing_locations(tree)))
