"""The self-test: digests of what is locked, and a known film against its known score."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cxr_device.device import Device
from cxr_device.errors import IntegrityError
from cxr_device.result import Analyzed
from cxr_device.vocabulary import Profile

__all__ = ["run"]


def run(
    device: Literal["auto", "cpu", "cuda"] = "cpu", *, folder: Path | None = None
) -> Iterator[str]:
    """Yield a line for each test that passed; `folder` holds another release than the installed.

    Raises
    ------
    IntegrityError
        A digest or the score of the known film is not the locked one.
    """
    profile = Profile.TRIAGE if folder is None else Profile.RESEARCH
    loaded = Device.load(profile=profile, device=device, folder=folder)
    release, test = loaded.release, loaded.release.self_test
    signed = f"signed by {release.signer.holder}" if release.signer else "development, unsigned"
    yield f"weights {release.weights_sha256[:12]}, graph, preprocessing: as locked; {signed}"
    result = loaded.read(test.film)
    if not isinstance(result, Analyzed):
        raise IntegrityError("the known film", found=type(result).__name__, locked="Analyzed")
    score = loaded.score(result.film)
    if not abs(score - test.score) <= test.tolerance:
        raise IntegrityError(
            "the known film's score", found=f"{score:.6f}", locked=f"{test.score:.6f}"
        )
    yield f"known film: score {score:.6f}, locked {test.score:.6f} within {test.tolerance:g}"
    yield "self-test passed"
