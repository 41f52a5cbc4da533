"""Choice: which epoch's weights are kept, when a run ends early, and why. Lines are of the log."""

import math
from typing import Any

from cxr_device.training.config import TrainingConfig

__all__ = ["best_epoch", "chosen_epoch", "stops"]


def _value(line: dict[str, Any]) -> float:
    """Tuning value of an epoch: the score's AUC within view."""
    value = line["tune_within_view_auc"]["score"]
    return -math.inf if value is None else float(value)


def best_epoch(lines: list[dict[str, Any]]) -> int:
    """Epoch of the best tuning value; the first of equals."""
    return int(max(lines, key=_value)["epoch"])


def stops(lines: list[dict[str, Any]], patience: int) -> bool:
    """Whether the last `patience` epochs brought no better tuning value."""
    return bool(lines) and 0 < patience <= lines[-1]["epoch"] - best_epoch(lines)


def chosen_epoch(lines: list[dict[str, Any]], config: TrainingConfig) -> dict[str, Any]:
    """Epoch whose weights are kept, and why."""
    best, ended = best_epoch(lines), int(lines[-1]["epoch"])
    early = ended < config.epochs
    why = {
        "last": "the rule of the configuration is the last epoch, whatever the tuning value",
        "best": "highest tuning value (the score's AUC within view), the first of equals",
    }[config.choose]
    end = (
        f"ended early: no better tuning value in {config.patience} epochs"
        if early
        else "every epoch was run"
    )
    epoch = best if config.choose == "best" else ended
    return {
        "epoch": epoch,
        "rule": config.choose,
        "why": why,
        "end": end,
        "value": lines[epoch - 1]["tune_within_view_auc"]["score"],
        "best_epoch": best,
    }
