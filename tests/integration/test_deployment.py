"""The container file and the systemd unit, held against the command line; nothing is built here."""

import json
import re
from pathlib import Path

import click

from cxr_device.cli import node
from verification import verifies

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENT = ROOT / "docs/deployment"
OPTIONS = {
    name for each in node.params if isinstance(each, click.Option) for name in each.opts
}  # fmt: skip


def instructions() -> list[tuple[str, str]]:
    """Instructions of the container file, continued lines joined."""
    text = (DEPLOYMENT / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (each.partition(" ") for each in joined.splitlines())]


def final(word: str) -> str:
    """Operand of the only such instruction of the last stage."""
    found = instructions()
    last = max(place for place, each in enumerate(found) if each[0] == "FROM")
    (operand,) = [rest for each, rest in found[last:] if each == word]
    return operand


@verifies("SRS-311@de936511", level="integration")
def test_the_container_starts_the_node_with_options_that_it_has() -> None:
    program, verb, *arguments = json.loads(final("ENTRYPOINT"))
    settings = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert program.rpartition("/")[2] == "cxr-device"
    assert verb == node.name
    assert set(settings) <= OPTIONS
    assert settings["--bind"].rpartition(":")[2] == final("EXPOSE")
    assert settings["--data"] == final("VOLUME")
    assert f"http://{settings['--metrics']}/health" in final("HEALTHCHECK")
    assert settings["--metrics"].startswith("127.0.0.1:")
    assert final("STOPSIGNAL") == "SIGTERM"


@verifies("SRS-311@de936511", level="integration")
def test_the_container_is_not_root_and_installs_in_its_build_alone() -> None:
    assert final("USER").isdigit()
    assert int(final("USER")) > 0
    assert "pip" not in final("RUN")
    words = [word for word, _ in instructions()]
    assert set(words) <= {
        "FROM", "COPY", "RUN", "USER", "ENV", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
        "ENTRYPOINT",
    }  # fmt: skip
    installed = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    named = {name for rest in installed for name in re.findall(r"/src/(requirements/\S+)", rest)}
    assert named == {"requirements/node.txt"}
    lock = (ROOT / "requirements/node.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", lock, re.MULTILINE))
    assert {"highdicom", "pynetdicom", "reportlab", "onnxruntime"} <= set(pins)
    for other in ("base", "dev"):
        text = (ROOT / f"requirements/{other}.txt").read_text(encoding="utf-8")
        same = dict(re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", text, re.MULTILINE))
        assert {name: same.get(name, pins[name]) for name in pins} == pins


@verifies("SRS-311@de936511", level="integration")
def test_the_unit_and_the_examples_use_options_that_the_node_has() -> None:
    for name in ("cxr-device-node.service", "Containerfile"):
        text = (DEPLOYMENT / name).read_text(encoding="utf-8")
        example = re.search(r"(--return .*?)\n#?(?! *-)", text, re.DOTALL)
        assert example is not None
        assert set(re.findall(r"--[a-z]+", example[1])) <= OPTIONS
