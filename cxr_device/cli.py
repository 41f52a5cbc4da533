"""The command line: `cxr-device VERB`; every verb loads only what it needs."""

import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cxr_device import __version__
from cxr_device.cli_archive import score
from cxr_device.cli_common import load_device, load_release, release_option
from cxr_device.cli_group import Verbs
from cxr_device.cli_research import dataset, lock, train
from cxr_device.vocabulary import CheckCode

if TYPE_CHECKING:
    from cxr_device.device import Device
    from cxr_device.outputs.index_html import Card
    from cxr_device.result import Checked, Result

__all__ = ["main"]

_EXITS = """Exit codes: 0 analysed (suspected or not), 2 usage, 3 outside the intended use,
4 unreadable or hostile, 5 self-test or integrity, 6 an output could not be written, 70 internal.
A batch returns the highest; each record has its own."""


_CODES = (*map(str, CheckCode), "SELF")

_HELP = """Flag suspected pneumonia on adult frontal chest radiographs (DICOM).

\b
cxr-device read film.dcm               one film: the flag, or why it was not read
cxr-device read FOLDER --out RESULTS   every file in it; a page and a record for each
cxr-device read --json *.dcm           JSON Lines for a program
cxr-device explain VIEW                what a check means and what to do

For prioritisation only: a radiologist reads every film. Research use, see `cxr-device info`."""


@click.group(
    cls=Verbs, help=_HELP, epilog=_EXITS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "--version", message="cxr-device %(version)s")
def main() -> None:
    """Run a verb; what each does stands in `_HELP`."""


_paths = click.argument("paths", nargs=-1, required=True, metavar="PATH...")
_json = click.option("--json", "as_json", is_flag=True, help="JSON Lines on stdout, one a file.")


@main.command(epilog=_EXITS)
@_paths
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False),
    help="Folder for result.json and report.html, a folder a file.",
)  # fmt: skip
@_json
@click.option(
    "--dicom", is_flag=True,
    help="With --out: also a structured report, a Secondary Capture and a PDF as DICOM objects "
    "(needs cxr-device[node]).",
)  # fmt: skip
@click.option(
    "--profile", type=click.Choice(["triage", "research"]), default="triage", show_default=True,
    help="research: not the device, and every output says so.",
)  # fmt: skip
@click.option(
    "--device", "where", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
    show_default=True, help="Where the network runs.",
)  # fmt: skip
@release_option
def read(  # noqa: PLR0913, PLR0917  # one parameter an option
    paths: tuple[str, ...],
    out: Path | None,
    as_json: bool,  # noqa: FBT001
    dicom: bool,  # noqa: FBT001
    profile: str,
    where: str,
    folder: Path | None,
) -> None:
    """Read films: guards, then network, then decision. Folders are walked."""
    if dicom:
        _require_dicom(out)
    device = load_device(profile=profile, where=where, folder=folder)
    sys.exit(_run(device, device.read_group, paths, out=out, as_json=as_json, dicom=dicom))


@main.command(epilog=_EXITS)
@_paths
@_json
def check(paths: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
    """Judge headers and pixel ranges, without the network (PIXEL_GATE is not run)."""
    from cxr_device.batch import each  # noqa: PLC0415

    device = load_device(profile="triage", where=None)
    sys.exit(_run(device, each(device.check), paths, out=None, as_json=as_json, dicom=False))


@main.command()
@_json
def info(as_json: bool) -> None:  # noqa: FBT001
    """Print what this device is: version, claim, digests, operating point, training data, use."""
    from dataclasses import asdict  # noqa: PLC0415

    release = load_release()
    facts = {
        "name": release.name,
        "version": release.version,
        "claim": str(release.label.claim),
        "intended_use": release.label.intended_use,
        "limitations": list(release.label.limitations),
        "operating_point": {
            **asdict(release.operating_point),
            "rule": release.operating_point_rule,
        },
        "calibration": asdict(release.calibration),
        "score_heads": list(release.score_heads),
        "weights_sha256": release.weights_sha256,
        "config_sha256": release.config_sha256,
        "preprocessing_sha256": release.preprocessing_sha256,
        "signed_by": release.signer.holder if release.signer else "nobody: a development release",
        "training": release.training,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' ')}: {_plain(value)}")


