"""What the verbs of `cxr-validate` share: option types, and exit code 2 for a refusal."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import click

__all__ = ["FILE", "INSIDE", "MARGIN", "refusing"]

P = ParamSpec("P")


class _Refused(click.ClickException):
    """A bad table or argument: the message alone, exit code 2."""

    exit_code = 2


def refusing(verb: Callable[P, None]) -> Callable[P, None]:
    """Turn the package's errors into exit code 2."""

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from validation.errors import ValidationError  # noqa: PLC0415

        try:
            verb(*args, **kwargs)
        except ValidationError as error:
            raise _Refused(str(error)) from error

    return run


FILE = click.Path(path_type=Path)
INSIDE = click.FloatRange(0.0, 1.0, min_open=True, max_open=True)
MARGIN = click.option(
    "--margin",
    type=INSIDE,
    help="Non-inferiority margin, fixed beforehand in the protocol.",
)
