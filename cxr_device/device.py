"""The device: the stages in order, once.

bytes -> `intake` -> `guards` -> `decoding` -> `pixel_range` -> `preprocessing` -> `pixel_gate` ->
network -> `calibration` -> `decision` -> Result. No stage knows another; only this module does.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypedDict, cast, overload

import numpy as np
from pydicom import Dataset

from cxr_device import decoding, guards, intake, preprocessing, runtimes
from cxr_device.batch import attempt
from cxr_device.checks import DESCRIPTIONS, Check, Verdict, accepted_by
from cxr_device.decision import Decision, decide
from cxr_device.errors import ReleaseError
from cxr_device.explanation import ActivationMap, ClassActivation
from cxr_device.pixel_gate import judge_content
from cxr_device.pixel_range import judge_pixels
from cxr_device.radiograph import AcceptedRadiograph, ModelInput, Radiograph
from cxr_device.release import Release
from cxr_device.result import (
    Analyzed,
    Checked,
    DeviceIdentity,
    Failed,
    Rejected,
    ResolvedView,
    Result,
    Source,
)
from cxr_device.vocabulary import CheckCode, Outcome, Profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Device"]

_Film = str | os.PathLike[str] | bytes | bytearray | memoryview | Dataset
"""How one film is given: where it lies, its bytes, or its data set."""

_NOT_RUN: Final = Verdict(
    outcome=Outcome.NOT_RUN, value="", message="not run: an earlier check ended the reading"
)
_NODE_ONLY: Final = Verdict(
    outcome=Outcome.NOT_RUN, value="", message="not run: only a node remembers what it received"
)
_NO_GATE: Final = Verdict(
    outcome=Outcome.NOT_RUN, value="", message="not run: only reading looks at what the pixels show"
)


class _Common(TypedDict):
    """What every result carries."""

    source: Source
    device: DeviceIdentity
    checks: tuple[Check, ...]
    timing_ms: dict[str, float]
    view: ResolvedView | None


class _Stopwatch:
    """Milliseconds of each stage; of one that several films share, a film's share of it."""

    def __init__(self) -> None:
        self._last, self._spent = time.perf_counter(), 0.0
        self.stages: dict[str, float] = {}

    def resume(self) -> None:
        """Leave out what passed since the last stage: it was another film's."""
        self._last = time.perf_counter()

    def lap(self, stage: str, *, films: int = 1) -> None:
        now = time.perf_counter()
        share, self._last = (now - self._last) / films, now
        self.stages[stage] = round(1e3 * share, 3)
        self._spent += share

    def total(self) -> dict[str, float]:
        spent = self._spent + time.perf_counter() - self._last
        return {**self.stages, "total": round(1e3 * spent, 3)}


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One film on its way: what is known of it so far."""

    taken: intake.Intake
    verdicts: dict[CheckCode, Verdict]
    watch: _Stopwatch
    accepted: AcceptedRadiograph | None = None
    shaped: ModelInput | None = None
    """What the networks are yet to see."""
    decision: Decision | None = None


class Device:
    """The locked device. Load it once, read with it from as many threads as you like.

    Examples
    --------
    >>> from cxr_device import Device
    >>> device = Device.load()
    >>> result = device.read(device.release.self_test.film)
    >>> type(result).__name__
    'Analyzed'
    """

    def __init__(
        self,
        release: Release,
        *,
        infer: runtimes.Infer,
        profile: Profile = Profile.TRIAGE,
        gate: runtimes.Infer | None = None,
    ) -> None:
        self.release = release
        self.profile = profile
        self._infer = infer
        self._gate = gate or runtimes.on_cpu(release.pixel_gate.graph, threads=1)
        self._decoder = decoding.Decoder()
        self._explain: ClassActivation | None = None

    @classmethod
    def load(
        cls,
        *,
        profile: Profile | str = Profile.TRIAGE,
        device: Literal["auto", "cpu", "cuda"] = "cpu",
        folder: str | os.PathLike[str] | None = None,
    ) -> "Device":
        """Load a release after holding its files against their digests.

        Parameters
        ----------
        device : "auto", "cpu" or "cuda"
            What runs the network; `auto` is CUDA where there is one.
        folder : path, optional
            A release that `cxr-device lock` wrote; without it the installed one, which alone is
            the device.

        Raises
        ------
        IntegrityError
            A locked file is missing or is not the one that was locked; `NoReleaseError` where a
            folder is named that holds none.
        ReleaseError
            A folder is named under another profile than research.
        CudaError
            `cuda` is named, and torch is not installed or finds no GPU.
        ValueError
            A profile or a device is none of those named.
        """
        if folder is not None and Profile(profile) is not Profile.RESEARCH:
            raise ReleaseError(Path(folder), str(profile))
        where = runtimes.choose(device)
        if where == "cuda":
            runtimes.require_cuda()
        release = Release.load() if folder is None else Release.load(Path(folder))
        release.hold_code()
        if where == "cuda":
            infer = runtimes.on_torch(
                release.weights, release.architectures, "cuda", side=release.side
            )
        else:
            infer = runtimes.on_cpu(release.graph, threads=1)
        return cls(release, infer=infer, profile=Profile(profile))

    @classmethod
    def load_guards(cls) -> "Device":
        """Load the installed release without a network: `check` is all that it can do."""

        def absent(_pixels: "NDArray[np.float32]") -> "NDArray[np.float32]":
            message = "this device was loaded without its network"
            raise RuntimeError(message)

        return cls(Release.load(), infer=absent, gate=absent)

    @property
    def identity(self) -> DeviceIdentity:
        """Which device this is, as every record states it."""
        release = self.release
        return DeviceIdentity(
            name=release.name,
            version=release.version,
            claim=str(release.label.claim),
            profile=str(self.profile),
            weights_sha256=release.weights_sha256,
            config_sha256=release.config_sha256,
            preprocessing_sha256=release.preprocessing_sha256,
        )

    def read(self, source: _Film, *, duplicate_uid: Verdict | None = None) -> Result:
        """Read one film: guards, then network, then decision.

        Parameters
        ----------
        source : path, bytes or pydicom.Dataset
            One DICOM Part 10 file: text or a path-like object names it, bytes are the file
            itself and never its name. A data set is written to bytes first, so it needs what a
            file needs: its transfer syntax in `file_meta`, values that fit their VR.
        duplicate_uid : Verdict, optional
            A node's verdict on the film's SOP Instance UID, from its memory of what it received.
            With it the film is judged as in a node: without a patient's identity it is rejected.

        Returns
        -------
        Analyzed, Rejected or Failed
            Bad input never raises: it ends in coded checks.

        Raises
        ------
        TypeError
            `source` is none of the three (None, a number, an array, an open file): no film was
            given, the call is wrong.
        """
        return self._read(source, upto="network", duplicate_uid=duplicate_uid)

    def read_group(self, sources: Sequence[_Film]) -> list[Result | Exception]:
        """Read films together: the networks see them at once, which costs less a film.

        All of them lie in memory until the last is read; `cxr_device.batch.Batch` reads many.

        Parameters
        ----------
        sources : sequence of path, bytes or pydicom.Dataset
            Films, each as `read` takes one.

        Returns
        -------
        list
            For each film, in their order, what `read` gives of it alone; where `read` would raise,
            the error. The milliseconds of `pixel_gate` and `network` are a film's share.
        """
        readings = [attempt(partial(self._begin, source, upto="network")) for source in sources]
        begun = [reading for reading in readings if isinstance(reading, _Reading)]
        with suppress(Exception):  # of one film: looked at alone, it will fail alone
            self._look(begun)
        results = [
            attempt(partial(self._ended, reading)) if isinstance(reading, _Reading) else reading
            for reading in readings
        ]
        return cast("list[Result | Exception]", results)  # up to the network none is `Checked`

    def check(self, source: _Film) -> Result | Checked:
        """Judge the header and the pixel range of one film, without the network.

        Returns `Rejected` or `Failed` as `read` would, and `Checked` for a film that passes.
        """
        return self._read(source, upto="pixels")

    def check_header(self, source: bytes, *, duplicate_uid: Verdict) -> Result | Checked:
        """Judge the file and its header as a node does when it receives them; decode nothing."""
        return self._read(source, upto="header", duplicate_uid=duplicate_uid)

    def score(self, film: AcceptedRadiograph) -> float:
        """Score an accepted film: the mean logit of the release's score heads."""
        return self._scores(preprocessing.prepare(film).pixels)[0]

    def _scores(self, pixels: "NDArray[np.float32]") -> list[float]:
        """Score films, one a row of `pixels`."""
        chosen = [self.release.heads.index(head) for head in self.release.score_heads]
        return [float(np.mean(logits[chosen], dtype=np.float64)) for logits in self._infer(pixels)]

    def defect(self, source: Path, error: Exception) -> Failed:
        """Build the result of a film on which the device itself failed: no check, no finding.

        The error's text is left out: it may hold values of the file.
        """
        where = f"internal error {type(error).__name__}"
        nothing = Verdict(outcome=Outcome.NOT_RUN, value="", message=f"not run: {where}")
        return Failed(
            source=_source_of(intake.Intake(path=intake.shown(source))),
            device=self.identity,
            checks=self._checks(dict.fromkeys(CheckCode, nothing)),
            timing_ms={},
            view=None,
        )

    def picture(self, result: Result | Checked) -> "NDArray[np.uint8] | None":
        """Display copy of the film that was read, shape (rows, columns); None where none was."""
        return preprocessing.picture(result.film) if isinstance(result, Analyzed) else None

    def activation(self, result: Result | Checked) -> ActivationMap | None:
        """Take the score of a film apart by cell; None outside the research profile.

        A triage claim points at no region, so under it there is nothing to ask for.
        """
        if self.profile is not Profile.RESEARCH or not isinstance(result, Analyzed):
            return None
        if self._explain is None:
            self._explain = ClassActivation(
                graph=self.release.graph,
                weights=self.release.weights,
                heads=self.release.heads,
                score_heads=self.release.score_heads,
            )
        return self._explain(preprocessing.prepare(result.film))

    def close(self) -> None:
        """End the decoding worker, if one was started."""
        self._decoder.close()

    @overload
    def _read(
        self,
        source: _Film,
        *,
        upto: Literal["network"],
        duplicate_uid: Verdict | None = None,
    ) -> Result: ...

    @overload
    def _read(
        self,
        source: _Film,
        *,
        upto: Literal["header", "pixels"],
        duplicate_uid: Verdict | None = None,
    ) -> Result | Checked: ...

    def _read(
        self,
        source: _Film,
        *,
        upto: Literal["header", "pixels", "network"],
        duplicate_uid: Verdict | None = None,
    ) -> Result | Checked:
        return self._ended(self._begin(source, upto=upto, duplicate_uid=duplicate_uid))

    def _begin(
        self,
        source: _Film,
        *,
        upto: Literal["header", "pixels", "network"],
        duplicate_uid: Verdict | None = None,
    ) -> _Reading:
        """Take one film as far as the networks, or to the check that ends it."""
        watch = _Stopwatch()
        label = self.release.label
        taken = intake.receive(_as_source(source), label)
        reading = _Reading(taken=taken, verdicts=dict(taken.verdicts), watch=watch)
        film, verdicts = taken.radiograph, reading.verdicts
        watch.lap("intake")
        if film is not None:
            verdicts |= guards.judge_header(film, label)
            if duplicate_uid is not None:
                verdicts[CheckCode.DUPLICATE_UID] = duplicate_uid
                verdicts[CheckCode.IDENTITY] = _required(verdicts[CheckCode.IDENTITY])
            watch.lap("guards")
            if upto != "header" and not _refused(verdicts):
                reading.accepted = self._accept(film, verdicts, watch)
        if reading.accepted is not None and upto != "network":
            verdicts[CheckCode.PIXEL_GATE] = _NO_GATE
        elif reading.accepted is not None:
            reading.shaped = preprocessing.prepare(reading.accepted)
            watch.lap("preprocessing")
        return reading

    def _look(self, readings: Sequence[_Reading]) -> None:
        """Show films to the gate, and those that it lets through to the network."""
        shown = [(reading, reading.shaped) for reading in readings if reading.shaped is not None]
        if not shown:
            return
        for reading, _ in shown:
            reading.watch.resume()
        pixels = np.concatenate([shaped.pixels for _, shaped in shown])
        at = self.release.pixel_gate.threshold
        verdicts = [judge_content(logits, at=at) for logits in self._gate(pixels)]
        for reading, _ in shown:
            reading.watch.lap("pixel_gate", films=len(shown))
        through = [verdict.outcome is not Outcome.REJECT for verdict in verdicts]
        scores = iter(self._scores(pixels[through]) if any(through) else [])
        for (reading, _), verdict, is_through in zip(shown, verdicts, through, strict=True):
            reading.shaped, reading.verdicts[CheckCode.PIXEL_GATE] = None, verdict
            if is_through:
                probability = self.release.calibration.probability(next(scores))
                reading.decision = decide(probability, self.release.operating_point)
                reading.watch.lap("network", films=sum(through))

    def _ended(self, reading: _Reading) -> Result | Checked:
        """Give the result of a film, which the networks see now if they have not."""
        self._look([reading])
        reading.watch.resume()
        taken = reading.taken
        common: _Common = {
            "source": _source_of(taken),
            "device": self.identity,
            "checks": self._checks(reading.verdicts),
            "timing_ms": reading.watch.total(),
            "view": _view_of(taken.radiograph),
        }
        if any(check.is_failure for check in common["checks"]):
            return Failed(**common)
        if any(check.is_rejection for check in common["checks"]):
            return Rejected(**common)
        if reading.decision is None or reading.accepted is None:
            return Checked(**common)
        return Analyzed(**common, decision=reading.decision, film=reading.accepted)

    def _accept(
        self, film: Radiograph, verdicts: dict[CheckCode, Verdict], watch: _Stopwatch
    ) -> AcceptedRadiograph | None:
        """Decode a film whose header was let through, and judge its pixels."""
        try:
            decoded = self._decoder.decode(film)
        except decoding.DecodeError as error:
            verdicts[CheckCode.DECODE] = error.verdict
            return None
        shape = " x ".join(map(str, decoded.stored.shape))
        verdicts[CheckCode.DECODE] = Verdict(
            outcome=Outcome.PASS, value=shape, message="one whole frame"
        )
        watch.lap("decoding")
        pixels = judge_pixels(
            decoded.stored,
            bits_stored=decoded.bits_stored,
            label=self.release.label,
            table=decoded.grey_scale.table,
            padding=decoded.grey_scale.padding,
        )
        verdicts[CheckCode.PIXEL_RANGE] = pixels
        watch.lap("pixel_range")
        if pixels.outcome is Outcome.REJECT:
            return None
        return AcceptedRadiograph(
            stored=decoded.stored,
            maximum=(1 << decoded.bits_stored) - 1,
            inverted=film.photometric_interpretation == "MONOCHROME1",
            table=decoded.grey_scale.table,
            table_maximum=2 * decoding.LEVELS,
            padding=decoded.grey_scale.padding,
        )

    def _checks(self, verdicts: dict[CheckCode, Verdict]) -> tuple[Check, ...]:
        """Every check in its order; what was not run says why."""
        missing = {CheckCode.DUPLICATE_UID: _NODE_ONLY}
        accepted = accepted_by(self.release.label)
        return tuple(
            description.check(code, verdicts.get(code, missing.get(code, _NOT_RUN)), accepted[code])
            for code, description in DESCRIPTIONS.items()
        )


