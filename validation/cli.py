"""`cxr-validate`: the statistics of standalone and reader studies at the command line.

Exit code 0 when the study was computed, 2 for a bad table or wrong usage; then nothing is
written. Statistics are imported by the verb that needs them, so `--help` is fast.
"""

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from validation.cli_device import card, refusals, renditions
from validation.cli_options import FILE, INSIDE, MARGIN, refusing
from validation.cli_plan import plan

if TYPE_CHECKING:
    from datetime import datetime

    from validation.against_readers import Reference
    from validation.agreement import Weights
    from validation.mrmc import Effect
    from validation.proportions import Method
    from validation.reader_covariance import CovarianceMethod, MetricKind

__all__ = ["main"]

_OUT = click.option(
    "--out", type=FILE, required=True, help="Folder for results.json, report.html, figures."
)
_LEVEL = click.option(
    "--level", type=INSIDE, default=0.95, show_default=True, help="Level of two-sided intervals."
)
_SEED = click.option("--seed", type=int, default=0, show_default=True, help="Seed of resampling.")
_BOOTSTRAP = click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    default=2000,
    show_default=True,
    help="Resamples for measures without a closed interval.",
)
_CLUSTER = click.option(
    "--cluster",
    metavar="COLUMN",
    help="Column that names the patient: intervals between patients (Obuchowski 1997 for AUC, "
    "ratio estimator for proportions).",
)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _pair(text: str, option: str) -> tuple[str, str]:
    names = _names(text)
    if len(names) != 2:  # noqa: PLR2004 - A and B
        message = f"two names separated by a comma, not '{text}'"
        raise click.BadParameter(message, param_hint=option)
    return names[0], names[1]


def _thresholds(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in _pair(text, "--thresholds"))
    except ValueError as error:
        message = f"two numbers separated by a comma, not '{text}'"
        raise click.BadParameter(message, param_hint="--thresholds") from error
    if not (0.0 < first < 1.0 and 0.0 < second < 1.0):
        message = f"both inside (0, 1), not '{text}'"
        raise click.BadParameter(message, param_hint="--thresholds")
    return first, second


def _workload(text: str | None) -> tuple[float, float, int] | None:
    if text is None:
        return None
    try:
        arrivals, minutes, readers = text.split(",")
        return float(arrivals), float(minutes), int(readers)
    except ValueError as error:
        message = f"three numbers separated by commas, not '{text}'"
        raise click.BadParameter(message, param_hint="--workload") from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(metadata.version("cxr-device"), prog_name="cxr-validate")
def main() -> None:
    """Statistics of standalone and reader studies, with their intervals.

    Tables are CSV or Parquet. Exit code 0: computed; 2: bad table or usage, and nothing written.

    \b
    Example:
      cxr-validate standalone cases.parquet --threshold 0.31 --cluster patient_id --out study/
    """  # noqa: D301 - click reads the backspace


