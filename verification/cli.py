"""The command `cxr-verify`: says what is not covered, not passing, stale or unapproved.

Exit codes: 0 clean; 1 at least one finding; 2 usage; 3 no evidence file at all.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from verification.dossier import Dossier
    from verification.items import Items
    from verification.rules import Judgement

__all__ = ["main"]

NO_EVIDENCE = 3
"""Exit code where no test run has left evidence."""


class _Group(click.Group):
    """Turns a project that cannot be judged into a usage error, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # type: ignore[explicit-override]  # noqa: ANN401
        """Run the verb."""
        from verification.findings import ProjectError  # noqa: PLC0415  # lazy

        try:
            return super().invoke(ctx)
        except ProjectError as error:
            raise click.UsageError(str(error)) from error
        except ModuleNotFoundError as error:
            message = f"needs pip install 'cxr-device[dev]' (no module named {error.name})"
            raise click.UsageError(message) from error
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)
        except OSError as error:
            raise click.UsageError(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=None,
    help="The project; default: the one above the working directory.",
)
@click.option(
    "--evidence",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="The evidence file; default: build/verification/results.json.",
)
@click.version_option(package_name="cxr-device", prog_name="cxr-verify")
@click.pass_context
def main(ctx: click.Context, root: Path | None, evidence: Path | None) -> None:
    """Was the device built right? Items, tests, outcomes, risks, and the gate on them."""
    ctx.obj = (root, evidence)


def _open(ctx: click.Context) -> Dossier:
    """Read the project that the options name."""
    from verification.dossier import open_dossier  # noqa: PLC0415  # lazy
    from verification.repository import find_root  # noqa: PLC0415  # lazy

    root, evidence = ctx.find_root().obj
    return open_dossier(find_root(root or Path.cwd()), evidence)


def _unread(found: Items) -> bool:
    """Say what of the items cannot be read; whether there is any."""
    for finding in found.findings:
        click.echo(str(finding), err=True)
    return bool(found.findings)


def _without_evidence(dossier: Dossier, evidence: Path | None) -> bool:
    """Whether there is no evidence file at all; a damaged one is a finding instead."""
    from verification.evidence import default_path  # noqa: PLC0415  # lazy

    return not (evidence or default_path(dossier.root)).exists()


def _leave(ctx: click.Context, dossier: Dossier, judgement: Judgement) -> None:
    """Exit as the contract says."""
    _, evidence = ctx.find_root().obj
    if _without_evidence(dossier, evidence):
        click.echo("no evidence: run the tests first (make test)", err=True)
        ctx.exit(NO_EVIDENCE)
    ctx.exit(1 if judgement.findings else 0)


@main.command()
@click.pass_context
def status(ctx: click.Context) -> None:
    """Say on one screen what is covered and what is not; runs no test."""
    from verification import console, rules  # noqa: PLC0415  # lazy

    dossier = _open(ctx)
    judgement = rules.judge(dossier)
    click.echo(console.status(dossier, judgement))
    _leave(ctx, dossier, judgement)


@main.command()
@click.option("--release", is_flag=True, help="Ask for every item's approval too (R14).")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def check(ctx: click.Context, *, release: bool, as_json: bool) -> None:
    """Judge the evidence: the gate."""
    from verification import console, rules  # noqa: PLC0415  # lazy

    dossier = _open(ctx)
    judgement = rules.judge(dossier, release=release)
    if as_json:
        click.echo(json.dumps(console.as_data(judgement), indent=1))
    else:
        click.echo(console.report(dossier, judgement))
    _leave(ctx, dossier, judgement)


@main.command()
@click.option("--format", "form", type=click.Choice(["html", "csv", "json"]), default="html")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.pass_context
def matrix(ctx: click.Context, form: str, out: Path) -> None:
    """Write the traceability matrix as matrix.html, matrix.csv or matrix.json."""
    from verification import matrix as module  # noqa: PLC0415  # lazy

    dossier = _open(ctx)
    data = module.build(dossier)
    text = {"html": module.to_html, "csv": module.to_csv, "json": module.to_json}[form](data)
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"matrix.{form}"
    target.write_text(text, "utf-8")
    click.echo(str(target))
    _, evidence = ctx.find_root().obj
    if _without_evidence(dossier, evidence):
        click.echo("no evidence: every test stands as not run", err=True)
        ctx.exit(NO_EVIDENCE)
    if found := len(data["findings"]):
        click.echo(f"{found} finding{'s' * (found > 1)}: cxr-verify check lists them", err=True)
        ctx.exit(1)