def _as_source(source: object) -> Path | bytes | Dataset:
    """Tell a path, bytes and a data set apart; anything else is a wrong call, not a bad film."""
    if isinstance(source, (str, os.PathLike)):
        return Path(os.fsdecode(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, Dataset):
        return source
    given = type(source).__name__
    message = f"a film is given as a path, bytes or a pydicom Dataset, not as {given}"
    raise TypeError(message)


def _refused(verdicts: dict[CheckCode, Verdict]) -> bool:
    return any(verdict.outcome is Outcome.REJECT for verdict in verdicts.values())


def _required(identity: Verdict) -> Verdict:
    """Refuse as a node what a command line warns of: an answer must find its patient and study."""
    if identity.outcome is Outcome.WARN:
        return replace(identity, outcome=Outcome.REJECT)
    return identity


def _source_of(taken: intake.Intake) -> Source:
    film = taken.radiograph
    return Source(
        path=taken.path,
        sha256=taken.digest() if taken.digest else None,
        sop_instance_uid=film.sop_instance_uid if film else None,
        study_instance_uid=film.study_instance_uid if film else None,
        transfer_syntax_uid=taken.transfer_syntax_uid,
    )


def _view_of(film: Radiograph | None) -> ResolvedView | None:
    vote = guards.resolve_view(film) if film else None
    if vote is None or vote.view is None:
        return None
    return ResolvedView(value=vote.view, source=vote.source)
