"""Configuration of one training run, as a TOML file states it; what it does not know it refuses."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from cxr_device.errors import DatasetError
from cxr_device.network import Architecture
from cxr_device.training.augmentation import Augmentation
from cxr_device.training.configuration_file import (
    Count,
    Positive,
    Range,
    Seed,
    Share,
    built,
    read_toml,
)

__all__ = ["SCORE_HEADS", "TrainingConfig"]

SCORE_HEADS: Final = ("Airspace", "Consolidation", "Infiltration")
"""The heads whose mean logit is the device's score: findings that every source labels."""

Side = Annotated[int, Range(32, 1024)]
"""Pixels; the sides that `dataset prepare` makes."""
NotNegative = Annotated[float, Range(0)]
Whole = Annotated[int, Range(0)]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One run, as a TOML file states it; unknown keys are refused."""

    architecture: Architecture
    seed: Seed
    epochs: Count
    sizes: tuple[Side, ...]
    """Pixels; the input side of each epoch. `tune` is read at the device's own."""
    learning_rate: Positive
    batch_size: Count = 32
    weight_decay: NotNegative = 0.02
    label_smoothing: Share = 0.05
    ema_decay: Share = 0.998
    mixup: NotNegative = 0.0
    """Beta parameter of mixup; 0 mixes nothing."""
    positive_weight: NotNegative = 1.0
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
    share: Annotated[float, Range(0, 1, open=True)] = 1.0
    """Share of the patients of `train` that is used, above 0; a smaller share is part of a larger
    one. For the curve of what more films bring."""
    frozen_epochs: Whole = 0
    """First epochs in which the last layer alone learns; all of them: a light head on a backbone
    that stays as it started."""
    teachers: tuple[str, ...] = ()
    """Finished runs, beside this run's folder, whose mean probability softens the labels."""
    teacher_share: Share = 0.5
    """Weight of the teachers' probability in a label; the label has the rest."""
    teach: Literal["films", "views"] = "films"
    """What the teachers answer: each whole film once, before the first epoch; or every view that
    augmentation makes of it, whose student learns the teachers' answer to that very view (Beyer et
    al., Knowledge distillation: a good teacher is patient and consistent, CVPR 2022)."""
    soft_labels: str = ""
    """Parquet table, relative to the data folder, that stands for teachers: `file` as in the
    manifests and a probability for each head, best of networks that did not learn the film."""
    shards: Count = 1
    """Parts of a batch, each normalized by itself, whose gradients and running statistics are
    averaged. Several processes share them out, so their number must divide it; the result depends
    on this number and not on how many processes there are."""
    patience: Whole = 0
    """Epochs without a better tuning value after which the run ends; 0: never early."""
    choose: Literal["last", "best"] = "last"
    """Epoch whose averaged weights are kept: the last, or the one of the best tuning value."""
    manifests: tuple[str, ...] = ("nih/manifest.csv", "nih_extra/manifest.csv")
    """Relative to the data folder."""
    start: str = ""
    """Module that carries the ImageNet weights as package data; empty: start from random."""
    start_run: str = ""
    """Finished run of the same architecture, beside this run's folder, whose weights the network
    starts from."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    @classmethod
    def read(cls, path: Path) -> "TrainingConfig":
        """Read and check a configuration file.

        Raises
        ------
        DatasetError
            No TOML, a key that is unknown or missing, a value of another type or outside its range,
            or values that contradict each other.
        """
        config = built(path, cls, read_toml(path))
        config.check(path)
        return config

    def check(self, path: Path) -> None:
        """Refuse values outside their ranges, or that contradict; `path` names the file."""
        built(path, TrainingConfig, vars(self))
        for holds, reason, action in (
            (
                len(self.sizes) == self.epochs,
                f"sizes {list(self.sizes)} for {self.epochs} epochs",
                "name a side for each epoch",
            ),
            (
                self.batch_size % self.shards == 0,
                f"batch_size {self.batch_size} in {self.shards} shards",
                "choose shards that divide the batch",
            ),
            (
                not (self.teachers and self.soft_labels),
                "teachers and soft_labels",
                "name one of them",
            ),
            (
                not (self.start and self.start_run),
                "start and start_run",
                "name one of them",
            ),
            (
                self.teach == "films" or bool(self.teachers),
                f"teach {self.teach!r} without teachers",
                "name the finished runs that answer",
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
        ):
            if not holds:
                raise DatasetError(path, reason, action)
