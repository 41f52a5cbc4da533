"""What verbs of the command line share: the release and the device, or the exit that says why."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cxr_device.device import Device
    from cxr_device.release import Release

__all__ = ["load_device", "load_release", "release_option"]

release_option = click.option(
    "--release", "folder", type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder that `cxr-device lock` wrote: not the device, research only.",
)  # fmt: skip


def load_release() -> "Release":
    """Load the locked release, or end with exit 5 and the reason."""
    from cxr_device.errors import IntegrityError  # noqa: PLC0415
    from cxr_device.release import Release  # noqa: PLC0415

    try:
        return Release.load()
    except IntegrityError as error:
        click.echo(str(error), err=True)
        sys.exit(5)


def load_device(*, profile: str, where: str | None, folder: Path | None = None) -> "Device":
    """Load the device, or its guards alone where `where` is None; or end with the reason.

    `folder` holds another release than the installed one.
    """
    from cxr_device.device import Device  # noqa: PLC0415
    from cxr_device.errors import CudaError, IntegrityError, ReleaseError  # noqa: PLC0415

    try:
        if where is None:
            return Device.load_guards()
        return Device.load(profile=profile, device=where, folder=folder)  # type: ignore[arg-type]
    except (CudaError, ReleaseError) as error:
        raise click.UsageError(str(error)) from error
    except IntegrityError as error:
        click.echo(str(error), err=True)
        sys.exit(5)
    except ImportError as error:
        message = f"--device {where} needs torch: pip install 'cxr-device[gpu]' ({error})"
        raise click.UsageError(message) from error
