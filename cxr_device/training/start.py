"""Starting weights: ImageNet weights that a Python package carries, copied into a grey network."""

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from cxr_device.errors import DatasetError

__all__ = ["refuse_start", "start_from"]


def refuse_start(config: Path, module: str) -> None:
    """Refuse a configuration whose `start` names no installed module with ImageNet weights."""
    found = find_spec(module) if module.isidentifier() else None
    if found is None or found.origin is None:
        reason = "is no installed module"
    elif len(_weights(Path(found.origin))) != 1:
        reason = "carries no weights (models/*.pth)"
    else:
        return
    raise DatasetError(
        config, f"start {module!r} {reason}", "install the package that carries it, or leave it out"
    )


def _weights(module: Path) -> list[Path]:
    return list((module.parent / "models").glob("*.pth"))


def start_from(net: nn.Module, module: str) -> dict[str, str]:
    """Copy ImageNet weights by order into `net`; the stem is summed over its three channels.

    Returns the module, its file and the file's SHA-256, for the record.
    """
    package = __import__(module)
    (path,) = _weights(Path(str(package.__file__)))
    blob = path.read_bytes()
    found = torch.load(path, weights_only=True, map_location="cpu")  # noqa: TID251  # digest recorded
    own = net.state_dict()
    for (name, mine), theirs in zip(own.items(), found.values(), strict=True):
        if name == "conv_stem.weight":
            own[name] = theirs.sum(dim=1, keepdim=True)
        elif mine.shape == theirs.shape:
            own[name] = theirs
        elif not name.startswith("classifier"):
            message = f"{module}: {name} is {tuple(theirs.shape)}, expected {tuple(mine.shape)}"
            raise ValueError(message)
    net.load_state_dict(own)
    return {"module": module, "file": path.name, "sha256": sha256(blob).hexdigest()}
