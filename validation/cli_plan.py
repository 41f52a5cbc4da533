"""`cxr-validate plan`: sample size and power at the command line."""

from pathlib import Path

import click

from validation.cli_options import FILE, INSIDE, MARGIN, refusing

__all__ = ["plan"]


@click.group()
def plan() -> None:
    """Sample size and power of a study to come.

    \b
    Example:
      cxr-validate plan standalone --goal 0.80 --expected 0.90 --power 0.8
    """  # noqa: D301 - click reads the backspace


_ALPHA = click.option(
    "--alpha", type=INSIDE, default=0.05, show_default=True, help="Two-sided type-I error."
)
_POWER = click.option("--power", type=INSIDE, default=0.8, show_default=True, help="Power.")
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
@click.option("--goal", type=INSIDE, help="Performance goal to exceed (sensitivity, say).")
@click.option("--expected", type=INSIDE, required=True, help="Value that is expected.")
@click.option("--half-width", type=INSIDE, help="Instead of a goal: half-width of the interval.")
@click.option(
    "--prevalence", type=INSIDE, help="Share of such cases: also the total to be enrolled."
)
@click.option("--cases-per-patient", type=click.FloatRange(min=1.0), default=1.0, show_default=True)
@click.option("--icc", type=float, default=0.0, show_default=True, help="Within a patient.")
@_ALPHA
@_POWER
@_JSON
@refusing
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
@MARGIN
@_ALPHA
@_POWER
@_JSON
@refusing
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

    if n is not None and margin is not None:
        message = "one of --n (power of McNemar's test) and --margin (pairs for non-inferiority)"
        raise click.UsageError(message)
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
@click.argument("pilot", type=FILE)
@click.option("--effect", type=INSIDE, required=True, help="Difference in AUC to be found.")
@click.option("--readers", type=click.IntRange(min=2), required=True, help="Planned readers.")
@click.option("--cases", type=click.IntRange(min=4), help="Planned cases: print the power.")
@_ALPHA
@_POWER
@_JSON
@refusing
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