@main.command()
@click.argument("cases", type=FILE)
@click.option(
    "--threshold", type=INSIDE, required=True, help="Locked operating point; a tie is flagged."
)
@_OUT
@_CLUSTER
@click.option("--subgroups", metavar="A,B", help="Subgroup columns, separated by commas.")
@click.option("--prevalence", type=INSIDE, help="Also PPV and NPV at this prevalence.")
@click.option(
    "--interval",
    type=click.Choice(["clopper-pearson", "wilson", "jeffreys", "agresti-coull"]),
    default="clopper-pearson",
    show_default=True,
    help="Interval of proportions (without --cluster).",
)
@click.option("--score", default="score", show_default=True, help="Score column.")
@click.option(
    "--workload",
    metavar="ARRIVALS,MINUTES,READERS",
    help="Also simulate the reading queue: films an hour, minutes a film, readers.",
)
@_BOOTSTRAP
@_SEED
@_LEVEL
@refusing
def standalone(  # noqa: PLR0913 - the options of the verb
    *,
    cases: Path,
    threshold: float,
    out: Path,
    cluster: str | None,
    subgroups: str | None,
    prevalence: float | None,
    interval: str,
    score: str,
    workload: str | None,
    bootstrap: int,
    seed: int,
    level: float,
) -> None:
    """Measure one score at one threshold.

    CASES has the columns case_id, truth (0/1), score (0..1), and optionally a patient column and
    subgroup columns. Writes sensitivity, specificity, PPV, NPV, accuracy, F1, likelihood ratios,
    AUC, average precision, Brier score, calibration and subgroups.

    \b
    Example:
      cxr-validate standalone cases.csv --threshold 0.31 --cluster patient_id \\
        --subgroups view,sex --prevalence 0.05 --out study/
    """  # noqa: D301 - click reads the backspace
    from validation import report, standalone_report, tables  # noqa: PLC0415
    from validation import standalone as verb  # noqa: PLC0415

    table = tables.read_cases(cases, scores=(score,), cluster=cluster, groups=_names(subgroups))
    options = verb.Options(
        threshold=threshold,
        interval=cast("Method", interval),  # click has checked the choice
        level=level,
        prevalence=prevalence,
        bootstrap=bootstrap,
        seed=seed,
        score=score,
        workload=_workload(workload),
    )
    found = verb.study(table, options)
    report.write(
        out,
        verb.results(table, found),
        standalone_report.report(table, found, name=cases.name),
    )
    for key in ("auc", "sensitivity", "specificity"):
        click.echo(f"{key:<12} {report.cell(found.measures[key])}")
    click.echo(f"report: {out / 'report.html'}")


@main.command()
@click.argument("cases", type=FILE)
@click.option("--scores", metavar="A,B", required=True, help="The two score columns.")
@click.option("--thresholds", metavar="TA,TB", required=True, help="Their locked thresholds.")
@_OUT
@_CLUSTER
@MARGIN
@_LEVEL
@refusing
def compare(  # noqa: PLR0913 - the options of the verb
    *,
    cases: Path,
    scores: str,
    thresholds: str,
    out: Path,
    cluster: str | None,
    margin: float | None,
    level: float,
) -> None:
    """Compare two scores on the same cases, A minus B.

    Paired DeLong for the AUC (Obuchowski 1997 with --cluster), Tango and Newcombe intervals and
    McNemar's tests for sensitivity and specificity; with --margin the verdict on non-inferiority.

    \b
    Example:
      cxr-validate compare cases.csv --scores new,old --thresholds 0.31,0.5 --margin 0.05 --out c/
    """  # noqa: D301 - click reads the backspace
    from validation import comparison, report, tables  # noqa: PLC0415

    names, points = _pair(scores, "--scores"), _thresholds(thresholds)
    table = tables.read_cases(cases, scores=names, cluster=cluster)
    found = comparison.study(table, names=names, thresholds=points, level=level, margin=margin)
    report.write(
        out, comparison.results(table, found), comparison.report(table, found, name=cases.name)
    )
    click.echo(f"AUC difference          {found.auc.estimate:+.4f}")
    click.echo(f"sensitivity difference  {report.cell(found.sensitivity.difference)}")
    click.echo(f"specificity difference  {report.cell(found.specificity.difference)}")
    click.echo(f"report: {out / 'report.html'}")


