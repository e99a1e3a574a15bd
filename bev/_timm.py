"""The one door through which timm enters the house (`from bev._timm import timm`).

timm imports torchvision, and a torchvision built for CUDA cannot load its operators next to a CPU torch: its import
then fails because it registers a fake for operators that nobody declared. Only on that very error the two operators
are declared (no more than declared: calling `torchvision.ops.nms` on such a machine still raises). Declaring them
unconditionally would abort the process where the real ones do load.
"""

from __future__ import annotations

import torch

_MISSING_OPERATORS = "operator torchvision::nms does not exist"
_DECLARED: list[torch.library.Library] = []  # a Library takes its declarations back when it is collected

try:
    import timm
except RuntimeError as error:
    if _MISSING_OPERATORS not in str(error):
        raise
    _library = torch.library.Library("torchvision", "FRAGMENT")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, Tensor order, float iou_threshold, int plus1) -> Tensor")
    _DECLARED.append(_library)
    import timm

__all__ = ["timm"]
