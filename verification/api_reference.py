"""The API reference, read from the sources: public names, signatures, docstrings.

Nothing is imported, so it can be built on a machine without torch.
"""

import ast
import inspect
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Module", "Name", "modules"]


@dataclass(frozen=True, slots=True)
class Name:
    """One public function or class."""

    signature: str
    docstring: str


@dataclass(frozen=True, slots=True)
class Module:
    """One module with its public names."""

    name: str
    summary: tuple[str, ...]
    names: tuple[Name, ...]


def _public(tree: ast.Module) -> list[str]:
    """Names of `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, *, prefix: str = "") -> str:
    """Write a signature without its body."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{prefix}{node.name}({ast.unparse(node.args)}){returns}"


def _doc(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Module) -> str:
    """Docstring of a node, without indentation."""
    return inspect.cleandoc(ast.get_docstring(node) or "")


def _class(node: ast.ClassDef) -> list[Name]:
    """Make the entries of a class: itself, its fields, its public methods."""
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [f"class {node.name}({bases})" if bases else f"class {node.name}"]
    lines += [
        f"    {ast.unparse(part.target)}: {ast.unparse(part.annotation)}"
        for part in node.body
        if isinstance(part, ast.AnnAssign) and not ast.unparse(part.target).startswith("_")
    ]
    found = [Name("\n".join(lines), _doc(node))]
    found += [
        Name(_signature(part, prefix=f"{node.name}."), _doc(part))
        for part in node.body
        if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")
    ]
    return found


def modules(root: Path, package: str) -> list[Module]:
    """Every module of a package that states public names, in order of name."""
    found = []
    for path in sorted((root / package.replace(".", "/")).rglob("*.py")):
        if any(
            part.startswith("_") and part != "__init__.py" for part in path.relative_to(root).parts
        ):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        wanted = set(_public(tree))
        names: list[Name] = []
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name in wanted:
                names += _class(node)
            elif isinstance(node, ast.FunctionDef) and node.name in wanted:
                names.append(Name(_signature(node), _doc(node)))
        dotted = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        summary = tuple(" ".join(p.split()) for p in _doc(tree).split("\n\n")[:2] if p.strip())
        if names:
            found.append(Module(dotted, summary, tuple(names)))
    return found