@main.command()
@click.argument("reads", type=FILE)
@_OUT
@click.option(
    "--covariance",
    type=click.Choice(["delong", "jackknife", "bootstrap", "unbiased"]),
    default="delong",
    show_default=True,
    help="Covariance over cases.",
)
@click.option(
    "--readers",
    type=click.Choice(["random", "fixed"]),
    default="random",
    show_default=True,
    help="Random: the conclusion holds for readers like these.",
)
@click.option(
    "--cases",
    type=click.Choice(["random", "fixed"]),
    default="random",
    show_default=True,
    help="Random: the conclusion holds for cases like these.",
)
@click.option(
    "--metric",
    type=click.Choice(["auc", "sensitivity", "specificity", "partial-auc"]),
    default="auc",
    show_default=True,
    help="What is measured of each reader; partial-auc: specificity 0.8 to 1.",
)
@click.option(
    "--threshold", type=float, help="Rating that counts as positive (sensitivity, specificity)."
)
@click.option(
    "--cluster", metavar="COLUMN", help="Column that names the patient of a case (Obuchowski 1997)."
)
@MARGIN
@_BOOTSTRAP
@_SEED
@_LEVEL
@refusing
def mrmc(  # noqa: PLR0913 - the options of the verb
    *,
    reads: Path,
    out: Path,
    covariance: str,
    readers: str,
    cases: str,
    metric: str,
    threshold: float | None,
    cluster: str | None,
    margin: float | None,
    bootstrap: int,
    seed: int,
    level: float,
) -> None:
    """Analyse a multi-reader multi-case study (Obuchowski-Rockette, Hillis df).

    READS has the columns reader, modality, case, truth (0/1), rating: one row a reading.

    \b
    Example:
      cxr-validate mrmc reads.csv --covariance jackknife --readers random --cases random --out m/
    """  # noqa: D301 - click reads the backspace
    from validation import mrmc as analysis  # noqa: PLC0415
    from validation import reader_study, report, tables  # noqa: PLC0415

    table, digest = tables.read_reads(reads, cluster=cluster)
    found = analysis.obuchowski_rockette(
        table,
        covariance=cast("CovarianceMethod", covariance),  # click has checked the choices
        readers=cast("Effect", readers),
        cases=cast("Effect", cases),
        metric=analysis.Metric(kind=cast("MetricKind", metric), threshold=threshold),
        cluster=cluster,
        level=level,
        margin=margin,
        resamples=bootstrap,
        seed=seed,
    )
    report.write(
        out,
        reader_study.results(found, sha256=digest),
        reader_study.report(found, name=reads.name, sha256=digest),
    )
    for mean in found.modalities:
        click.echo(f"{mean.modality:<16} {mean.auc:.4f}")
    for gap in found.differences:
        said = gap.reason if gap.p_value is None else f"p {gap.p_value:.4f}"
        click.echo(f"{gap.a} - {gap.b}: {gap.estimate:+.4f}, {said}")
    click.echo(f"report: {out / 'report.html'}")


@main.command()
@click.argument("ratings", type=FILE)
@click.option(
    "--weights",
    type=click.Choice(["unweighted", "linear", "quadratic"]),
    default="unweighted",
    show_default=True,
    help="Weights between categories; other than unweighted needs numeric ratings.",
)
@_OUT
@_LEVEL
@refusing
def agreement(*, ratings: Path, weights: str, out: Path, level: float) -> None:
    """Measure the agreement between readers.

    RATINGS is long: case, reader, rating, one row a rating; a rating may be missing.

    \b
    Example:
      cxr-validate agreement ratings.csv --out agreement/
    """  # noqa: D301 - click reads the backspace
    from validation import readers_report, report, tables  # noqa: PLC0415

    table, digest = tables.read_ratings(ratings, numeric=weights != "unweighted")
    found = readers_report.agreement_study(table, weights=cast("Weights", weights), level=level)
    report.write(
        out,
        {"schema": "cxr-validate/agreement/1", "input_sha256": digest, **found},
        readers_report.agreement_report(found, name=ratings.name, sha256=digest),
    )
    for key in ("cohen", "fleiss", "gwet_ac1", "krippendorff_alpha"):
        click.echo(f"{key:<20} {report.cell(readers_report.as_estimate(found[key]))}")
    click.echo(f"report: {out / 'report.html'}")


