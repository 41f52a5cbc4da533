"""`cxr-validate`: the statistics of standalone and reader studies at the command line.

Exit code 0 when the study was computed, 2 for a bad table or wrong usage; then nothing is
written. Statistics are imported by the verb that needs them, so `--help` is fast.
"""

import functools
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, cast

import click

if TYPE_CHECKING:
    from datetime import datetime

    from validation.against_readers import Reference
    from validation.agreement import Weights
    from validation.mrmc import Effect
    from validation.proportions import Method
    from validation.reader_covariance import CovarianceMethod, MetricKind

__all__ = ["main"]

P = ParamSpec("P")


class _Refused(click.ClickException):
    """A bad table or argument: the message alone, exit code 2."""

    exit_code = 2


def _refusing(verb: Callable[P, None]) -> Callable[P, None]:
    """Turn the package's errors into exit code 2."""

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from validation.errors import ValidationError  # noqa: PLC0415

        try:
            verb(*args, **kwargs)
        except ValidationError as error:
            raise _Refused(str(error)) from error

    return run


_FILE = click.Path(path_type=Path)
_INSIDE = click.FloatRange(0.0, 1.0, min_open=True, max_open=True)
_OUT = click.option(
    "--out", type=_FILE, required=True, help="Folder for results.json, report.html, figures."
)
_LEVEL = click.option(
    "--level", type=_INSIDE, default=0.95, show_default=True, help="Level of two-sided intervals."
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
_MARGIN = click.option(
    "--margin",
    type=_INSIDE,
    help="Non-inferiority margin, fixed beforehand in the protocol.",
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
@click.argument("cases", type=_FILE)
@click.option(
    "--threshold", type=_INSIDE, required=True, help="Locked operating point; a tie is flagged."
)
@_OUT
@_CLUSTER
@click.option("--subgroups", metavar="A,B", help="Subgroup columns, separated by commas.")
@click.option("--prevalence", type=_INSIDE, help="Also PPV and NPV at this prevalence.")
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
@_refusing
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
@click.argument("cases", type=_FILE)
@click.option("--scores", metavar="A,B", required=True, help="The two score columns.")
@click.option("--thresholds", metavar="TA,TB", required=True, help="Their locked thresholds.")
@_OUT
@_CLUSTER
@_MARGIN
@_LEVEL
@_refusing
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
@click.argument("reads", type=_FILE)
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
@_MARGIN
@_BOOTSTRAP
@_SEED
@_LEVEL
@_refusing
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
        resamples=max(bootstrap, 2),
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
        click.echo(f"{gap.a} - {gap.b}: {gap.estimate:+.4f}, p {gap.p_value or float('nan'):.4f}")
    click.echo(f"report: {out / 'report.html'}")


@main.command()
@click.argument("ratings", type=_FILE)
@click.option(
    "--weights",
    type=click.Choice(["unweighted", "linear", "quadratic"]),
    default="unweighted",
    show_default=True,
    help="Weights between categories; other than unweighted needs numeric ratings.",
)
@_OUT
@_LEVEL
@_refusing
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
@click.argument("cases", type=_FILE)
@click.argument("reads", type=_FILE)
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
@click.option("--threshold", type=_INSIDE, help="Locked operating point of the device.")
@click.option("--cluster", metavar="COLUMN", help="Column of CASES that names the patient.")
@click.option("--score", default="score", show_default=True, help="Score column of CASES.")
@_MARGIN
@_BOOTSTRAP
@_SEED
@_LEVEL
@_refusing
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
            resamples=max(bootstrap, 2),
            seed=seed,
            level=level,
        ),
    )
    report.write(out, found.results, found.report)
    for key in ("device", "readers", "left_out_pair", "difference"):
        click.echo(f"{key:<14} {report.cell(readers_report.as_estimate(found.results[key]))}")
    click.echo(f"report: {out / 'report.html'}")


