"""How fast: the Intelligent Driver Model (Treiber, Hennecke, Helbing, Phys. Rev. E 62, 2000, eq. 2-4), bends, stops,
and the motion that follows from them."""

from __future__ import annotations

import math

import numpy as np

from bev import FloatArray
from carla_bridge.corridor import Obstacle
from carla_bridge.expert.types import ExpertConfig
from carla_bridge.forecast import TIMES_S
from carla_bridge.routes import Route
from planner import SPEED_CLASSES_MPS


def follow_speed(config: ExpertConfig, speed_mps: float, free_mps: float, gap_m: float, lead_mps: float) -> float:
    """What the IDM aims at within the time in which the pedals answer."""
    wanted = config.standstill_gap_m + max(
        0.0,
        speed_mps * config.headway_s
        + speed_mps * (speed_mps - lead_mps) / (2.0 * math.sqrt(config.accelerate_mps2 * config.brake_mps2)),
    )
    acceleration = config.accelerate_mps2 * (1.0 - (speed_mps / free_mps) ** 4 - (wanted / max(gap_m, 0.1)) ** 2)
    return float(np.clip(speed_mps + acceleration * config.respond_s, 0.0, free_mps))


def stop_speed(config: ExpertConfig, distance_m: float) -> float:
    """From which the comfortable brake stops within a distance."""
    return math.sqrt(2.0 * config.brake_mps2 * max(0.0, distance_m))


def bend_speeds(route: Route, config: ExpertConfig, half_window: int = 3) -> FloatArray:
    """(N,) speed at each route point at which its curvature costs `lateral_mps2`."""
    turn = np.zeros(len(route.yaws))
    for i in range(len(turn)):
        low, high = max(0, i - half_window), min(len(turn) - 1, i + half_window)
        turn[i] = abs(route.yaws[high] - route.yaws[low]) / max(route.arc_m[high] - route.arc_m[low], 0.1)
    return np.sqrt(config.lateral_mps2 / np.maximum(turn, 1e-4))


def slow_in_time(arc_m: FloatArray, speeds_mps: FloatArray, brake_mps2: float) -> FloatArray:
    """(N,) at each place slow enough to be slow enough at every later one."""
    out = np.array(speeds_mps, np.float64)
    for i in range(len(out) - 2, -1, -1):
        out[i] = min(out[i], math.sqrt(out[i + 1] ** 2 + 2.0 * brake_mps2 * (arc_m[i + 1] - arc_m[i])))
    return out


def rollout(
    config: ExpertConfig,
    progress_m: float,
    speed_mps: float,
    arc_m: FloatArray,
    caps_mps: FloatArray,
    front_m: float,
    lead: Obstacle | None,
    stop_m: float,
) -> FloatArray:
    """(T,) arc lengths of the middle of the car at TIMES_S if it goes as fast as caps_mps at arc_m, its lead (taken to
    keep its speed) and a stop of the front bumper at arc length stop_m allow."""
    step = float(TIMES_S[1] - TIMES_S[0])
    out = np.empty(len(TIMES_S))
    here, speed, half = progress_m, max(speed_mps, 0.0), front_m - progress_m
    for i, time_s in enumerate(TIMES_S.tolist()):
        out[i] = here
        wanted = min(
            float(np.interp(here, arc_m, caps_mps)), math.sqrt(2.0 * config.brake_mps2 * max(0.0, stop_m - here - half))
        )
        if lead is not None:
            room = lead.gap_m + front_m + lead.speed_mps * time_s - (here + half) - config.standstill_gap_m
            wanted = min(wanted, max(0.0, lead.speed_mps + room / config.headway_s))
        after = min(max(wanted, speed - 4.0 * step), speed + config.accelerate_mps2 * step)
        here += 0.5 * (speed + after) * step
        speed = after
    return out


def speed_distribution(speed_mps: float) -> FloatArray:
    """(S,) probabilities on the two speed classes around a speed whose mean it is, as the training target has them."""
    classes = np.array(SPEED_CLASSES_MPS)
    speed = float(np.clip(speed_mps, classes[0], classes[-1]))
    upper = int(np.clip(np.searchsorted(classes, speed), 1, len(classes) - 1))
    share = (speed - classes[upper - 1]) / (classes[upper] - classes[upper - 1])
    out = np.zeros(len(classes))
    out[upper - 1], out[upper] = 1.0 - share, share
    return out
