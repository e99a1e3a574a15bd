"""Fog, dust and veils of rain between the fragments and the eye."""

from __future__ import annotations

import numpy as np
from numba import njit

from .fragments import Fragments
from .weather import Air

LAYER_M = 400.0  # [m] height up to which rain and dust fill the air, for what is no nearer than the sky
VANISHING = 60.0  # optical depth behind which nothing is seen


@njit(cache=True, nogil=True, error_model="numpy")
def optical_depth(air: Air, height_m: float, climb: float, path_m: float) -> float:
    """Extinction along a ray: climb is the sine of its elevation, height_m where it starts.

    Height fog has density * exp(-thinning * z); along a straight ray its integral is closed (Wenzel, "Real-time
    atmospheric effects in games", SIGGRAPH 2006 course 26).
    """
    path = path_m - air.begins_m
    if path <= 0.0:
        return 0.0
    depth = air.level * path
    if air.density > 0.0:
        z = height_m + climb * air.begins_m
        start = air.density * np.exp(min(max(-air.thinning * z, -40.0), 8.0))
        rise = air.thinning * climb * path
        if abs(rise) < 1e-4:
            depth += start * path
        elif rise < -12.0:
            return VANISHING
        else:
            depth += start * path * (1.0 - np.exp(-min(rise, 40.0))) / rise
    return min(depth, VANISHING)


@njit(cache=True, nogil=True, error_model="numpy")
def veil(count: int, f: Fragments, air: Air, sun: np.ndarray, height_m: float) -> None:
    """Mix the air's light into the finished colour of each fragment, sky and lamps included."""
    number, distance, dx, dy, dz = f.number, f.distance, f.dx, f.dy, f.dz
    red, green, blue = f.red, f.green, f.blue
    colour, glow = air.colour, air.glow
    for i in range(count):
        path = distance[i] if number[i] >= 0 else LAYER_M / max(dz[i], 0.013)
        depth = optical_depth(air, height_m, dz[i], path)
        if depth <= 0.0:
            continue
        clear = np.exp(-depth)
        toward = max(0.0, 0.5 + 0.5 * (dx[i] * sun[0] + dy[i] * sun[1] + dz[i] * sun[2]))
        toward *= toward
        toward *= toward
        r, g, b = colour[0] + toward * glow[0], colour[1] + toward * glow[1], colour[2] + toward * glow[2]
        red[i], green[i], blue[i] = r + (red[i] - r) * clear, g + (green[i] - g) * clear, b + (blue[i] - b) * clear
