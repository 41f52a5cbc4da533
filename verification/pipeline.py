"""The pipeline as the device declares it: the stages of `Device.read`, in order.

They are read from the device's own source, where each stage ends with `lap("name")`, so a chart
in a document is the chart of the code.
"""

import ast
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from verification.items import Items

__all__ = ["PipelineError", "Step", "dot", "steps"]

_SOURCE = "cxr_device/device.py"
_ORDER = (
    "intake", "guards", "decoding", "pixel_range", "preprocessing", "pixel_gate", "network",
    "calibration", "decision", "result",
)  # fmt: skip
"""Reading order of the architecture description, for stages that share one lap."""


class PipelineError(Exception):
    """A declared stage has no architecture item."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage, with its architecture item."""

    name: str
    item: str
    title: str


def declared(root: Path) -> list[str]:
    """Names of the stages that the device times, in order of their place in the source."""
    path = root / _SOURCE
    if not path.is_file():
        return []
    calls = [
        (node.lineno, node.args[0].value)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "lap"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ]
    return [str(name) for _, name in sorted(calls)]


def steps(root: Path, items: Items) -> list[Step]:
    """Join the declared stages with their architecture items; an unknown stage is an error."""
    names = [*_ORDER, *(name for name in declared(root) if name not in _ORDER)]
    found = []
    for name in names:
        item = items.by_id.get(f"ARC-{name}")
        if item is None:
            message = f"the stage {name!r} of {_SOURCE} has no architecture item ARC-{name}"
            raise PipelineError(message)
        found.append(Step(name, item.id, " ".join(item.text.split())))
    return found


def dot(chart: list[Step]) -> str:
    """Draw the stages for Graphviz, with the two ways out of the guards."""

    def text(value: str) -> str:
        return json.dumps(value, ensure_ascii=False)

    lines = [
        "digraph pipeline {",
        "rankdir=TB; ranksep=0.2; nodesep=0.5;",
        'node [shape=box, style="rounded,filled", fillcolor="#eef3f8", color="#5b7a99"];',
        'node [fontname="Helvetica", fontsize=11];',
        'edge [color="#5b7a99", fontname="Helvetica", fontsize=9];',
        'film [label="DICOM bytes", shape=note];',
        'refused [label="coded refusal\\nrejected or failed"];',
        'refused [fillcolor="#fbe9e7", color="#b04a3a"];',
        'answer [label="record, report", shape=note];',
    ]
    lines += [f"{text(s.name)} [label={text(f'{s.name} ({s.item})')}];" for s in chart]
    chain = ["film", *(s.name for s in chart), "answer"]
    lines += [f"{text(a)} -> {text(b)};" for a, b in pairwise(chain)]
    gates = {"intake", "guards", "decoding", "pixel_range", "pixel_gate"}
    lines += [f"{text(s.name)} -> refused [style=dashed];" for s in chart if s.name in gates]
    return "\n".join([*lines, "}"])