@main.command()
@click.argument("manifest", type=_FILE)
@click.option(
    "--scores", "cases", type=_FILE, required=True, help="CASES with the device's scores."
)
@_OUT
@click.option(
    "--key", default="case_id", show_default=True, help="Column of MANIFEST with the case_id."
)
@click.option("--features", metavar="A,B", help="Columns without anatomy; all suitable without it.")
@click.option("--strata", metavar="A,B", help="Columns to stratify by; view and source if present.")
@click.option("--images", type=_FILE, help="Folder of MANIFEST's `file` column: reads the films.")
@click.option("--score", default="score", show_default=True, help="Score column of CASES.")
@_CLUSTER
@_SEED
@_LEVEL
@_refusing
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
@click.argument("cases", type=_FILE)
@click.argument("reads", type=_FILE)
@click.option("--threshold", type=_INSIDE, required=True, help="Operating point of the release.")
@click.option("--weights", required=True, metavar="SHA256", help="Hash of the locked weights.")
@click.option("--protocol", type=_FILE, required=True, help="protocol.toml")
@click.option("--ledger", type=_FILE, required=True, help="Ledger of looks; one line is added.")
@click.option("--by", required=True, help="Who looks.")
@click.option("--purpose", required=True, help="What for.")
@click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Date of the look; today without it.",
)
@_OUT
@_refusing
def study(  # noqa: PLR0913 - the options of the verb
    *,
    cases: Path,
    reads: Path,
    threshold: float,
    weights: str,
    protocol: Path,
    ledger: Path,
    by: str,
    purpose: str,
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
        --by "A. Statistician" --purpose "validation of release 0.1.0" --out study/
    """  # noqa: D301 - click reads the backspace
    from datetime import UTC, datetime  # noqa: PLC0415

    from validation import protocol as rules  # noqa: PLC0415
    from validation import readers_tables, report, tables  # noqa: PLC0415
    from validation import study as verb  # noqa: PLC0415

    plan_of_study = rules.load_protocol(protocol)
    cluster = str(plan_of_study.section("population")["cluster"])
    table = tables.read_cases(cases, cluster=cluster)  # a bad table is no look
    readers_tables.joined_votes(table, readers_tables.reads_from_findings(reads), name=reads.name)
    looks = rules.append_look(
        ledger,
        on=(on or datetime.now(UTC)).date(),
        by=by,
        purpose=purpose,
        protocol=plan_of_study,
        weights_sha256=weights,
        cases_sha256=table.sha256,
    )
    found = verb.run(
        verb.StudyInputs(
            cases=cases,
            reads=reads,
            threshold=threshold,
            protocol=plan_of_study,
            looks=looks,
            weights_sha256=weights,
        ),
        out,
    )
    click.echo(report.software())
    click.echo(str(found["consequence"]))
    click.echo(f"report: {out / 'summary' / 'report.html'}")


@main.group()
def plan() -> None:
    """Sample size and power of a study to come.

    \b
    Example:
      cxr-validate plan standalone --goal 0.80 --expected 0.90 --power 0.8
    """  # noqa: D301 - click reads the backspace


_ALPHA = click.option(
    "--alpha", type=_INSIDE, default=0.05, show_default=True, help="Two-sided type-I error."
)
_POWER = click.option("--power", type=_INSIDE, default=0.8, show_default=True, help="Power.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def _print_plan(result: object, *, as_json: bool) -> None:
    import json  # noqa: PLC0415

    from validation.estimate import record  # noqa: PLC0415

    found = record(result)
    if as_json:
        click.echo(json.dumps(found, allow_nan=False))
        return
    for key, value in (found if isinstance(found, dict) else {"result": found}).items():
        click.echo(f"{key:<22} {value}")


@plan.command("standalone")
@click.option("--goal", type=_INSIDE, help="Performance goal to exceed (sensitivity, say).")
@click.option("--expected", type=_INSIDE, required=True, help="Value that is expected.")
@click.option("--half-width", type=_INSIDE, help="Instead of a goal: half-width of the interval.")
@click.option(
    "--prevalence", type=_INSIDE, help="Share of such cases: also the total to be enrolled."
)
@click.option("--cases-per-patient", type=click.FloatRange(min=1.0), default=1.0, show_default=True)
@click.option("--icc", type=float, default=0.0, show_default=True, help="Within a patient.")
@_ALPHA
@_POWER
@_JSON
@_refusing
def plan_standalone(  # noqa: PLR0913 - the options of the verb
    *,
    goal: float | None,
    expected: float,
    half_width: float | None,
    prevalence: float | None,
    cases_per_patient: float,
    icc: float,
    alpha: float,
    power: float,
    as_json: bool,
) -> None:
    """Cases for a performance goal (exact binomial), or for a precision.

    \b
    Example:
      cxr-validate plan standalone --goal 0.80 --expected 0.90 --prevalence 0.3 --json
    """  # noqa: D301 - click reads the backspace
    from math import ceil  # noqa: PLC0415

    from validation import sample_size  # noqa: PLC0415
    from validation.estimate import record  # noqa: PLC0415

    if (goal is None) == (half_width is None):
        message = "one of --goal and --half-width"
        raise click.UsageError(message)
    effect = sample_size.design_effect(
        cases_per_patient=cases_per_patient, intraclass_correlation=icc
    )
    found: dict[str, object]
    if goal is not None:
        exact = sample_size.exact_goal(
            goal=goal, expected=expected, alpha=alpha / 2.0, power=power, effect=effect
        )
        entry = record(exact)
        found = dict(entry) if isinstance(entry, dict) else {}
        n = exact.n_with_clusters
    else:
        plain = sample_size.precision_cases(
            expected=expected, half_width=half_width or 0.0, level=1.0 - alpha
        )
        n = ceil(plain * effect)
        found = {
            "expected": expected,
            "half_width": half_width,
            "n": plain,
            "design_effect": effect,
            "n_with_clusters": n,
            "method": "Wilson interval",
        }
    if prevalence is not None:
        found["n_enrolled"] = ceil(n / prevalence)
    _print_plan(found, as_json=as_json)


@plan.command("paired")
@click.option("--p10", type=float, required=True, help="Share where only A is right.")
@click.option("--p01", type=float, required=True, help="Share where only B is right.")
@click.option("--n", type=click.IntRange(min=1), help="Pairs: print the power of McNemar's test.")
@_MARGIN
@_ALPHA
@_POWER
@_JSON
@_refusing
def plan_paired(  # noqa: PLR0913 - the options of the verb
    *,
    p10: float,
    p01: float,
    n: int | None,
    margin: float | None,
    alpha: float,
    power: float,
    as_json: bool,
) -> None:
    """Pairs for McNemar's mid-p test, or for non-inferiority with --margin.

    \b
    Example:
      cxr-validate plan paired --p10 0.12 --p01 0.05 --n 200
    """  # noqa: D301 - click reads the backspace
    from validation import sample_size  # noqa: PLC0415

    if n is not None:
        found: dict[str, object] = {
            "n": n,
            "p10": p10,
            "p01": p01,
            "power_exact": sample_size.mcnemar_power(
                n, p10=p10, p01=p01, alpha=alpha, test="exact"
            ),
            "power_mid_p": sample_size.mcnemar_power(n, p10=p10, p01=p01, alpha=alpha),
            "method": "McNemar, unconditional power",
        }
    elif margin is not None:
        found = {
            "n": sample_size.paired_noninferiority_cases(
                p10=p10, p01=p01, margin=margin, alpha=alpha / 2.0, power=power
            ),
            "margin": margin,
            "method": "paired non-inferiority, Wald form",
        }
    else:
        found = {
            "n": sample_size.mcnemar_cases(p10=p10, p01=p01, alpha=alpha, power=power),
            "power": power,
            "method": "McNemar mid-p, unconditional power",
        }
    _print_plan(found, as_json=as_json)


@plan.command("mrmc")
@click.argument("pilot", type=_FILE)
@click.option("--effect", type=_INSIDE, required=True, help="Difference in AUC to be found.")
@click.option("--readers", type=click.IntRange(min=2), required=True, help="Planned readers.")
@click.option("--cases", type=click.IntRange(min=4), help="Planned cases: print the power.")
@_ALPHA
@_POWER
@_JSON
@_refusing
def plan_mrmc(  # noqa: PLR0913 - the options of the verb
    *,
    pilot: Path,
    effect: float,
    readers: int,
    cases: int | None,
    alpha: float,
    power: float,
    as_json: bool,
) -> None:
    """Cases or power of a reader study, from a pilot's READS table (Hillis 2011).

    \b
    Example:
      cxr-validate plan mrmc pilot.csv --effect 0.05 --readers 6 --power 0.8 --json
    """  # noqa: D301 - click reads the backspace
    from validation import mrmc as analysis  # noqa: PLC0415
    from validation import sample_size, tables  # noqa: PLC0415

    reads, _ = tables.read_reads(pilot)
    found = analysis.obuchowski_rockette(
        reads, covariance="jackknife", readers="random", cases="random"
    )
    result = (
        sample_size.mrmc_cases(found, effect=effect, readers=readers, alpha=alpha, power=power)
        if cases is None
        else sample_size.mrmc_power(found, effect=effect, readers=readers, cases=cases, alpha=alpha)
    )
    _print_plan(result, as_json=as_json)


if __name__ == "__main__":
    main()
