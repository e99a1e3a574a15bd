"""What a camera makes of light: exposure, tone, gamma, vignette."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from .shade import TONE_STEPS, TONE_WHITE

BRIGHTEST = 1.5  # linear light at normal exposure that a sample counts for at most
DISPLAY_GAMMA = 2.2  # CARLA's default `gamma`: the sRGB curve as it is


@dataclass(frozen=True)
class Lens:
    """Optics of a colour camera beyond its field of view, named after CARLA's attributes."""

    exposure_compensation: float = 0.0  # [stops]
    gamma: float = DISPLAY_GAMMA
    circle_multiplier: float = 0.0  # 0: no vignette
    circle_falloff: float = 5.0


@lru_cache(maxsize=64)
def tone_table(gain: float = 1.0, gamma: float = DISPLAY_GAMMA) -> npt.NDArray[np.uint8]:
    """sRGB byte for linear light v at index sqrt(v / TONE_WHITE): a soft shoulder, then the sRGB transfer function.

    gain multiplies the light before; another gamma than 2.2 bends the bytes after.
    """
    light = (np.arange(TONE_STEPS) / (TONE_STEPS - 1)) ** 2 * TONE_WHITE * gain
    shown = light / (1.0 + light**2.4) ** (1.0 / 2.4)
    encoded = np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown ** (1.0 / 2.4) - 0.055)
    if gamma != DISPLAY_GAMMA:
        encoded = np.clip(encoded, 0.0, 1.0) ** (DISPLAY_GAMMA / gamma)
    return np.round(np.clip(encoded, 0.0, 1.0) * 255.0).astype(np.uint8)


def developed(light: npt.NDArray[np.float64], tones: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Blue, green, red bytes of linear red, green, blue."""
    share = np.sqrt(np.clip(light[::-1] / TONE_WHITE, 0.0, 1.0))
    return np.ascontiguousarray(tones[np.round(share * (TONE_STEPS - 1)).astype(np.int64)])


@njit(cache=True, nogil=True, error_model="numpy")
def vignette(bgra: npt.NDArray[np.uint8], multiplier: float, falloff: float) -> None:
    """Darken towards the corners: the lens passes 1 - (multiplier * r / 3) ** falloff at r half diagonals."""
    height, width = bgra.shape[:2]
    unit = 1.0 / np.sqrt(0.25 * (width * width + height * height))
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5 - 0.5 * width) * unit, (row + 0.5 - 0.5 * height) * unit
            passed = max(0.0, 1.0 - (multiplier * np.sqrt(x * x + y * y) / 3.0) ** falloff)
            for k in range(3):
                bgra[row, column, k] = int(bgra[row, column, k] * passed + 0.5)
