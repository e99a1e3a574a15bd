"""CARLA's image encodings: four bytes a pixel, blue green red alpha, row by row from the top left.

Written as one little-endian 32-bit word a pixel: blue | green << 8 | red << 16 | alpha << 24.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

OPAQUE = np.uint32(0xFF000000)
DEPTH_RANGE_M = 1000.0
DEPTH_STEPS = 256**3 - 1

Pixels = npt.NDArray[np.uint8]  # (H, W, 4) BGRA


def encode_depth(depth_m: npt.NDArray[np.float32]) -> Pixels:
    """Depth as CARLA's 24-bit fraction of 1000 m: red + 256 green + 65536 blue."""
    fraction = np.clip(depth_m.astype(np.float64) / DEPTH_RANGE_M, 0.0, 1.0)
    steps = np.rint(fraction * DEPTH_STEPS).astype(np.uint32)
    return _as_bytes(((steps & 0xFF) << 16) | (steps & 0xFF00) | (steps >> 16) | OPAQUE)


def decode_depth(bgra: Pixels) -> npt.NDArray[np.float64]:
    """The inverse of `encode_depth`, to within half a step (3e-5 m)."""
    blue, green, red = (bgra[..., channel].astype(np.float64) for channel in range(3))
    return np.asarray((red + 256.0 * green + 65536.0 * blue) / DEPTH_STEPS * DEPTH_RANGE_M)


def encode_labels(labels: npt.NDArray[np.uint8]) -> Pixels:
    """The semantic label in the red channel."""
    return _as_bytes((labels.astype(np.uint32) << 16) | OPAQUE)


def encode_instances(labels: npt.NDArray[np.uint8], actor_ids: npt.NDArray[np.uint32]) -> Pixels:
    """The label in red, the low 16 bits of the actor's id in green (low byte) and blue (high byte)."""
    ids = actor_ids.astype(np.uint32)
    return _as_bytes((labels.astype(np.uint32) << 16) | ((ids & 0xFF) << 8) | ((ids >> 8) & 0xFF) | OPAQUE)


def encode_normals(normals: npt.NDArray[np.float32]) -> Pixels:
    """World axes x, y, z as (n + 1) / 2 in red, green, blue; sky, which has no normal, is middle grey.

    CARLA's material for this camera is not public text. That level ground is (128, 128, 255) in its pictures says that
    the axes are the world's; the mapping is the usual one for normals.
    """
    red, green, blue = (np.rint((normals[..., axis] + 1.0) * 127.5).astype(np.uint32) for axis in range(3))
    return _as_bytes((red << 16) | (green << 8) | blue | OPAQUE)


def encode_flow(flow_px: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(H, W, 2) motion since the last frame in CARLA's unit: half a picture's size, y upwards.

    So -2..2 spans two pictures' sizes, as CARLA documents, and pixels are x * width / 2 and -y * height / 2, as its
    users have measured (carla issue 4795).
    """
    height, width = flow_px.shape[:2]
    return np.ascontiguousarray(flow_px * np.array([2.0 / width, -2.0 / height], np.float32), dtype="<f4")


def _as_bytes(words: npt.NDArray[np.integer]) -> Pixels:
    return np.ascontiguousarray(words, dtype="<u4").view(np.uint8).reshape(*words.shape, 4)