@main.command()
@release_option
def selftest(folder: Path | None) -> None:
    """Hold weights and configuration against their digests, and a known film against its score."""
    from cxr_device.errors import IntegrityError  # noqa: PLC0415
    from cxr_device.result import ExitCode  # noqa: PLC0415
    from cxr_device.selftest import run  # noqa: PLC0415

    try:
        for line in run(folder=folder):
            click.echo(line)
    except IntegrityError as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.INTEGRITY)


def _known(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Return a code as it is written in records, whatever its case; another word is refused."""
    if (word := value.upper()) in _CODES:
        return word
    message = f"{value!r} is no check code; accepted: {', '.join(_CODES)}"
    raise click.BadParameter(message)


@main.command(epilog=f"Codes: {', '.join(_CODES)}.")
@click.argument("code", metavar="CODE", callback=_known)
def explain(code: str) -> None:
    """Say what a check CODE means, what is accepted, which hazard it controls, and what to do."""
    from cxr_device.checks import DESCRIPTIONS  # noqa: PLC0415

    if code == "SELF":
        click.echo(
            "SELF: weights, configuration and preprocessing equal the locked release.\n"
            "Otherwise: the device does not start (exit 5).\n"
            "Hazard: a corrupted or exchanged network gives answers.\n"
            "What to do: reinstall cxr-device, then run `cxr-device selftest`."
        )
        return
    found = DESCRIPTIONS[CheckCode(code)]
    click.echo(f"{code}  {found.tag}")
    click.echo(f"Accepted: {found.accepted_by(load_release().label)}.")
    click.echo(f"Otherwise: {found.otherwise}.")
    click.echo(f"Hazard: {found.hazard}.")
    click.echo(f"What to do: {found.action}")


@main.command()
def conformance() -> None:
    """Print the conformance statement from the tables that the code runs on."""
    from cxr_device.conformance import statement  # noqa: PLC0415

    click.echo(statement(load_release()))


@main.command(epilog="Exit codes: 0 stopped by SIGTERM, 2 usage, 5 integrity, 70 internal.")
@click.option("--ae", required=True, metavar="TITLE", help="AE title of this node.")
@click.option("--bind", required=True, metavar="HOST:PORT", help="Where films are received.")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), required=True,
    help="Folder of the queue; a node started again with it goes on.",
)  # fmt: skip
@click.option(
    "--return", "peer", required=True, metavar="AE@HOST:PORT|URL",
    help="Takes the answers: an application entity, or the https URL of a DICOMweb service's "
    ".../studies (STOW-RS; CXR_NODE_AUTHORIZATION gives its Authorization header).",
)  # fmt: skip
@click.option("--allow", metavar="AE,...", help="AE titles that may call; any without it.")
@click.option(
    "--tls", metavar="CERT,KEY[,CA]",
    help="PEM files: TLS both ways; with CA, callers need a certificate that it signed.",
)  # fmt: skip
@click.option("--metrics", metavar="HOST:PORT", help="/health and /metrics, on loopback.")
def node(  # noqa: PLR0913  # one parameter an option
    *,
    ae: str,
    bind: str,
    data: Path,
    peer: str,
    allow: str | None,
    tls: str | None,
    metrics: str | None,
) -> None:
    """Receive films over DICOM, and send the answers into their studies.

    Events go to stderr as JSON Lines. SIGTERM ends what is in hand and stops.
    """
    try:
        from cxr_device.node.configuration import Configuration  # noqa: PLC0415
        from cxr_device.node.service import run  # noqa: PLC0415
    except ImportError as error:
        message = f"the node needs more: pip install 'cxr-device[node]' ({error})"
        raise click.UsageError(message) from error
    from cxr_device.errors import NodeError  # noqa: PLC0415

    try:
        configuration = Configuration.parse(
            ae=ae, bind=bind, data=data, peer=peer, allow=allow, tls=tls, metrics=metrics,
            authorization=os.environ.get("CXR_NODE_AUTHORIZATION"),
        )  # fmt: skip
        run(load_device(profile="triage", where="cpu"), configuration)
    except NodeError as error:
        raise click.UsageError(str(error)) from error
    except RuntimeError as error:
        click.echo(str(error), err=True)
        sys.exit(70)


@main.group()
def audit() -> None:
    """Work with audit files."""


@audit.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--head", help="A digest kept elsewhere: the chain must still hold its line.")
def audit_verify(file: Path, head: str | None) -> None:
    """Hold every line of an audit FILE against its digest and the line before it.

    Exit 0 where the chain is whole, 4 where the file cannot be read, 5 where the chain is broken.
    """
    from cxr_device.audit import verify  # noqa: PLC0415
    from cxr_device.errors import AuditError  # noqa: PLC0415
    from cxr_device.result import ExitCode  # noqa: PLC0415

    try:
        chain = verify(file, head=head)
    except AuditError as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.INTEGRITY)
    except OSError as error:
        click.echo(f"{file}: {error.strerror or error}", err=True)
        sys.exit(ExitCode.FAILED)
    click.echo(f"{file}: whole, {chain.lines} lines, last SHA-256 {chain.head}")


for _verb in (score, dataset, train, lock):
    main.add_command(_verb)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(map(_plain, value))
    return str(value)


def _require_dicom(out: Path | None) -> None:
    """Refuse `--dicom` without a folder to write into, or without what writes it."""
    if out is None:
        message = "--dicom writes files: name their folder with --out DIR"
        raise click.UsageError(message)
    missing = [name for name in ("highdicom", "reportlab") if find_spec(name) is None]
    if missing:
        message = f"--dicom needs {' and '.join(missing)}: pip install 'cxr-device[node]'"
        raise click.UsageError(message)


def _files(paths: Iterable[str], out: Path | None) -> Iterator[Path]:
    """Name every file, folders walked in sorted order; an empty folder stands for itself."""
    for text in paths:
        if not text:
            message = "an empty PATH; name a file or a folder"
            raise click.UsageError(message)
        path = Path(text)
        if os.path.isdir(path):  # noqa: PTH112  # Path.is_dir raises for a name that is too long
            yield from sorted(_walked(path, out)) or [path]
        else:
            yield path


def _walked(folder: Path, out: Path | None) -> Iterator[Path]:
    """Name the files below a folder, and each folder below it that cannot be opened.

    A linked folder is not followed, which is told; results of this run below it are no films.
    """
    closed: list[Path] = []
    for here, folders, names in os.walk(
        folder, onerror=lambda error: closed.append(Path(error.filename))
    ):
        inside = [Path(here, name) for name in folders]
        for link in filter(Path.is_symlink, inside):
            click.echo(f"{link}: a linked folder, not followed; name it to read it", err=True)
        folders[:] = [path.name for path in inside if out is None or not _same(path, out)]
        yield from (Path(here, name) for name in names)
    yield from closed


def _same(path: Path, other: Path) -> bool:
    """Whether two paths are one folder; one that is not there is none."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _run(  # noqa: PLR0913  # what was asked for
    device: "Device",
    judge: Any,  # noqa: ANN401
    paths: tuple[str, ...],
    *,
    out: Path | None,
    as_json: bool,
    dicom: bool,
) -> int:
    """Judge every file in its order, and return the highest exit code."""
    from cxr_device.batch import Batch  # noqa: PLC0415
    from cxr_device.result import ExitCode  # noqa: PLC0415

    files, worst = list(_files(paths, out)), int(ExitCode.ANALYZED)
    cards: list[Card] = []
    known: dict[str, tuple[str, str]] = {}
    folders: Counter[str] = Counter()
    if device.profile == "research":
        click.echo("Research profile: not the device. Not for clinical use.", err=True)
    several = out is not None and (len(files) > 1 or Path(paths[0]).is_dir())
    try:
        with (
            Batch(judge, files) as judged,
            click.progressbar(
                files,
                file=sys.stderr,
                label="reading",
                hidden=len(files) < 2 or not sys.stderr.isatty(),  # noqa: PLR2004
            ) as bar,
        ):
            for path in bar:
                entry, exit_code = _one(
                    device, judged, path, out=out, dicom=dicom, cards=cards, folders=folders
                )
                worst = max(worst, exit_code)
                if same := _same_uid(entry["source"], known):
                    click.echo(same, err=True)
                click.echo(json.dumps(entry) if as_json else _told(entry))
    finally:  # an interrupt too: the page then shows the films that were read
        if several and out is not None:
            worst = max(worst, _index(cards, device, out))
        device.close()
    return worst