@main.command("against-readers")
@click.argument("cases", type=FILE)
@click.argument("reads", type=FILE)
@click.option(
    "--reference",
    type=click.Choice(["majority", "adjudicated", "leave-one-out", "panels", "dawid-skene"]),
    default="panels",
    show_default=True,
    help="How the truth is made of the readers.",
)
@_OUT
@click.option("--adjudicator", metavar="READER", help="Who decides splits (adjudicated).")
@click.option(
    "--findings",
    metavar="A,B",
    help="READS is the wide NIH all-findings file: a vote where any of these columns is YES.",
)
@click.option(
    "--positive-at",
    type=float,
    default=1.0,
    show_default=True,
    help="Lowest rating that counts as a vote for the finding.",
)
@click.option("--threshold", type=INSIDE, help="Locked operating point of the device.")
@click.option("--cluster", metavar="COLUMN", help="Column of CASES that names the patient.")
@click.option("--score", default="score", show_default=True, help="Score column of CASES.")
@MARGIN
@_BOOTSTRAP
@_SEED
@_LEVEL
@refusing
def against_readers(  # noqa: PLR0913 - the options of the verb
    *,
    cases: Path,
    reads: Path,
    reference: str,
    out: Path,
    adjudicator: str | None,
    findings: str | None,
    positive_at: float,
    threshold: float | None,
    cluster: str | None,
    score: str,
    margin: float | None,
    bootstrap: int,
    seed: int,
    level: float,
) -> None:
    """Set the device beside radiologists on the same cases.

    CASES has case_id, truth, score; READS is long: reader, case, rating (0/1, or see
    --positive-at). With panels the truth is the majority of each three readers in turn, and the
    device, each reader left out, and the two left out together are measured on it.

    \b
    Example:
      cxr-validate against-readers cases.parquet nih_five_readers.csv --reference panels \\
        --findings Pneumonia,Consolidation,Infiltration --cluster patient_id --out readers/
    """  # noqa: D301 - click reads the backspace
    from validation import readers_report, report  # noqa: PLC0415

    found = readers_report.against_readers_study(
        cases,
        reads,
        readers_report.ReaderOptions(
            reference=cast("Reference", reference),
            adjudicator=adjudicator,
            findings=_names(findings),
            positive_at=positive_at,
            threshold=threshold,
            cluster=cluster,
            score=score,
            margin=margin,
            resamples=bootstrap,
            seed=seed,
            level=level,
        ),
    )
    report.write(out, found.results, found.report)
    for key in ("device", "readers", "left_out_pair", "difference"):
        click.echo(f"{key:<14} {report.cell(readers_report.as_estimate(found.results[key]))}")
    click.echo(f"report: {out / 'report.html'}")


@main.command()
@click.argument("manifest", type=FILE)
@click.option("--scores", "cases", type=FILE, required=True, help="CASES with the device's scores.")
@_OUT
@click.option(
    "--key", default="case_id", show_default=True, help="Column of MANIFEST with the case_id."
)
@click.option("--features", metavar="A,B", help="Columns without anatomy; all suitable without it.")
@click.option("--strata", metavar="A,B", help="Columns to stratify by; view and source if present.")
@click.option("--images", type=FILE, help="Folder of MANIFEST's `file` column: reads the films.")
@click.option("--score", default="score", show_default=True, help="Score column of CASES.")
@_CLUSTER
@_SEED
@_LEVEL
@refusing
def shortcuts(  # noqa: PLR0913 - the options of the verb
    *,
    manifest: Path,
    cases: Path,
    out: Path,
    key: str,
    features: str | None,
    strata: str | None,
    images: Path | None,
    score: str,
    cluster: str | None,
    seed: int,
    level: float,
) -> None:
    """Audit for shortcuts: what features without anatomy score on the same cases.

    \b
    Example:
      cxr-validate shortcuts manifest.csv --scores cases.parquet --key nih_name \\
        --images nih/images --strata view,source --out shortcuts/
    """  # noqa: D301 - click reads the backspace
    from validation import report  # noqa: PLC0415
    from validation import shortcuts as verb  # noqa: PLC0415
    from validation.tables import read_cases, read_table  # noqa: PLC0415

    table = read_cases(cases, scores=(score,), cluster=cluster)
    frame, digest = read_table(manifest)
    found = verb.audit(
        table,
        frame,
        key=key,
        features=_names(features),
        strata=_names(strata),
        folder=images,
        score=score,
        seed=seed,
        level=level,
    )
    report.write(
        out,
        {
            "schema": "cxr-validate/shortcuts/1",
            "cases_sha256": table.sha256,
            "manifest_sha256": digest,
            "audit": found,
        },
        verb.report(found, name=f"{cases.name}, {manifest.name}"),
    )
    for one in found.strata:
        click.echo(
            f"{one.column}: {one.stratum:<16} device {report.cell(one.device)}, without anatomy "
            f"{report.cell(one.without_anatomy)}"
        )
    click.echo(f"report: {out / 'report.html'}")


