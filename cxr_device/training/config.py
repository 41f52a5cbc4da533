"""Configuration of one training run, as a TOML file states it; what it does not know it refuses."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from cxr_device.errors import DatasetError
from cxr_device.network import Architecture
from cxr_device.training.augmentation import Augmentation

__all__ = ["SCORE_HEADS", "TrainingConfig"]

SCORE_HEADS: Final = ("Airspace", "Consolidation", "Infiltration")
"""The heads whose mean logit is the device's score: findings that every source labels."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One run, as a TOML file states it; unknown keys are refused."""

    architecture: Architecture
    seed: int
    epochs: int
    sizes: tuple[int, ...]
    """Pixels; the input side of each epoch. `tune` is read at the device's own."""
    learning_rate: float
    batch_size: int = 32
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    ema_decay: float = 0.998
    mixup: float = 0.0
    """Beta parameter of mixup; 0 mixes nothing."""
    positive_weight: float = 1.0
    """Largest weight of a positive label, whose weight is negatives / positives of its head in
    `train`; 1 weighs all alike. Balances the loss alone, never the films."""
    gamma_positive: float = 0.0
    gamma_negative: float = 0.0
    probability_margin: float = 0.0
    """Asymmetric loss (`loss.Focus`); all 0: binary cross-entropy. Its authors take 0, 4 and 0.05
    for labels as rare as these; `positive_weight` weighs its positive part too."""
    offset_by: tuple[str, ...] = ()
    """Columns of the manifests. The log odds of each head in a film's group of these columns are
    added to its logits in the loss alone, so that telling the groups apart earns nothing."""
    balance_by: tuple[str, ...] = ()
    """Columns of the manifests. An epoch draws films of every group of these columns equally
    often, none more than three times as often as without; empty: every film once an epoch."""
    share: float = 1.0
    """Share of the patients of `train` that is used, above 0; a smaller share is part of a larger
    one. For the curve of what more films bring."""
    frozen_epochs: int = 0
    """First epochs in which the last layer alone learns; all of them: a light head on a backbone
    that stays as it started."""
    teachers: tuple[str, ...] = ()
    """Finished runs, beside this run's folder, whose mean probability softens the labels."""
    teacher_share: float = 0.5
    """Weight of the teachers' probability in a label; the label has the rest."""
    shards: int = 1
    """Parts of a batch, each normalized by itself, whose gradients and running statistics are
    averaged. Several processes share them out, so their number must divide it; the result depends
    on this number and not on how many processes there are."""
    patience: int = 0
    """Epochs without a better tuning value after which the run ends; 0: never early."""
    choose: Literal["last", "best"] = "last"
    """Epoch whose averaged weights are kept: the last, or the one of the best tuning value."""
    manifests: tuple[str, ...] = ("nih/manifest.csv", "nih_extra/manifest.csv")
    """Relative to the data folder."""
    start: str = ""
    """Module that carries the ImageNet weights as package data; empty: start from random."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    @classmethod
    def read(cls, path: Path) -> "TrainingConfig":
        """Read and check a configuration file.

        Raises
        ------
        DatasetError
            No TOML, a key that is unknown or missing, or values that contradict each other.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DatasetError(path, f"cannot be read ({error})", "give a TOML file") from error
        _refuse_unknown(path, values, cls)
        _refuse_unknown(path, values.get("augmentation", {}), Augmentation)
        values["augmentation"] = Augmentation(**values.get("augmentation", {}))
        for name in ("sizes", "manifests", "offset_by", "balance_by", "teachers"):
            if name in values:
                values[name] = tuple(values[name])
        try:
            config = cls(**values)
        except TypeError as error:
            raise DatasetError(path, str(error), "state every key without a default") from error
        config.check(path)
        return config

    def check(self, path: Path) -> None:
        """Refuse values that contradict each other; `path` names the file in the message."""
        for holds, reason, action in (
            (
                len(self.sizes) == self.epochs,
                f"sizes {list(self.sizes)} for {self.epochs} epochs",
                "name a side for each epoch",
            ),
            (
                self.shards >= 1 and self.batch_size % max(self.shards, 1) == 0,
                f"batch_size {self.batch_size} in {self.shards} shards",
                "choose shards that divide the batch",
            ),
            (
                self.learning_rate > 0 and self.epochs > 0,
                f"learning_rate {self.learning_rate}, epochs {self.epochs}",
                "choose both above 0",
            ),
            (
                all(g == 0 or g >= 1 for g in (self.gamma_positive, self.gamma_negative))
                and 0 <= self.probability_margin < 1,
                (
                    f"gammas {self.gamma_positive}, {self.gamma_negative}, "
                    f"probability_margin {self.probability_margin}"
                ),
                "choose gammas 0 or from 1, the margin in [0, 1)",
            ),
            (
                0 < self.share <= 1 and 0 <= self.teacher_share <= 1 and self.frozen_epochs >= 0,
                (
                    f"share {self.share}, teacher_share {self.teacher_share}, "
                    f"frozen_epochs {self.frozen_epochs}"
                ),
                "choose share in (0, 1], teacher_share in [0, 1], frozen_epochs from 0",
            ),
            (
                self.choose in ("last", "best"),
                f"choose {self.choose!r}",
                "accepted: last, best",
            ),
        ):
            if not holds:
                raise DatasetError(path, reason, action)


def _refuse_unknown(path: Path, values: dict[str, Any], kind: type[Any]) -> None:
    known = [entry.name for entry in fields(kind)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise DatasetError(
            path, f"unknown keys {', '.join(unknown)}", f"accepted: {', '.join(known)}"
        )
