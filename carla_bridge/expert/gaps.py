"""Going or giving way: our own motion ahead against everybody's forecasts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from bev import FloatArray
from carla_bridge.corridor import Corridor, Crossing
from carla_bridge.expert.lines import CrosswalkSpan
from carla_bridge.expert.types import ExpertConfig
from carla_bridge.forecast import TIMES_S
from carla_bridge.routes import JunctionSpan
from carla_bridge.truth import Body

WALKER_AHEAD_S = 3.6  # who walks is not believed to walk straight on for longer
COMMITTED_M = 1.0  # so far into somebody's way, going on is the better way out
STEPS_OUT_M = 2.0  # nearer to a crosswalk than this, and on the way to it
BEHIND_US_M = 1.0


@dataclass(frozen=True)
class GiveWay:
    """stop_m: arc length at which the front bumper has to stay."""

    stop_m: float
    actor_id: int


@dataclass(frozen=True)
class Margins:
    early_s: float
    late_s: float


def conflicts(
    crossing: Crossing, rear_m: FloatArray, front_m: FloatArray, margins: Margins, ahead_s: float = math.inf
) -> float | None:
    """Least arc length at which the other body is where we are at about the same time, None if it never is.
    rear_m, front_m: (T,) of ourselves at TIMES_S."""
    there = ~np.isnan(crossing.first_m) & (ahead_s >= TIMES_S)
    if not there.any():
        return None
    times, first, last = TIMES_S[there], crossing.first_m[there], crossing.last_m[there]
    delay = times[None, :] - TIMES_S[:, None]  # theirs after ours
    close = (delay <= margins.early_s) & (delay >= -margins.late_s)
    meets = close & (first[None, :] <= front_m[:, None]) & (last[None, :] >= rear_m[:, None] + BEHIND_US_M)
    hit = meets.any(axis=0)
    return float(first[hit].min()) if hit.any() else None


def give_way(
    config: ExpertConfig,
    crossings: Sequence[Crossing],
    centres_m: FloatArray,
    half_length_m: float,
    speed_mps: float,
    margins: Margins,
    entries: Sequence[JunctionSpan],
) -> GiveWay | None:
    """The nearest stop that the forecasts ask for. centres_m: (T,) our own way if nobody is in it."""
    front = float(centres_m[0]) + half_length_m
    nearest: GiveWay | None = None
    for crossing in crossings:
        walks = crossing.body.type_id.startswith("walker.")
        place = conflicts(
            crossing,
            centres_m - half_length_m,
            centres_m + half_length_m,
            margins,
            WALKER_AHEAD_S if walks else math.inf,
        )
        if place is None:
            continue
        begins = float(np.nanmin(crossing.first_m))
        if front > begins + COMMITTED_M and not walks and not crossing.oncoming and not _is_ahead_now(crossing, front):
            continue
        stop = place - (config.walker_gap_m if walks else config.vehicle_gap_m)
        stop = before_junction(config, stop, front, speed_mps, entries)
        if nearest is None or stop < nearest.stop_m:
            nearest = GiveWay(stop, crossing.body.actor_id)
    return nearest


def _is_ahead_now(crossing: Crossing, front_m: float) -> bool:
    return bool(crossing.first_m[0] > front_m)


def before_junction(
    config: ExpertConfig, stop_m: float, front_m: float, speed_mps: float, entries: Sequence[JunctionSpan]
) -> float:
    """A stop inside a junction that is still ahead moves before it, if there is room to brake."""
    for span in entries:
        wait = span.entry_m - config.stop_margin_m
        if span.entry_m < stop_m < span.exit_m + 2.0 and wait > front_m - 0.5:
            needed = speed_mps**2 / (2.0 * max(wait - front_m, 0.1))
            if needed < 3.0 or speed_mps < 1.0:
                return wait
    return stop_m


def crosswalk_stop(
    config: ExpertConfig,
    spans: Sequence[CrosswalkSpan],
    corridor: Corridor,
    front_m: float,
    speed_mps: float,
    walkers: Sequence[Body],
    waited_s: float,
) -> GiveWay | None:
    """The stop before a crosswalk that somebody is on, or about to step on."""
    for span in spans:
        distance = span.entry_m - 1.2 - front_m
        if span.entry_m < front_m - 0.3 or distance > 35.0:
            continue
        if speed_mps**2 / (2.0 * max(distance, 0.1)) > 4.0 and speed_mps > 1.0:
            continue  # too late: the forecasts decide
        for body in walkers:
            if _uses(span, corridor, body, waited_s > config.patience_s):
                return GiveWay(span.entry_m - 1.2, body.actor_id)
    return None


def _uses(span: CrosswalkSpan, corridor: Corridor, body: Body, impatient: bool) -> bool:
    place = shapely.Point(body.pose.x, body.pose.y)
    gap = span.polygon.distance(place)
    if gap > STEPS_OUT_M:
        return False
    moving = body.speed_mps > 0.3
    vx, vy = body.speed_mps * math.cos(body.pose.yaw), body.speed_mps * math.sin(body.pose.yaw)
    if gap > 0.3:
        towards = span.centre - (body.pose.x, body.pose.y)
        return moving and (vx * towards[0] + vy * towards[1]) / max(float(np.hypot(*towards)), 0.1) > 0.6 * math.hypot(
            vx, vy
        )
    arc, side = corridor.project(body.pose.x, body.pose.y)
    yaw = corridor.yaw_at(arc)
    sideways = vy * math.cos(yaw) - vx * math.sin(yaw)
    clear = abs(side) > corridor.half_width_m + 0.5
    if clear and moving and sideways * side > 0.0:
        return False  # has passed us and walks away
    return moving or not impatient
