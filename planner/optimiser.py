"""The network's path and waypoints -> the nearest ones that a car can drive: see `planner.programmes` for how.

The path is bounded in curvature and in its rate of change and starts at the rear axle along the car's heading; the
waypoints lie on it, as a speed profile with bounded acceleration and jerk puts them. The solver is PIQP (Schwan et al.,
arXiv 2304.00290). No clock, no randomness, no state between calls: the same input gives the same bytes on the same type
of machine.

Shapes:  B batch   P path points (10)   N waypoints (8)   C speed classes (8)   K knots of the curve (19)
Frame: ego, ISO 8855.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from bev import FloatArray
from planner.programmes import BEYOND_STATIONS_M, PATH_STATIONS_M, OptimiserConfig, PathProgramme, SpeedProgramme
from planner.types import PATH_POINTS, SPEED_CLASSES_MPS, WAYPOINTS

_Flags = npt.NDArray[np.bool_]
_REACH_M = 60.0  # what lies farther is no place to drive to within the next seconds
_MAX_SPEED_MPS = 40.0


class Outcome(IntEnum):
    """How an answer came about."""

    OPTIMISED = 0
    FAR = 1  # optimised and drivable, but far from what was asked for, which no car could follow
    FALLBACK = 2  # not all of the input was numbers, or no solution was found: the input, mended and clipped


@dataclass(frozen=True)
class Optimised:
    """path: (P, 2), equally spaced by arc length, the first point one spacing ahead of the ego origin.
    curvature_pm: (K,) of the curve it lies on, left positive, at `PathProgramme.stations`; linear in between.
    waypoints: (N, 2) on that curve; speeds_mps, accelerations_mps2: (N,) at them."""

    path: FloatArray
    curvature_pm: FloatArray
    path_outcome: Outcome
    waypoints: FloatArray
    speeds_mps: FloatArray
    accelerations_mps2: FloatArray
    speed_outcome: Outcome


@lru_cache(maxsize=8)
def _programmes(config: OptimiserConfig) -> tuple[PathProgramme, SpeedProgramme]:
    return PathProgramme(config), SpeedProgramme(config)


_DEFAULT = OptimiserConfig()


def optimise(
    path: FloatArray,
    speed_probabilities: FloatArray,
    waypoints: FloatArray,
    speed_mps: float,
    curvature_pm: float | None = None,
    config: OptimiserConfig = _DEFAULT,
) -> Optimised:
    """path (P, 2), speed_probabilities (C,), waypoints (N, 2), speed now; curvature_pm: the one driven now, if known.

    Raises on wrong shapes, never on values: the answer is always finite, and `Outcome` says what it is worth.
    """
    shapes = np.shape(path), np.shape(speed_probabilities), np.shape(waypoints)
    if shapes != ((PATH_POINTS, 2), (len(SPEED_CLASSES_MPS),), (WAYPOINTS, 2)):
        raise ValueError(f"optimise: path, speed_probabilities and waypoints have the shapes {shapes}")
    along, profile = _programmes(config)
    path, path_known = _mended(path)
    waypoints, waypoints_known = _mended(waypoints)
    targets, weights = _targets(path, path_known, waypoints, waypoints_known, config.beyond_weight)
    numbers = np.append(speed_probabilities, speed_mps)
    numbers_known = np.isfinite(numbers)
    target, speed = _speeds(np.where(numbers_known, numbers, 0.0), config.stop_probability)
    now = curvature_pm if curvature_pm is not None and np.isfinite(curvature_pm) else None
    curvature, path_found = along.fit(targets, weights, speed, now)
    points, headings = along.curve(curvature)
    smooth = points[1 : 1 + PATH_POINTS]
    asked = _stations_of(waypoints, points, along.stations[1:])
    bend = np.interp(asked, along.stations, np.abs(curvature))
    stations, speeds, accelerations, speed_found = profile.fit(asked, target, speed, bend)
    off_m = float(np.hypot(*(smooth - path).T).mean())
    return Optimised(
        path=smooth,
        curvature_pm=curvature,
        path_outcome=_outcome(path_found and path_known.all(), off_m > config.far_m),
        waypoints=_points_at(stations, points, headings, along.stations[1:]),
        speeds_mps=speeds,
        accelerations_mps2=accelerations,
        speed_outcome=_outcome(speed_found and waypoints_known.all() and numbers_known.all(), False),
    )


def _outcome(whole: Any, far: bool) -> Outcome:
    if not whole:
        return Outcome.FALLBACK
    return Outcome.FAR if far else Outcome.OPTIMISED


def _mended(points: FloatArray) -> tuple[FloatArray, _Flags]:
    """(n, 2) -> clipped to reach, with unknown points put between their neighbours; and which were known (n,)."""
    points = np.asarray(points, dtype=np.float64)
    known: _Flags = np.asarray(np.isfinite(points).all(axis=1))
    clipped = np.clip(points, -_REACH_M, _REACH_M)
    if known.all():
        return clipped, known
    at = np.append(0, 1 + np.flatnonzero(known))  # the origin is always known
    order = np.arange(1, len(points) + 1)
    values = np.concatenate([np.zeros((1, 2)), clipped[known]])
    return np.stack([np.interp(order, at, values[:, axis]) for axis in (0, 1)], axis=1), known


def _targets(
    path: FloatArray, path_known: _Flags, waypoints: FloatArray, waypoints_known: _Flags, beyond_weight: float
) -> tuple[FloatArray, FloatArray]:
    """-> targets (M, 2), weights (M,): the path, then what the waypoints tell beyond its end, at equal arc lengths."""
    # Travelled far enough, not just ahead of the end: a path that turns round ends near where it began.
    travelled_m = np.cumsum(np.hypot(*np.diff(waypoints, axis=0, prepend=np.zeros((1, 2))).T))
    ahead = (waypoints - path[-1]) @ (path[-1] - path[-2]) > 0.0
    ahead &= (travelled_m > PATH_STATIONS_M[-1]) & waypoints_known
    line = np.concatenate([path[-1:], waypoints[ahead]])
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    wanted = BEYOND_STATIONS_M - PATH_STATIONS_M[-1]
    beyond = np.stack([np.interp(wanted, arc, line[:, axis]) for axis in (0, 1)], axis=1)
    weights = np.concatenate([path_known.astype(np.float64), beyond_weight * (wanted <= arc[-1])])
    return np.concatenate([path, beyond]), weights


def _speeds(numbers: FloatArray, stop_probability: float) -> tuple[float, float]:
    """(C + 1,) speed probabilities and the speed -> the target speed as the controller understands it, the speed."""
    probabilities, speed = numbers[:-1], float(np.clip(numbers[-1], 0.0, _MAX_SPEED_MPS))
    target = float(np.clip(probabilities @ SPEED_CLASSES_MPS, 0.0, SPEED_CLASSES_MPS[-1]))
    return 0.0 if probabilities[0] > stop_probability else target, speed


def _stations_of(waypoints: FloatArray, points: FloatArray, stations: FloatArray) -> FloatArray:
    """(N, 2) -> (N,) stations of the nearest places on the line through points, never decreasing."""
    start, step = points[:-1], np.diff(points, axis=0)
    square = np.maximum((step**2).sum(1), 1e-12)
    off = waypoints[:, None] - start
    share = np.clip((off * step).sum(2) / square, 0.0, 1.0)  # (N, segments)
    nearest = np.argmin(((off - share[:, :, None] * step) ** 2).sum(2), axis=1)
    along = share[np.arange(len(waypoints)), nearest] * np.diff(stations)[nearest]
    return np.maximum.accumulate(stations[nearest] + along)


def _points_at(at: FloatArray, points: FloatArray, headings: FloatArray, stations: FloatArray) -> FloatArray:
    """(N,) stations -> (N, 2) places: between two knots the cubic that has their places and headings (Hermite), beyond
    the last one straight on."""
    place = np.clip(np.searchsorted(stations, at, side="right") - 1, 0, len(stations) - 2)
    length = np.diff(stations)[place]
    u = np.clip((at - stations[place]) / length, 0.0, 1.0)[:, None]
    tangent = np.stack([np.cos(headings), np.sin(headings)], axis=1)
    value = (1 + 2 * u) * (1 - u) ** 2 * points[place] + u**2 * (3 - 2 * u) * points[place + 1]
    slope = u * (1 - u) ** 2 * tangent[place] - u**2 * (1 - u) * tangent[place + 1]
    past = np.maximum(at - stations[-1], 0.0)[:, None] * tangent[-1]
    return value + length[:, None] * slope + past


@torch.library.custom_op("e2e_drive::optimise_trajectory", mutates_args=())
def optimise_trajectory(path: Tensor, speed_logits: Tensor, waypoints: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
    """`optimise`, sample after sample, on the CPU wherever the tensors are."""
    inputs = (path, speed_logits.double().softmax(-1), waypoints, speed[:, 0])
    rows = zip(*(tensor.detach().cpu().double().numpy() for tensor in inputs), strict=True)
    answers = [optimise(*row) for row in rows]
    smooth = torch.from_numpy(np.stack([answer.path for answer in answers]))
    driven = torch.from_numpy(np.stack([answer.waypoints for answer in answers]))
    return smooth.to(path), driven.to(waypoints)


@optimise_trajectory.register_fake
def _shapes(path: Tensor, speed_logits: Tensor, waypoints: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(path), torch.empty_like(waypoints)


@register_flop_formula(torch.ops.e2e_drive.optimise_trajectory)
def _flops(path_shape: Any, *args: Any, **kwargs: Any) -> int:
    along, profile = _programmes(_DEFAULT)
    return path_shape[0] * (along.flops + profile.flops)


class TrajectoryOptimiser(nn.Module):
    """path (B, P, 2), speed_logits (B, C), waypoints (B, N, 2), speed (B, 1 or more; the first in m/s)
    -> path, waypoints that a car can drive. For inference: no gradient comes back through it."""

    def forward(self, path: Tensor, speed_logits: Tensor, waypoints: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        return optimise_trajectory(path, speed_logits, waypoints, speed)
