"""Walkers that a client leads: its pedestrian AI says, each tick, where each of its walkers is next.

CARLA puts a walker there. Here it walks there within the step, so that it has a velocity, and where its collisions are
on it pushes and can be run over like one that walks by itself (the client turns physics and collisions off when it
starts an AI controller: a script may turn the collisions on again). Only where a walker has been held up too long it is
put back to where it should be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.actors import Actor, WalkerControl
from carla_bridge.embedded.bodies import WALKER_MASS_KG, Bodies
from carla_bridge.embedded.types import Pose

LOST_M = 2.5  # farther away than this it is put there
HURRY = 2.0  # it catches up at most at this multiple of its speed
SLOWEST_HURRY_M_S = 3.0


@dataclass(frozen=True)
class _Goal:
    actor: Actor
    feet: Pose
    speed: float  # [m/s]


class LedWalkers:
    """The goals of one step; a walker without a new one stands still."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._goals: dict[int, _Goal] = {}
        self._walking: dict[int, _Goal] = {}  # goals of the last step
        self._released: list[int] = []  # walkers whose physics is off, except during the step

    def lead(self, actor: Actor, feet: Pose, speed: float) -> None:
        """Be there at the end of the next step. feet: the place of its feet, and where it looks; speed [m/s]."""
        self._goals[actor.id] = _Goal(actor, feet, speed)

    def set_off(self, delta_s: float) -> None:
        """Before a step of delta_s seconds."""
        for actor_id, goal in self._walking.items():
            if actor_id not in self._goals and actor_id in self._bodies.row_of:
                goal.actor.walker = WalkerControl(goal.actor.walker.direction, 0.0)
                if self._bodies.param[self._bodies.row_of[actor_id], c.INV_MASS] == 0.0:
                    self._bodies.state[self._bodies.row_of[actor_id], [c.VX, c.VY, c.VZ]] = 0.0
        self._walking, self._goals = self._goals, {}
        for actor_id, goal in self._walking.items():
            if actor_id in self._bodies.row_of:
                self._set_off(self._bodies.row_of[actor_id], goal, delta_s)

    def _set_off(self, row: int, goal: _Goal, delta_s: float) -> None:
        state, feet, yaw = self._bodies.state, goal.feet, math.radians(goal.feet.yaw)
        goal.actor.walker = WalkerControl((math.cos(yaw), math.sin(yaw), 0.0), goal.speed)
        dx, dy = feet.x - state[row, c.X], feet.y - state[row, c.Y]
        distance = math.hypot(dx, dy)
        if self._bodies.param[row, c.INV_MASS] == 0.0:
            self._bodies.param[row, c.INV_MASS] = 1.0 / WALKER_MASS_KG
            self._released.append(goal.actor.id)
        if distance > LOST_M:
            state[row, [c.X, c.Y]] = feet.x, feet.y
            dx = dy = 0.0
        fastest = max(SLOWEST_HURRY_M_S, HURRY * goal.speed) * delta_s
        part = min(1.0, fastest / distance) / delta_s if distance > 0.0 else 0.0
        velocity = (part * dx, part * dy)
        state[row, [c.Z, c.YAW]] = feet.z + goal.actor.extent[2], yaw
        state[row, [c.VX, c.VY, c.VZ]] = (*velocity, 0.0)
        self._bodies.control[row, [c.WALK_X, c.WALK_Y]] = velocity

    def arrive(self, *, on_plane: bool) -> None:
        """After the step. on_plane: the ground is the plane z = 0, which knows of no kerbs: the feet stay as high as
        the navigation mesh."""
        for actor_id, goal in self._walking.items():
            if actor_id not in self._bodies.row_of:
                continue
            row = self._bodies.row_of[actor_id]
            self._bodies.control[row, [c.WALK_X, c.WALK_Y]] = 0.0
            if on_plane:
                self._bodies.state[row, [c.Z, c.VZ]] = goal.feet.z + goal.actor.extent[2], 0.0
        for actor_id in self._released:
            self._bodies.param[self._bodies.row_of[actor_id], c.INV_MASS] = 0.0
        self._released = []