@main.command()
@click.argument("cases", type=FILE)
@click.argument("reads", type=FILE)
@click.option("--threshold", type=INSIDE, required=True, help="Operating point of the release.")
@click.option("--weights", required=True, metavar="SHA256", help="Hash of the locked weights.")
@click.option("--protocol", type=FILE, required=True, help="protocol.toml")
@click.option("--ledger", type=FILE, required=True, help="Ledger of looks; one line is added.")
@click.option("--by", help="Who looks.")
@click.option("--purpose", help="What for.")
@click.option(
    "--again",
    is_flag=True,
    help="Compute anew from the very inputs of the last look; no line is added.",
)
@click.option(
    "--pivotal", type=FILE, help="Performance standard of the pivotal study; the one that ships."
)
@click.option("--images", type=FILE, help="Folder of CASES' `file` column, for the shortcut audit.")
@click.option(
    "--committed", type=FILE, help="Also write what documents quote here: validation/results."
)
@click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Date of the look; today without it.",
)
@_OUT
@refusing
def study(  # noqa: PLR0913 - the options of the verb
    *,
    cases: Path,
    reads: Path,
    threshold: float,
    weights: str,
    protocol: Path,
    ledger: Path,
    by: str | None,
    purpose: str | None,
    again: bool,
    pivotal: Path | None,
    images: Path | None,
    committed: Path | None,
    on: "datetime | None",
    out: Path,
) -> None:
    """Run the real study by its protocol, and write the look into the ledger first.

    CASES is what `cxr-device dataset score` writes for the test split, with patient_id and the
    subgroup columns; READS is the wide NIH all-findings reader file. A protocol that changed
    since the last look is refused unless an amendment names the change.

    \b
    Example:
      cxr-validate study cases.parquet nih_five_readers.csv --threshold 0.31 --weights 5f0c... \\
        --protocol validation/protocol.toml --ledger validation/results/test_looks.jsonl \\
        --by "A. Statistician" --purpose "validation of release 0.1.0" --images nih/images \\
        --committed validation/results --out study/
    """  # noqa: D301 - click reads the backspace
    from datetime import UTC, datetime  # noqa: PLC0415

    from validation import pivotal as standard  # noqa: PLC0415
    from validation import protocol as rules  # noqa: PLC0415
    from validation import readers_tables, report, tables  # noqa: PLC0415
    from validation import study as verb  # noqa: PLC0415

    if not again and not (by and purpose):
        message = "--by and --purpose, or --again for the inputs of the last look"
        raise click.UsageError(message)
    standards = standard.load_pivotal(pivotal or standard.FILE)
    plan_of_study = rules.load_protocol(protocol)
    cluster = str(plan_of_study.section("population")["cluster"])
    table = tables.read_cases(cases, cluster=cluster)  # a bad table is no look
    readers_tables.joined_votes(table, readers_tables.reads_from_findings(reads), name=reads.name)
    read = tables.read_table(reads)[1]
    looks = (
        rules.same_look(
            ledger,
            protocol=plan_of_study,
            weights_sha256=weights,
            cases_sha256=table.sha256,
            threshold=threshold,
            reads_sha256=read,
        )
        if again
        else rules.append_look(
            ledger,
            on=(on or datetime.now(UTC)).date(),
            by=str(by),
            purpose=str(purpose),
            protocol=plan_of_study,
            weights_sha256=weights,
            cases_sha256=table.sha256,
            threshold=threshold,
            reads_sha256=read,
        )
    )
    found = verb.run(
        verb.StudyInputs(
            cases=cases,
            reads=reads,
            threshold=threshold,
            protocol=plan_of_study,
            pivotal=standards,
            looks=looks,
            weights_sha256=weights,
            images=images,
        ),
        out,
    )
    if committed is not None:
        report.write_files(committed, verb.committed(out))
    click.echo(report.software())
    click.echo(str(found["consequence"]))
    click.echo(f"report: {out / 'summary' / 'report.html'}")


for _verb in (card, plan, refusals, renditions):
    main.add_command(_verb)


if __name__ == "__main__":
    main()
