"""Runs over an archive as tests begin them: a plan, and rows of its blocks without a network."""

import json
from pathlib import Path

from cxr_device import Device
from cxr_device.archive.ledger import Plan
from cxr_device.archive.row import row


def plan(films: int = 5, block: int = 2) -> Plan:
    """A plan of films that are absent."""
    device = Device.load_guards().identity
    paths = [Path(f"{number}.dcm") for number in range(films)]
    return Plan(source="/films", device=device, runtime="onnxruntime", films=paths, block=block)


def rows(made: Plan, number: int) -> str:
    """Rows of a block as an engine gives them: the files are absent."""
    reader = Device.load_guards()
    told = [json.dumps(row(reader.read(film))) + "\n" for film in made.films_of(number)]
    return "".join(told)
