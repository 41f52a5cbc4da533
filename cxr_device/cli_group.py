"""How every verb ends that does not end by itself: at an interrupt, or where nobody reads."""

import contextlib
import errno
import io
import os
import sys
from typing import Final

import click

from cxr_device.errors import words_of

__all__ = ["INTERRUPTED", "Verbs"]

INTERRUPTED: Final = 130
"""Exit code of an interrupt at the keyboard: 128 and the signal's number, as shells have it."""


class Verbs(click.Group):
    """Verbs whose output may be lost and that may be interrupted, each with an exit code."""

    def invoke(self, ctx: click.Context) -> object:  # type: ignore[explicit-override]  # a package
        """Run a verb; a name that the terminal cannot show is written with its code points."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted; what was written before stays", err=True)
            sys.exit(INTERRUPTED)
        except OSError as error:
            if error.filename is not None or error.errno == errno.EPIPE:
                raise  # a file's error is a defect here; a reader that went away is click's
            from cxr_device.result import ExitCode  # noqa: PLC0415  # `--help` need not load it

            click.echo(f"OUTPUT standard output: {words_of(error)}", err=True)
            _let_go_of_stdout()
            sys.exit(ExitCode.OUTPUT)


def _let_go_of_stdout() -> None:
    """Send what is still held to nobody: Python would fail once more when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
