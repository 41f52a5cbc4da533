"""Tuning value: what the averaged network reaches on the films of `tune`, within one view."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import nn

from cxr_device.network import HEADS
from cxr_device.preprocessing import standardize
from cxr_device.training.config import SCORE_HEADS
from cxr_device.training.films import Films

__all__ = ["logits_of", "watch", "within_view_auc"]


def within_view_auc(
    films: Films, score: NDArray[np.float64], truth: NDArray[np.float32]
) -> float | None:
    """Mean of the AUCs within PA and within AP, each weighted by its positives; NaN truths out.

    None where neither view has films of both classes.
    """
    total, weight = 0.0, 0
    for view in ("PA", "AP"):
        rows = (films.table["view"] == view).to_numpy() & ~np.isnan(truth)
        positives = int(truth[rows].sum())
        if 0 < positives < rows.sum():
            total += positives * float(roc_auc_score(truth[rows], score[rows]))
            weight += positives
    return total / weight if weight else None


def logits_of(net: nn.Module, films: Films, *, batch_size: int = 64) -> NDArray[np.float64]:
    """Logits of every film at the device's own preprocessing; shape (n, len(HEADS))."""
    net.eval()
    device = next(net.parameters()).device
    found = []
    with torch.inference_mode():
        for start in range(0, len(films.pixels), batch_size):
            block = films.pixels[start : start + batch_size]
            batch = np.stack([standardize(film.astype(np.float32)) for film in block])
            pixels = torch.from_numpy(batch[:, np.newaxis]).to(device)
            logits = net(pixels.contiguous(memory_format=torch.channels_last))
            found.append(logits.float().cpu().numpy())
    return np.concatenate(found).astype(np.float64)


def watch(net: nn.Module, tune: Films, truth: NDArray[np.float32]) -> dict[str, Any]:
    """Measure a network on `tune`: AUC of airspace findings within view, by head and by score."""
    logits = logits_of(net, tune)
    values = {
        name: within_view_auc(tune, logits[:, HEADS.index(name)], truth)
        for name in ("Airspace", "Consolidation", "Infiltration", "Any", "Effusion")
    }
    score = logits[:, [HEADS.index(name) for name in SCORE_HEADS]].mean(axis=1)
    values["score"] = within_view_auc(tune, score, truth)
    return {"tune_within_view_auc": values}