def _index(cards: "list[Card]", device: "Device", out: Path) -> int:
    """Write the page of all films of this run."""
    from cxr_device.errors import OutputError  # noqa: PLC0415
    from cxr_device.outputs.folder import write_index  # noqa: PLC0415
    from cxr_device.result import ExitCode  # noqa: PLC0415

    try:
        write_index(cards, device.release, out=out, research=device.profile == "research")
    except OutputError as error:
        click.echo(str(error), err=True)
        return int(ExitCode.OUTPUT)
    click.echo(f"all films: {out / 'index.html'}", err=True)
    return int(ExitCode.ANALYZED)


def _one(  # noqa: PLR0913  # what was asked for
    device: "Device",
    judge: Any,  # noqa: ANN401
    path: Path,
    *,
    out: Path | None,
    dicom: bool,
    cards: "list[Card]",
    folders: Counter[str],
) -> tuple[dict[str, Any], int]:
    """Judge one file and write what was asked for; a defect ends this file, not the batch."""
    from cxr_device.errors import OutputError  # noqa: PLC0415
    from cxr_device.outputs.json_record import record  # noqa: PLC0415
    from cxr_device.result import ExitCode  # noqa: PLC0415

    picture = None
    try:
        result: Result | Checked = judge(path)
        exit_code: ExitCode = result.exit_code
        written = []
        if out is not None:
            from cxr_device.outputs.folder import name_of, write  # noqa: PLC0415

            folders[name := name_of(result)] += 1
            picture = device.picture(result)
            try:
                written = write(
                    result,
                    device.release,
                    picture=picture,
                    out=out,
                    copy=folders[name],
                    activation=device.activation(result),
                    dicom_source=path if dicom else None,
                )
                if dicom and not any(output.sop_instance_uid for output in written):
                    click.echo(f"{path}: no DICOM answer: its header names no study", err=True)
            except OutputError as error:
                click.echo(str(error), err=True)
                exit_code = ExitCode.OUTPUT
        entry = record(result, written)
    except Exception as error:  # noqa: BLE001  # the batch goes on
        entry, exit_code = record(device.defect(path, error)), ExitCode.INTERNAL
        click.echo(_defect(entry["source"]["path"], error), err=True)
    if out is not None:
        from cxr_device.outputs.index_html import card  # noqa: PLC0415

        cards.append(card(entry, picture=picture, below=out))
    return entry, int(exit_code)


