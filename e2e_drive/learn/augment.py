"""Pictures in other light and with another sensor: exposure, contrast, tint and noise, different for each camera.

No geometry: shifted views are recorded for real, and a mirror would teach driving on the left.

Shapes:  B batch   M cameras   H, W image
"""

from __future__ import annotations

import torch
from torch import Tensor

_EXPOSURE, _CONTRAST, _TINT = 0.3, 0.25, 0.06  # half widths of the logarithms of the factors
_NOISE = 8.0  # largest standard deviation, of 255
_UNTOUCHED = 0.15  # share of samples left as they are


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """(B, M, H, W, 3) uint8 -> the same, float32 in [0, 255]."""
    batch, cameras, height, width, _ = images.shape

    def draw(*shape: int) -> Tensor:
        return 2.0 * torch.rand(shape, generator=generator) - 1.0

    on = (draw(batch, 1, 1, 1, 1) > 2.0 * _UNTOUCHED - 1.0).float()
    exposure = torch.exp(on * _EXPOSURE * (draw(batch, 1, 1, 1, 1) + 0.5 * draw(batch, cameras, 1, 1, 1)))
    contrast = torch.exp(on * _CONTRAST * draw(batch, cameras, 1, 1, 1))
    tint = torch.exp(on * _TINT * draw(batch, cameras, 1, 1, 3))
    noise_scale = on * _NOISE * draw(batch, cameras, 1, 1, 1) ** 2
    noise = torch.randn(1, cameras, height, width, 3, generator=generator)  # one for the batch: drawing it is the cost
    gain, middle = exposure * contrast * tint, 110.0 * (1 - contrast)
    return (images.float() * gain + middle).add_(noise * noise_scale).clamp_(0.0, 255.0)
