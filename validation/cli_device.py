"""Verbs of `cxr-validate` on one locked device: its card, its guards' errors, forms of films."""

from pathlib import Path

import click

from validation.cli_options import FILE, INSIDE, refusing

__all__ = ["card", "refusals", "renditions"]

_OUT = click.option(
    "--out", type=FILE, required=True, help="Folder for results.json and report.html."
)
_LEVEL = click.option(
    "--level", type=INSIDE, default=0.95, show_default=True, help="Level of two-sided intervals."
)


@click.command()
@click.argument("table", type=FILE)
@_OUT
@click.option(
    "--groups", metavar="A,B", help="Columns that tell apart films that should be accepted."
)
@_LEVEL
@refusing
def refusals(*, table: Path, out: Path, groups: str | None, level: float) -> None:
    """Count a guard's errors on each kind of film, with exact intervals.

    TABLE has one row a film and kind: case, split, kind, wanted (accept, refuse), refused (0, 1);
    `cxr-device dataset gate` writes one for the pixel gate.

    \b
    Example:
      cxr-validate refusals gate.csv --groups view,sex,age_band --out gate/
    """  # noqa: D301 - click reads the backspace
    from validation import refusals as verb  # noqa: PLC0415
    from validation import report  # noqa: PLC0415

    columns = tuple(name.strip() for name in (groups or "").split(",") if name.strip())
    frame, digest = verb.read_refusals(table, groups=columns)
    found = verb.rates(frame, groups=columns, level=level)
    results = {
        "schema": "cxr-validate/refusals/1",
        "table_sha256": digest,
        **verb.facts(frame, name=table.name),
        "rates": found,
    }
    report.write(out, results, verb.report(found, name=table.name, level=level))
    for rate in found:
        click.echo(
            f"{rate.split}: {rate.kind:<40} {rate.errors} errors of {rate.films}, "
            f"{report.cell(rate.error, digits=4)}"
        )
    click.echo(f"report: {out / 'report.html'}")


@click.command()
@click.argument("table", type=FILE)
@click.option("--threshold", type=INSIDE, required=True, help="Operating point of the release.")
@click.option(
    "--quantile", type=INSIDE, default=0.95, show_default=True, help="Of |score - reference|."
)
@_OUT
@_LEVEL
@refusing
def renditions(*, table: Path, threshold: float, quantile: float, out: Path, level: float) -> None:
    """Bound how much a score changes when the same film comes in another form.

    TABLE has one row a film and form: case, rendition, reference, score (probabilities);
    `cxr-device dataset renditions` writes one.

    \b
    Example:
      cxr-validate renditions renditions.csv --threshold 0.31 --out renditions/
    """  # noqa: D301 - click reads the backspace
    from validation import renditions as verb  # noqa: PLC0415
    from validation import report  # noqa: PLC0415

    frame, digest = verb.read_renditions(table)
    found = verb.differences(frame, threshold=threshold, q=quantile, level=level)
    results = {
        "schema": "cxr-validate/renditions/1",
        "table_sha256": digest,
        "threshold": threshold,
        "renditions": found,
    }
    report.write(out, results, verb.report(found, name=table.name, threshold=threshold))
    for one in found:
        click.echo(
            f"{one.rendition:<48} |difference| {report.cell(one.bound, digits=5)}, "
            f"flags changed {report.cell(one.flips, digits=4)}"
        )
    click.echo(f"report: {out / 'report.html'}")


@click.command()
@click.argument("tune", type=FILE)
@click.argument("test", type=FILE)
@click.option("--reads", type=FILE, required=True, help="The five readers' findings, wide table.")
@click.option("--peer", type=FILE, required=True, help="Published CheXNet scores (prob_*), CSV.")
@click.option(
    "--train", "manifests", type=FILE, multiple=True, required=True,
    help="Manifest whose films of split train the floor is fitted on; may repeat.",
)  # fmt: skip
@click.option(
    "--images", type=FILE, multiple=True, required=True,
    help="Folder of the films that tables and manifests name; may repeat.",
)  # fmt: skip
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of floor and resampling."
)
@click.option("--out", type=FILE, required=True, help="card.json")
@refusing
def card(  # noqa: PLR0913 - the options of the verb
    *,
    tune: Path,
    test: Path,
    reads: Path,
    peer: Path,
    manifests: tuple[Path, ...],
    images: tuple[Path, ...],
    seed: int,
    out: Path,
) -> None:
    """Make the figures of the model card: the device beside a floor without anatomy and a peer.

    TUNE and TEST are what `cxr-device dataset score` writes for the two splits.

    \b
    Example:
      cxr-validate card tune.parquet test.parquet --reads nih_five_readers.csv \\
        --peer chexnet_preds.csv.gz --train nih/manifest.csv --images nih/images --out card.json
    """  # noqa: D301 - click reads the backspace
    from validation import model_card  # noqa: PLC0415

    found = model_card.build(
        model_card.CardInputs(
            tune=tune, test=test, images=images, reads=reads, peer=peer,
            train=model_card.training_films(manifests),
        ),
        seed=seed,
    )  # fmt: skip
    model_card.write(found, out)
    click.echo(f"card: {out}")