def _defect(name: str, error: Exception) -> str:
    """Say where the device failed, without the error's text: it may hold values of the file."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    return f"{name}: internal error {where}; please report it with the version"


def _same_uid(source: dict[str, str | None], known: dict[str, tuple[str, str]]) -> str | None:
    """Say that a file of the batch bears the SOP Instance UID of another with other bytes."""
    uid, digest, name = source["sop_instance_uid"], source["sha256"], source["path"]
    if not (uid and digest and name):
        return None
    first, first_digest = known.setdefault(uid, (name, digest))
    if digest == first_digest:
        return None
    return (
        f"{name}: warning: same SOP Instance UID as {first}, other bytes; each has its own record"
    )


def _told(entry: dict[str, Any]) -> str:
    """Say one record in a line a person can read, and a line a finding."""
    from cxr_device.checks import printable  # noqa: PLC0415

    name, finding = printable(entry["source"]["path"]), entry["finding"]
    research = (
        " [not the device: research profile]" if entry["device"]["profile"] == "research" else ""
    )
    if finding:
        point = finding["operating_point"]
        flag = (
            "PNEUMONIA SUSPECTED" if finding["flag"] == "suspected" else "pneumonia not suspected"
        )
        numbers = f"probability {finding['probability']:.3f}, threshold {point['threshold']:.3f}"
        lines = [f"{name}: {flag} ({numbers} {point['name']}){research}"]
    else:
        word = {"rejected": "NOT ANALYSED", "failed": "NOT READABLE", "analyzed": "checks passed"}
        lines = [f"{name}: {word[entry['status']]}{research}"]
    for found in entry["checks"]:
        if found["outcome"] in ("warn", "reject"):
            sign = "!" if found["outcome"] == "reject" else "~"
            lines.append(f"  {sign} {found['code']}: {found['message']} ({found['value']})")
    lines += [f"  > {output['path']}" for output in entry["outputs"]]
    return "\n".join(lines)
