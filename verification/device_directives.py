"""Directives that draw what the device declares: its checks, its stages, its public names."""

from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]  # docutils ships no types
from sphinx.errors import ExtensionError

from verification import api_reference, pipeline
from verification.directive import Base

__all__ = ["ApiReference", "GuardTable", "PipelineChart"]


class GuardTable(Base):
    """`.. guard-table::` shows the checks from the table that the device itself executes."""

    def run(self) -> list[Any]:
        """Import the device's table; where the tree holds none, fall back to the controls."""
        try:
            checks = import_module("cxr_device.checks")
            label = import_module("cxr_device.release").Release.load().label
            rows = [
                (str(code), d.tag, d.accepted_by(label), d.otherwise, d.hazard)
                for code, d in checks.DESCRIPTIONS.items()
            ]
        except Exception:  # noqa: BLE001  # a tree without device, or without weights
            rows = [
                (item.get("code"), "", " ".join(item.text.split()), "", item.id)
                for item in self.read().dossier.items.of("control")
                if item.get("code")
            ]
        head = ("Code", "Attribute", "Accepted", "Otherwise", "Hazard controlled")
        return self.table(head, rows, (11, 9, 22, 20, 16))


class PipelineChart(Base):
    """`.. pipeline-chart::` draws the stages that the device declares, by Graphviz."""

    def run(self) -> list[Any]:
        """Draw the chart; a stage without an architecture item stops the build."""
        from sphinx.ext.graphviz import graphviz  # noqa: PLC0415  # registered by conf.py

        read = self.read()
        try:
            steps = pipeline.steps(read.root, read.dossier.items)
        except pipeline.PipelineError as error:
            message = f"{self.env.docname}:{self.lineno}: {error}"
            raise ExtensionError(message) from error
        node = graphviz()
        node["code"], node["options"] = pipeline.dot(steps), {}
        node["alt"] = " - ".join(step.name for step in steps)
        return [node]


class ApiReference(Base):
    """`.. api-reference:: cxr_device` shows public names with signature and docstring."""

    required_arguments = 1

    def run(self) -> list[Any]:
        """Draw sections for each module; nothing is imported."""
        found: list[Any] = []
        for module in api_reference.modules(Path(self.env.srcdir), self.arguments[0]):
            section = nodes.section(ids=[f"api-{module.name.replace('.', '-')}"])
            section += nodes.title(text=module.name)
            section += [nodes.paragraph(text=p) for p in module.summary]
            for name in module.names:
                section += nodes.literal_block(
                    name.signature, name.signature, language="python", classes=["signature"]
                )
                if name.docstring:
                    section += nodes.literal_block(
                        name.docstring, name.docstring, language="text", classes=["docstring"]
                    )
            found.append(section)
        return found
