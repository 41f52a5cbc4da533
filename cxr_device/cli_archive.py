"""The verb for archives: `cxr-device score`."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

__all__ = ["score"]

_EXITS = """Exit codes: 0 analysed (suspected or not), 2 usage, 3 outside the intended use,
4 unreadable or hostile, 5 self-test or integrity, 6 the table could not be written, 70 internal.
An archive returns the highest of its films'; each row has its own."""


@click.command(epilog=_EXITS)
@click.argument("source", type=click.Path(path_type=Path), metavar="FOLDER|MANIFEST")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True,
              help="scores.parquet: one row a file.")  # fmt: skip
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="Worker processes of this machine, or Ray Data (RAY_ADDRESS names a cluster).",
              )  # fmt: skip
@click.option("--runtime", type=click.Choice(["onnxruntime", "openvino"]), default="onnxruntime",
              show_default=True, help="What runs the network.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Processes that score; one a core.")
@click.option("--resume", is_flag=True, help="Go on with a run of this --out that was cut.")
def score(  # noqa: PLR0913  # one parameter an option
    *, source: Path, out: Path, engine: str, runtime: Any, workers: int | None, resume: bool  # noqa: ANN401
) -> None:  # fmt: skip
    """Score the DICOM files of an archive into one Parquet table.

    FOLDER is walked; a MANIFEST is CSV with a column `file`. Every file has its row: score and
    flag, or the codes that refused it, with its SHA-256. A run that was killed goes on by --resume.
    """
    from cxr_device.errors import (  # noqa: PLC0415
        ArchiveError,
        EngineError,
        IntegrityError,
        OutputError,
    )
    from cxr_device.result import ExitCode  # noqa: PLC0415

    _require(engine, runtime)
    from cxr_device import archive  # noqa: PLC0415
    from cxr_device.training.progress import Progress  # noqa: PLC0415

    try:
        scored = archive.score(
            source,
            out=out,
            engine=engine,
            runtime=runtime,
            workers=workers or len(os.sched_getaffinity(0)),
            resume=resume,
            progress=Progress("films scored"),
        )
    except ArchiveError as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.USAGE)
    except IntegrityError as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.INTEGRITY)
    except EngineError as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.INTERNAL)
    except OutputError as error:
        click.echo(f"{error}; what is done is kept: go on by --resume", err=True)
        sys.exit(ExitCode.OUTPUT)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(scored.by_status.items()))
    click.echo(f"{out}: {scored.films} films: {counts}", err=True)
    sys.exit(scored.exit_code)


def _require(engine: str, runtime: str) -> None:
    """Refuse what is not installed before a film is read, with the extra that brings it."""
    needed = {"pyarrow": "archive"}
    if engine == "ray":
        needed["ray"] = "ray"
    if runtime == "openvino":
        needed["openvino"] = "openvino"
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        extras = ",".join(needed[name] for name in missing)
        message = f"score needs {' and '.join(missing)}: pip install 'cxr-device[{extras}]'"
        raise click.UsageError(message)
