"""Hashes and value noise: the only source of irregularity in the pictures (no random state, same bytes everywhere)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float32]

TEXTURE_SIZE = 256  # texels a side; a power of two, so that wrapping is a bit mask


@njit(cache=True, nogil=True, error_model="numpy")
def hash01(ix: int, iy: int) -> float:
    """A number in [0, 1) that depends on two integers only.

    Multipliers are the primes of xxHash (Y. Collet, XXH32); the finishing shifts and multiplication avalanche.
    """
    h = (ix * 374761393 + iy * 668265263) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 2246822519) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 3266489917) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF) / 16777216.0


@njit(cache=True, nogil=True, error_model="numpy")
def value_noise(x: float, y: float, period: int) -> float:
    """Smooth noise in [0, 1], one lattice value a unit, repeating every `period` units (a power of two)."""
    fx, fy = np.floor(x), np.floor(y)
    tx, ty = x - fx, y - fy
    tx = tx * tx * tx * (tx * (tx * 6.0 - 15.0) + 10.0)  # quintic: continuous second derivative
    ty = ty * ty * ty * (ty * (ty * 6.0 - 15.0) + 10.0)
    mask = period - 1
    ix, iy = int(fx) & mask, int(fy) & mask
    jx, jy = (ix + 1) & mask, (iy + 1) & mask
    top = hash01(ix, iy) * (1.0 - tx) + hash01(jx, iy) * tx
    bottom = hash01(ix, jy) * (1.0 - tx) + hash01(jx, jy) * tx
    return top * (1.0 - ty) + bottom * ty


@njit(cache=True, nogil=True, error_model="numpy")
def fractal_noise(x: float, y: float, period: int, octaves: int) -> float:
    """Octaves of value noise, each half as strong and twice as fine; in [0, 1]."""
    total, weight, scale = 0.0, 0.5, 1
    for _ in range(octaves):
        total += weight * value_noise(x * scale + 17.3 * scale, y * scale + 5.1 * scale, period * scale)
        weight *= 0.5
        scale *= 2
    return total / (1.0 - 2.0 * weight)


@njit(cache=True, nogil=True, error_model="numpy")
def _bake(texture: FloatArray) -> None:
    size = texture.shape[0]
    for row in range(size):
        for column in range(size):
            smooth = fractal_noise(column / 16.0, row / 16.0, size // 16, 4)
            texture[row, column, 0] = min(1.0, max(-1.0, (smooth - 0.5) * 4.0))
            texture[row, column, 1] = hash01(column + 1000, row + 77) * 2.0 - 1.0


def noise_texture() -> FloatArray:
    """(256, 256, 2) tileable, each in -1..1: channel 0 soft blotches 16 texels wide, channel 1 white noise."""
    texture = np.zeros((TEXTURE_SIZE, TEXTURE_SIZE, 2), np.float32)
    _bake(texture)
    return texture


@njit(cache=True, nogil=True, error_model="numpy")
def sample(texture: FloatArray, channel: int, x: float, y: float) -> float:
    """Bilinear, wrapping look-up; x, y in texels."""
    fx, fy = np.floor(x), np.floor(y)
    tx, ty = x - fx, y - fy
    mask = texture.shape[0] - 1
    ix, iy = int(fx) & mask, int(fy) & mask
    jx, jy = (ix + 1) & mask, (iy + 1) & mask
    top = texture[iy, ix, channel] * (1.0 - tx) + texture[iy, jx, channel] * tx
    bottom = texture[jy, ix, channel] * (1.0 - tx) + texture[jy, jx, channel] * tx
    return top * (1.0 - ty) + bottom * ty