@main.command()
@click.option("--standard", "name", default=None, help="One standard; default: all of them.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def gaps(ctx: click.Context, name: str | None, *, as_json: bool) -> None:
    """List clauses that nothing meets, pending items and placeholders with their owners."""
    from verification import clauses, console, items  # noqa: PLC0415  # lazy
    from verification.repository import Repository, find_root  # noqa: PLC0415  # lazy

    root = find_root(ctx.find_root().obj[0] or Path.cwd())
    found = items.load(Repository(root))
    names = [name] if name is not None else clauses.standards()
    maps = [clauses.standard(each, root, found) for each in names]
    open_places = clauses.placeholders(root)
    if as_json:
        click.echo(json.dumps(console.gaps_data(maps, open_places, found), indent=1))
    else:
        click.echo(console.gaps(maps, open_places, found, detailed=name is not None))
    met = all(c.met for each in maps for c in each.clauses)
    ctx.exit(1 if _unread(found) or not met else 0)


@main.command()
@click.argument("old")
@click.argument("new", default="HEAD")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def diff(ctx: click.Context, old: str, new: str, *, as_json: bool) -> None:
    """List items added, reworded or retired between two revisions, and what they touch."""
    from verification import console, history  # noqa: PLC0415  # lazy
    from verification.repository import Repository, find_root  # noqa: PLC0415  # lazy

    root = find_root(ctx.find_root().obj[0] or Path.cwd())
    changes, faults = history.compare(Repository(root), old, new)
    for fault in faults:
        click.echo(fault, err=True)
    click.echo(json.dumps(history.table(changes), indent=1) if as_json else console.diff(changes))
    ctx.exit(1 if faults else 0)


@main.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every item that is not retired.")
@click.option("--reviewer", required=True, help="Who read the texts.")
@click.option("--reason", required=True, help="Why the tests still verify them.")
@click.option("--role", default="", help='Default: "author, not independent".')
@click.pass_context
def accept(  # noqa: PLR0913  # one parameter for each option
    ctx: click.Context, ids: tuple[str, ...], *, every: bool, reviewer: str, reason: str, role: str
) -> None:
    """Pin the present text of items in the tests that name them, and write the ledger."""
    from verification import acceptance, schema  # noqa: PLC0415  # lazy

    if every == bool(ids):
        message = "name ids, or --all"
        raise click.UsageError(message)
    if not reviewer.strip() or not reason.strip():
        message = "a reviewer and a reason are owed"
        raise click.UsageError(message)
    dossier = _open(ctx)
    items = dossier.items.by_id.values()
    chosen = [i.id for i in items if i.status != schema.Status.RETIRED] if every else list(ids)
    today = datetime.now(UTC).date()
    done = acceptance.accept(
        dossier, chosen, reviewer=reviewer, reason=reason, role=role, today=today
    )
    click.echo("\n".join(f"accepted {link}" for link in done) or "nothing to accept")


@main.command()
@click.option("--format", "form", type=click.Choice(["needs-json"]), default="needs-json")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None)
@click.pass_context
def export(ctx: click.Context, form: str, out: Path | None) -> None:
    """Write the items as needs.json of sphinx-needs, for other tools."""
    from verification import exchange, items  # noqa: PLC0415  # lazy
    from verification.repository import Repository, find_root  # noqa: PLC0415  # lazy

    del form
    repository = Repository(find_root(ctx.find_root().obj[0] or Path.cwd()))
    found = items.load(repository)
    text = exchange.needs_json(repository, found)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, "utf-8")
        click.echo(str(out))
    ctx.exit(1 if _unread(found) else 0)


