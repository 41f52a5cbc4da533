"""Verbs for research data and training; `cxr-device[training]` brings what they need."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cxr_device.cli_common import load_device, load_release, release_option

__all__ = ["dataset", "lock", "train"]


@click.group()
def dataset() -> None:
    """Work with research images (needs `pip install 'cxr-device[training]'`)."""


@contextmanager
def _research() -> Iterator[None]:
    """End research commands as the exit codes say, with the extra or the mending named."""
    from cxr_device.errors import (  # noqa: PLC0415
        DatasetError,
        IntegrityError,
        OutputError,
        SigningError,
        TrainingError,
    )
    from cxr_device.result import ExitCode  # noqa: PLC0415

    try:
        yield
    except ImportError as error:
        message = f"needs pip install 'cxr-device[training]' ({error})"
        raise click.UsageError(message) from error
    except (DatasetError, SigningError) as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.USAGE)
    except IntegrityError as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.INTEGRITY)
    except OutputError as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.OUTPUT)
    except TrainingError as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.INTERNAL)


_manifests = click.argument(
    "manifests", nargs=-1, required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)  # fmt: skip
_nih = click.argument("nih_dir", type=click.Path(path_type=Path), metavar="NIH_DIR")


@dataset.command("describe")
@_nih
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True,
    help="Folder for report.html and report.json.",
)  # fmt: skip
@click.option(
    "--sample", type=click.IntRange(min=0), default=2000, show_default=True,
    help="Images whose pixels are read, drawn by a hash of the name; 0 reads all.",
)  # fmt: skip
def dataset_describe(nih_dir: Path, out: Path, sample: int) -> None:
    """Describe the ChestX-ray14 download in NIH_DIR; the label table alone is enough."""
    with _research():
        from cxr_device.training.describe_report import describe  # noqa: PLC0415

        report = describe(nih_dir, out=out, sample=sample)
        for line in report["needs_images"]:
            click.echo(f"needs images: {line}", err=True)
        click.echo(
            f"{out / 'report.html'}: {report['images']} images of {report['patients']} patients, "
            f"{report['files']['found']} image files found",
            err=True,
        )


@dataset.command("prepare")
@_nih
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True,
    help="Folder for the cache; named again, a cut run goes on.",
)  # fmt: skip
@click.option(
    "--size", type=click.IntRange(32, 1024), default=224, show_default=True,
    help="Pixels; side of the cached squares.",
)  # fmt: skip
@click.option(
    "--split", "rule", type=click.Choice(["official", "lists", "hash"]), default="official",
    show_default=True, help="NIH's official lists, your own (--lists), or a hash of the patient.",
)  # fmt: skip
@click.option("--key", default="cxr_device", show_default=True, help="Key of the patient's hash.")
@click.option(
    "--lists", type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of train_list.txt, val_list.txt and test_list.txt (CheXNet-style).",
)  # fmt: skip
@click.option("--min-age", type=click.IntRange(0), help="Years; without it the label's.")
@click.option("--workers", type=click.IntRange(1), help="Processes; without it one a core.")
def dataset_prepare(  # noqa: PLR0913, PLR0917  # one argument an option
    nih_dir: Path, out: Path, size: int, rule: str, key: str, lists: Path | None,
    min_age: int | None, workers: int | None,
) -> None:  # fmt: skip
    """Select, split by patient and decode the download in NIH_DIR into a memory-mapped cache."""
    import os  # noqa: PLC0415

    label = load_release().label
    with _research():
        from cxr_device.training.cache import prepare  # noqa: PLC0415

        if (rule == "lists") != (lists is not None):
            raise click.UsageError("--split lists and --lists DIR go together")
        record = prepare(
            nih_dir, out=out, size=size, rule=rule, key=key, lists=lists,  # type: ignore[arg-type]
            ages=(label.min_age_years if min_age is None else min_age, label.max_age_years),
            workers=workers or os.cpu_count() or 1,
        )  # fmt: skip
        for step in record["cohort"]:
            click.echo(f"{step['images']:>7}  {step['rule']} (left out: {step['left_out']})")
        for name, reason in record["damaged"]["reasons"].items():
            click.echo(f"damaged: {name}: {reason}", err=True)
        click.echo(f"split: {record['split']['name']}")
        for name, films in record["films"].items():
            click.echo(f"{films:>7}  {name}")
        click.echo(f"{out}: manifest {record['manifest_sha256']}")


@dataset.command("score")
@click.argument("manifest", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="cases.parquet or .csv")
@click.option("--split", help="Only the manifest's rows of this split, e.g. test.")
@click.option("--within-label", is_flag=True, help="Leave out ages and views outside the label.")
@release_option
def dataset_score(
    *, manifest: Path, out: Path, split: str | None, within_label: bool, folder: Path | None
) -> None:
    """Score the PNG, JPEG or DICOM films that a MANIFEST names, for `cxr-validate`.

    The manifest is CSV with a column `file` (below images/ beside it), or that of a prepared cache;
    its other columns are kept.
    """
    profile = "triage" if folder is None else "research"
    with _research():
        from cxr_device.training.score import (  # noqa: PLC0415
            refuse_out,
            score_manifest,
            write_cases,
        )

        refuse_out(out)
        device = load_device(profile=profile, where="auto", folder=folder)
        if folder is not None:
            click.echo("Research profile: not the device. Not for clinical use.", err=True)
        scored = score_manifest(manifest, device, split=split, within_label=within_label)
        for line in scored.left_out:
            click.echo(f"left out: {line}", err=True)
        write_cases(scored.table, out)
        click.echo(
            f"{out}: {len(scored.table)} films scored, {len(scored.left_out)} left out", err=True
        )


@dataset.command("gate")
@_manifests
@click.option("--out", type=click.Path(path_type=Path), required=True, help="gate.parquet or .csv")
@click.option("--split", "splits", multiple=True, required=True, help="tune, test; may repeat.")
@click.option("--cache", type=click.Path(path_type=Path), required=True, help="Folder for squares.")
@click.option("--films", type=click.IntRange(min=1), help="Put faults into so many films a split.")
@click.option("--objects", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of pictures that are no chest films.")  # fmt: skip
def dataset_gate(  # noqa: PLR0913  # the options of the verb
    *,
    manifests: tuple[Path, ...],
    out: Path,
    splits: tuple[str, ...],
    cache: Path,
    films: int | None,
    objects: Path | None,
) -> None:
    """Ask the pixel gate about films with each fault put into them, for `cxr-validate refusals`."""
    with _research():
        from cxr_device.training.gate_rates import every_answer  # noqa: PLC0415
        from cxr_device.training.score import refuse_out, write_cases  # noqa: PLC0415

        refuse_out(out)
        table = every_answer(
            list(manifests), splits=splits, cache=cache, films=films, objects=objects
        )
        write_cases(table, out)
        click.echo(f"{out}: {len(table)} answers", err=True)


@dataset.command("renditions")
@_manifests
@click.option("--out", type=click.Path(path_type=Path), required=True, help="table.parquet or .csv")
@click.option("--split", required=True, help="Where films are taken from, e.g. tune.")
@click.option("--films", type=click.IntRange(min=1), default=60, show_default=True)
@click.option("--samples", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of DICOM films, paired with their reserved pictures.")  # fmt: skip
def dataset_renditions(
    manifests: tuple[Path, ...], out: Path, split: str, films: int, samples: Path | None
) -> None:
    """Score the same films as pictures and as DICOM, for `cxr-validate renditions`."""
    with _research():
        from cxr_device.training.renditions import score_renditions  # noqa: PLC0415
        from cxr_device.training.score import refuse_out, write_cases  # noqa: PLC0415

        refuse_out(out)
        device = load_device(profile="triage", where="auto")
        found = score_renditions(list(manifests), device, split=split, films=films, samples=samples)
        for line in found.left_out:
            click.echo(f"left out: {line}", err=True)
        write_cases(found.table(), out)
        click.echo(f"{out}: {len(found.rows)} pairs of scores", err=True)


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), required=True,
    help="Folder that the configuration's manifests lie in.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder.")
@click.option(
    "--tensorboard", type=click.Path(path_type=Path, file_okay=False),
    help="Folder for TensorBoard's event files: the figures of the log, epoch by epoch.",
)  # fmt: skip
def train(config: Path, data: Path, out: Path, tensorboard: Path | None) -> None:
    """Train one network as CONFIG says; run again with the same --out, it goes on.

    A CONFIG with `stage = "pixel_gate"` trains the pixel gate's network.
    """
    from importlib.util import find_spec  # noqa: PLC0415

    if tensorboard is not None and find_spec("tensorboardX") is None:
        message = "--tensorboard needs pip install 'cxr-device[tensorboard]'"
        raise click.UsageError(message)
    with _research():
        from cxr_device.training.config import TrainingConfig  # noqa: PLC0415
        from cxr_device.training.configuration_file import read_toml  # noqa: PLC0415
        from cxr_device.training.fit import fit  # noqa: PLC0415
        from cxr_device.training.gate import GateConfig, fit_gate  # noqa: PLC0415
        from cxr_device.training.start import refuse_start  # noqa: PLC0415

        cache = out / "cache"
        if "stage" in read_toml(config):
            if tensorboard is not None:
                message = "--tensorboard: a gate's run writes no event files; leave it out"
                raise click.UsageError(message)
            click.echo(fit_gate(GateConfig.read(config), data=data, run=out, cache=cache))
        else:
            found = TrainingConfig.read(config)
            if found.start:
                refuse_start(config, found.start)
            click.echo(fit(found, data=data, run=out, cache=cache, tensorboard=tensorboard))


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...",
                type=click.Path(path_type=Path, exists=True, file_okay=False))  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), required=True,
    help="Folder that the configuration's manifests lie in.",
)  # fmt: skip
@click.option(
    "--side", type=click.IntRange(min=32),
    help="Pixels a side that the networks see: the device's input, reduced for speed.",
)  # fmt: skip
@click.option(
    "--release", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="Folder to lock into; without it `release` in the first RUN.",
)  # fmt: skip
@click.option(
    "--key", "key_file", type=click.Path(path_type=Path),
    help="Private Ed25519 key (PEM) that signs it; release_keys.toml names the public one.",
)  # fmt: skip
@click.option("--development", is_flag=True, help="Leave the release unsigned, and marked so.")
def lock(  # noqa: PLR0913  # options of a command
    *,
    runs: tuple[Path, ...],
    data: Path,
    side: int | None,
    folder: Path | None,
    key_file: Path | None,
    development: bool,
) -> None:
    """Lock RUNs into a release: weights, calibration and operating point, from tuning data.

    A run of the pixel gate is locked alone: its graph and its threshold. What is not locked anew is
    taken from the installed release, which stays as it is unless --release names its folder.
    """
    if development == (key_file is not None):
        message = "sign the release with --key KEYFILE, or lock it unsigned with --development"
        raise click.UsageError(message)
    with _research():
        from cxr_device.preprocessing import INPUT_SIZE  # noqa: PLC0415
        from cxr_device.training import signing  # noqa: PLC0415
        from cxr_device.training.lock import lock as lock_runs  # noqa: PLC0415
        from cxr_device.training.lock import lock_gate  # noqa: PLC0415
        from cxr_device.training.release_folder import locked_whole  # noqa: PLC0415

        gate, cache = (runs[0] / "gate.onnx").exists(), runs[0] / "cache"
        if gate and len(runs) > 1:
            message = f"{runs[0]} is a run of the pixel gate: lock it alone"
            raise click.UsageError(message)
        if side is not None and (gate or side > INPUT_SIZE):
            message = f"--side {side}: the networks' alone, at most the {INPUT_SIZE} of the input"
            raise click.UsageError(message)
        release, key = folder or runs[0] / "release", None
        if key_file is None:
            signing.refuse_unsigned(release)
        else:
            key = signing.open_key(key_file, ask=lambda: _pass_phrase(key_file))
        with locked_whole(release) as package:
            if gate:
                found = lock_gate(runs[0], data=data, cache=cache, package=package, key=key)
                click.echo(found)
            else:
                tuned = lock_runs(
                    list(runs), data=data, cache=cache, side=side or INPUT_SIZE, package=package,
                    key=key,
                )  # fmt: skip
                click.echo(tuned)
        signed = "signed" if key else "development, unsigned"
        click.echo(f"locked ({signed}): {release}", err=True)


def _pass_phrase(key_file: Path) -> str:
    phrase: str = click.prompt(f"Pass phrase of {key_file}", hide_input=True, err=True)
    return phrase