@main.command()
@click.argument("modules", nargs=-1)
@click.option(
    "--changed", is_flag=True, help="Only modules whose record is of other code or tests."
)
@click.option(
    "--limit", type=click.IntRange(1), help="Mutants a module, evenly spread; default: all."
)
@click.option("--commit", "committed", is_flag=True, help="Write risk/results/mutation.json.")
@click.pass_context
def mutate(
    ctx: click.Context,
    modules: tuple[str, ...],
    *,
    changed: bool,
    limit: int | None,
    committed: bool,
) -> None:
    """Put faults into the code of risk controls; each must be noticed by a test.

    Exits 1 where a module's run proves nothing: its tests fail on the original, or the sentinel
    lives.
    """
    from verification import mutation  # noqa: PLC0415  # lazy

    dossier = _open(ctx)
    known = {target.module: target for target in mutation.targets(dossier)}
    if unknown := [name for name in modules if name not in known]:
        message = f"no risk control's code: {', '.join(unknown)} (known: {', '.join(known)})"
        raise click.UsageError(message)
    chosen = [known[name] for name in dict.fromkeys(modules or known)]
    if changed:
        records = {t.module: mutation.latest(dossier.root, t.module, t.key) for t in chosen}
        chosen = [t for t in chosen if (r := records[t.module]) is None or r.key != t.key]
    path = dossier.root / (mutation.COMMITTED if committed else mutation.LOCAL)
    records_done = mutation.run(dossier, chosen, path=path, limit=limit, say=click.echo)
    survived = sum(len(record.surviving()) for record in records_done)
    click.echo(
        f"{len(records_done)} of {len(chosen)} modules, {survived} survivors without a reason"
    )
    ctx.exit(0 if len(records_done) == len(chosen) else 1)


@main.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None)
@click.pass_context
def sbom(ctx: click.Context, out: Path | None) -> None:
    """List the packages of run time with their licences; --out writes CycloneDX JSON of all."""
    from verification import sbom as module  # noqa: PLC0415  # lazy
    from verification.repository import find_root  # noqa: PLC0415  # lazy

    root = find_root(ctx.find_root().obj[0] or Path.cwd())
    found = module.entries(root)
    for entry in found:
        if entry.run_time:
            stated = entry.licence.stated if entry.licence else "not known"
            click.echo(f"{entry.package.name:<16} {entry.package.version:<12} {stated}")
    if out is not None:
        text = module.to_json(root, found)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, "utf-8")
        click.echo(str(out))
    faults = module.run_time_faults(found)
    for fault in faults:
        click.echo(fault, err=True)
    ctx.exit(1 if faults else 0)


@main.command()
@click.argument("database", type=click.Path(path_type=Path))
@click.option(
    "--max-age", type=click.IntRange(0), default=14, show_default=True,
    help="Days; an older database is a finding.",
)  # fmt: skip
@click.pass_context
def vulnerabilities(ctx: click.Context, database: Path, max_age: int) -> None:
    """Look the locked packages up in an OSV export (a zip or a folder), without a network.

    Exits 1 for a vulnerability that risk/vulnerabilities.toml does not accept, a database that is
    too old or of something else, and an acceptance that accepts nothing; 2 where it cannot be read.
    """
    from verification import vulnerabilities as module  # noqa: PLC0415  # lazy
    from verification.repository import find_root  # noqa: PLC0415  # lazy

    root = find_root(ctx.find_root().obj[0] or Path.cwd())
    records = module.read_database(database)
    findings, accepted = module.check(root, records, today=datetime.now(UTC), max_age=max_age)
    for line in accepted:
        click.echo(f"accepted: {line}")
    for line in findings:
        click.echo(line, err=True)
    click.echo(f"{len(records)} records: {len(findings)} findings, {len(accepted)} accepted")
    ctx.exit(1 if findings else 0)


@main.command()
@click.argument("attachments", nargs=-1)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("build/submission")
)
@click.pass_context
def submission(ctx: click.Context, attachments: tuple[str, ...], out: Path) -> None:
    """Print the submission: one PDF for each attachment, and their digests.

    With names of attachments, those alone, and no digests of the whole.
    """
    from verification import submission as module  # noqa: PLC0415  # lazy
    from verification.repository import find_root  # noqa: PLC0415  # lazy

    root = find_root(ctx.find_root().obj[0] or Path.cwd())
    module.build(root, out.resolve(), say=click.echo, only=attachments)


if __name__ == "__main__":
    main()
